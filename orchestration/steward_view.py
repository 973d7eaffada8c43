"""How incidents, waivers and the story of a record look in a shell, and as JSON for other programs.

What is shown comes from `expectations.stewardship`; nothing is decided here.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from expectations.privacy import mask
from expectations.stewardship.audit import Found, Story, Version
from expectations.stewardship.exemptions import Waiver
from expectations.stewardship.history import Entry
from expectations.stewardship.lifecycle import Incident


@dataclass(frozen=True, kw_only=True)
class Reader:
    """For whom it is shown: their time zone and currency, and what they may see of people."""

    timezone: ZoneInfo
    currency: str
    at: datetime
    private: Sequence[str] = ()
    reveals: bool = False

    def time(self, at: datetime | None) -> str:
        """A moment in business time."""
        return f"{at.astimezone(self.timezone):%Y-%m-%d %H:%M}" if at else ""

    def money(self, amount: Decimal | None) -> str:
        """An amount in the company's currency; nothing where it is not known or zero."""
        return f"{amount:,.2f}" if amount else ""

    def payload(self, crm: str, stream: str, payload: str) -> dict[str, Any]:
        """The fields of a record, those that tell of a person masked."""
        fields: dict[str, Any] = json.loads(payload)
        if self.reveals:
            return fields
        return {name: mask(name, value, crm=crm, stream=stream, private=self.private) for name, value in fields.items()}


def incident_table(found: Sequence[Incident], reader: Reader, *, total: int) -> RenderableType:
    """Show a queue, one line for each incident."""
    if not found:
        return "The queue is empty."
    table = _table("incident", "what is wrong", "payout", "amount", "state and due", whole=(0, 2, 3, 4))
    for column in (2, 3):
        table.columns[column].justify = "right"
    for one in found:
        both = (one.amount_at_risk or Decimal()) + (one.pipeline_at_risk or Decimal())
        due = Text(reader.time(one.due_at), style="red" if one.is_overdue(reader.at) else "")
        cells = (one.incident_id, f"{_place(one)}\n{_fault(one)}", reader.money(one.payout_at_risk), reader.money(both))
        table.add_row(*map(Text, cells), Text("\n").join([Text(_state(one)), due]))
    shown = f"{len(found):,} of {total:,} incidents"
    return Group(table, f"{shown}, by the money at risk in {reader.currency}: payout, then amount won and in pipeline.")


def _state(one: Incident) -> str:
    return f"{one.state}, {one.assignee}" if one.assignee else one.state


def _place(one: Incident) -> str:
    other = f" and {one.other_key}" if one.other_key else ""
    return f"{one.crm} {one.stream} {one.key or ''}{other}".rstrip()


def _fault(one: Incident) -> str:
    waived = f" ({one.waiver_id} lets it pass from the next gate on)" if one.waiver_id and one.is_open else ""
    return f"{one.reason} [{one.rule}]{waived}"


def incident_sheet(
    one: Incident, records: Mapping[str, Version], entries: Sequence[Entry], reader: Reader
) -> RenderableType:
    """Show all of one incident: what is wrong, the records as they landed, what was done."""
    sheet = _pairs(
        one.incident_id,
        {
            "what is wrong": one.reason,
            "rule": f"{one.rule} ({one.dimension}, {one.severity})",
            "record": _place(one),
            "version": one.version,
            "state": one.state,
            "with": one.assignee,
            "resolution": f"{one.resolution}: {one.comment}" if one.resolution else None,
            "waiver": one.waiver_id,
            "payout at risk": reader.money(one.payout_at_risk),
            "amount at risk": reader.money(one.amount_at_risk),
            "pipeline at risk": reader.money(one.pipeline_at_risk),
            "changed in the CRM": reader.time(one.occurred_at),
            "opened": reader.time(one.opened_at),
            "last seen": reader.time(one.last_seen_at),
            "due": reader.time(one.due_at),
        },
    )
    landed = [_pairs(name, reader.payload(one.crm, one.stream, version.payload)) for name, version in records.items()]
    return Group(sheet, *landed, history_table(entries, reader))


