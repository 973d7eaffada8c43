"""A data folder as a night leaves it for the morning: results, quarantine, the stewards' export, marts, a release."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from expectations.report.facts import Facts, Night, read_facts
from expectations.report.site import Reader, write_pages

AS_OF = date(2026, 8, 14)
RUN = "20260814T020000-1a2b3c4d"
NOW = datetime(2026, 8, 14, 7, 0, tzinfo=UTC)
READER = Reader(timezone="Europe/Berlin", currency="USD")

RESULTS = """
    crm varchar, stream varchar, run_id varchar, as_of date, checked_at timestamp, records bigint, newest_at timestamp,
    source_count bigint, rule varchar, dimension varchar, severity varchar, status varchar, reason varchar,
    evaluated bigint, failed bigint, quarantined bigint, superseded bigint, fields varchar[], sample_keys varchar[],
    detail varchar, waiver_id varchar, blocks boolean
"""
QUARANTINE = """
    crm varchar, stream varchar, key varchar, version varchar, other_key varchar, rule varchar, dimension varchar,
    severity varchar, reason varchar, payload varchar, modified_at varchar, amount decimal(18, 4),
    currency_code varchar, outcome varchar, deal_key varchar, owner_key varchar, first_seen_run varchar,
    first_seen_at varchar, last_seen_run varchar, last_seen_at varchar, state varchar, waiver_id varchar
"""
INCIDENTS = """
    incident_id varchar, queue varchar, crm varchar, stream varchar, key varchar, other_key varchar, rule varchar,
    dimension varchar, severity varchar, reason varchar, state varchar, resolution varchar, comment varchar,
    assignee varchar, occurred_at timestamp, opened_at timestamp, opened_run varchar, acknowledged_at timestamp,
    assigned_at timestamp, resolved_at timestamp, due_at timestamp, last_seen_at timestamp,
    amount_at_risk decimal(18, 4), pipeline_at_risk decimal(18, 4), payout_at_risk decimal(18, 4), waiver_id varchar
"""
CHECK = {
    "run_id": RUN,
    "as_of": AS_OF,
    "checked_at": "2026-08-14 02:03:00",
    "records": 1000,
    "newest_at": "2026-08-13 21:40:00",
    "source_count": 1000,
    "severity": "warning",
    "dimension": "completeness",
    "status": "passed",
    "evaluated": 1000,
    "failed": 0,
    "quarantined": 0,
    "superseded": 0,
    "fields": [],
    "sample_keys": [],
    "detail": "",
    "blocks": False,
}
HELD = {
    "version": "v1",
    "dimension": "completeness",
    "severity": "warning",
    "first_seen_run": RUN,
    "first_seen_at": "2026-08-14T02:03:00+00:00",
    "last_seen_run": RUN,
    "last_seen_at": "2026-08-14T02:03:00+00:00",
    "state": "open",
}
INCIDENT = {
    "queue": "records",
    "dimension": "completeness",
    "severity": "warning",
    "state": "new",
    "opened_at": "2026-08-14 02:03:00",
    "opened_run": RUN,
    "due_at": "2026-08-19 02:03:00",
    "last_seen_at": "2026-08-14 02:03:00",
    "amount_at_risk": 0,
    "pipeline_at_risk": 0,
    "payout_at_risk": 0,
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Left:
    """What a night left behind; written as files, then read and shown."""

    home: Path
    night: Night = Night(run_id=RUN, as_of=AS_OF)

    def results(self, crm: str, *rows: Row, run_id: str = RUN) -> None:
        filled = [{**CHECK, "crm": crm, "run_id": run_id, **row} for row in rows]
        write_parquet(self.home / "quality" / "results" / run_id / f"{crm}.parquet", RESULTS, filled)

    def held(self, crm: str, stream: str, *rows: Row) -> None:
        filled = [{**HELD, "crm": crm, "stream": stream, **row} for row in rows]
        write_parquet(self.home / "quality" / "quarantine" / crm / f"{stream}.parquet", QUARANTINE, filled)

    def incidents(self, *rows: Row) -> None:
        filled = [{**INCIDENT, **row} for row in rows]
        write_parquet(self.home / "quality" / "steward" / "incidents.parquet", INCIDENTS, filled)

    def published(self, run_id: str = RUN, as_of: str = "2026-08-14") -> None:
        folder = self.home / "published" / "current"
        folder.mkdir(parents=True, exist_ok=True)
        release = {"run_id": run_id, "as_of": as_of, "published_at": "2026-08-14T02:05:00+00:00", "marts": []}
        (folder / "manifest.json").write_text(json.dumps(release))

    def facts(self, **night: Any) -> Facts:
        return read_facts(self.home, replace(self.night, **night), now=NOW)

    def page(self, name: str = "index.html", reader: Reader = READER, **night: Any) -> str:
        folder = self.home / "pages"
        folder.mkdir(exist_ok=True)
        write_pages(self.facts(**night), folder, reader, now=NOW)
        return (folder / name).read_text(encoding="utf-8")


def write_parquet(path: Path, columns: str, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as db:
        db.execute(f"create table written ({columns})")
        for row in rows:
            names = ", ".join(row)
            db.execute(f"insert into written ({names}) values ({', '.join('?' * len(row))})", list(row.values()))
        db.execute(f"copy written to '{path}' (format parquet)")


def build_quality_marts(home: Path, scores: Sequence[tuple[Any, ...]], reconciled: Sequence[tuple[Any, ...]]) -> None:
    """A warehouse with the columns of the quality marts that the report reads."""
    with duckdb.connect(str(home / "warehouse.duckdb")) as db:
        db.execute(
            "create schema quality; create table quality.quality_score (crm varchar, stream varchar, dimension varchar,"
            " day date, score decimal(9, 6), coverage decimal(9, 6));"
            " create table quality.quality_reconciliation (run_id varchar, crm varchar, stream varchar,"
            " measure varchar, currency_code varchar, crm_value decimal(18, 4), landed_value decimal(18, 4),"
            " held_back_value decimal(18, 4), staged_value decimal(18, 4), merged_value decimal(18, 4),"
            " mart_value decimal(18, 4), difference decimal(18, 4))"
        )
        for row in scores:
            db.execute("insert into quality.quality_score values (?, '(all)', ?, ?, ?, ?)", row)
        for row in reconciled:
            db.execute(
                f"insert into quality.quality_reconciliation values ('{RUN}', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )
