"""The life of an incident as pure rules: its states, who may move it where, how long that may take.

Nothing here reads a clock or a database; the writing is in `incidents`.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from expectations.rule import Severity

ATTAIN = "attain"
"""Who acts when the gates do."""


class Refused(Exception):
    """What was asked for is not allowed; says why, and who did what when."""


@dataclass(frozen=True)
class Deed:
    """Who does something, when, and what they say of it."""

    by: str
    at: datetime
    comment: str | None = None


class Queue(StrEnum):
    """What an incident is about."""

    RECORDS = "records"
    CHECKS = "checks"
    DUPLICATES = "duplicates"


class State(StrEnum):
    """How far an incident is."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why a steward ends an incident, or asks for a waiver."""

    FALSE_POSITIVE = "FalsePositive"
    MISSING_DATA = "MissingData"
    DUPLICATES = "Duplicates"
    OUT_OF_BOUNDS = "OutOfBounds"
    OTHER = "Other"


class Ending(StrEnum):
    """How an incident ends when a gate ends it."""

    HEALED = "Healed"
    WAIVED = "Waived"
    RELEASED = "Released"


SLA: Mapping[Severity, timedelta] = {Severity.CRITICAL: timedelta(days=1), Severity.WARNING: timedelta(days=5)}
"""Time to resolve, by severity; one that is not named has no end."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something for a steward to look at: a record that a rule holds back, a failed check, two records that are one."""

    id: int
    queue: Queue
    crm: str
    stream: str
    key: str | None
    other_key: str | None
    version: str | None
    rule: str
    dimension: str
    severity: Severity
    reason: str
    is_crash: bool
    state: State
    resolution: str | None
    comment: str | None
    assignee: str | None
    occurred_at: datetime | None
    opened_at: datetime
    opened_run: str
    acknowledged_at: datetime | None
    assigned_at: datetime | None
    resolved_at: datetime | None
    due_at: datetime | None
    last_seen_at: datetime
    amount_at_risk: Decimal | None
    """In the company's currency, like the two below; None: not worked out yet."""
    pipeline_at_risk: Decimal | None
    payout_at_risk: Decimal | None
    waiver_id: str | None

    @property
    def incident_id(self) -> str:
        """What people call it: `INC-000123`."""
        return incident_name(self.id)

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to deal with it."""
        return self.state is not State.RESOLVED

    def is_overdue(self, at: datetime) -> bool:
        """Whether it should have been resolved by then."""
        return self.is_open and self.due_at is not None and self.due_at < at


def incident_name(number: int) -> str:
    """What people call an incident."""
    return f"INC-{number:06d}"


COLUMNS = tuple(field.name for field in fields(Incident))


def due(severity: Severity, opened_at: datetime) -> datetime | None:
    """Until when an incident is to be resolved."""
    return opened_at + SLA[severity] if severity in SLA else None


def acknowledge(incident: Incident, deed: Deed) -> Incident:
    """Say that somebody has seen it."""
    _must_be_open(incident)
    if incident.state is not State.NEW:
        raise Refused(f"{incident.incident_id} is {incident.state} already.")
    return replace(incident, state=State.ACKNOWLEDGED, acknowledged_at=deed.at)


def assign(incident: Incident, deed: Deed, *, to: str, takes_over: bool = False) -> Incident:
    """Give it to somebody; whoever has it may hand it on, and others must say that they mean to take it over."""
    _must_be_open(incident)
    if incident.assignee is not None:
        if is_same_person(incident.assignee, to):
            raise Refused(f"{incident.incident_id} is assigned to {incident.assignee} already.")
        if not takes_over and not is_same_person(incident.assignee, deed.by):
            raise Refused(
                f"{incident.incident_id} is assigned to {incident.assignee}; "
                "to give it to somebody else none the less, say --reassign."
            )
    return replace(
        incident,
        state=State.ASSIGNED,
        assignee=to.strip(),
        assigned_at=deed.at,
        acknowledged_at=incident.acknowledged_at or deed.at,
    )


def resolve(incident: Incident, deed: Deed, *, resolution: Reason | Ending, waiver_id: str | None = None) -> Incident:
    """End it, with a reason and a comment."""
    _must_be_open(incident)
    comment = (deed.comment or "").strip()
    if not comment:
        raise Refused(f"{incident.incident_id} can only be resolved with a comment that says why.")
    return replace(
        incident,
        state=State.RESOLVED,
        resolution=resolution,
        comment=comment,
        resolved_at=deed.at,
        waiver_id=waiver_id or incident.waiver_id,
    )


def _must_be_open(incident: Incident) -> None:
    if not incident.is_open:
        raise Refused(f"{incident.incident_id} is resolved already ({incident.resolution}).")


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they are typed."""
    return _person(one) == _person(other)


def _person(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
