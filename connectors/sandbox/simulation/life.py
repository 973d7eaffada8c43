"""The life of one record: what it was first, what was done to it and when, what it is at a moment.

Nothing here knows what the records are about; the modules that make them do.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from connectors.sandbox.company import (
    Account,
    Activity,
    Campaign,
    CampaignMember,
    Change,
    ChangeKind,
    Contact,
    Invoice,
    Lead,
    Opportunity,
    Order,
    PriceBook,
    Product,
    Quota,
    Record,
    Rep,
    Survey,
    Territory,
    Training,
)

R = TypeVar("R", bound=Record)
NO_LAG = timedelta(0)
LONGEST_LAG = timedelta(minutes=5)
"""A record saved by a long transaction carries a stamp this much older than the moment others see it."""
LAGGING = 0.04
MOST_REMEMBERED = 8192
GONE = frozenset({ChangeKind.DELETED, ChangeKind.PURGED, ChangeKind.MERGED})
LAST = frozenset({ChangeKind.PURGED, ChangeKind.MERGED})
CLASSES: tuple[type, ...] = (
    Territory,
    Rep,
    Product,
    PriceBook,
    Campaign,
    Account,
    Contact,
    Opportunity,
    Lead,
    CampaignMember,
    Activity,
    Quota,
    Order,
    Invoice,
    Survey,
    Training,
)
"""What others refer to comes before them."""
PLACES = {kind: place for place, kind in enumerate(CLASSES)}


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing done to a record."""

    at: datetime
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields and what they become; of custom fields only those that change."""
    kind: ChangeKind = ChangeKind.SAVED
    lag: timedelta = NO_LAG
    into: Record | None = None


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a record on purpose, and for how long."""

    kind: str
    since: datetime
    until: datetime | None = None
    """When somebody puts it right; None: nobody does."""
    spoil: Callable[[Any], Mapping[str, Any]] | None = None
    """From the record as it ought to be to the fields that are wrong; None: no field of its own is."""
    other: tuple[str, type, str] | None = None
    """CRM, class and key of the record that it doubles or contradicts."""

    def is_on(self, moment: datetime) -> bool:
        """Whether the record is wrong at a moment."""
        return self.since <= moment and (self.until is None or moment < self.until)

    def edits(self, known: Set[datetime]) -> list[Edit]:
        """Saving the record wrong, and right again, where it is not saved at that moment anyway."""
        return [Edit(at) for at in (self.since, self.until) if self.spoil and at and at not in known]


@dataclass(frozen=True, slots=True)
class Life:
    """All that happens to one record, oldest first."""

    key: str
    changes: tuple[Change, ...]
    flaw: Flaw | None = None

    def at(self, moment: datetime) -> Record | None:
        """What the record is; nothing as long as it is not there."""
        state: Record | None = None
        for change in self.changes:
            if change.at > moment:
                break
            state = None if change.kind in GONE else change.record
        return state


@dataclass(frozen=True, slots=True)
class Link:
    """A reference, which a merge may move to the winner."""

    key: str
    moves_at: datetime | None = None
    winner: str | None = None

    def at(self, moment: datetime) -> str | None:
        """What it points to."""
        return self.winner if self.moves_at and self.moves_at <= moment else self.key

    def edits(self, name: str) -> list[Edit]:
        """What a merge does to a record that holds the reference in a field."""
        return [Edit(self.moves_at, {name: self.winner})] if self.moves_at else []


def record_key(record: Record) -> str:
    """What a record is known by among its kind."""
    match record:
        case Rep():
            return record.email
        case Product():
            return record.name
    return record.key


def live(
    crm: str,
    first: R,
    edits: Iterable[Edit] = (),
    *,
    lag: timedelta = NO_LAG,
    finish: Callable[[R | None, R, Edit], R] | None = None,
    flaw: Flaw | None = None,
) -> Life:
    """The life of a record that was first saved as `first`, seen by others after `lag`.

    Edits not later than that never happened; those of a deleted record show when it is restored. `first` and the edits
    tell what the record ought to be; a flaw spoils what is seen of it. `finish` works out what follows from an edit:
    record as it was seen before, record as it is seen after, edit.
    """

    def seen(before: R | None, edit: Edit) -> R:
        shown = replace(ought, **flaw.spoil(ought)) if flaw and flaw.spoil and flaw.is_on(edit.at) else ought
        return finish(before, shown, edit) if finish else shown

    born_at, ought = first.created_at + lag, first
    record = seen(None, Edit(born_at))
    changes, is_there = [Change(at=born_at, crm=crm, kind=ChangeKind.SAVED, record=record)], True
    edits = list(edits)
    if flaw:
        edits += flaw.edits({edit.at for edit in edits})
    for edit in sorted((edit for edit in edits if edit.at > born_at), key=lambda edit: edit.at):
        if edit.kind in GONE:
            if is_there or edit.kind is ChangeKind.PURGED:
                changes.append(Change(at=edit.at, crm=crm, kind=edit.kind, record=record, into=edit.into))
            is_there = False
            if edit.kind in LAST:
                break
            continue
        ought = _edited(ought, edit)
        record = seen(record, edit)
        if edit.kind is ChangeKind.RESTORED:
            is_there = True
        if is_there:
            changes.append(Change(at=edit.at, crm=crm, kind=edit.kind, record=record))
    return Life(record_key(first), tuple(changes), flaw)


def _edited(record: R, edit: Edit) -> R:
    values = dict(edit.values)
    if "custom" in values:
        values["custom"] = {**getattr(record, "custom"), **values["custom"]}  # noqa: B009 - not every record has it
    if edit.kind is not ChangeKind.FORMULA:
        values["modified_at"] = max(edit.at - edit.lag, record.modified_at)
    return replace(record, **values)


def lag(random: Random) -> timedelta:
    """How long a transaction that saves something takes: mostly no time at all."""
    if random.random() >= LAGGING:
        return NO_LAG
    return timedelta(seconds=random.randint(1, int(LONGEST_LAG.total_seconds())))


def fate(random: Random, at: datetime, *, restored: float = 0.4, purged: float = 0.4) -> list[Edit]:
    """What becomes of a record that is deleted: back within days, gone for good, or in the recycle bin for ever."""
    edits = [Edit(at, kind=ChangeKind.DELETED)]
    if random.random() < restored:
        edits.append(Edit(at + timedelta(seconds=random.randint(600, 10 * 86400)), kind=ChangeKind.RESTORED))
    elif random.random() < purged:
        edits.append(Edit(at + timedelta(days=15, seconds=random.randrange(86400)), kind=ChangeKind.PURGED))
    return edits


def remembered(count: int) -> int:
    """How many plans of a kind to keep: all, if they are few; passes over more would find none of them again."""
    return count if count <= MOST_REMEMBERED else 64


def place(change: Change) -> tuple[int, int]:
    """Where a change stands among those of the same moment: records before what refers to them, goodbyes last."""
    order = PLACES[type(change.record)]
    return (1, -order) if change.kind in GONE else (0, order)
