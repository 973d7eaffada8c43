"""A simulated company in Parquet files: one file for each class of record, however many there are.

Values within values (lines, history, prices, custom fields) are JSON text; the truth about the company is in `truth`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.sandbox.company import Record
from connectors.sandbox.simulation.life import CLASSES
from connectors.sandbox.simulation.simulation import Simulation

BATCH = 5_000
MONEY = pa.decimal128(20, 2)
TYPES: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    float: pa.float64(),
    Decimal: MONEY,
    date: pa.date32(),
    datetime: pa.timestamp("us", "UTC"),
}


class ParquetFile:
    """A file that rows are added to one by one and that never holds more than a batch of them in memory."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[Sequence[Any]] = []

    def add(self, row: Sequence[Any]) -> None:
        """Add a row: values in the order of the columns."""
        self._rows.append(row)
        if len(self._rows) == BATCH:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in self._schema)
        arrays = [pa.array(list(values), field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()

    def __enter__(self) -> "ParquetFile":
        """The open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and close."""
        self._flush()
        self._writer.close()


def write(simulation: Simulation, folder: Path) -> dict[str, int]:
    """Write the records of all CRMs as they are when the sandbox opens; returns how many of each class."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {kind: _Sheet(kind) for kind in CLASSES}
    counts = dict.fromkeys((sheet.name for sheet in sheets.values()), 0)
    with ExitStack() as stack:
        files = {
            kind: stack.enter_context(ParquetFile(folder / f"{sheet.name}.parquet", sheet.schema))
            for kind, sheet in sheets.items()
        }
        for crm in simulation.crms:
            for record in simulation.records(crm):
                kind = type(record)
                files[kind].add(sheets[kind].row(crm, record))
                counts[sheets[kind].name] += 1
    return counts


class _Sheet:
    """How records of one class become rows."""

    def __init__(self, kind: type) -> None:
        hints = get_type_hints(kind)
        self.name = kind.__name__.lower()
        self._fields = [field.name for field in fields(kind) if field.name != "crm"]
        types = {name: _type(hints[name]) for name in self._fields}
        self._convert: dict[str, Callable[[Any], Any]] = {
            name: as_json if type is None else _plain for name, type in types.items()
        }
        self.schema = pa.schema({"crm": pa.string(), **{name: type or pa.string() for name, type in types.items()}})

    def row(self, crm: str, record: Record) -> list[Any]:
        return [crm, *(self._convert[name](getattr(record, name)) for name in self._fields)]


def _type(hint: Any) -> pa.DataType | None:
    """The type of a column, or None for what becomes JSON."""
    options = [option for option in get_args(hint) if option is not type(None)]
    plain = options[0] if len(options) == 1 and hint.__class__.__name__ == "UnionType" else hint
    if isinstance(plain, type) and issubclass(plain, StrEnum):
        return pa.string()
    return TYPES.get(plain)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def as_json(value: Any) -> str:
    """Any value of a record, or a record, as JSON text: decimals as text, moments in ISO 8601."""
    return json.dumps(value, default=_simple, ensure_ascii=False)


def _simple(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return {field.name: getattr(value, field.name) for field in fields(value)}


def write_rows(path: Path, columns: Mapping[str, tuple[Any, str]], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows to a file whose columns have a type and a description, which readers find in the file."""
    schema = pa.schema(
        pa.field(name, TYPES[type], metadata={"description": description})
        for name, (type, description) in columns.items()
    )
    with ParquetFile(path, schema) as file:
        for row in rows:
            file.add(row)
