"""The landing: append-only Parquet, all columns text, made visible by manifests that are written last and in one step.

A row exists only if a manifest names its commit, so a killed run leaves nothing behind that counts. What the records
mean is not known here.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.errors import LandingDamaged
from connectors.stream import Count, Field, Record, State, Stream

FORMAT = 3
READABLE_FORMATS = (1, 2, 3)
METADATA = ("_key", "_version", "_modified_at", "_deleted", "_commit_id", "_synced_at")
ALIKE: Any = ["_deleted", "_commit_id", "_synced_at"]
"""Columns with few different values, kept as a dictionary so that counting skims over them; the stubs know no list."""
CELLS_AT_ONCE = 500_000
"""So many values of records are collected before they become a table."""
BYTES_AT_ONCE = 8 << 20
"""What tables may hold before they go to the file, as one row group."""
KEYS_AT_ONCE = 20_000
"""Keys that leave DuckDB together."""
KEYS_IN_SLICE = 500_000
"""About how many keys are held against each other at a time: what bounds memory, at one scan of the keys for each."""
MEMORY_LIMIT = "192MB"
"""Of DuckDB, for looking at what has landed; beyond it spills to disk."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One commit of one stream: which files count, and where the next read goes on."""

    crm: str
    stream: str
    commit_id: str
    run_id: str
    read_id: str
    """The id of the read's first commit: the same for all its commits, also when a later run resumed it."""
    committed_at: str
    rows: int
    files: Sequence[str]
    columns: Sequence[str]
    state: State
    is_last: bool
    """The read this commit belongs to is finished."""
    is_complete: bool
    live_rows: int | None = None
    """Live records once this commit counts; None in manifests of format 1."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Every field the CRM showed, with the CRM's own word for its type."""
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What had changed of the fields since the commit before: `added`, `removed`, `retyped`."""
    read_whole_at: str | None = None
    """When the last read that listed every record began."""
    source_count: int | None = None
    source_count_exact: bool = True
    source_count_slack: int = 0
    missing_fields: Sequence[str] = ()
    unavailable: str | None = None
    """Why an optional stream could not be read."""
    as_of: str | None = None
    """The day for which it was read, never earlier than the one before; None in manifests of formats 1 and 2."""
    format: int = field(default=FORMAT)

    @property
    def day(self) -> date:
        """The first as-of day for which the commit counts: what is recomputed for an earlier one does not see it."""
        return date.fromisoformat(self.as_of or self.committed_at[:10])


def as_text(value: Any) -> str | None:
    """Render an API value as landed text; the empty string becomes null, since bulk files cannot tell them apart."""
    match value:
        case None | "":
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return f"{value:f}"
        case _:
            return json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True)
class StreamLanding:
    """The folder of one stream of one CRM."""

    home: Path
    crm: str
    stream: Stream

    @property
    def folder(self) -> Path:
        """`<home>/landing/<crm>/<stream>`."""
        return self.home / "landing" / self.crm / self.stream.name

    def declare(self) -> None:
        """Write the zero-row file that gives SQL every declared column, whatever the org has or lacks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "schema.parquet"
        schema = pa.schema([(name, pa.string()) for name in (*self.stream.columns, *METADATA)])
        if not path.exists() or pq.read_schema(path).names != schema.names:
            pq.write_table(schema.empty_table(), path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)

    def last_manifest(self) -> Manifest | None:
        """The newest commit, or None if nothing was ever committed."""
        paths = sorted((self.folder / "manifests").glob("*.json"))
        return _load(paths[-1]) if paths else None

    def drift_of(self, run_id: str) -> Mapping[str, Sequence[str]]:
        """What became of the CRM's fields at a run, over all its commits: `added`, `removed`, `retyped`."""
        changes: dict[str, list[str]] = {}
        for path in sorted((self.folder / "manifests").glob(f"*-{run_id}.json")):
            for kind, names in _load(path).drift.items():
                changes.setdefault(kind, []).extend(names)
        return changes

    def live_rows(self) -> int:
        """How many records are live."""
        last = self.last_manifest()
        if last is None:
            return 0
        return sum(map(len, self._keys(_LIVE))) if last.live_rows is None else last.live_rows

    def live_rows_with(self, parts: Sequence[Path]) -> int:
        """How many records will be live once the given files are committed."""
        if not parts:
            return self.live_rows()
        files = {"parts": [str(part) for part in parts]}
        if self.last_manifest() is None:
            return self._scalar(f"select count(*) from ({_LATEST_IN_PARTS}) where _deleted = 'false'", **files)
        return self.live_rows() + self._scalar(_GROWTH, **files)

    def unlisted(self, read_id: str, parts: Sequence[Path]) -> Iterator[Sequence[str]]:
        """Keys of live records that neither the given read nor the given files hold."""
        if _number(read_id) > 1:  # before the first read of all, nothing was there that it could miss
            listed = [str(path) for path in parts or [self.folder / "schema.parquet"]]
            yield from self._keys(_UNLISTED, first=_number(read_id), listed=listed)

    def compare(self, keys: Iterable[Sequence[str]]) -> "Comparison":
        """Hold the keys that the CRM lists against the live records."""
        listed = self.folder / "keys.part"
        try:
            with pq.ParquetWriter(listed, pa.schema([("_key", pa.string())])) as writer:
                for batch in keys:
                    writer.write_table(pa.table({"_key": pa.array(batch, pa.string())}))
            gone, lacking = (
                [key for batch in self._keys(query, listed=str(listed)) for key in batch] for query in (_GONE, _LACKING)
            )
        finally:
            listed.unlink(missing_ok=True)
        return Comparison(gone, lacking)

    def sweep(self) -> None:
        """Delete files of commits that were never finished."""
        for path in self.folder.glob("run=*/*"):
            commit_id = path.name.split(".")[0].rpartition("-")[0]
            if not (self.folder / "manifests" / f"{commit_id}.json").exists():
                path.unlink()

    def _parameters(self, query: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        known = {
            "files": f"{self.folder}/**/*.parquet",
            "manifests": f"{self.folder}/manifests/*.json",
            **given,
        }
        return {name: value for name, value in known.items() if f"${name}" in query}

    def _scalar(self, query: str, **given: Any) -> int:
        row = _database().execute(query, self._parameters(query, given)).fetchone()
        return int(row[0]) if row else 0

    def _keys(self, query: str, **given: Any) -> Iterator[list[str]]:
        """What a query for keys finds, slice by slice."""
        last = self.last_manifest()
        slices = 1 + (last.live_rows or 0 if last else 0) // KEYS_IN_SLICE
        for number in range(slices):
            cursor = _database().execute(query, self._parameters(query, {**given, "slices": slices, "slice": number}))
            while rows := cursor.fetchmany(KEYS_AT_ONCE):
                yield [key for (key,) in rows]


@dataclass(frozen=True)
class Comparison:
    """Where the CRM's keys and the landing's live ones differ."""

    gone: Sequence[str]
    """Live here, unknown there."""
    lacking: Sequence[str]
    """Known there, not live here."""


def _latest(rows: str) -> str:
    """Query for the latest state of each key: the highest, a delete outweighs the rest of its commit. Odd: deleted."""
    return f"""
        select _key, max(2 * split_part(_commit_id, '-', 1)::bigint + (_deleted = 'true')::bigint) as state
        from ({rows})
        where _key is not null
            and _commit_id in (select commit_id from read_json($manifests, columns = {{commit_id: 'varchar'}}))
        group by _key
    """


_LANDED = """
select _key, _commit_id, _deleted from read_parquet($files, union_by_name = true, hive_partitioning = false)
"""
_SLICE = "hash(_key) % $slices = $slice"
_LATEST = _latest(f"{_LANDED} where {_SLICE}")
_LISTED = f"select _key from read_parquet($listed) where _key is not null and {_SLICE}"
_LIVE = f"select _key from ({_LATEST}) where state % 2 = 0"
_UNLISTED = f"{_LIVE} and state < 2 * $first and _key not in ({_LISTED})"
_GONE = f"{_LIVE} and _key not in ({_LISTED})"
_LACKING = f"select distinct _key from ({_LISTED}) where _key not in ({_LIVE})"
_LATEST_IN_PARTS = """
select _key, max(_deleted) as _deleted from read_parquet($parts) where _key is not null group by _key
"""
_GROWTH = f"""
with touched as materialized ({_LATEST_IN_PARTS}),
before as materialized ({_LANDED} where _key in (select _key from touched)),
live_before as (select _key from ({_latest("from before")}) where state % 2 = 0)
select (select count(*) from touched where _deleted = 'false') - (select count(*) from live_before)
"""
"""Materialised, so that of all that has landed only what is touched is looked at more closely than by its key."""


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    spill = Path(gettempdir()) / "attain-landing"
    return duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(spill)})