def history_table(entries: Iterable[Entry], reader: Reader) -> Table:
    """Show what was done, in order."""
    table = _table("when", "who did what", "change", "comment", title="What was done", whole=(0,))
    for entry in entries:
        change = " → ".join(filter(None, (_values(entry.before), _values(entry.after))))
        did = f"{entry.actor} {entry.action} {entry.subject}"
        table.add_row(*map(Text, (reader.time(entry.at), did, change, entry.comment or "")))
    return table


def _values(values: Mapping[str, Any] | None) -> str:
    shown = {name: value for name, value in (values or {}).items() if value is not None and name in _TOLD}
    return ", ".join(str(value) for value in shown.values())


_TOLD = ("state", "assignee", "resolution", "expires_on")
"""What of a change is told; the rest is when and by whom, which stands beside it."""


def waiver_table(found: Sequence[Waiver], reader: Reader) -> RenderableType:
    """Show waivers and releases, one line each."""
    if not found:
        return "There is no waiver and no release like that."
    table = _table("waiver", "what it is for", "by whom", "last day", "state", whole=(0, 3, 4))
    for one in found:
        who = f"asked: {one.requested_by}, {reader.time(one.requested_at)}"
        if one.approved_by:
            who += f"\napproved: {one.approved_by}, {reader.time(one.approved_at)}"
        what = f"{one.covers}\n{one.reason}: {one.comment}"
        table.add_row(*map(Text, (one.waiver_id, what, who, str(one.expires_on or ""), one.state)))
    return table


def story_sheet(story: Story, crm: str, stream: str, reader: Reader) -> RenderableType:
    """Show why a record is in or out of the marts."""
    columns = ("version", "changed in the CRM", "read (UTC)", "")
    versions = _table(*columns, title="Versions, the newest first", whole=(2, 3))
    for version in story.versions:
        note = "deleted" if version.is_deleted else "in the marts" if version.version == story.in_marts_as else ""
        read = version.synced_at[:16].replace("T", " ")
        versions.add_row(*map(Text, (version.version, version.modified_at or "", read, note)))
    parts: list[RenderableType] = [Text(story.verdict, style="bold"), versions]
    if story.versions:
        latest = reader.payload(crm, stream, story.versions[0].payload)
        parts.append(_pairs("The latest version", latest))
    if story.found:
        parts.append(_found_table(story.found))
    if story.waivers:
        parts.append(waiver_table(story.waivers, reader))
    if story.actions:
        parts.append(history_table(story.actions, reader))
    return Group(*parts)


def _found_table(found: Sequence[Found]) -> Table:
    table = _table("version", "what is wrong", "state", "first and last seen (UTC)", title="Findings", whole=(3,))
    for one in found:
        state = f"{one.state} by {one.waiver_id}" if one.waiver_id else one.state
        seen = f"{one.first_seen_at[:16]}\n{one.last_seen_at[:16]}".replace("T", " ")
        table.add_row(*map(Text, (one.version, f"{one.reason}\n[{one.rule}]", state, seen)))
    return table


def _table(*columns: str, title: str | None = None, whole: Collection[int] = ()) -> Table:
    """Begin a table; the columns in `whole` keep their width, however narrow the shell is."""
    table = Table(*columns, title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        column.no_wrap, column.overflow = number in whole, "fold"
    return table


def _pairs(title: str, values: Mapping[str, Any]) -> Table:
    table = _table("", "", title=title)
    table.show_header = False
    for name, value in values.items():
        if value not in (None, ""):
            table.add_row(Text(name), Text(str(value)))
    return table


def as_json(value: Any) -> str:
    """Give incidents, waivers, entries or stories as JSON: times in UTC, money as text, the same keys every time."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    match value:
        case Incident():
            return {"incident_id": value.incident_id, **_fields(value)}
        case Waiver():
            return {"waiver_id": value.waiver_id, **_fields(value)}
        case Entry() | Story() | Version() | Found():
            return _fields(value)
        case Mapping():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return value


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a value; its number is told as part of its name."""
    return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__ if name != "id"}
