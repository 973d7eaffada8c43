"""Where the sandbox keeps its records: SQLite in memory or in a file, a table per CRM object, safe for threads.

It stores, filters, sorts, pages and counts; what a record means, and how it looks on the wire, is for the CRM modules.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""Column to value: text, int, Decimal, bool or None; plus VERSION, DELETED and DELETED_AT."""

VERSION = "sandbox_version"
"""Grows with every write to the store, so that changes can be listed in order."""
DELETED = "sandbox_deleted"
DELETED_AT = "sandbox_deleted_at"


class Kind(StrEnum):
    """How a column is kept and compared."""

    KEY = "key"
    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"


SQL_TYPES = {
    Kind.KEY: "text",
    Kind.TEXT: "text collate nocase",
    Kind.NUMBER: "text",
    Kind.INTEGER: "integer",
    Kind.BOOLEAN: "integer",
    Kind.DATE: "text",
    Kind.TIMESTAMP: "text",
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A field of a CRM object."""

    name: str
    kind: Kind
    type: str
    """The vendor's word for it."""
    target: str | None = None
    """The object whose key it holds."""

    @property
    def sql(self) -> str:
        """What to compare and sort by."""
        return f'cast("{self.name}" as real)' if self.kind is Kind.NUMBER else f'"{self.name}"'


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CRM object."""

    name: str
    """In the store."""
    key: str
    columns: Mapping[str, Column]
    indexes: Sequence[str] = ()
    """SQL expressions that are often filtered or sorted by."""


@dataclass(frozen=True)
class Where:
    """A condition in SQL, with the values for its question marks."""

    sql: str = "1"
    values: tuple[Any, ...] = ()

    def __and__(self, other: "Where") -> "Where":
        """Both conditions."""
        return Where(f"({self.sql}) and ({other.sql})", self.values + other.values)


LIVE = Where(f"{DELETED} = 0")
GONE = Where(f"{DELETED} = 1")
ALL = Where()


def timestamp(moment: datetime) -> str:
    """A moment as the store keeps it: UTC, milliseconds, sorted as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def stored(value: Any) -> Any:
    """A value as the store keeps it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value


def restored(kind: Kind, value: Any) -> Any:
    """A kept value as callers see it."""
    if value is None:
        return None
    if kind is Kind.BOOLEAN:
        return bool(value)
    if kind is Kind.NUMBER:
        return Decimal(value)
    return value


class Store:
    """The records of all CRMs; in a file if there are too many for memory."""

    def __init__(self, clock: Callable[[], datetime], path: Path | None = None) -> None:
        self.clock = clock
        self.tables: dict[str, Table] = {}
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma synchronous = off")  # a sandbox that dies is filled anew
        self._version = 0

    @property
    def version(self) -> int:
        """The number of writes so far."""
        return self._version

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            self._connection.close()

    def create(self, table: Table) -> None:
        """Add an empty table."""
        columns = ", ".join(
            f'"{c.name}" {SQL_TYPES[c.kind]}{" primary key" if c.name == table.key else ""}'
            for c in table.columns.values()
        )
        with self._lock:
            self.tables[table.name] = table
            self._connection.execute(
                f'create table "{table.name}" ({columns}, {VERSION} integer, {DELETED} integer, {DELETED_AT} text)'
            )
            for number, expression in enumerate((*table.indexes, VERSION)):
                self._connection.execute(f'create index "{table.name}.{number}" on "{table.name}" ({expression})')

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add records; columns that a record lacks are null."""
        names = list(self.tables[table].columns)
        marks = ", ".join("?" * (len(names) + 3))
        with self._lock:
            self._connection.execute("begin")
            for row in rows:
                self._version += 1
                values = [stored(row.get(name)) for name in names]
                self._connection.execute(f'insert into "{table}" values ({marks})', [*values, self._version, 0, None])
            self._connection.execute("commit")

    def save(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add records, or bring those whose key is known up to date; what is the same already is left untouched.

        Returns how many were written.
        """
        names, key = list(self.tables[table].columns), self.tables[table].key
        marks = ", ".join("?" * (len(names) + 3))
        columns = ", ".join(f'"{name}"' for name in names)
        written = 0
        with self._lock:
            for row in rows:
                values = tuple(stored(row.get(name)) for name in names)
                known = self._connection.execute(f'select {columns} from "{table}" where "{key}" = ?', [row[key]])
                if known.fetchone() == values:
                    continue
                self._version += 1
                written += 1
                self._connection.execute(
                    f'insert or replace into "{table}" values ({marks})', [*values, self._version, 0, None]
                )
        return written

    def find(
        self,
        table: str,
        where: Where = LIVE,
        *,
        order_by: str = "",
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Records that meet a condition; `order_by` is SQL."""
        sql = f'select * from "{table}" where {where.sql}'
        sql += f" order by {order_by}" if order_by else ""
        sql += f" limit {-1 if limit is None else limit} offset {offset}"
        kinds = [column.kind for column in self.tables[table].columns.values()]
        names = [*self.tables[table].columns, VERSION, DELETED, DELETED_AT]
        with self._lock:
            found = self._connection.execute(sql, [stored(v) for v in where.values]).fetchall()
        kinds += [Kind.INTEGER, Kind.BOOLEAN, Kind.TIMESTAMP]
        return [dict(zip(names, map(restored, kinds, row), strict=True)) for row in found]

    def each(
        self,
        table: str,
        expressions: Sequence[str],
        where: Where = LIVE,
        *,
        order_by: str = "",
        limit: int | None = None,
        offset: int = 0,
    ) -> Iterator[tuple[Any, ...]]:
        """SQL expressions over the records that meet a condition, one by one; nothing is written until the last."""
        sql = f'select {", ".join(expressions)} from "{table}" where {where.sql}'
        sql += f" order by {order_by}" if order_by else ""
        sql += f" limit {-1 if limit is None else limit} offset {offset}"
        with self._lock:
            yield from self._connection.execute(sql, [stored(v) for v in where.values])

    def get(self, table: str, key: str, where: Where = LIVE) -> Row | None:
        """The record with a key."""
        found = self.find(table, where & Where(f'"{self.tables[table].key}" = ?', (key,)), limit=1)
        return found[0] if found else None

    def values(self, table: str, expressions: Sequence[str], where: Where = LIVE) -> tuple[Any, ...]:
        """Aggregates (SQL expressions) over the records that meet a condition."""
        sql = f'select {", ".join(expressions)} from "{table}" where {where.sql}'
        with self._lock:
            return tuple(self._connection.execute(sql, [stored(v) for v in where.values]).fetchone())

    def count(self, table: str, where: Where = LIVE) -> int:
        """How many records meet a condition."""
        return int(self.values(table, ["count(*)"], where)[0])

    def update(self, table: str, key: str, changes: Mapping[str, Any], *, quietly: bool = False) -> None:
        """Change fields of a record, and nothing else: stamps are part of `changes`.

        Quietly: not even the version moves, as when a formula is worked out anew.
        """
        with self._lock:
            self._version += not quietly
            changed = dict(changes) if quietly else {**changes, VERSION: self._version}
            assignments = ", ".join(f'"{name}" = ?' for name in changed)
            self._connection.execute(
                f'update "{table}" set {assignments} where "{self.tables[table].key}" = ?',
                [*(stored(value) for value in changed.values()), key],
            )

    def touch(self) -> None:
        """Let the version grow without a change."""
        with self._lock:
            self._version += 1

    def delete(self, table: str, key: str) -> None:
        """Mark a record as deleted."""
        self.update(table, key, {DELETED: True, DELETED_AT: self.clock()})

    def restore(self, table: str, key: str) -> None:
        """Take a record back from the deleted ones."""
        self.update(table, key, {DELETED: False, DELETED_AT: None})

    def purge(self, table: str, key: str) -> None:
        """Remove a record for good."""
        with self._lock:
            self._connection.execute(f'delete from "{table}" where "{self.tables[table].key}" = ?', [key])
