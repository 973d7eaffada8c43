"""The `attain quality` commands, with which stewards work through their queues.

Options and printing only: what is allowed, and all that is written, is in `expectations.stewardship`.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from sqlalchemy import Engine

from expectations.report import REPORT
from expectations.rule import ExemptionKind
from expectations.stewardship import audit as stories
from expectations.stewardship import exemptions, incidents
from expectations.stewardship.exemptions import Target, Waiver, WaiverState, waivers
from expectations.stewardship.incidents import Chosen, Filter
from expectations.stewardship.lifecycle import Deed, Incident, Queue, Reason, Refused, State
from expectations.stewardship.state import StateUnusable, open_state, reading
from orchestration.settings import QUALITY_WEIGHTS, Settings, read_settings
from orchestration.steward_view import (
    Reader,
    as_json,
    incident_sheet,
    incident_table,
    story_sheet,
    waiver_table,
)

REFUSED = 1
SHOWN = 25

app = typer.Typer(no_args_is_help=True, help="What the gates found: the queues, waivers, the audit.")
out = Console()
err = Console(stderr=True)


Ids = Annotated[list[str] | None, typer.Argument(help="Incidents, such as INC-000123; or filter them.")]
WaiverIds = Annotated[list[str], typer.Argument(help="Waivers or releases, such as W-000012 or R-000007.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it (default: ATTAIN_STEWARD, or who is logged in).")]
Comment = Annotated[str, typer.Option(help="Why, in words that an auditor understands.")]
MayComment = Annotated[str | None, typer.Option("--comment", help="A word for the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")]
Reveal = Annotated[bool, typer.Option(help="Show what tells of people too; that is noted in the history.")]
ForReason = Annotated[Reason, typer.Option("--reason", case_sensitive=False, help="Why, in a word.")]
OfRule = Annotated[str | None, typer.Option("--rule", help="Those of a rule.")]
OfCrm = Annotated[str | None, typer.Option("--crm", help="Those of a CRM.")]
OfStream = Annotated[str | None, typer.Option("--stream", help="Those of a stream.")]
OfQueue = Annotated[Queue | None, typer.Option("--queue", help="Those of a queue.")]
Mine = Annotated[bool, typer.Option("--mine", help="Those that are with me.")]
Overdue = Annotated[bool, typer.Option("--overdue", help="Those that should be resolved by now.")]


@dataclass(frozen=True)
class Desk:
    """Where a steward works: the database, the data folder, and who they are."""

    settings: Settings
    engine: Engine
    by: str
    at: datetime
    """Now, in business time."""

    def deed(self, comment: str | None) -> Deed:
        """What the steward does now."""
        return Deed(self.by, self.at, comment)

    def reader(self, *, reveals: bool = False) -> Reader:
        """How things are shown."""
        settings = self.settings
        return Reader(
            timezone=ZoneInfo(settings.timezone),
            currency=settings.currency,
            at=self.at,
            private=settings.private_fields,
            reveals=reveals,
        )


@contextmanager
def _desk(by: str | None = None) -> Iterator[Desk]:
    """Open the database for a command; what is refused is told in plain words, with exit code 1."""
    settings = read_settings(os.environ)
    try:
        engine = open_state(settings.state_url)
        try:
            yield Desk(settings, engine, _name(by, settings), datetime.now(UTC).astimezone(ZoneInfo(settings.timezone)))
        finally:
            engine.dispose()
    except (Refused, StateUnusable) as refusal:
        err.print(str(refusal), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None


def _name(by: str | None, settings: Settings) -> str:
    if by is not None or settings.steward:
        return by or settings.steward or ""
    try:
        return getuser()
    except (KeyError, OSError):  # in a container, nobody may be logged in
        return ""


@app.command("list")
def list_incidents(
    rule: OfRule = None,
    crm: OfCrm = None,
    stream: OfStream = None,
    queue: OfQueue = None,
    mine: Mine = False,
    overdue: Overdue = False,
    state: Annotated[State | None, typer.Option(help="Those in a state; resolved ones are left out otherwise.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="So many at most; 0: all.")] = SHOWN,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Show what is open, the most money at risk first."""
    with _desk(by) as desk, reading(desk.engine) as connection:
        chosen = replace(_filter(desk, rule, crm, stream, queue, mine, overdue), state=state)
        found = list(incidents.find(connection, chosen, limit=limit or None))
        if json:
            typer.echo(as_json(found))
        else:
            out.print(incident_table(found, desk.reader(), total=incidents.count(connection, chosen)))


@app.command()
def show(incident: str, reveal: Reveal = False, by: By = None, json: AsJson = False) -> None:
    """Show all of one incident: what is wrong, the record, what was done about it."""
    with _desk(by) as desk:
        number = incidents.number_of(incident)
        if reveal:
            incidents.look_at(desk.engine, number, desk.deed(None))
        one, entries = incidents.get(desk.engine, number)
        records, reader = _records(desk.settings.home, one), desk.reader(reveals=reveal)
        if json:
            shown = {name: reader.payload(one.crm, one.stream, record.payload) for name, record in records.items()}
            typer.echo(as_json({"incident": one, "records": shown, "history": entries}))
        else:
            out.print(incident_sheet(one, records, entries, reader))


