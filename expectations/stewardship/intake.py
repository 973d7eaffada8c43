"""What the gates put into the queues and take out again: one open incident per rule and record, check or pair.

What stewards do with them is in `incidents`; what a gate finds is decided in the gates.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from more_itertools import batched
from sqlalchemy import ColumnElement, Connection, Engine, bindparam, insert, select, update

from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status
from expectations.stewardship import exemptions, history, lifecycle
from expectations.stewardship.history import Entry
from expectations.stewardship.incidents import incident_from, write
from expectations.stewardship.lifecycle import (
    ATTAIN,
    COLUMNS,
    Deed,
    Ending,
    Incident,
    Queue,
    Reason,
    State,
    incident_name,
)
from expectations.stewardship.state import writing
from expectations.stewardship.tables import incident, is_open

AT_ONCE = 1_000
"""Findings, or incidents, that are held in memory together."""
MEMORY_LIMIT = "256MB"
"""Of DuckDB, for reading a quarantine."""

_INCIDENT = [incident.c[name] for name in COLUMNS]
_REFRESHED = ("reason", "version", "other_key", "is_crash")
"""What a later look may tell differently of an incident that is open."""
_TOLD = ("queue", "crm", "stream", "key", "identity", "rule", "dimension", "severity", "occurred_at", *_REFRESHED)
_SAYS_NOTHING = (Status.COULD_NOT_CHECK, Status.SKIPPED)

_FOUND = """
    select
        key, version, other_key, rule, dimension, severity, reason, state, waiver_id,
        try_cast(modified_at as timestamptz) at time zone 'UTC' as occurred_at,
    from read_parquet($path)
    where state in ('open', 'waived', 'released') or (state = 'noted' and other_key is not null)
    -- an older version may have been released for good: while the latest is held back, that lets nothing pass
    qualify state in ('open', 'noted') or not bool_or(state = 'open') over (partition by key, rule)
    order by key, rule, version
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something for a queue, or something of a queue that two people have let pass."""

    queue: Queue
    crm: str
    stream: str
    rule: str
    dimension: str
    severity: Severity
    reason: str
    key: str | None = None
    other_key: str | None = None
    version: str | None = None
    occurred_at: datetime | None = None
    is_crash: bool = False
    passed_by: Ending | None = None
    waiver_id: str | None = None

    @property
    def identity(self) -> str:
        """What the finding is about, the same for both orders of a pair."""
        is_pair = self.queue is Queue.DUPLICATES
        return "\n".join(sorted((self.key or "", self.other_key or ""))) if is_pair else self.key or ""


@dataclass(frozen=True)
class Place:
    """A record, wherever it is."""

    crm: str
    stream: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two records, perhaps of two CRMs, that may be one."""

    one: Place
    other: Place
    reason: str
    occurred_at: datetime | None = None


@dataclass(frozen=True)
class Look:
    """One look at the data."""

    run_id: str
    at: datetime


def record_gate(engine: Engine, home: Path, result: GateResult, at: datetime) -> None:
    """Bring the queues in line with what a gate found: open what is new, close what is healed, waived or released.

    A stream that is blocked leaves the incidents of its records as they are: its quarantine was not renewed. So does a
    rule that could not be checked or was skipped, since nothing is known of its records.
    """
    look = Look(result.run_id, at)
    unknown = {check.rule for check in result.checks if check.status in _SAYS_NOTHING}
    with writing(engine) as connection:
        exemptions.expire(connection, at)
        checks = _scope(result, Queue.CHECKS)
        _renew(connection, checks, _failed_checks(result), look)
        _close_gone(connection, checks & incident.c.rule.not_in(unknown), "The check does not fail any more.", look)
        path = home / "quality" / "quarantine" / result.crm / f"{result.stream}.parquet"
        if result.blocks or not path.exists():
            return
        records = _scope(result, Queue.RECORDS, Queue.DUPLICATES)
        _renew(connection, records, _found_records(path, result), look)
        _close_gone(connection, records & incident.c.rule.not_in(unknown), "The gate does not find it any more.", look)


