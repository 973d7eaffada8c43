"""The gate's own DuckDB file: the committed landing of one stream, laid out so that a rule is one line of SQL.

Tables and macros only. The file lives in a folder that the caller throws away; rows go from Parquet to it without
passing through Python, so memory stays within DuckDB's limit however large the stream is.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

MEMORY_LIMIT = "1GB"

MACROS = r"""
create macro as_decimal(value) as case
    when contains(value, ',') then case
        when regexp_full_match(value, '\s*[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\s*')
            then try_cast(replace(value, ',', '') as decimal(18, 4)) end
    else try_cast(value as decimal(18, 4)) end;
create macro as_instant(value) as case
    when regexp_full_match(value, '-?[0-9]{10,13}') then epoch_ms(try_cast(value as bigint))
    when regexp_matches(value, '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]|$)')
        then try_cast(value as timestamptz) at time zone 'UTC' end;
create macro as_day(value) as case
    when regexp_full_match(value, '[0-9]{4}-[0-9]{2}-[0-9]{2}') then try_cast(value as date)
    when as_instant(value) is not null and not regexp_full_match(value, '-?[0-9]+')
        then try_cast(left(value, 10) as date) end;
create macro as_boolean(value) as try_cast(value as boolean);
create macro is_true(value) as coalesce(try_cast(value as boolean), false);
create macro as_ids(value) as try(from_json(value, '["VARCHAR"]'));
create macro latest_day(synced_at) as greatest(as_of(), as_instant(synced_at)::date) + 1;
create macro is_email(value) as regexp_full_match(value, '[^@\s]+@[^@\s]+\.[^@\s.]+');
"""
"""How landed text is read. dbt's staging accepts exactly the same, so what passes the gate will cast there.

`latest_day`: no closed deal can be dated later. The run's day alone would not do: a run that recomputes a past day sees
deals closed since. A day is added for users ahead of UTC."""


@contextmanager
def connect(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a scratch file, within the memory limit, spilling beside it."""
    connection = duckdb.connect(
        database, config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(database.with_suffix(".spill"))}
    )
    try:
        connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
        yield connection
    finally:
        connection.close()


def prepare(connection: duckdb.DuckDBPyConnection, as_of: str) -> None:
    """Create the macros that rules are written in; `as_of()` is the day the run stands for."""
    connection.execute(f"create macro as_of() as date {text(as_of)}")
    connection.execute(MACROS)


def add_landed(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create the view `landed_<stream>`: every version of every record that a manifest has committed."""
    commits = [path.stem for path in sorted((folder / "manifests").glob("*.json"))]
    connection.execute(f"create table {name('commits_' + folder.name)} (commit_id varchar)")
    if commits:
        values = ", ".join(f"({text(commit)})" for commit in commits)
        connection.execute(f"insert into {name('commits_' + folder.name)} values {values}")
    connection.execute(
        f"create view {name('landed_' + folder.name)} as"
        f" select * from read_parquet({text(str(folder / '**' / '*.parquet'))},"
        " union_by_name = true, hive_partitioning = false)"
        f" where _commit_id in (select commit_id from {name('commits_' + folder.name)})"
    )


def add_live(connection: duckdb.DuckDBPyConnection, stream: str, table: str) -> int:
    """Create a table of the latest version of every record that is not deleted; returns how many there are."""
    connection.execute(f"create table {name(table)} as select * from ({_latest(stream)}) where not is_true(_deleted)")
    return count(connection, name(table))


def _latest(stream: str) -> str:
    return (
        f"select * from {name('landed_' + stream)} qualify row_number() over"
        " (partition by _key order by _commit_id desc, _deleted desc, _modified_at desc nulls last, _version) = 1"
    )


def add_known(connection: duckdb.DuckDBPyConnection, stream: str) -> int:
    """Create the table `known_<stream>` of all keys ever landed; returns how many there are."""
    connection.execute(
        f"create table {name('known_' + stream)} as"
        f" select distinct _key as key from {name('landed_' + stream)} where _key is not null"
    )
    return count(connection, name("known_" + stream))


def add_delivered(connection: duckdb.DuckDBPyConnection, missing_fields: Collection[str]) -> None:
    """Create the view `delivered`: the live records without the columns that the CRM does not have."""
    present = {row[0] for row in connection.execute("describe live").fetchall()}
    absent = [name(field) for field in missing_fields if field in present]
    exclude = f" exclude ({', '.join(absent)})" if absent else ""
    connection.execute(f"create view delivered as select *{exclude} from live")


def add_older(connection: duckdb.DuckDBPyConnection, stream: str, keys: str) -> int:
    """Create the table `older` of all earlier versions of the records whose keys a query gives."""
    connection.execute(
        f"create table older as select * from {name('landed_' + stream)} as record"
        f" where _key in ({keys}) and not is_true(_deleted)"
        " and not exists (select 1 from live where live._key = record._key and live._version = record._version)"
        " qualify row_number() over (partition by _key, _version order by _commit_id desc) = 1"
    )
    return count(connection, "older")


def had_rows(connection: duckdb.DuckDBPyConnection, stream: str) -> bool:
    """Whether any record of the stream was ever live."""
    landed = name("landed_" + stream)
    row = connection.execute(f"select exists (select 1 from {landed} where not is_true(_deleted))").fetchone()
    return bool(row and row[0])


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Count the rows of a table, which is given as SQL."""
    row = connection.execute(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0


def name(identifier: str) -> str:
    """Quote an identifier for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"