def _records(home: Path, one: Incident) -> dict[str, stories.Version]:
    """The records that an incident is about, as they landed: the version it is about, or the latest."""
    records = {}
    for name in filter(None, (one.key, one.other_key)):
        crm, stream, key = name.split("/", 2) if name.count("/") >= 2 else (one.crm, one.stream, name)
        versions = stories.landed_versions(home, crm, stream, key)
        about = [version for version in versions if version.version == one.version]
        if versions:
            records[name] = (about or versions)[0]
    return records


@app.command()
def ack(
    ids: Ids = None,
    rule: OfRule = None,
    crm: OfCrm = None,
    stream: OfStream = None,
    queue: OfQueue = None,
    overdue: Overdue = False,
    comment: MayComment = None,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Say that you have seen incidents."""
    with _desk(by) as desk:
        chosen = _chosen(ids, _filter(desk, rule, crm, stream, queue, False, overdue))
        _tell(incidents.acknowledge(desk.engine, chosen, desk.deed(comment)), "acknowledged", json)


@app.command()
def assign(
    ids: Ids = None,
    to: Annotated[str | None, typer.Option(help="Whom to give them to (default: yourself).")] = None,
    rule: OfRule = None,
    crm: OfCrm = None,
    stream: OfStream = None,
    queue: OfQueue = None,
    mine: Mine = False,
    overdue: Overdue = False,
    reassign: Annotated[bool, typer.Option("--reassign", help="Also what somebody else has.")] = False,
    comment: MayComment = None,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Take incidents, or give them to somebody."""
    with _desk(by) as desk:
        chosen = _chosen(ids, _filter(desk, rule, crm, stream, queue, mine, overdue))
        deed, to = desk.deed(comment), to or desk.by
        done = incidents.assign(desk.engine, chosen, deed, to=to, takes_over=reassign)
        _tell(done, f"assigned to {to}", json)


@app.command()
def resolve(
    reason: ForReason,
    comment: Comment,
    ids: Ids = None,
    rule: OfRule = None,
    crm: OfCrm = None,
    stream: OfStream = None,
    queue: OfQueue = None,
    mine: Mine = False,
    overdue: Overdue = False,
    by: By = None,
    json: AsJson = False,
) -> None:
    """End incidents. A record that the next night still finds wrong is opened anew."""
    with _desk(by) as desk:
        chosen = _chosen(ids, _filter(desk, rule, crm, stream, queue, mine, overdue))
        done = incidents.resolve(desk.engine, chosen, desk.deed(comment), resolution=reason)
        _tell(done, "resolved", json)


@app.command()
def waive(
    reason: ForReason,
    comment: Comment,
    ids: Ids = None,
    days: Annotated[int | None, typer.Option(min=1, help="For so many days, 30 at most.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="To the end of this day.")] = None,
    rule: Annotated[str | None, typer.Option(help="All records of a rule, in place of incidents.")] = None,
    crm: Annotated[str | None, typer.Option(help="The rule's CRM.")] = None,
    stream: Annotated[str | None, typer.Option(help="The rule's stream.")] = None,
    key: Annotated[str | None, typer.Option(help="One record only.")] = None,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Ask a second person to let records flow for a while although they break a rule."""
    if (days is None) == (until is None):
        raise typer.BadParameter("say --days or --until, one of them")
    with _desk(by) as desk:
        last_day = until.date() if until else desk.at.date() + timedelta(days=days or 0)
        _ask(desk, _targets(desk, ids, rule, crm, stream, key), ExemptionKind.WAIVER, reason, comment, last_day, json)


@app.command()
def release(ids: Ids, reason: ForReason, comment: Comment, by: By = None, json: AsJson = False) -> None:
    """Ask a second person to let one version of each record flow as it is, for good."""
    with _desk(by) as desk:
        numbers = [incidents.number_of(one) for one in ids or ()]
        wanted = exemptions.targets(desk.engine, numbers, ExemptionKind.RELEASE)
        _ask(desk, wanted, ExemptionKind.RELEASE, reason, comment, None, json)


def _targets(
    desk: Desk, ids: Sequence[str] | None, rule: str | None, crm: str | None, stream: str | None, key: str | None
) -> list[Target]:
    if ids and not any((rule, crm, stream, key)):
        numbers = [incidents.number_of(one) for one in ids]
        return exemptions.targets(desk.engine, numbers, ExemptionKind.WAIVER)
    if ids or not (rule and crm and stream):
        raise typer.BadParameter("name incidents, or --rule with --crm and --stream")
    return [Target(crm=crm, stream=stream, rule=rule, key=key)]


def _ask(
    desk: Desk,
    wanted: Sequence[Target],
    kind: ExemptionKind,
    reason: Reason,
    comment: str,
    expires_on: date | None,
    json: bool,
) -> None:
    asked = exemptions.request(desk.engine, wanted, desk.deed(comment), kind=kind, reason=reason, expires_on=expires_on)
    _tell_waivers(asked, desk, json)
    if not json:
        names = " ".join(one.waiver_id for one in asked)
        out.print(f"Somebody else has to say: attain quality approve {names}", soft_wrap=True, highlight=False)


@app.command("waivers")
def list_waivers(
    state: Annotated[WaiverState | None, typer.Option(help="Those in a state (default: what is not over).")] = None,
    json: AsJson = False,
) -> None:
    """Show waivers and releases."""
    with _desk() as desk, reading(desk.engine) as connection:
        states = (state,) if state else (WaiverState.REQUESTED, WaiverState.APPROVED)
        _tell_waivers(list(waivers(connection, *states)), desk, json)


@app.command()
def approve(ids: WaiverIds, comment: MayComment = None, by: By = None, json: AsJson = False) -> None:
    """Put what somebody else has asked for in force, from the next gate on."""
    with _desk(by) as desk:
        _tell_waivers(exemptions.approve(desk.engine, ids, desk.deed(comment)), desk, json)


@app.command()
def refuse(ids: WaiverIds, comment: Comment, by: By = None, json: AsJson = False) -> None:
    """Turn down what somebody has asked for."""
    with _desk(by) as desk:
        _tell_waivers(exemptions.end(desk.engine, ids, desk.deed(comment), how=WaiverState.REFUSED), desk, json)


@app.command()
def revoke(ids: WaiverIds, comment: Comment, by: By = None, json: AsJson = False) -> None:
    """End waivers or releases; their records are held back again from the next gate on."""
    with _desk(by) as desk:
        _tell_waivers(exemptions.end(desk.engine, ids, desk.deed(comment), how=WaiverState.REVOKED), desk, json)


@app.command()
def report() -> None:
    """Say where the latest quality report lies."""
    page = read_settings(os.environ).home / REPORT
    if not page.exists():
        err.print(f"There is no report at {page} yet; every night writes one.", style="red", soft_wrap=True)
        raise typer.Exit(REFUSED)
    typer.echo(page)


@app.command()
def audit(crm: str, stream: str, key: str, reveal: Reveal = False, by: By = None, json: AsJson = False) -> None:
    """Tell why a record is in or out of the marts today."""
    with _desk(by) as desk:
        story = stories.why(desk.engine, desk.settings.home, crm, stream, key)
        reader = desk.reader(reveals=reveal)
        if reveal:
            for one in story.incidents:
                incidents.look_at(desk.engine, one.id, desk.deed(None))
        if json:
            shown = [replace(one, payload=as_json(reader.payload(crm, stream, one.payload))) for one in story.versions]
            typer.echo(as_json(replace(story, versions=tuple(shown))))
        else:
            out.print(story_sheet(story, crm, stream, reader))


@app.command()
def pack(
    month: Annotated[datetime, typer.Option(formats=["%Y-%m"], help="The month, as 2026-08.")],
    to: Annotated[Path, typer.Option(help="The folder to write into.", file_okay=False)],
) -> None:
    """Write the audit pack of a month: one page and its tables as CSV."""
    from expectations.stewardship.audit_pack import Month, write_pack

    with _desk() as desk:
        whole = Month(first=month.date(), timezone=ZoneInfo(desk.settings.timezone))
        for path in write_pack(desk.engine, desk.settings.home, whole, to, weights=QUALITY_WEIGHTS):
            out.print(str(path), soft_wrap=True, markup=False, highlight=False)


def _filter(
    desk: Desk,
    rule: str | None,
    crm: str | None,
    stream: str | None,
    queue: Queue | None,
    mine: bool,
    overdue: bool,
) -> Filter:
    return Filter(
        queue=queue,
        crm=crm,
        stream=stream,
        rule=rule,
        assignee=desk.by if mine else None,
        overdue_at=desk.at if overdue else None,
    )


def _chosen(ids: Sequence[str] | None, chosen: Filter) -> Chosen:
    if bool(ids) == chosen.is_set:
        raise typer.BadParameter("name incidents, such as INC-000123, or filter them, as by --rule; one of the two")
    return [incidents.number_of(one) for one in ids] if ids else chosen


def _tell(done: Sequence[Incident], what: str, json: bool) -> None:
    if json:
        typer.echo(as_json(done))
        return
    names = ", ".join(one.incident_id for one in done[:SHOWN])
    more = f" and {len(done) - SHOWN:,} more" if len(done) > SHOWN else ""
    out.print(f"{names}{more}: {what}.", soft_wrap=True, markup=False, highlight=False)


def _tell_waivers(found: Sequence[Waiver], desk: Desk, json: bool) -> None:
    if json:
        typer.echo(as_json(found))
    else:
        out.print(waiver_table(found, desk.reader()))