def propose_duplicates(engine: Engine, *, rule: str, severity: Severity, pairs: Iterable[Pair], look: Look) -> None:
    """Bring a rule's pairs across CRMs into the queue `duplicates`; those that are not proposed any more are closed."""
    scope = (incident.c.queue == Queue.DUPLICATES) & (incident.c.rule == rule)
    with writing(engine) as connection:
        _renew(connection, scope, (_pair_finding(pair, rule, severity) for pair in pairs), look)
        _close_gone(connection, scope, "The pair is not found any more.", look)


def _pair_finding(pair: Pair, rule: str, severity: Severity) -> Finding:
    one, other = sorted((pair.one, pair.other), key=lambda place: (place.crm, place.stream, place.key))
    is_near = (one.crm, one.stream) == (other.crm, other.stream)
    return Finding(
        queue=Queue.DUPLICATES,
        crm=one.crm,
        stream=one.stream,
        rule=rule,
        dimension=Dimension.UNIQUENESS,
        severity=severity,
        reason=pair.reason,
        key=one.key,
        other_key=other.key if is_near else f"{other.crm}/{other.stream}/{other.key}",
        occurred_at=pair.occurred_at,
    )


def _scope(result: GateResult, *queues: Queue) -> ColumnElement[bool]:
    of_the_stream = (incident.c.crm == result.crm) & (incident.c.stream == result.stream)
    return incident.c.queue.in_(queues) & of_the_stream


def _failed_checks(result: GateResult) -> Iterator[Finding]:
    return (_of_check(result, check) for check in result.checks if check.blocks or check.status is Status.WAIVED)


def _of_check(result: GateResult, check: CheckResult) -> Finding:
    is_crash = check.status is Status.COULD_NOT_CHECK
    return Finding(
        queue=Queue.CHECKS,
        crm=result.crm,
        stream=result.stream,
        rule=check.rule,
        dimension=check.dimension,
        severity=Severity.CRITICAL,
        reason=f"could not be checked: {check.detail}" if is_crash else check.reason,
        is_crash=is_crash,
        passed_by=Ending.WAIVED if check.status is Status.WAIVED else None,
        waiver_id=check.waiver_id,
    )


def _found_records(path: Path, result: GateResult) -> Iterator[Finding]:
    if pq.read_metadata(path).num_rows == 0:  # as most are
        return
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as connection:
        connection.execute("set timezone = 'UTC'")
        rows = connection.execute(_FOUND, {"path": str(path)})
        columns = [column[0] for column in rows.description]
        while batch := rows.fetchmany(AT_ONCE):
            for row in batch:
                yield _of_record(result, dict(zip(columns, row, strict=True)))


def _of_record(result: GateResult, row: dict[str, Any]) -> Finding:
    state, occurred_at = row.pop("state"), row.pop("occurred_at")
    is_pair = row["other_key"] is not None and state == "noted"
    return Finding(
        **{**row, "severity": Severity(row["severity"])},
        queue=Queue.DUPLICATES if is_pair else Queue.RECORDS,
        crm=result.crm,
        stream=result.stream,
        occurred_at=occurred_at.replace(tzinfo=UTC) if occurred_at else None,
        passed_by={"waived": Ending.WAIVED, "released": Ending.RELEASED}.get(state),
    )


def _renew(connection: Connection, scope: ColumnElement[bool], findings: Iterable[Finding], look: Look) -> None:
    for batch in batched(findings, AT_ONCE):
        held = {_name(found): found for found in batch if not found.passed_by}
        there = _open(connection, scope, batch)
        _see_again(connection, [(there[name], found) for name, found in held.items() if name in there], look)
        decided = _decided(connection, scope, batch)
        _open_new(connection, [held[name] for name in held if name not in there and name not in decided], look)
        passed = [(there[_name(found)], found) for found in batch if found.passed_by and _name(found) in there]
        _let_pass(connection, [(one, found) for one, found in passed if _is_the_same(one, found)], look)


def _is_the_same(one: Incident, found: Finding) -> bool:
    """Whether what passes is what the incident is about, and not an older version that was released long ago."""
    return found.version == one.version or found.waiver_id == one.waiver_id


def _name(found: Finding) -> tuple[str, str, str]:
    return found.queue, found.rule, found.identity


