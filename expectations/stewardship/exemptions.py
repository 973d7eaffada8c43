"""Waivers and releases: what two people agree may break a rule for a while, or one version that is right as it is.

Asked for by one steward and approved by another; what the gate makes of them is the gate's business.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, insert, select, update

from expectations.rule import Exemption, ExemptionKind
from expectations.stewardship import history
from expectations.stewardship.incidents import chosen_incidents
from expectations.stewardship.lifecycle import ATTAIN, Deed, Incident, Queue, Reason, Refused, is_same_person
from expectations.stewardship.state import reading, writing
from expectations.stewardship.tables import incident, is_open, rule_version, waiver

LONGEST = timedelta(days=30)
"""A waiver holds to the end of a day at most so far from the one on which it was asked for."""
LETTER = {ExemptionKind.WAIVER: "W", ExemptionKind.RELEASE: "R"}


class WaiverState(StrEnum):
    """How far a waiver or a release is."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    REVOKED = "revoked"


ENDS = {
    WaiverState.REFUSED: (WaiverState.REQUESTED,),
    WaiverState.REVOKED: (WaiverState.REQUESTED, WaiverState.APPROVED),
    WaiverState.EXPIRED: (WaiverState.REQUESTED, WaiverState.APPROVED),
}
"""How a waiver may end, and from which states."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be waived or released: a rule of a stream, for one record, one version of it, or all records."""

    crm: str
    stream: str
    rule: str
    key: str | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """A waiver or a release, asked for, in force or over."""

    id: int
    kind: ExemptionKind
    crm: str
    stream: str
    rule: str
    key: str | None
    """None: every record of the stream, or the stream as a whole."""
    version: str | None
    """Of releases only."""
    reason: str
    comment: str
    requested_by: str
    requested_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    expires_on: date | None
    """The last day on which it holds; None for releases."""
    ended_at: datetime | None
    ended_by: str | None
    state: WaiverState

    @property
    def waiver_id(self) -> str:
        """What people call it: `W-000012`, or `R-000007` for a release."""
        return f"{LETTER[self.kind]}-{self.id:06d}"

    @property
    def covers(self) -> str:
        """What it is for, in words."""
        version = f" in version {self.version}" if self.version else ""
        record = f"record {self.key}{version}" if self.key else "all records"
        return f"{self.rule} on {self.crm} {self.stream}, {record}"


COLUMNS = tuple(field.name for field in fields(Waiver))
_WAIVER = [waiver.c[name] for name in COLUMNS]
_MOVING = ("state", "approved_by", "approved_at", "ended_at", "ended_by")
_ALIVE = (WaiverState.REQUESTED, WaiverState.APPROVED)


def exemptions(engine: Engine, crm: str, at: datetime) -> list[Exemption]:
    """Give what may break a rule of a CRM's streams at an instant; the day is read in the instant's own zone."""
    holds = waiver.c.expires_on.is_(None) | (waiver.c.expires_on >= at.date())
    query = select(*_WAIVER).where(waiver.c.crm == crm, waiver.c.state == WaiverState.APPROVED, holds)
    with reading(engine) as connection:
        granted = [waiver_from(row) for row in connection.execute(query.order_by(waiver.c.id)).mappings()]
    return [
        Exemption(
            kind=one.kind,
            waiver_id=one.waiver_id,
            rule=one.rule,
            stream=one.stream,
            key=one.key,
            version=one.version,
        )
        for one in granted
    ]


def waivers(connection: Connection, *states: WaiverState) -> Iterator[Waiver]:
    """Give the waivers and releases in these states, or all of them, the oldest first."""
    query = select(*_WAIVER).order_by(waiver.c.id)
    query = query.where(waiver.c.state.in_(states)) if states else query
    return map(waiver_from, connection.execute(query).mappings())


def waiver_from(row: Mapping[Any, Any]) -> Waiver:
    """Make a waiver of its row."""
    return Waiver(**{**row, "kind": ExemptionKind(row["kind"]), "state": WaiverState(row["state"])})


def targets(engine: Engine, numbers: Sequence[int], kind: ExemptionKind) -> list[Target]:
    """Give what would have to be waived or released for some incidents.

    Raises:
        Refused: one is resolved, could not be checked, or is about no record and so can only be waived.

    """
    with reading(engine) as connection:
        return [_target(one, kind) for one in chosen_incidents(connection, numbers)]


