"""The append-only history: who did what to which incident or waiver when, with what was before and after.

Entries are written in the transaction of the change they tell of; the database refuses to alter one (`tables`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select

from expectations.stewardship.lifecycle import Deed, Refused
from expectations.stewardship.tables import action


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that somebody did."""

    at: datetime
    actor: str
    action: str
    subject: str
    """`INC-000123`, `W-000012` or `R-000007`."""
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    comment: str | None = None
    run_id: str | None = None

    @property
    def sentence(self) -> str:
        """The entry in a few words, without its comment."""
        run = f" in run {self.run_id}" if self.run_id else ""
        return f"{self.actor} {self.action} {self.subject} on {self.at:%Y-%m-%d at %H:%M} UTC{run}"


def entry(
    deed: Deed,
    action: str,
    subject: str,
    before: object,
    after: object,
    columns: Iterable[str],
    run_id: str | None = None,
) -> Entry:
    """Tell of a change of one thing, or that it came to be: those of its columns that differ.

    Raises:
        Refused: nobody is named who did it.

    """
    if not deed.by.strip():
        raise Refused("Nobody is named who does this; say --by NAME or set ATTAIN_STEWARD.")
    differing = [name for name in columns if getattr(before, name, None) != getattr(after, name)]
    now = {name: getattr(after, name) for name in differing}
    was = {name: getattr(before, name) for name in differing} if before is not None else None
    return Entry(
        at=deed.at,
        actor=deed.by.strip(),
        action=action,
        subject=subject,
        before=was,
        after=now,
        comment=deed.comment,
        run_id=run_id,
    )


def log(connection: Connection, entries: Iterable[Entry]) -> None:
    """Add to the history."""
    rows = [{**asdict(entry), "before": _plain(entry.before), "after": _plain(entry.after)} for entry in entries]
    if rows:
        connection.execute(insert(action), rows)


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {name: _as_json(value) for name, value in values.items()} if values is not None else None


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def last_done(connection: Connection, subject: str) -> str:
    """Say what was done to something last, if anything was."""
    query = select(action).where(action.c.subject == subject).order_by(action.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return f"Last, {_entry(row).sentence}." if row else ""


def entries(connection: Connection, subjects: Iterable[str]) -> Iterator[Entry]:
    """Give all that was done to some incidents and waivers, in order."""
    query = select(action).where(action.c.subject.in_(sorted(set(subjects)))).order_by(action.c.id)
    return map(_entry, connection.execute(query).mappings())


def _entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(**{name: value for name, value in row.items() if name != "id"})
