"""What the report tells, read once from the gates' results, the quarantine, the stewards' exports and the marts.

Values and queries only: nothing is judged anew, and what cannot be read is named in `Facts.unknown`. How it looks is
in `site` and the templates.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from expectations.scratch import text

SAMPLES = 5
"""Records shown for each failing rule."""
TREND_DAYS = 90
MARTS = "warehouse"
"""The gate that stands behind the CRMs': in results it has a CRM's place."""

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Night:
    """The run that the report is of, as it ended."""

    run_id: str
    as_of: date
    errors: tuple[str, ...] = ()
    """What stopped it, in words; empty for a run that published."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """What came of one rule on one stream."""

    crm: str
    stream: str
    run_id: str
    rule: str
    dimension: str
    severity: str
    status: str
    reason: str
    evaluated: int
    failed: int
    fields: list[str]
    sample_keys: list[str]
    detail: str
    waiver_id: str | None
    blocks: bool


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream as its gate found it."""

    crm: str
    stream: str
    run_id: str
    checked_at: datetime
    records: int
    newest_at: datetime | None
    source_count: int | None
    quarantined: int
    superseded: int
    checks: int
    failing: int
    blocks: bool


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something a steward has to settle; won amount, pipeline and payout that it touches in the company's currency."""

    incident_id: str
    queue: str
    crm: str
    stream: str
    key: str | None
    other_key: str | None
    rule: str
    severity: str
    reason: str
    state: str
    assignee: str | None
    opened_at: datetime
    due_at: datetime | None
    amount: Decimal
    pipeline: Decimal
    payout: Decimal
    waiver_id: str | None
    """What lets it pass from the next gate on."""
    is_overdue: bool


@dataclass(frozen=True, kw_only=True)
class QueueDay:
    """How many incidents were open at the end of a day."""

    day: date
    records: int
    checks: int
    duplicates: int


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How the stewards fared in the last 30 days."""

    opened: int
    resolved: int
    hours_to_acknowledge: float | None
    hours_to_resolve: float | None


@dataclass(frozen=True, kw_only=True)
class AtRisk:
    """How many records are held back, and the most money they touch: two that touch the same deal count it twice."""

    records: int
    amount: Decimal
    pipeline: Decimal
    payout: Decimal


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A record that broke a rule, as it landed."""

    crm: str
    stream: str
    rule: str
    key: str
    payload: str


@dataclass(frozen=True, kw_only=True)
class LetPass:
    """How many records break a rule and flow none the less, by which waivers and releases."""

    crm: str
    stream: str
    rule: str
    records: int
    waiver_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The quality of one CRM on one day, in one dimension or `(all)` of them, from 0 to 1."""

    crm: str
    dimension: str
    day: date
    score: float
    coverage: float | None


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """One measure on its way from the CRM to the mart: a count of records, or an amount in one currency.

    None where a stage does not have it.
    """

    crm: str
    stream: str
    measure: str
    currency_code: str | None
    crm_value: Decimal | None
    landed_value: Decimal
    held_back_value: Decimal
    staged_value: Decimal
    merged_value: Decimal
    mart_value: Decimal | None
    difference: Decimal


@dataclass(frozen=True, kw_only=True)
class Release:
    """What people read now."""

    run_id: str
    as_of: str
    published_at: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything the pages show."""

    night: Night
    release: Release | None
    checks: tuple[Check, ...]
    streams: tuple[Stream, ...]
    incidents: tuple[Incident, ...]
    """Open ones, by money at risk."""
    at_risk: AtRisk
    queue: tuple[QueueDay, ...]
    pace: Pace | None
    samples: tuple[Sample, ...]
    let_pass: tuple[LetPass, ...]
    scores: tuple[Score, ...]
    reconciled: tuple[Reconciled, ...]
    unknown: tuple[str, ...]
    """What could not be read, and why."""

    @property
    def is_published(self) -> bool:
        """Whether people read this night's numbers."""
        return self.release is not None and self.release.run_id == self.night.run_id


