"""What the gates found: one Parquet file per run and CRM, one row per rule, and Great Expectations' own words.

Written for `attain status`, the quality marts and the report; the one thing that a gate reads back is what is usual.
"""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.declared import Past
from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status

_COLUMNS: Mapping[str, pa.DataType] = {
    "crm": pa.string(),
    "stream": pa.string(),
    "run_id": pa.string(),
    "as_of": pa.date32(),
    "checked_at": pa.timestamp("us"),
    "records": pa.int64(),
    "newest_at": pa.timestamp("us"),
    "source_count": pa.int64(),
    "rule": pa.string(),
    "dimension": pa.string(),
    "severity": pa.string(),
    "status": pa.string(),
    "reason": pa.string(),
    "evaluated": pa.int64(),
    "failed": pa.int64(),
    "quarantined": pa.int64(),
    "superseded": pa.int64(),
    "fields": pa.list_(pa.string()),
    "sample_keys": pa.list_(pa.string()),
    "detail": pa.string(),
    "waiver_id": pa.string(),
    "blocks": pa.bool_(),
}
SCHEMA = pa.schema(_COLUMNS)
"""One row per run, CRM, stream and rule. Instants are in UTC; counts without a rule's name are the stream's."""

NIGHTS = 14
"""So many nights say what is usual."""
NIGHTS_FOR_NEWS = 5
"""Fewer say nothing about how long a stream is quiet now and then."""
RUNS_LOOKED_AT = 60
"""Nights that went wrong do not count, so more than `NIGHTS` are read; not all of them, or a year would take long."""


def file_of(home: Path, run_id: str, crm: str) -> Path:
    """Where the results of a CRM's gates, or of the one on the marts (`warehouse`), lie."""
    return _folder(home) / run_id / f"{crm}.parquet"


def _folder(home: Path) -> Path:
    return home / "quality" / "results"


def declare(home: Path) -> None:
    """Write the file without rows that gives SQL the columns before any gate has run."""
    path = _folder(home) / "schema.parquet"
    if not path.exists() or not pq.read_schema(path).equals(SCHEMA):
        _write(path, SCHEMA.empty_table())


def save(home: Path, results: Sequence[GateResult]) -> Path:
    """Keep what the gates of one run and CRM found; what was kept of the same two is replaced, in one step."""
    rows = [_row(result, check) for result in results for check in result.checks]
    path = file_of(home, results[0].run_id, results[0].crm)
    _write(path, pa.Table.from_pylist(rows, schema=SCHEMA))
    return path


def save_document(home: Path, result: GateResult, document: Mapping[str, Any]) -> Path:
    """Keep Great Expectations' own result for a stream on which something failed: Data Docs are made from it."""
    path = _folder(home) / result.run_id / "gx" / f"{result.crm}.{result.stream}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(document), encoding="utf-8")
    return fresh.replace(path)


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, fresh)
    fresh.replace(path)


def _row(result: GateResult, check: CheckResult) -> dict[str, Any]:
    return {
        "crm": result.crm,
        "stream": result.stream,
        "run_id": result.run_id,
        "as_of": result.as_of,
        "checked_at": _naive(result.checked_at),
        "records": result.records,
        "newest_at": _naive(result.newest_at),
        "source_count": result.source_count,
        "rule": check.rule,
        "dimension": str(check.dimension),
        "severity": str(check.severity),
        "status": str(check.status),
        "reason": check.reason,
        "evaluated": check.evaluated,
        "failed": check.failed,
        "quarantined": result.quarantined,
        "superseded": result.superseded,
        "fields": list(check.fields),
        "sample_keys": list(check.sample_keys),
        "detail": check.detail,
        "waiver_id": check.waiver_id,
        "blocks": check.blocks,
    }


def _naive(instant: datetime | None) -> datetime | None:
    return instant and instant.astimezone(UTC).replace(tzinfo=None)


def load(path: Path) -> tuple[GateResult, ...]:
    """Read back what the gates of one run and CRM found."""
    rows = pq.read_table(path, schema=SCHEMA).to_pylist()
    return tuple(_result(list(group)) for _, group in groupby(rows, key=lambda row: row["stream"]))


def _result(rows: Sequence[Mapping[str, Any]]) -> GateResult:
    first = rows[0]
    return GateResult(
        **{column: first[column] for column in ("crm", "stream", "run_id", "as_of", "records", "source_count")},
        checked_at=first["checked_at"].replace(tzinfo=UTC),
        newest_at=first["newest_at"] and first["newest_at"].replace(tzinfo=UTC),
        quarantined=first["quarantined"],
        superseded=first["superseded"],
        checks=tuple(map(_check, rows)),
    )


def _check(row: Mapping[str, Any]) -> CheckResult:
    return CheckResult(
        **{column: row[column] for column in ("rule", "reason", "evaluated", "failed", "detail", "waiver_id")},
        dimension=Dimension(row["dimension"]),
        severity=Severity(row["severity"]),
        status=Status(row["status"]),
        fields=tuple(row["fields"]),
        sample_keys=tuple(row["sample_keys"]),
    )


def latest_results(home: Path) -> tuple[GateResult, ...]:
    """Give the newest result of every gate, by CRM and stream."""
    files = [path for path in _folder(home).glob("*/[!.]*.parquet")]
    if not files:
        return ()
    with duckdb.connect() as connection:
        newest = connection.execute(
            "select filename, list(distinct stream) from ("
            " select filename, crm, stream from read_parquet($files, filename = true)"
            " qualify row_number() over (partition by crm, stream order by checked_at desc, run_id desc) = 1"
            ") group by filename",
            {"files": [str(path) for path in files]},
        ).fetchall()
    found = (result for path, streams in newest for result in load(Path(path)) if result.stream in streams)
    return tuple(sorted(found, key=lambda result: (result.crm, result.stream)))


def usual(home: Path, crm: str, *, besides: str) -> Mapping[str, Past]:
    """What the nights before say is usual, by stream; the run `besides` and nights that went wrong do not count."""
    runs = sorted((path for path in _folder(home).glob("*") if path.name != besides), reverse=True)
    files = [path for path in (run / f"{crm}.parquet" for run in runs) if path.exists()][:RUNS_LOOKED_AT]
    if not files:
        return {}
    with duckdb.connect() as connection:
        rows = connection.execute(_USUAL, {"files": [str(path) for path in files]}).fetchall()
    return {stream: Past(*usually) for stream, *usually in rows}


_USUAL = f"""
with nights as (
    select *, row_number() over (partition by stream, rule order by checked_at desc) as nights_ago
    from read_parquet($files)
    where rule = 'complete'
        or (rule = 'volume' and status in ('passed', 'waived'))
        or (rule = 'fresh' and status in ('passed', 'waived', 'skipped') and newest_at is not null)
)

select
    stream,
    median(records) filter (rule = 'volume') as records,
    case when count(*) filter (rule = 'fresh') >= {NIGHTS_FOR_NEWS}
        then max(checked_at - newest_at) filter (rule = 'fresh') end as quiet,
    coalesce(bool_or(source_count is not null) filter (rule = 'complete'), false) as was_counted,
from nights
where nights_ago <= {NIGHTS}
group by stream
"""
