"""The gate's own DuckDB file: the committed landing of one CRM, laid out so that a rule is one line of SQL.

Tables, views and macros only. The file lives in a folder that the caller throws away; rows go from Parquet to it
without passing through Python, so memory stays within DuckDB's limit however large a stream is.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

MEMORY_LIMIT = "400MB"
"""What Great Expectations itself needs comes on top, and both together have to stay below 1 GiB."""

DELIVERED = "delivered"
"""The schema of the views that Great Expectations looks at, one for each stream."""

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
        connection.execute(
            "set timezone = 'UTC'; set preserve_insertion_order = false; set parquet_metadata_cache = true;"
            " set enable_progress_bar = false"
        )
        yield connection
    finally:
        connection.close()


def prepare(connection: duckdb.DuckDBPyConnection, as_of: date, fx_rates: Path | None = None) -> None:
    """Create the macros that rules are written in, and the table `fx_rates`: currency_code, valid_from, valid_to, rate.

    `as_of()` is the day the run stands for. Without a file of rates the table is empty.
    """
    connection.execute(f"create macro as_of() as date {text(as_of.isoformat())}")
    connection.execute(MACROS)
    connection.execute(
        "create table fx_rates (currency_code varchar, valid_from date, valid_to date, rate decimal(18, 8))"
    )
    if fx_rates:
        connection.execute(
            "insert into fx_rates select currency_code, valid_from, valid_to, rate_to_company"
            f" from read_csv({text(str(fx_rates))}, header = true, all_varchar = true)"
        )


@dataclass(frozen=True)
class Population:
    """What a stream's landing holds."""

    records: int
    """Live records: those whose latest version is not a deletion."""
    ever: int
    """Records that are live or were."""
    keyless: int
    """Live records without a key; all of them count as one."""
    rivalled: int
    """Live records of which one commit brought two versions that differ, with nothing to tell which is the later."""
    newest_at: datetime | None
    """When the live record changed last that changed last of all, in UTC."""


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The committed landing of one CRM in a DuckDB file, laid out stream by stream as far as rules ask for it."""

    connection: duckdb.DuckDBPyConnection
    landing: Path
    populations: dict[str, Population] = field(default_factory=dict)
    """What has been laid out so far, by stream."""
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows the tables have that have been filled so far."""

    def lay_out(self, stream: str) -> Population:
        """Create the views `landed_<stream>`, of all that was committed, and `live_<stream>`, of the live records.

        Raises:
            duckdb.Error: the landing cannot be read.

        """
        if stream not in self.populations:
            for statement in (_landed(self.landing / stream), _latest(stream), _live(stream)):
                self.connection.execute(statement)
            ((records, ever, keyless, rivalled, newest),) = self.connection.execute(_population(stream)).fetchall()
            newest_at = newest and newest.replace(tzinfo=UTC)
            self.populations[stream] = Population(records, ever, keyless, rivalled, newest_at)
        return self.populations[stream]

    def look_up(self, stream: str, named: Collection[str]) -> int:
        """Create the table `<stream>` of its live records, with the columns that `named` has; tells how many."""
        if stream not in self.rows:
            self.rows[stream] = self.lay_out(stream).records
            columns = self.connection.execute(f"describe {name('live_' + stream)}").fetchall()
            kept = [name(column) for column, *_ in columns if column == "_key" or column.lower() in named]
            self.connection.execute(
                f"create or replace table {name(stream)} as select {', '.join(kept)} from {name('live_' + stream)}"
            )
        return self.rows[stream]

    def know(self, stream: str) -> int:
        """Create the table `known_<stream>` of all keys ever landed; tells how many there are."""
        table = f"known_{stream}"
        if table not in self.rows:
            self.lay_out(stream)
            self.connection.execute(
                f"create or replace table {name(table)} as"
                f" select _key as key from {name('latest_' + stream)} where _key is not null"
            )
            self.rows[table] = count(self.connection, name(table))
        return self.rows[table]

    def turn_to(self, stream: str) -> None:
        """Let `live` stand for the live records of a stream."""
        self.connection.execute(f"create or replace view live as from {name('live_' + stream)}")

    def deliver(self, stream: str, missing_fields: Collection[str]) -> None:
        """Create the view `delivered.<stream>`: its live records, without the columns that the CRM does not have."""
        self.connection.execute(f"create schema if not exists {DELIVERED}")
        columns = self.connection.execute(f"describe {name('live_' + stream)}").fetchall()
        kept = [name(column) for column, *_ in columns if column not in missing_fields]
        self.connection.execute(
            f"create view {DELIVERED}.{name(stream)} as select {', '.join(kept)} from {name('live_' + stream)}"
        )


def _landed(folder: Path) -> str:
    """Every version of every record that a manifest has committed, with its file and the row's place in that."""
    committed = {path.stem for path in folder.glob("manifests/*.json")}
    files = [path for path in folder.glob("run=*/*.parquet") if path.stem.rpartition("-")[0] in committed]
    listed = ", ".join(text(str(path)) for path in (folder / "schema.parquet", *sorted(files)))
    return (
        f"create or replace view {name('landed_' + folder.name)} as"
        f" select *, file_index as _file, file_row_number as _row from read_parquet([{listed}],"
        " union_by_name = true, hive_partitioning = false)"
    )


def _latest(stream: str) -> str:
    """The latest version of every record, found without looking at what the CRM said of it."""
    return f"""
        create or replace table {name("latest_" + stream)} as
        select * exclude (place)
        from (
            select
                _key,
                _version,
                _file,
                _row,
                is_true(_deleted) as is_deleted,
                as_instant(_modified_at) as modified_at,
                row_number() over newest_first as place,
                coalesce(
                    lead(_version) over newest_first <> _version
                    and lead(_commit_id) over newest_first = _commit_id
                    and lead(_deleted) over newest_first = _deleted
                    and lead(_modified_at) over newest_first is not distinct from _modified_at,
                    false
                ) as is_rivalled,
            from {name("landed_" + stream)}
            window newest_first as (
                partition by _key
                order by _commit_id desc, _deleted desc, _modified_at desc nulls last, _version
            )
        )
        where place = 1
    """


def _live(stream: str) -> str:
    return f"""
        create or replace view {name("live_" + stream)} as
        select *
        from {name("landed_" + stream)}
        where (_file, _row) in (select (_file, _row) from {name("latest_" + stream)} where not is_deleted)
    """


def _population(stream: str) -> str:
    return f"""
        select
            count(*) filter (not is_deleted),
            count(*),
            count(*) filter (_key is null and not is_deleted),
            count(*) filter (is_rivalled and not is_deleted),
            max(modified_at) filter (not is_deleted),
        from {name("latest_" + stream)}
    """


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
