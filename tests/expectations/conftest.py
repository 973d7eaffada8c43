"""Small landings, laid out as the landing writer lays them out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.stream import Stream
from expectations.declared import SourceReport
from expectations.gate import MONEY, RULES, check_crm
from expectations.rule import GateResult, Rule, Worth
from orchestration import settings

STREAMS = {crm: {stream.name: stream for stream in streams} for crm, streams in settings.STREAMS.items()}
METADATA = ("_key", "_version", "_modified_at", "_deleted", "_commit_id", "_synced_at")
AS_OF = date(2026, 8, 14)
FX_RATES = Path(__file__).parents[2] / "dbt_project" / "seeds" / "fx_rates.csv"

Row = Mapping[str, str | None]


@dataclass
class Landing:
    """A home folder to which rows are committed; a stream gets its empty schema once something is to read it."""

    home: Path
    commits: int = field(default=0)

    def commit(self, crm: str, name: str, rows: Sequence[Row], *, deleted: bool = False, manifest: bool = True) -> str:
        """Land rows as one commit; without a manifest, as a run that was killed leaves them."""
        stream = STREAMS[crm][name]
        self._declare(crm, name)
        self.commits += 1
        run_id = f"run{self.commits}"
        commit_id = f"{self.commits:08d}-{run_id}"
        folder = self._folder(crm, name)
        landed = [self._landed(stream, row, commit_id, deleted) for row in rows]
        self._write(stream, folder / f"run={run_id}" / f"{commit_id}-0.parquet", landed)
        if manifest:
            path = folder / "manifests" / f"{commit_id}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"commit_id": commit_id, "rows": len(rows)}))
        return commit_id

    def check(
        self,
        crm: str,
        name: str,
        *,
        report: SourceReport | None = None,
        rules: Sequence[Rule] | None = None,
        **options: Any,
    ) -> GateResult:
        """Run the gate of one stream; `rules` replaces the CRM's own."""
        for read in {name, *self.looked_up(crm, name), *(target for rule in rules or () for target in rule.reads)}:
            self._declare(crm, read)
        (result,) = check_crm(
            self.home,
            crm,
            [STREAMS[crm][name]],
            {name: report} if report else {},
            rules=None if rules is None else {name: rules},
            **{"run_id": f"gate{self.commits}", "as_of": AS_OF, "fx_rates": FX_RATES, **options},
        )
        return result

    def looked_up(self, crm: str, name: str) -> set[str]:
        """Name the streams that the stream's gate reads besides it."""
        rules = RULES[crm].get(name, ())
        read = {target for rule in rules for target in rule.reads}
        return read.union(STREAMS[crm][name].references.values(), MONEY[crm].get(name, Worth()).looks_up)

    def quarantine(self, crm: str, name: str) -> list[dict[str, Any]]:
        """Read the stream's quarantine."""
        return pq.read_table(self.home / "quality" / "quarantine" / crm / f"{name}.parquet").to_pylist()

    def _folder(self, crm: str, name: str) -> Path:
        return self.home / "landing" / crm / name

    def _declare(self, crm: str, name: str) -> None:
        path = self._folder(crm, name) / "schema.parquet"
        if not path.exists():
            self._write(STREAMS[crm][name], path, [])

    def _landed(self, stream: Stream, row: Row, commit_id: str, deleted: bool) -> dict[str, str | None]:
        content = {column: row.get(column) for column in stream.columns}
        assert not row.keys() - content.keys(), "a row with a column that the stream does not have"
        return {
            **content,
            "_key": row.get(stream.key),
            "_version": hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16],
            "_modified_at": content.get(stream.cursor) if stream.cursor else None,
            "_deleted": str(deleted).lower(),
            "_commit_id": commit_id,
            "_synced_at": "2026-08-14T02:00:00+00:00",
        }

    def _write(self, stream: Stream, path: Path, rows: list[dict[str, str | None]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = pa.schema([(column, pa.string()) for column in (*stream.columns, *METADATA)])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """An empty landing of all CRMs."""
    return Landing(tmp_path)