def read_facts(home: Path, night: Night, *, now: datetime) -> Facts:
    """Read all facts of a night; `now` (UTC) is what is overdue by then.

    A night that got nowhere has no results of its own: then each CRM's newest earlier ones stand in, and every row
    names the run it is from.
    """
    files = result_files(home, night.run_id)
    clock = {"now": now.replace(tzinfo=None)}
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        has_results = _view(db, "results", files.values())
        has_quarantine = _view(db, "quarantine", (home / "quality" / "quarantine").glob("*/[!.]*.parquet"))
        has_incidents = _view(db, "incidents", (home / "quality" / "steward").glob("incidents.parquet"))
        checks = _rows(db, Check, _CHECKS) if has_results else ()
        streams = _rows(db, Stream, _STREAMS) if has_results else ()
        samples = _rows(db, Sample, _SAMPLES) if has_quarantine else ()
        let_pass = _rows(db, LetPass, _LET_PASS) if has_quarantine else ()
        incidents = _rows(db, Incident, _INCIDENTS, clock) if has_incidents else ()
        at_risk = _rows(db, AtRisk, _AT_RISK) if has_incidents else ()
        queue = _rows(db, QueueDay, _QUEUE, clock) if has_incidents else ()
        pace = _rows(db, Pace, _PACE, clock) if has_incidents else ()
    scores, reconciled, unknown = _read_marts(home, night)
    if not has_incidents:
        unknown = ("The stewards' queue has not been exported yet, so nothing is known of incidents.", *unknown)
    if not has_results:
        unknown = ("No gate has left a result yet, so nothing is known of the records.", *unknown)
    return Facts(
        night=night,
        release=_release(home),
        checks=checks,
        streams=streams,
        incidents=incidents,
        at_risk=at_risk[0] if at_risk else AtRisk(records=0, amount=Decimal(), pipeline=Decimal(), payout=Decimal()),
        queue=queue,
        pace=pace[0] if pace else None,
        samples=samples,
        let_pass=let_pass,
        scores=scores,
        reconciled=reconciled,
        unknown=unknown,
    )


def result_files(home: Path, run_id: str) -> Mapping[str, Path]:
    """By CRM, the newest results that are not later than a run."""
    found: dict[str, Path] = {}
    for folder in sorted((home / "quality" / "results").glob("[0-9]*"), reverse=True):
        if folder.name <= run_id:
            for path in sorted(folder.glob("[!.]*.parquet")):
                found.setdefault(path.stem, path)
    return found


def _view(db: duckdb.DuckDBPyConnection, view: str, files: Iterable[Path]) -> bool:
    names = [text(str(path)) for path in sorted(files)]
    if names:
        db.execute(
            f"create view {view} as select * from"
            f" read_parquet([{', '.join(names)}], union_by_name = true, hive_partitioning = false)"
        )
    return bool(names)


def _rows(
    db: duckdb.DuckDBPyConnection, kind: type[Value], query: str, parameters: Mapping[str, Any] | None = None
) -> tuple[Value, ...]:
    """Run a query whose columns are the fields of a value."""
    result = db.execute(query, dict(parameters or {}))
    names = [column[0] for column in result.description or ()]
    return tuple(kind(**dict(zip(names, row, strict=True))) for row in result.fetchall())


def _release(home: Path) -> Release | None:
    path = home / "published" / "current" / "manifest.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Release(run_id=kept["run_id"], as_of=kept["as_of"], published_at=kept["published_at"])


def _read_marts(home: Path, night: Night) -> tuple[tuple[Score, ...], tuple[Reconciled, ...], tuple[str, ...]]:
    """Read the quality marts of the warehouse, or say why there are none."""
    path = home / "warehouse.duckdb"
    if not path.exists():
        return (), (), ("No warehouse has been built yet, so there are no scores and nothing to reconcile.",)
    try:
        with duckdb.connect(str(path), read_only=True) as db:
            scores = _rows(db, Score, _SCORES, {"as_of": night.as_of, "days": TREND_DAYS})
            reconciled = _rows(db, Reconciled, _RECONCILED, {"run_id": night.run_id})
    except duckdb.Error as error:
        return (), (), (f"The quality marts cannot be read, so there are no scores: {str(error).splitlines()[0]}",)
    gaps = {
        "The quality marts have no score yet.": not scores,
        "This night's marts were not built, so nothing could be reconciled with the CRMs.": not reconciled,
    }
    return scores, reconciled, tuple(gap for gap, is_open in gaps.items() if is_open)


