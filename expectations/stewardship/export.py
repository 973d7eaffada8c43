"""The stewards' database as Parquet, for dbt and the report: incidents, waivers, actions.

Rewritten whole after the gates of a run, each file in one step; what stands in them is decided elsewhere.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from more_itertools import batched
from sqlalchemy import Engine, select

from expectations.stewardship.exemptions import waiver_from
from expectations.stewardship.lifecycle import incident_name
from expectations.stewardship.state import reading
from expectations.stewardship.tables import action, incident, waiver

AT_ONCE = 5_000
"""Rows that are held in memory together."""

_TEXT, _DAY, _MONEY = pa.string(), pa.date32(), pa.decimal128(18, 4)
_INSTANT = pa.timestamp("us")
"""In UTC."""


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


INCIDENTS = _schema(
    incident_id=_TEXT,
    queue=_TEXT,
    crm=_TEXT,
    stream=_TEXT,
    key=_TEXT,
    other_key=_TEXT,
    rule=_TEXT,
    dimension=_TEXT,
    severity=_TEXT,
    reason=_TEXT,
    state=_TEXT,
    resolution=_TEXT,
    comment=_TEXT,
    assignee=_TEXT,
    occurred_at=_INSTANT,
    opened_at=_INSTANT,
    opened_run=_TEXT,
    acknowledged_at=_INSTANT,
    assigned_at=_INSTANT,
    resolved_at=_INSTANT,
    due_at=_INSTANT,
    last_seen_at=_INSTANT,
    amount_at_risk=_MONEY,
    pipeline_at_risk=_MONEY,
    payout_at_risk=_MONEY,
    waiver_id=_TEXT,
)
WAIVERS = _schema(
    waiver_id=_TEXT,
    kind=_TEXT,
    rule=_TEXT,
    crm=_TEXT,
    stream=_TEXT,
    key=_TEXT,
    version=_TEXT,
    reason=_TEXT,
    comment=_TEXT,
    requested_by=_TEXT,
    requested_at=_INSTANT,
    approved_by=_TEXT,
    approved_at=_INSTANT,
    expires_on=_DAY,
    ended_at=_INSTANT,
    ended_by=_TEXT,
    state=_TEXT,
)
ACTIONS = _schema(
    action_id=pa.int64(),
    at=_INSTANT,
    actor=_TEXT,
    action=_TEXT,
    subject=_TEXT,
    before=_TEXT,
    after=_TEXT,
    comment=_TEXT,
    run_id=_TEXT,
)

Row = Mapping[Any, Any]


def _incident(row: Row) -> dict[str, Any]:
    return {**row, "incident_id": incident_name(row["id"])}


def _waiver(row: Row) -> dict[str, Any]:
    return {**row, "waiver_id": waiver_from(row).waiver_id}


def _action(row: Row) -> dict[str, Any]:
    texts = {name: json.dumps(row[name], ensure_ascii=False) if row[name] is not None else None for name in _JSON}
    return {**row, **texts, "action_id": row["id"]}


_JSON = ("before", "after")
_FILES: Mapping[str, tuple[pa.Schema, Any, Callable[[Row], dict[str, Any]]]] = {
    "incidents": (INCIDENTS, incident, _incident),
    "waivers": (WAIVERS, waiver, _waiver),
    "actions": (ACTIONS, action, _action),
}


def file_of(home: Path, name: str) -> Path:
    """Where `incidents`, `waivers` or `actions` lie."""
    return home / "quality" / "steward" / f"{name}.parquet"


def declare(home: Path) -> None:
    """Give SQL an empty file for whatever has not been exported yet."""
    for name, (schema, _, _) in _FILES.items():
        if not file_of(home, name).exists():
            _write(file_of(home, name), schema, iter(()))


def export(home: Path, engine: Engine) -> None:
    """Write all three files anew, as they were at one moment."""
    with reading(engine) as connection:
        for name, (schema, table, shaped) in _FILES.items():
            query = select(table).order_by(table.c.id).execution_options(yield_per=AT_ONCE)
            rows = map(shaped, connection.execute(query).mappings())
            _write(file_of(home, name), schema, rows)


def _write(path: Path, schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with pq.ParquetWriter(fresh, schema) as writer:
        for batch in batched(rows, AT_ONCE):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
    fresh.replace(path)
