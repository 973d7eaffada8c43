"""The landing: append-only Parquet, all columns text, made visible by manifests that are written last and in one step.

A row exists only if a manifest names its commit, so a killed run leaves nothing behind that counts. What the records
mean is not known here.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.errors import LandingDamaged
from connectors.stream import Count, Record, State, Stream

FORMAT = 1
METADATA = ("_key", "_version", "_modified_at", "_deleted", "_commit_id", "_synced_at")
ROWS_PER_ROW_GROUP = 20_000


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
    source_count: int | None = None
    source_count_exact: bool = True
    source_count_slack: int = 0
    missing_fields: Sequence[str] = ()
    unavailable: str | None = None
    """Why an optional stream could not be read."""
    format: int = field(default=FORMAT)


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


def version_of(values: Sequence[tuple[str, str | None]], deleted: str) -> str:
    """Hash a record's content; a column that is null does not count, so a new column changes no old version."""
    content = json.dumps([pair for pair in sorted(values) if pair[1] is not None] + [["_deleted", deleted]])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


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

    @property
    def schema(self) -> pa.Schema:
        """All columns, all text."""
        return pa.schema([(name, pa.string()) for name in (*self.stream.columns, *METADATA)])

    def declare(self) -> None:
        """Write the zero-row file that gives SQL every declared column, whatever the org has or lacks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "schema.parquet"
        if not path.exists() or pq.read_schema(path).names != self.schema.names:
            pq.write_table(self.schema.empty_table(), path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)

    def last_manifest(self) -> Manifest | None:
        """The newest commit, or None if nothing was ever committed."""
        paths = sorted((self.folder / "manifests").glob("*.json"))
        return _load(paths[-1]) if paths else None

    def live_keys(self, *, not_in_read: str = "", nor_in: Sequence[Path] = ()) -> Iterator[list[str]]:
        """Batches of keys whose latest version is not deleted.

        Keys that the given read has listed, or that the given files hold, are left out.
        """
        if self.last_manifest() is None:
            return
        parameters = {
            "files": f"{self.folder}/**/*.parquet",
            "manifests": f"{self.folder}/manifests/*.json",
            "read_id": not_in_read,
            "listed": [str(path) for path in nor_in or [self.folder / "schema.parquet"]],
        }
        with duckdb.connect() as db:
            cursor = db.execute(_LIVE_KEYS, parameters)
            while rows := cursor.fetchmany(ROWS_PER_ROW_GROUP):
                yield [key for (key,) in rows]

    def live_rows(self) -> int:
        """How many records are live."""
        return sum(map(len, self.live_keys()))

    def sweep(self) -> None:
        """Delete files of commits that were never finished."""
        for path in self.folder.glob("run=*/*"):
            commit_id = path.name.split(".")[0].rpartition("-")[0]
            if not (self.folder / "manifests" / f"{commit_id}.json").exists():
                path.unlink()


_LIVE_KEYS = """
with commits as (
    select commit_id, read_id
    from read_json($manifests, columns = {commit_id: 'varchar', read_id: 'varchar'})
),
versions as (
    select _key, _deleted, read_id, row_number() over (
        partition by _key order by _commit_id desc, _deleted desc, _modified_at desc nulls last
    ) as recency
    from read_parquet($files, union_by_name = true, hive_partitioning = false)
    inner join commits on commit_id = _commit_id
)
select _key
from versions
where recency = 1
    and _deleted = 'false'
    and _key is not null
    and read_id != $read_id
    and _key not in (select _key from read_parquet($listed) where _key is not null)
"""


class CommitWriter:
    """Collects records of one stream and commits them, as often as the read allows."""

    def __init__(self, landing: StreamLanding, *, run_id: str, missing_fields: Sequence[str] = ()) -> None:
        previous = landing.last_manifest()
        self._landing = landing
        self._run_id = run_id
        self._missing_fields = missing_fields
        self._sequence = int(previous.commit_id.split("-")[0]) if previous else 0
        self._start_commit()
        self._read_id = previous.read_id if previous and not previous.is_last else self._commit_id

    def restart_read(self) -> None:
        """Begin a read from nothing: what was listed before, also by an earlier run, does not count for it."""
        self._read_id = self._commit_id

    def write(self, records: Sequence[Record]) -> None:
        """Take records in; they do not exist for anybody until `commit`."""
        self._rows.extend(self._row(record) for record in records)
        if len(self._rows) >= ROWS_PER_ROW_GROUP:
            self._flush()

    def delete_unlisted(self) -> None:
        """Mark deleted every live record that this read has not listed."""
        self._close_file()
        for keys in self._landing.live_keys(not_in_read=self._read_id, nor_in=self._parts):
            self.write([{self._landing.stream.key: key, "_deleted": True} for key in keys])

    def commit(
        self,
        state: State,
        *,
        is_last: bool,
        is_complete: bool = False,
        count: Count | None = None,
        unavailable: str | None = None,
    ) -> Manifest:
        """Make everything written since the last commit visible, in one step."""
        self._close_file()
        manifest = Manifest(
            crm=self._landing.crm,
            stream=self._landing.stream.name,
            commit_id=self._commit_id,
            run_id=self._run_id,
            read_id=self._read_id,
            committed_at=datetime.now(UTC).isoformat(),
            rows=self._written,
            files=[self._publish(part) for part in self._parts],
            columns=self._landing.stream.columns,
            state=state,
            is_last=is_last,
            is_complete=is_complete,
            source_count=count.rows if count else None,
            source_count_exact=count.is_exact if count else True,
            source_count_slack=count.slack if count else 0,
            missing_fields=self._missing_fields,
            unavailable=unavailable,
        )
        _save(manifest, self._landing.folder / "manifests" / f"{self._commit_id}.json")
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
        self._written = 0
        self._parts: list[Path] = []
        self._parquet: pq.ParquetWriter | None = None

    def _row(self, record: Record) -> dict[str, str | None]:
        stream = self._landing.stream
        values = {name: as_text(record.get(name)) for name in stream.columns}
        deleted = "true" if record.get("_deleted") else "false"
        return values | {
            "_key": values[stream.key],
            "_version": version_of(list(values.items()), deleted),
            "_modified_at": values[stream.cursor] if stream.cursor else None,
            "_deleted": deleted,
            "_commit_id": self._commit_id,
            "_synced_at": self._synced_at,
        }

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._parquet is None:
            folder = self._landing.folder / f"run={self._run_id}"
            folder.mkdir(parents=True, exist_ok=True)
            self._parts.append(folder / f"{self._commit_id}-{len(self._parts)}.part")
            self._parquet = pq.ParquetWriter(self._parts[-1], self._landing.schema)
        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._landing.schema))
        self._written += len(self._rows)
        self._rows = []

    def _close_file(self) -> None:
        self._flush()
        if self._parquet:
            self._parquet.close()
            self._parquet = None

    def _publish(self, part: Path) -> str:
        _sync_to_disk(part)
        path = part.replace(part.with_suffix(".parquet"))
        return str(path.relative_to(self._landing.folder))


def _load(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
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
