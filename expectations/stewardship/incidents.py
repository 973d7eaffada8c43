"""The queues: finding incidents, and what a steward does to one or to many at once, all or none of it.

What may be done when is in `lifecycle`; what the gates open and close is in `intake`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, func, select, update

from expectations.rule import Severity
from expectations.stewardship import history, lifecycle
from expectations.stewardship.lifecycle import COLUMNS, Deed, Incident, Queue, Reason, Refused, State
from expectations.stewardship.state import reading, writing
from expectations.stewardship.tables import incident, is_open

FETCHED_AT_ONCE = 1_000
TOLD_AT_ONCE = 20
"""So many refusals of a bulk action are told in full."""
_MOVING = ("state", "resolution", "comment", "assignee", "acknowledged_at", "assigned_at", "resolved_at", "waiver_id")
"""The columns that an action changes."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which incidents: all that is set must hold."""

    queue: Queue | None = None
    crm: str | None = None
    stream: str | None = None
    rule: str | None = None
    key: str | None = None
    """Of either record of a pair."""
    assignee: str | None = None
    not_assignee: str | None = None
    state: State | None = None
    overdue_at: datetime | None = None
    also_resolved: bool = False

    @property
    def is_set(self) -> bool:
        """Whether it leaves anything out but what is resolved."""
        return replace(self, also_resolved=False) != Filter()


Chosen = Sequence[int] | Filter
"""Incidents by number, or by what they have in common."""


def number_of(incident_id: str) -> int:
    """Read what people call an incident: `INC-000123`, or just the number.

    Raises:
        Refused: it is no such name.

    """
    named = re.fullmatch(r"(?:INC-)?0*([1-9][0-9]{0,8})", incident_id.strip(), re.IGNORECASE)
    if named is None:
        raise Refused(f"{incident_id} names no incident; one looks like INC-000123.")
    return int(named[1])


def find(connection: Connection, chosen: Chosen, *, limit: int | None = None) -> Iterator[Incident]:
    """Give incidents, those with the most money at risk first: payout, then amount and pipeline, then the oldest."""
    query = _query(chosen).limit(limit).execution_options(yield_per=FETCHED_AT_ONCE)
    return map(incident_from, connection.execute(query).mappings())


def count(connection: Connection, chosen: Chosen) -> int:
    """Count incidents."""
    return connection.scalar(select(func.count()).select_from(_query(chosen).order_by(None).subquery())) or 0


def _query(chosen: Chosen) -> Select[Any]:
    conditions = _conditions(chosen) if isinstance(chosen, Filter) else [incident.c.id.in_(chosen)]
    money = func.coalesce(incident.c.amount_at_risk, 0) + func.coalesce(incident.c.pipeline_at_risk, 0)
    order = (func.coalesce(incident.c.payout_at_risk, 0).desc(), money.desc(), incident.c.opened_at, incident.c.id)
    return select(*(incident.c[name] for name in COLUMNS)).where(*conditions).order_by(*order)


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    equal = {
        name: getattr(chosen, name) for name in ("queue", "crm", "stream", "rule", "state") if getattr(chosen, name)
    }
    conditions = [incident.c[name] == value for name, value in equal.items()]
    if not chosen.also_resolved and chosen.state is not State.RESOLVED:
        conditions.append(is_open)
    if chosen.key is not None:
        conditions.append((incident.c.key == chosen.key) | (incident.c.other_key == chosen.key))
    if chosen.assignee is not None:
        conditions.append(func.lower(incident.c.assignee) == chosen.assignee.strip().lower())
    if chosen.not_assignee is not None:
        has_another = func.lower(incident.c.assignee) != chosen.not_assignee.strip().lower()
        conditions.append(incident.c.assignee.is_(None) | has_another)
    if chosen.overdue_at is not None:
        conditions.append(is_open & (incident.c.due_at < chosen.overdue_at))
    return conditions


def incident_from(row: Mapping[Any, Any]) -> Incident:
    """Make an incident of its row."""
    typed = {"queue": Queue(row["queue"]), "severity": Severity(row["severity"]), "state": State(row["state"])}
    return Incident(**{**row, **typed})


