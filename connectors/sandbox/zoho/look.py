"""How values look when Zoho CRM sends them: in records, in the answers of queries, in bulk files.

Rendering only; which records are sent is decided in the APIs.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from connectors.sandbox.store import ALL, Column, Kind, Row, Store, Where
from connectors.sandbox.wire import Number
from connectors.sandbox.zoho.tables import LISTS, LOOKUPS, SUBFORM_LOOKUPS, Module

ZONE = timezone(timedelta(hours=5, minutes=30))
"""The organisation's: every timestamp that is sent carries its offset."""

Names = Mapping[tuple[str, str], str]
"""Table and id to what lookups call the record by."""


def moment(value: str) -> str:
    """A stored timestamp as it is sent."""
    return datetime.fromisoformat(value).astimezone(ZONE).isoformat(timespec="seconds")


def instant(text: str) -> datetime | None:
    """A timestamp as clients send it; None if it is none, or has no offset."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def plain(column: Column, value: Any) -> Any:
    """A value that is no lookup and no subform, as JSON."""
    if value is None:
        return None
    if column.kind is Kind.NUMBER:
        return Number(f"{value:f}")
    if column.kind is Kind.TIMESTAMP:
        return moment(value)
    return value


def queried(column: Column, value: Any) -> Any:
    """A value in the answer of a query: lookups come without their name."""
    if column.type in LOOKUPS:
        return None if value is None else {"id": value}
    return plain(column, value)


def cell(column: Column, value: Any) -> str:
    """A value in a bulk file: lookups as ids, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if column.kind is Kind.TIMESTAMP:
        return moment(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


class Look:
    """Renders records with the names of what they refer to."""

    def __init__(self, store: Store, modules: Mapping[str, Module]) -> None:
        self._store = store
        self._modules = modules

    def records(self, columns: Mapping[str, Column], rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
        """Records as the records API sends them."""
        shown = [columns[name] for name in dict.fromkeys(["id", *names])]
        called = self._names(shown, rows)
        return [{column.name: self._value(column, row[column.name], called) for column in shown} for row in rows]

    def _value(self, column: Column, value: Any, called: Names) -> Any:
        if value is None:
            return [] if column.type == "subform" else None
        if column.type == "subform":
            return [self._subform_row(row) for row in json.loads(value, parse_float=_number, parse_int=_number)]
        if column.type not in LOOKUPS:
            return plain(column, value)
        found = {"id": value, "name": called.get((column.target or "", value))}
        if column.type == "ownerlookup":
            owner = self._store.get("zoho.users", value, ALL)
            found["email"] = owner["email"] if owner else None
        return found

    def _subform_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(row)
        for name, target in SUBFORM_LOOKUPS.items():
            if key := row.get(name):
                called = self._called(target, [key])
                found[name] = {"id": key, "name": called.get((target, key))}
        return found

    def _names(self, columns: Iterable[Column], rows: Sequence[Row]) -> Names:
        found: dict[tuple[str, str], str] = {}
        for column in columns:
            if column.type in LOOKUPS and column.target:
                found |= self._called(column.target, {row[column.name] for row in rows if row[column.name]})
        return found

    def _called(self, target: str, ids: Iterable[str]) -> Names:
        title = self._modules[target].title if target in self._modules else _LIST_TITLES.get(target)
        if title is None:
            return {}
        wanted = tuple(sorted(ids))
        where = Where(f'"id" in ({", ".join("?" * len(wanted))})', wanted)
        return {(target, row["id"]): row[title] for row in self._store.find(f"zoho.{target}", where)}


_LIST_TITLES = {name: "full_name" if name == "users" else "name" for name in LISTS if name in ("users", "roles")}


def _number(text: str) -> Number:
    return Number(text)


def csv_row(columns: Sequence[Column], row: Row, render: Callable[[Column, Any], str] = cell) -> list[str]:
    """A row of a bulk file."""
    return [render(column, row[column.name]) for column in columns]