_CHECKS = """
    select
        crm, stream, run_id, rule, dimension, severity, status, coalesce(reason, '') as reason,
        coalesce(evaluated, 0) as evaluated, coalesce(failed, 0) as failed,
        coalesce(fields, []) as fields, coalesce(sample_keys, []) as sample_keys,
        coalesce(detail, '') as detail, waiver_id, blocks
    from results
    order by
        blocks desc, list_position(['critical', 'warning', 'info'], severity), failed desc, crm, stream, rule
"""
_STREAMS = """
    select
        crm, stream, any_value(run_id) as run_id, any_value(checked_at) as checked_at, any_value(records) as records,
        any_value(newest_at) as newest_at, any_value(source_count) as source_count,
        coalesce(any_value(quarantined), 0) as quarantined, coalesce(any_value(superseded), 0) as superseded,
        count(*) as checks,
        count(*) filter (status in ('failed', 'could_not_check')) as failing, bool_or(blocks) as blocks
    from results
    group by crm, stream
    order by crm, stream
"""
_INCIDENTS = """
    select
        incident_id, queue, crm, stream, key, other_key, rule, severity, reason, state, assignee, opened_at, due_at,
        coalesce(amount_at_risk, 0) as amount,
        coalesce(pipeline_at_risk, 0) as pipeline,
        coalesce(payout_at_risk, 0) as payout,
        waiver_id,
        coalesce(due_at < $now, false) as is_overdue
    from incidents
    where state <> 'resolved'
    order by severity = 'critical' desc, payout desc, pipeline + amount desc, opened_at, incident_id
"""
_AT_RISK = """
    with held as (
        select crm, stream, key, max(amount_at_risk) as amount, max(pipeline_at_risk) as pipeline,
            max(payout_at_risk) as payout
        from incidents
        where state <> 'resolved' and queue = 'records'
        group by crm, stream, key
    )
    select
        count(*) as records,
        coalesce(sum(amount), 0) as amount,
        coalesce(sum(pipeline), 0) as pipeline,
        coalesce(sum(payout), 0) as payout
    from held
"""
_QUEUE = f"""
    with days as (
        select unnest(generate_series(
            greatest(
                $now::timestamp::date - {TREND_DAYS},
                (select coalesce(min(opened_at)::date, $now::timestamp::date) from incidents)
            ),
            $now::timestamp::date,
            interval 1 day
        ))::date as day
    )
    select
        day,
        count(incident_id) filter (queue = 'records') as records,
        count(incident_id) filter (queue = 'checks') as checks,
        count(incident_id) filter (queue = 'duplicates') as duplicates
    from days
    left join incidents
        on opened_at < day + interval 1 day and (resolved_at is null or resolved_at >= day + interval 1 day)
    group by day
    order by day
"""
_PACE = """
    select
        count(*) filter (opened_at >= $now::timestamp - interval 30 days) as opened,
        count(*) filter (resolved_at >= $now::timestamp - interval 30 days) as resolved,
        avg(epoch(acknowledged_at - opened_at) / 3600)
            filter (acknowledged_at >= $now::timestamp - interval 30 days) as hours_to_acknowledge,
        avg(epoch(resolved_at - opened_at) / 3600)
            filter (resolved_at >= $now::timestamp - interval 30 days) as hours_to_resolve
    from incidents
"""
_SAMPLES = f"""
    select crm, stream, rule, key, coalesce(payload, '{{}}') as payload
    from quarantine
    where state = 'open'
    qualify row_number() over (partition by crm, stream, rule order by abs(amount) desc nulls last, key) <= {SAMPLES}
    order by crm, stream, rule, abs(amount) desc nulls last, key
"""
_LET_PASS = """
    select
        crm, stream, rule, count(distinct key) as records, list_sort(list_distinct(list(waiver_id))) as waiver_ids
    from quarantine
    where state in ('waived', 'released')
    group by crm, stream, rule
"""
_SCORES = """
    select crm, dimension, day, score::double as score, coverage::double as coverage
    from quality.quality_score
    where stream = '(all)' and score is not null and day between $as_of::date - $days::integer and $as_of
    order by crm, dimension, day
"""
_RECONCILED = """
    select
        crm, stream, measure, currency_code, crm_value, landed_value, held_back_value, staged_value, merged_value,
        mart_value, difference
    from quality.quality_reconciliation
    where run_id = $run_id
    order by difference <> 0 desc, measure = 'records', crm, stream, currency_code
"""