def acknowledge(engine: Engine, chosen: Chosen, deed: Deed) -> list[Incident]:
    """Say of incidents that they have been seen; of a filter's, those that are new."""
    if isinstance(chosen, Filter):
        chosen = replace(chosen, state=State.NEW)
    return _act(engine, chosen, deed, "acknowledged", lambda one: lifecycle.acknowledge(one, deed))


def assign(engine: Engine, chosen: Chosen, deed: Deed, *, to: str, takes_over: bool = False) -> list[Incident]:
    """Give incidents to somebody; of a filter's, those that are not theirs yet."""
    if isinstance(chosen, Filter):
        chosen = replace(chosen, not_assignee=to)
    change = partial(lifecycle.assign, deed=deed, to=to, takes_over=takes_over)
    return _act(engine, chosen, deed, "assigned", change)


def resolve(engine: Engine, chosen: Chosen, deed: Deed, *, resolution: Reason) -> list[Incident]:
    """End incidents; one whose record is found wrong once more is opened anew by the next gate."""
    return _act(engine, chosen, deed, "resolved", partial(lifecycle.resolve, deed=deed, resolution=resolution))


def _act(
    engine: Engine, chosen: Chosen, deed: Deed, action: str, change: Callable[[Incident], Incident]
) -> list[Incident]:
    """Change every chosen incident, or none if one of them may not be changed so."""
    with writing(engine) as connection:
        moved, refusals = [], []
        for before in chosen_incidents(connection, chosen):
            try:
                moved.append((before, change(before)))
            except Refused as refusal:
                refusals.append(f"{refusal} {history.last_done(connection, before.incident_id)}".strip())
        if refusals:
            raise Refused(_told(refusals))
        write(connection, moved, deed, action=action)
    return [after for _, after in moved]


def chosen_incidents(connection: Connection, chosen: Chosen) -> list[Incident]:
    """Give the chosen incidents.

    Raises:
        Refused: there is none, or not every one that is named.

    """
    found = list(find(connection, chosen))
    if isinstance(chosen, Filter):
        if not found:
            raise Refused("No open incident is like that; `attain quality list` shows what there is.")
    elif missing := sorted(set(chosen) - {one.id for one in found}):
        names = ", ".join(map(lifecycle.incident_name, missing))
        raise Refused(f"There is no incident {names}; `attain quality list` shows what there is.")
    return found


def _told(refusals: Sequence[str]) -> str:
    more = [f"... and {len(refusals) - TOLD_AT_ONCE:,} more"] if len(refusals) > TOLD_AT_ONCE else []
    return "\n".join([*refusals[:TOLD_AT_ONCE], *more, *(["Nothing was changed."] if len(refusals) > 1 else [])])


def write(
    connection: Connection,
    moved: Sequence[tuple[Incident, Incident]],
    deed: Deed,
    *,
    action: str,
    run_id: str | None = None,
) -> None:
    """Write incidents that changed, as they were and as they are, and add each change to the history."""
    if not moved:
        return
    values = [{"number": after.id, **{name: getattr(after, name) for name in _MOVING}} for _, after in moved]
    columns: dict[str, Any] = {name: bindparam(name) for name in _MOVING}
    connection.execute(update(incident).where(incident.c.id == bindparam("number")).values(columns), values)
    history.log(
        connection,
        (history.entry(deed, action, after.incident_id, before, after, COLUMNS, run_id) for before, after in moved),
    )


def look_at(engine: Engine, number: int, deed: Deed) -> None:
    """Note that somebody has seen the personal data of an incident's record."""
    with writing(engine) as connection:
        (one,) = chosen_incidents(connection, [number])
        history.log(connection, [history.entry(deed, "revealed", one.incident_id, one, one, COLUMNS)])


def get(engine: Engine, number: int) -> tuple[Incident, list[history.Entry]]:
    """Give one incident, and all that was done about it."""
    with reading(engine) as connection:
        (one,) = chosen_incidents(connection, [number])
        return one, list(history.entries(connection, [one.incident_id]))
