"""What has landed held against a dump of the CRM it came from: record for record, value for value.

Expected values are told from the sandbox's records; neither connectors nor SQL of the product are asked for them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from connectors.sandbox.server import Sandbox
from connectors.sandbox.store import Kind
from connectors.stream import Stream

METADATA = frozenset({"_key", "_version", "_modified_at", "_deleted", "_commit_id", "_synced_at"})
LIVE = """
select * from (
    select * from read_parquet($files, union_by_name = true, hive_partitioning = false)
    where _commit_id in (select commit_id from read_json($manifests, columns = {commit_id: 'varchar'}))
    qualify row_number() over (
        partition by _key order by _commit_id desc, _deleted desc, _modified_at desc nulls last
    ) = 1
)
where _deleted = 'false'
order by _key
"""
DATABASE = duckdb.connect()
"""Holds no data."""


def live(home: Path, crm: str, stream: Stream) -> pa.Table:
    """The live records that are committed, by key; the same records are the same table."""
    folder = home / "landing" / crm / stream.name
    files = {"files": f"{folder}/**/*.parquet", "manifests": f"{folder}/manifests/*.json"}
    found = DATABASE.cursor().execute(LIVE, files).to_arrow_table()
    return found.select(sorted({*found.column_names} - METADATA | {"_key"}))


def uncommitted(home: Path) -> list[Path]:
    """Files with records that no manifest names."""
    named = {
        manifest.parent.parent / file
        for manifest in home.glob("landing/*/*/manifests/*.json")
        for file in json.loads(manifest.read_text())["files"]
    }
    return sorted(set(home.glob("landing/*/*/run=*/*")) - named)


@dataclass(frozen=True)
class Difference:
    """Where the landing is not as the CRM is."""

    crm: str
    stream: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.crm} {self.stream} {self.key}: {self.what}"


def differences(
    sandbox: Sandbox, home: Path, stream: Stream, but: frozenset[str] = frozenset()
) -> Iterator[Difference]:
    """What is missing, extra or stale; fields in `but` are not compared."""
    raise NotImplementedError


def plain(kind: Kind, value: Any) -> Any:
    """A value in a form that is equal whenever the value is."""
    if value is None or value == "":
        return None
    match kind:
        case Kind.NUMBER | Kind.INTEGER:
            return Decimal(str(value))
        case Kind.BOOLEAN:
            return str(value).lower()
        case Kind.DATE:
            return str(value)[:10]
        case Kind.TIMESTAMP:
            return instant(str(value))
        case _:
            return str(value)


def instant(text: str) -> datetime:
    """A moment, whether told in words or in milliseconds."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