def _target(one: Incident, kind: ExemptionKind) -> Target:
    if not one.is_open:
        raise Refused(f"{one.incident_id} is resolved already ({one.resolution}).")
    if one.is_crash:
        raise Refused(f"{one.incident_id} could not be checked: nobody knows what would be let pass, so nobody may.")
    if one.queue is Queue.DUPLICATES:
        raise Refused(f"{one.incident_id} is a pair that flows anyway; resolve it once you know whether they are one.")
    if kind is ExemptionKind.RELEASE and (one.key is None or one.version is None):
        raise Refused(f"{one.incident_id} is about no single record: it can be waived for a while, not released.")
    version = one.version if kind is ExemptionKind.RELEASE else None
    return Target(crm=one.crm, stream=one.stream, rule=one.rule, key=one.key, version=version)


def request(
    engine: Engine,
    wanted: Sequence[Target],
    deed: Deed,
    *,
    kind: ExemptionKind,
    reason: Reason,
    expires_on: date | None = None,
) -> list[Waiver]:
    """Ask for waivers or releases, all of them or none; each holds once somebody else has approved it.

    Raises:
        Refused: the comment is missing, it would hold too long, or it has been asked for already.

    """
    _must_say_why(deed)
    if kind is ExemptionKind.WAIVER:
        _must_end_soon(deed.at.date(), expires_on)
    with writing(engine) as connection:
        return [_request(connection, target, deed, kind, reason, expires_on) for target in wanted]


def _must_say_why(deed: Deed) -> None:
    if not (deed.comment or "").strip():
        raise Refused("Say in a comment why.")


def _must_end_soon(today: date, expires_on: date | None) -> None:
    if expires_on is None or not today <= expires_on <= today + LONGEST:
        asked = f"on {expires_on}" if expires_on else "never"
        raise Refused(
            f"A waiver ends on a day from {today} to {today + LONGEST}, {LONGEST.days} days at most, not {asked}."
        )


def _request(
    connection: Connection,
    target: Target,
    deed: Deed,
    kind: ExemptionKind,
    reason: Reason,
    expires_on: date | None,
) -> Waiver:
    _must_be_known(connection, target)
    _must_be_new(connection, kind, target, deed.at)
    row = {
        **vars(target),
        "kind": kind,
        "reason": reason,
        "comment": deed.comment,
        "requested_by": deed.by.strip(),
        "requested_at": deed.at,
        "expires_on": expires_on,
        "state": WaiverState.REQUESTED,
    }
    asked = waiver_from(connection.execute(insert(waiver).values(row).returning(*_WAIVER)).mappings().one())
    history.log(connection, [history.entry(deed, "requested", asked.waiver_id, None, asked, COLUMNS)])
    return asked


def _must_be_known(connection: Connection, target: Target) -> None:
    """Refuse a rule that was mistyped: nobody would notice that its waiver lets nothing pass."""
    for table in (rule_version, incident):
        same = [table.c[name] == getattr(target, name) for name in ("crm", "stream", "rule")]
        if connection.execute(select(table.c.id).where(*same).limit(1)).first():
            return
    raise Refused(f"No rule {target.rule} has ever been checked on {target.crm} {target.stream}; see the report.")


def _must_be_new(connection: Connection, kind: ExemptionKind, target: Target, at: datetime) -> None:
    same = [waiver.c[name].is_not_distinct_from(value) for name, value in vars(target).items()]
    query = select(*_WAIVER).where(waiver.c.kind == kind, waiver.c.state.in_(_ALIVE), *same)
    for one in map(waiver_from, connection.execute(query).mappings().all()):
        if one.expires_on is None or one.expires_on >= at.date():
            until = f" until {one.expires_on}" if one.expires_on else ""
            last = history.last_done(connection, one.waiver_id)
            raise Refused(f"{one.waiver_id} covers {one.covers}{until}, and is {one.state}. {last}")


