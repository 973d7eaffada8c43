"""The records that are wrong on purpose as a list: which, what is wrong, since when, and what they were before.

The kinds of dirt are in `dirt`; how the list is written to a file is in `truth`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.sandbox.company import Activity, Line, Opportunity, Quota, Record
from connectors.sandbox.simulation.addresses import address
from connectors.sandbox.simulation.dirt import KINDS, ORPHAN_ORDINAL, Dirt
from connectors.sandbox.simulation.files import as_json
from connectors.sandbox.simulation.life import GONE, Flaw, Life
from connectors.sandbox.simulation.simulation import EVER, Simulation

BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class DirtyRecord:
    """A record and what is wrong with it; `truth` says what each field means."""

    crm: str
    stream: str
    record_key: str
    record: str
    key: str
    kind: str
    rule: str
    fields: str
    spoilt_at: datetime
    healed_at: datetime | None
    is_spoilt: bool
    was_good: bool
    last_good_at: datetime | None
    good_values: str | None
    good_record: str | None
    spoilt_values: str | None
    other_crm: str | None
    other_stream: str | None
    other_key: str | None


def dirty_records(simulation: Simulation, as_of: datetime) -> Iterator[DirtyRecord]:
    """Every record that has become wrong by a moment, in all CRMs; those put right by then, too."""
    for crm in simulation.crms:
        for life in simulation.lives(crm, EVER, as_of):
            if life.flaw and (spoilt := _spoilt(life, life.flaw)) and spoilt[0] <= as_of:
                yield _listed(crm, life, life.flaw, *spoilt, as_of)


def _spoilt(life: Life, flaw: Flaw) -> tuple[datetime, Record | None] | None:
    """When the CRM first shows a record wrong, and the record then; none for one that it ought to have."""
    if flaw.kind == "quota_missing":
        return flaw.since, None
    if flaw.spoil is None and (record := life.at(flaw.since)):
        return flaw.since, record
    shown = (change for change in life.changes if flaw.is_on(change.at) and change.kind not in GONE)
    return next(((change.at, change.record) for change in shown), None)


def _listed(
    crm: str, life: Life, flaw: Flaw, spoilt_at: datetime, record: Record | None, as_of: datetime
) -> DirtyRecord:
    dirt = _dirt(flaw, record)
    good = life.at(spoilt_at - BEFORE) if dirt.record is not Line else None
    key = f"{life.key}:{ORPHAN_ORDINAL}" if dirt.record is Line else life.key
    stream, record_key = address(crm, dirt.record, key, record if isinstance(record, Activity) else None)
    other_stream, other_key = address(*flaw.other) if flaw.other else (None, None)
    is_there = record is None or life.at(as_of) is not None
    return DirtyRecord(
        crm=crm,
        stream=stream,
        record_key=record_key,
        record=dirt.record.__name__.lower(),
        key=key,
        kind=dirt.kind,
        rule=dirt.rule,
        fields=as_json(dirt.fields),
        spoilt_at=spoilt_at,
        healed_at=flaw.until,
        is_spoilt=flaw.is_on(as_of) and is_there,
        was_good=good is not None,
        last_good_at=good.modified_at if good else None,
        good_values=_values(good, dirt.fields),
        good_record=as_json(good) if good else None,
        spoilt_values=_values(_spoilt_part(record), dirt.fields),
        other_crm=flaw.other[0] if flaw.other else None,
        other_stream=other_stream,
        other_key=other_key,
    )


def _dirt(flaw: Flaw, record: Record | None) -> Dirt:
    kind = type(record) if record else Quota
    return KINDS.get((kind, flaw.kind)) or KINDS[Line, flaw.kind]


def _spoilt_part(record: Record | None) -> Record | Line | None:
    """The record, or the line of it that is wrong."""
    orphans = [line for line in record.lines if line.is_orphan] if isinstance(record, Opportunity) else []
    return orphans[0] if orphans else record


def _values(record: Record | Line | None, fields: Sequence[str]) -> str | None:
    return as_json({name: getattr(record, name) for name in fields}) if record else None
