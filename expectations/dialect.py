"""The SQLAlchemy dialect `duckdb+buffered`: duckdb_engine with cursors that hold their rows themselves.

Connections and cursors only; what is asked over them is decided in the gates.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
from duckdb_engine import ConnectionWrapper, CursorWrapper, Dialect
from sqlalchemy import text
from sqlalchemy.dialects import registry
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.types import NullType

_QUOTE = '"'

Row = tuple[Any, ...]


class BufferedCursor(CursorWrapper):
    """Fetches inside `execute`.

    Great Expectations fetches after its connection went back to the pool; going back means a rollback, and a rollback
    makes DuckDB drop the result that was still open. Good data then reads as a crashed expectation.
    """

    def __init__(self, raw: duckdb.DuckDBPyConnection, wrapper: ConnectionWrapper) -> None:
        super().__init__(raw, wrapper)
        self._raw = raw
        self._rows: list[Row] = []
        self.description: Sequence[Any] | None = None

    def execute(self, statement: str, parameters: Any = None, context: Any = None) -> None:
        """Run a statement and keep everything that it returns."""
        self._rows, self.description = [], None
        super().execute(statement, parameters, context)
        self.description = self._raw.description
        if self.description:
            self._rows = self._raw.fetchall()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Hand out the next rows; one when no size is named, as the DB-API says."""
        count = 1 if size is None else size
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken

    def fetchall(self) -> list[Row]:
        """Hand out all rows that are left."""
        taken, self._rows = self._rows, []
        return taken

    def fetchone(self) -> Row | None:
        """Hand out the next row, or None after the last."""
        return next(iter(self.fetchmany(1)), None)


class BufferedConnection(ConnectionWrapper):
    """A DuckDB connection whose cursors are buffered."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        super().__init__(raw)
        self._raw = raw

    def cursor(self) -> BufferedCursor:
        """Open a buffered cursor."""
        return BufferedCursor(self._raw, self)


class BufferedDialect(Dialect):
    """duckdb_engine's dialect on buffered connections."""

    driver = "buffered"
    supports_statement_cache = False

    def connect(self, *args: Any, **options: Any) -> Any:
        """Open a connection; times are read and shown in UTC whatever the machine is set to."""
        connection = super().connect(*args, **options)
        connection.execute("set timezone = 'UTC'")
        return BufferedConnection(connection._ConnectionWrapper__c)

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """List a table's columns as DuckDB describes them: asking as one asks PostgreSQL takes many times as long."""
        place = ".".join(f'"{part.replace(_QUOTE, 2 * _QUOTE)}"' for part in (schema, str(table_name)) if part)
        try:
            found = connection.execute(text(f"describe {place}".replace(":", r"\:"))).all()
        except DBAPIError as error:
            raise NoSuchTableError(table_name) from error
        return [
            {"name": name, "type": self._type_of(kind), "nullable": True, "default": None} for name, kind, *_ in found
        ]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """Name no primary key: no table here has one, and PostgreSQL's way of asking is slow."""
        return {"constrained_columns": [], "name": None}

    def _type_of(self, kind: str) -> Any:
        known = self.ischema_names.get(kind.partition("(")[0].lower(), NullType)
        return known() if isinstance(known, type) else known


def register() -> None:
    """Make `duckdb+buffered://` known to SQLAlchemy in this process."""
    registry.register("duckdb.buffered", __name__, BufferedDialect.__name__)