def approve(engine: Engine, waiver_ids: Sequence[str], deed: Deed) -> list[Waiver]:
    """Put waivers and releases in force, all of them or none; only somebody else than who asked may.

    Raises:
        Refused: the same person asked, or it is not waiting for approval, or its last day is over.

    """
    with writing(engine) as connection:
        return [_approve(connection, one, deed) for one in _chosen(connection, waiver_ids)]


def _approve(connection: Connection, one: Waiver, deed: Deed) -> Waiver:
    if one.state is not WaiverState.REQUESTED:
        raise Refused(f"{one.waiver_id} is {one.state} already. {history.last_done(connection, one.waiver_id)}")
    if is_same_person(one.requested_by, deed.by):
        raise Refused(f"{one.waiver_id} was requested by {one.requested_by}: somebody else has to approve it.")
    if one.expires_on and one.expires_on < deed.at.date():
        raise Refused(f"{one.waiver_id} would have ended on {one.expires_on}; it has to be requested anew.")
    granted = replace(one, state=WaiverState.APPROVED, approved_by=deed.by.strip(), approved_at=deed.at)
    _write(connection, one, granted, deed)
    covers = {name: getattr(one, name) for name in ("crm", "stream", "rule", "key", "version")}
    covered = [incident.c[name] == value for name, value in covers.items() if value is not None]
    _mark(connection, [*covered, incident.c.is_crash.is_(False)], one.waiver_id)
    return granted


def end(engine: Engine, waiver_ids: Sequence[str], deed: Deed, *, how: WaiverState) -> list[Waiver]:
    """Refuse requests, or revoke what has been requested or approved, all of them or none.

    Raises:
        Refused: there is no comment, or one of them is over already.

    """
    _must_say_why(deed)
    with writing(engine) as connection:
        return [_end(connection, one, deed, how) for one in _chosen(connection, waiver_ids)]


def _end(connection: Connection, one: Waiver, deed: Deed, how: WaiverState) -> Waiver:
    if one.state not in ENDS[how]:
        last = history.last_done(connection, one.waiver_id)
        raise Refused(f"{one.waiver_id} is {one.state}, so it cannot be {how}. {last}")
    ended = replace(one, state=how, ended_at=deed.at, ended_by=deed.by.strip())
    _write(connection, one, ended, deed)
    _mark(connection, [incident.c.waiver_id == one.waiver_id], None)
    return ended


def expire(connection: Connection, at: datetime) -> None:
    """Mark as over what ended before today; it holds no longer either way."""
    over = waiver.c.state.in_(ENDS[WaiverState.EXPIRED]) & (waiver.c.expires_on < at.date())
    for row in connection.execute(select(*_WAIVER).where(over)).mappings().all():
        _end(connection, waiver_from(row), Deed(ATTAIN, at), WaiverState.EXPIRED)


def _chosen(connection: Connection, waiver_ids: Sequence[str]) -> list[Waiver]:
    """Give waivers and releases by what people call them; the letter must be right too."""
    wanted = {one: _number_of(one) for one in waiver_ids}
    query = select(*_WAIVER).where(waiver.c.id.in_(wanted.values())).order_by(waiver.c.id)
    found = {one.id: one for one in map(waiver_from, connection.execute(query).mappings())}
    for name, number in wanted.items():
        if number not in found or not found[number].waiver_id.startswith(name.strip()[0].upper()):
            raise Refused(f"There is no {name}; `attain quality waivers` shows what there is.")
    return list(found.values())


def _number_of(waiver_id: str) -> int:
    named = re.fullmatch(r"[WR]-0*([1-9][0-9]{0,8})", waiver_id.strip(), re.IGNORECASE)
    if named is None:
        raise Refused(f"{waiver_id} names no waiver or release; one looks like W-000012 or R-000007.")
    return int(named[1])


def _write(connection: Connection, before: Waiver, after: Waiver, deed: Deed) -> None:
    moving = {name: getattr(after, name) for name in _MOVING}
    connection.execute(update(waiver).where(waiver.c.id == after.id).values(moving))
    history.log(connection, [history.entry(deed, after.state, after.waiver_id, before, after, COLUMNS)])


def _mark(connection: Connection, which: Sequence[ColumnElement[bool]], waiver_id: str | None) -> None:
    """Show on open incidents which waiver will let them pass from the next gate on."""
    connection.execute(update(incident).where(is_open, *which).values(waiver_id=waiver_id))