def _database() -> duckdb.DuckDBPyConnection:
    """A cursor of this process's own DuckDB, which holds no data; each thread has to use its own."""
    cursor = _engine().cursor()
    cursor.execute("set enable_progress_bar = false")  # it would be drawn across ours
    return cursor


class CommitWriter:
    """Collects records of one stream and commits them, as often as the read allows."""

    def __init__(
        self, landing: StreamLanding, *, run_id: str, fields: Sequence[Field] = (), as_of: date | None = None
    ) -> None:
        previous = landing.last_manifest()
        self._landing = landing
        self._as_of = max(as_of or datetime.now(UTC).date(), previous.day if previous else date.min)
        self._run_id = run_id
        self._fields = {field.name: field.type for field in fields}
        self._columns = tuple(dict.fromkeys([*landing.stream.columns, *self._fields]))
        self._schema = pa.schema([(name, pa.string()) for name in (*self._columns, "_deleted")])
        self._previous = previous
        self._sequence = _number(previous.commit_id) if previous else 0
        self._start_commit()
        self._read_id = previous.read_id if previous and not previous.is_last else self._commit_id

    def restart_read(self) -> None:
        """Begin a read from nothing: what was listed before, also by an earlier run, does not count for it."""
        self._read_id = self._commit_id

    def write(self, records: Sequence[Record] | pa.Table) -> int:
        """Take records in, and tell how many; they do not exist for anybody until `commit`."""
        if isinstance(records, pa.Table):
            self._take(self._aligned(records))
            return int(records.num_rows)
        self._rows.extend(self._row(record) for record in records)
        if len(self._rows) * len(self._columns) >= CELLS_AT_ONCE:
            self._take_rows()
        return len(records)

    def delete(self, keys: Sequence[str]) -> None:
        """Mark records deleted."""
        self.write([{self._landing.stream.key: key, "_deleted": True} for key in keys])

    def delete_unlisted(self) -> None:
        """Mark deleted every live record that this read has not listed."""
        self._close_file()
        for keys in self._landing.unlisted(self._read_id, list(self._parts)):
            self.delete(keys)

    def commit(
        self,
        state: State,
        *,
        is_last: bool,
        is_complete: bool = False,
        read_whole_at: datetime | None = None,
        count: Count | None = None,
        unavailable: str | None = None,
    ) -> Manifest:
        """Make everything written since the last commit visible, in one step."""
        self._close_file()
        previous = self._previous
        manifest = Manifest(
            crm=self._landing.crm,
            stream=self._landing.stream.name,
            commit_id=self._commit_id,
            run_id=self._run_id,
            read_id=self._read_id,
            committed_at=datetime.now(UTC).isoformat(),
            rows=self._written,
            live_rows=self._landing.live_rows_with(self._parts),
            files=[self._publish(part) for part in self._parts],
            columns=self._columns,
            fields=self._fields or (previous.fields if previous else {}),
            drift=drift(previous.fields, self._fields) if previous else {},
            state=state,
            is_last=is_last,
            is_complete=is_complete,
            read_whole_at=read_whole_at.isoformat() if read_whole_at else previous.read_whole_at if previous else None,
            source_count=count.rows if count else None,
            source_count_exact=count.is_exact if count else True,
            source_count_slack=count.slack if count else 0,
            missing_fields=[name for name in self._landing.stream.fields if self._fields and name not in self._fields],
            unavailable=unavailable,
            as_of=self._as_of.isoformat(),
        )
        _save(manifest, self._landing.folder / "manifests" / f"{self._commit_id}.json")
        self._previous = manifest
        self._start_commit()
        return manifest

    def discard(self) -> None:
        """Drop what was written since the last commit."""
        if self._parquet:
            self._parquet.close()
        self._landing.sweep()

    def _start_commit(self) -> None:
        self._sequence += 1
        self._commit_id = f"{self._sequence:08d}-{self._run_id}"
        self._synced_at = datetime.now(UTC).isoformat()
        self._rows: list[dict[str, str | None]] = []
        self._tables: list[pa.Table] = []
        self._written = 0
        self._parts: list[Path] = []
        self._parquet: pq.ParquetWriter | None = None

    def _row(self, record: Record) -> dict[str, str | None]:
        values = {name: as_text(record.get(name)) for name in self._columns}
        return values | {"_deleted": "true" if record.get("_deleted") else "false"}

    def _take_rows(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            self._take(_table(rows, self._schema))

    def _aligned(self, table: pa.Table) -> pa.Table:
        """Give a table every column, in order; what it lacks is null, and not deleted."""
        blank = pa.nulls(table.num_rows, pa.string())
        columns = {name: table[name] if name in table.column_names else blank for name in self._schema.names}
        return pa.table(columns, schema=self._schema)

    def _take(self, table: pa.Table) -> None:
        self._tables.append(table)
        if sum(waiting.nbytes for waiting in self._tables) >= BYTES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Write what is waiting, with what every landed row carries besides the CRM's values."""
        self._take_rows()
        if not self._tables:
            return
        waiting, self._tables = pa.concat_tables(self._tables), []
        landed = self._with_metadata(waiting)
        if self._parquet is None:
            self._parquet = self._open_file(landed.schema)
        self._parquet.write_table(landed)
        self._written += landed.num_rows
        pa.default_memory_pool().release_unused()  # it would keep tens of megabytes from one table to the next

    def _with_metadata(self, table: pa.Table) -> pa.Table:
        stream, rows = self._landing.stream, table.num_rows
        blank: Any = pa.nulls(rows, pa.string())
        given: Any = table["_deleted"]
        deleted: Any = pc.fill_null(given, "false")
        content = table.set_column(table.num_columns - 1, "_deleted", deleted)
        metadata = {
            "_key": table[stream.key],
            "_version": _versions(content),
            "_modified_at": table[stream.cursor] if stream.cursor else blank,
            "_deleted": deleted,
            "_commit_id": pc.fill_null(blank, self._commit_id),
            "_synced_at": pc.fill_null(blank, self._synced_at),
        }
        return pa.table({name: table[name] for name in self._columns} | metadata)

    def _open_file(self, schema: pa.Schema) -> pq.ParquetWriter:
        folder = self._landing.folder / f"run={self._run_id}"
        folder.mkdir(parents=True, exist_ok=True)
        self._parts.append(folder / f"{self._commit_id}-{len(self._parts)}.part")
        return pq.ParquetWriter(self._parts[-1], schema, use_dictionary=ALIKE)

    def _close_file(self) -> None:
        self._flush()
        if self._parquet:
            self._parquet.close()
            self._parquet = None

    def _publish(self, part: Path) -> str:
        _sync_to_disk(part)
        path = part.replace(part.with_suffix(".parquet"))
        return str(path.relative_to(self._landing.folder))


def _number(commit_id: str) -> int:
    """Which commit of its stream it is."""
    return int(commit_id.split("-")[0])


def drift(before: Mapping[str, str], now: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
    """Tell what became of the fields of a stream, for people; empty if nothing did, or nothing is known of before."""
    if not before or not now:
        return {}
    changes = {
        "added": [name for name in now if name not in before],
        "removed": [name for name in before if name not in now],
        "retyped": [
            f"{name}: {before[name]} to {now[name]}" for name in now if before.get(name, now[name]) != now[name]
        ],
    }
    return {kind: names for kind, names in changes.items() if names}


def _versions(table: pa.Table) -> Any:
    """A hash of each row's content; a field that is null does not count, so a new field changes no old version.

    DuckDB does this many times faster than Python, and rows keep their order in it.
    """
    content = ", ".join(f"{_text(name + '=')} || {_name(name)}" for name in sorted(table.column_names))
    database = _database()
    database.register("waiting", table)
    return database.execute(f"select md5(concat_ws(chr(31), {content})) as v from waiting").to_arrow_table()["v"]


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _table(rows: Sequence[Mapping[str, str | None]], schema: pa.Schema) -> pa.Table:
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except UnicodeEncodeError:  # half an emoji, as some CRMs cut texts: no file format can hold it
        whole = [{name: _whole_characters(value) for name, value in row.items()} for row in rows]
        return pa.Table.from_pylist(whole, schema=schema)


def _whole_characters(value: str | None) -> str | None:
    return value and value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _load(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text())
        if content["format"] not in READABLE_FORMATS:
            raise ValueError(f"format {content['format']}")
        return Manifest(**content)
    except (ValueError, KeyError, TypeError) as error:
        raise LandingDamaged(
            f"{path} is not a manifest this version of Attain can read ({error}). Restore the file from a backup, "
            "or run the version that wrote it; do not delete it, or its rows are lost."
        ) from error


def _save(manifest: Manifest, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(manifest), indent=1))
    _sync_to_disk(part)
    part.replace(path)


def _sync_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