def _among(scope: ColumnElement[bool], findings: Sequence[Finding]) -> ColumnElement[bool]:
    rules, identities = {found.rule for found in findings}, {found.identity for found in findings}
    return scope & incident.c.rule.in_(rules) & incident.c.identity.in_(identities)


def _open(
    connection: Connection, scope: ColumnElement[bool], findings: Sequence[Finding]
) -> dict[tuple[str, str, str], Incident]:
    query = select(incident.c.identity, *_INCIDENT).where(is_open, _among(scope, findings))
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return {(row["queue"], row["rule"], row.pop("identity")): incident_from(row) for row in rows}


def _decided(
    connection: Connection, scope: ColumnElement[bool], findings: Sequence[Finding]
) -> set[tuple[str, str, str]]:
    """Name the pairs on which a steward has decided: what they said stays said. A bad record is opened anew."""
    query = select(incident.c.queue, incident.c.rule, incident.c.identity).where(
        _among(scope, findings), incident.c.queue == Queue.DUPLICATES, incident.c.resolution.in_(tuple(Reason))
    )
    return {(queue, rule, identity) for queue, rule, identity in connection.execute(query)}


def _see_again(connection: Connection, seen: Sequence[tuple[Incident, Finding]], look: Look) -> None:
    """Note that incidents are still true, and what is told differently of a few of them."""
    numbers = [one.id for one, _ in seen]
    again = update(incident).where(incident.c.id.in_(numbers))
    connection.execute(again.values(last_seen_at=look.at, last_seen_run=look.run_id))
    changed = [
        {"number": one.id, **{name: getattr(found, name) for name in _REFRESHED}}
        for one, found in seen
        if any(getattr(one, name) != getattr(found, name) for name in _REFRESHED)
    ]
    if changed:
        columns: dict[str, Any] = {name: bindparam(name) for name in _REFRESHED}
        connection.execute(update(incident).where(incident.c.id == bindparam("number")).values(columns), changed)


def _open_new(connection: Connection, findings: Sequence[Finding], look: Look) -> None:
    if not findings:
        return
    rows = [_row(found, look) for found in findings]
    inserted = insert(incident).returning(incident.c.id, sort_by_parameter_order=True)
    numbers = connection.scalars(inserted, rows).all()
    opened = zip(numbers, findings, strict=True)
    history.log(
        connection,
        (
            Entry(
                at=look.at,
                actor=ATTAIN,
                action="opened",
                subject=incident_name(number),
                after={"state": State.NEW, "version": found.version, "severity": found.severity},
                comment=found.reason,
                run_id=look.run_id,
            )
            for number, found in opened
        ),
    )


def _row(found: Finding, look: Look) -> dict[str, Any]:
    told = {name: getattr(found, name) for name in _TOLD}
    return {
        **told,
        "state": State.NEW,
        "opened_at": look.at,
        "opened_run": look.run_id,
        "due_at": lifecycle.due(found.severity, look.at),
        "last_seen_at": look.at,
        "last_seen_run": look.run_id,
    }


def _let_pass(connection: Connection, passed: Sequence[tuple[Incident, Finding]], look: Look) -> None:
    for one, found in passed:
        deed = Deed(ATTAIN, look.at, f"{found.waiver_id} lets it pass.")
        how = found.passed_by or Ending.WAIVED
        closed = lifecycle.resolve(one, deed, resolution=how, waiver_id=found.waiver_id)
        write(connection, [(one, closed)], deed, action="resolved", run_id=look.run_id)


def _close_gone(connection: Connection, scope: ColumnElement[bool], comment: str, look: Look) -> None:
    """Close the open incidents that this look has not seen."""
    deed = Deed(ATTAIN, look.at, comment)
    gone = select(*_INCIDENT).where(scope, is_open, incident.c.last_seen_at != look.at).limit(AT_ONCE)
    while rows := connection.execute(gone).mappings().all():
        closed = [(one, lifecycle.resolve(one, deed, resolution=Ending.HEALED)) for one in map(incident_from, rows)]
        write(connection, closed, deed, action="resolved", run_id=look.run_id)
