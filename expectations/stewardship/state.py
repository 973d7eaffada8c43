"""Opens the stewards' database and gives out its transactions: many readers, one writer at a time.

The tables are in `tables`; which changes are allowed is in `lifecycle` and `exemptions`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from expectations.stewardship.tables import VERSION, guards, metadata, schema_version

WAIT_SECONDS = 60
"""How long a writer waits for the one before it."""
_CREATION = 4_711_000_001
"""The lock under which PostgreSQL lets one process create the tables."""


class StateUnusable(Exception):
    """The stewards' database cannot be opened, or is of another version."""


def open_state(url: str) -> Engine:
    """Connect to the stewards' database, and create its tables if it has none.

    Raises:
        StateUnusable: it cannot be reached, or another version of Attain keeps it.

    """
    try:
        engine = _engine(url)
        with ExitStack() as undo:
            undo.callback(engine.dispose)
            with writing(engine, lock=False) as connection:
                _create(connection)
            undo.pop_all()
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise StateUnusable(f"The stewards' database {_shown(url)} cannot be used: {cause}") from error
    return engine


def _shown(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "(ATTAIN_STATE_URL)"


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": WAIT_SECONDS})
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions_to_us(connection: object, record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # the driver would begin too late to read safely


def _begin(connection: Connection) -> None:
    """Take SQLite's write lock at once: a reader that becomes a writer later is turned away instead of waiting."""
    reads = connection.get_execution_options().get("attain_reads", False)
    connection.exec_driver_sql("begin deferred" if reads else "begin immediate")


def _create(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _CREATION})
    if not inspect(connection).has_table(schema_version.name):
        metadata.create_all(connection)
        for guard in guards(connection.dialect.name):
            connection.exec_driver_sql(guard)
        connection.execute(insert(schema_version).values(version=VERSION))
    found = connection.scalar(select(schema_version.c.version))
    if found != VERSION:
        raise StateUnusable(
            f"The stewards' database has tables of version {found}, and this Attain needs {VERSION}. "
            "Use the Attain that wrote it, or name another database in ATTAIN_STATE_URL."
        )


@contextmanager
def writing(engine: Engine, *, lock: bool = True) -> Iterator[Connection]:
    """Begin the one transaction that may write now; it is rolled back if anything goes wrong within.

    Others that write wait. On SQLite the engine sees to that; on PostgreSQL all writers lock the same row first, so
    what a writer reads stays true until it commits, and no two of them can deadlock.
    """
    with engine.begin() as connection:
        if lock and connection.dialect.name == "postgresql":
            connection.execute(text(f"set local lock_timeout = '{WAIT_SECONDS}s'"))
            connection.execute(select(schema_version.c.version).with_for_update())
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a connection that sees one state of the database, and changes nothing."""
    with engine.connect() as connection:
        options = {"attain_reads": True}
        if connection.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # type: ignore[assignment]
        yield connection.execution_options(**options)
