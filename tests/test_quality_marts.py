"""What marts say with bad records held back is, to the cent, what they say of a company in which nobody spoilt them.

Two nights: on the second some deals have been spoilt since the first, others had been before. The same day is computed
for a company in which the former are as they were on the first night, and the latter were never entered.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from planted import pull_and_gate, rule_of

from connectors import budget
from connectors.landing import StreamLanding
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.company import Change, Opportunity, Record
from connectors.sandbox.server import running
from connectors.sandbox.simulation import DirtyRecord, Simulation, dirty_records
from expectations import results
from expectations.gate import RULES
from expectations.quarantine import write_empty
from expectations.rule import Severity
from expectations.stewardship import export
from orchestration.settings import STREAMS

ROOT = Path(__file__).parents[1]
DBT = Path(sys.executable).with_name("dbt")
CRMS = ("dynamics",)
FIRST, SECOND = datetime(2025, 11, 17, 4, 7, tzinfo=UTC), datetime(2026, 8, 17, 4, 7, tzinfo=UTC)
SEED, SCALE, DIRT = 11, 0.03, 0.3
MARTS: Mapping[str, str] = {
    "core.fct_opportunity": "is_held_back",
    "kpi.kpi_month": "",
    "kpi.kpi_total": "",
    "payout.payout_ledger": "",
    "payout.payout_statement": "",
    "payout.payout_exclusion": "",
}
"""What must be equal, and the column that may not be."""
NAMES = [mart.partition(".")[2] for mart in MARTS]


class Unspoilt(Simulation):
    """The company on the second night, had the deals that are held back not been touched since the first."""

    def records(self, crm: str) -> Iterator[Record]:
        held_back = {row.key for row in held_back_deals(self) if row.crm == crm}
        before = {
            record.key: record
            for record in self.state(crm, FIRST)
            if isinstance(record, Opportunity) and record.key in held_back
        }
        before = {key: record for key, record in before.items() if not record.is_dirty}
        for record in self.state(crm, SECOND):
            if not isinstance(record, Opportunity) or record.key not in held_back:
                yield record
            elif record.key in before:
                yield before[record.key]

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        return iter(())


def held_back_deals(simulation: Simulation) -> list[DirtyRecord]:
    """The deals that are spoilt on the second night in a way for which a rule holds them back."""
    warnings = {
        (crm, rule.id)
        for crm, streams in RULES.items()
        for rules in streams.values()
        for rule in rules
        if rule.severity is Severity.WARNING
    }
    return [row for row in dirty_records(simulation, SECOND) if row.is_spoilt and (row.crm, rule_of(row)) in warnings]


def build(home: Path) -> None:
    """Make the marts of what has landed and was held back, as the nightly job does, but for tests and reports."""
    for crm, streams in STREAMS.items():
        for stream in streams:
            StreamLanding(home, crm, stream).declare()
            write_empty(home, crm, stream.name)
    results.declare(home)
    export.declare(home)
    options = {
        "--select": [f"+{mart}" for mart in NAMES],
        "--exclude-resource-type": ["unit_test", "test"],
        "--vars": [f"{{as_of_date: {SECOND:%Y-%m-%d}}}"],
        "--target-path": [str(home / "target")],
        "--project-dir": ["dbt_project"],
        "--profiles-dir": ["dbt_project"],
    }
    done = subprocess.run(
        [str(DBT), "build", *(word for option, values in options.items() for word in (option, *values))],
        cwd=ROOT,
        env={**os.environ, "ATTAIN_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def marts(home: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as db:
        return {
            mart: db.execute(f"select * {f'exclude ({but})' if but else ''} from {mart} order by all").fetchall()
            for mart, but in MARTS.items()
        }


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox does not mind how often it is called."""
    monkeypatch.setattr(budget, "sleep", lambda seconds: None)


def test_marts_with_quarantine_are_those_of_a_company_that_nobody_spoilt(tmp_path: Path) -> None:
    simulation = Simulation(seed=SEED, scale=SCALE, opened_at=FIRST, dirt=DIRT)
    with running(simulation, CRMS, clock=SimulatedClock(FIRST)) as server:
        pull_and_gate(server, CRMS, tmp_path / "real", FIRST)
        server.sandbox.advance(SECOND)
        pull_and_gate(server, CRMS, tmp_path / "real", SECOND)
    unspoilt = Unspoilt(seed=SEED, scale=SCALE, opened_at=SECOND, dirt=DIRT)
    with running(unspoilt, CRMS, clock=SimulatedClock(SECOND)) as server:
        pull_and_gate(server, CRMS, tmp_path / "unspoilt", SECOND)
    with ThreadPoolExecutor() as pool:
        list(pool.map(build, (tmp_path / "real", tmp_path / "unspoilt")))

    rows = [row for row in held_back_deals(simulation) if row.crm in CRMS]
    assert any(row.spoilt_at > FIRST and row.was_good for row in rows), "a deal was spoilt since the first night"
    assert any(row.spoilt_at <= FIRST for row in rows), "a deal was spoilt before"
    expected = marts(tmp_path / "unspoilt")
    for mart, seen in marts(tmp_path / "real").items():
        assert seen == expected[mart], mart
    assert expected["payout.payout_ledger"]
