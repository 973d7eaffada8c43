"""What stewards should be told without asking: a blocked night, what is overdue, a score that fell; each once.

Which channel carries it, and what becomes of one that fails, is in `orchestration`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, Engine, insert, select

from expectations.stewardship.incidents import Filter, find
from expectations.stewardship.lifecycle import Incident, Queue
from expectations.stewardship.scores import Score, scores
from expectations.stewardship.state import reading, writing
from expectations.stewardship.tables import alert

FALL = 0.05
"""By how much a score must have fallen below the median of the days before."""
COMPARED = timedelta(days=7)
TOLD_AT_ONCE = 10
"""So many incidents are named in one message; it counts for all."""


class Kind(StrEnum):
    """What a message is about."""

    BLOCKED = "blocked"
    OVERDUE = "overdue"
    SCORE = "score"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One message, about one thing or several of a kind."""

    kind: Kind
    subjects: tuple[str, ...]
    """Incidents, or a CRM and a day: none of them is told of twice."""
    title: str
    text: str


def due_alerts(engine: Engine, home: Path, at: datetime, *, weights: Path, channel: str) -> list[Alert]:
    """Give what a channel has not been told yet; `weights` is the seed `quality_weights`."""
    with reading(engine) as connection:
        blocked = _untold(connection, channel, Kind.BLOCKED, list(find(connection, Filter(queue=Queue.CHECKS))))
        late = list(find(connection, Filter(overdue_at=at)))
        overdue = _untold(connection, channel, Kind.OVERDUE, late)
        sent = _sent(connection, channel, Kind.SCORE)
    fallen = [_fallen(*fall) for fall in falls(scores(home, weights, since=at.date() - 2 * COMPARED, until=at.date()))]
    due = [_blocked(blocked), _overdue(overdue, at), *(one for one in fallen if one.subjects[0] not in sent)]
    return [one for one in due if one is not None]


def mark_sent(engine: Engine, sent: Alert, at: datetime, *, channel: str) -> None:
    """Note that a channel has carried a message, so that it is not sent again."""
    with writing(engine) as connection:
        fresh = set(sent.subjects) - _sent(connection, channel, sent.kind)
        rows = [{"channel": channel, "kind": sent.kind, "subject": one, "sent_at": at} for one in sorted(fresh)]
        if rows:
            connection.execute(insert(alert), rows)


def falls(found: Collection[Score]) -> list[tuple[Score, float]]:
    """Give each CRM's newest score that is far below the median of the days before it, with that median."""
    by_crm: dict[str, list[Score]] = defaultdict(list)
    for score in sorted(found, key=lambda one: one.day):
        by_crm[score.crm].append(score)
    fallen = []
    for *earlier, newest in by_crm.values():
        before = [one.value for one in earlier if newest.day - one.day <= COMPARED]
        if before and median(before) - newest.value > FALL:
            fallen.append((newest, median(before)))
    return fallen


def _sent(connection: Connection, channel: str, kind: Kind) -> set[str]:
    query = select(alert.c.subject).where(alert.c.channel == channel, alert.c.kind == kind)
    return set(connection.scalars(query))


def _untold(connection: Connection, channel: str, kind: Kind, found: Sequence[Incident]) -> list[Incident]:
    sent = _sent(connection, channel, kind)
    return [one for one in found if one.incident_id not in sent]


def _blocked(found: Sequence[Incident]) -> Alert | None:
    title = "Attain: the night is blocked"
    return _of_incidents(Kind.BLOCKED, title, found, lambda one: f"{one.reason}; what was published stays as it was")


def _overdue(found: Sequence[Incident], at: datetime) -> Alert | None:
    title = f"Attain: {len(found):,} {'incident is' if len(found) == 1 else 'incidents are'} overdue"
    return _of_incidents(Kind.OVERDUE, title, found, lambda one: f"{one.reason}; {_late(one, at)}")


def _of_incidents(kind: Kind, title: str, found: Sequence[Incident], told: Callable[[Incident], str]) -> Alert | None:
    if not found:
        return None
    lines = [f"{one.incident_id} {one.crm} {one.stream} {one.rule}: {told(one)}" for one in found[:TOLD_AT_ONCE]]
    if len(found) > TOLD_AT_ONCE:
        lines.append(f"... and {len(found) - TOLD_AT_ONCE:,} more")
    lines.append("attain quality show INC-... tells more.")
    return Alert(kind=kind, subjects=tuple(one.incident_id for one in found), title=title, text="\n".join(lines))


def _late(one: Incident, at: datetime) -> str:
    late = at - one.due_at if one.due_at else timedelta()
    who = f"with {one.assignee}" if one.assignee else "with nobody"
    return f"due {late.days} d {late.seconds // 3600} h ago, {who}"


def _fallen(score: Score, before: float) -> Alert:
    return Alert(
        kind=Kind.SCORE,
        subjects=(f"{score.crm} {score.day}",),
        title=f"Attain: the quality score of {score.crm} fell to {score.value:.1%}",
        text=f"On {score.day} it was {score.value:.1%}; the median of the {COMPARED.days} days before is {before:.1%}. "
        "The quality report names the rules that fail.",
    )
