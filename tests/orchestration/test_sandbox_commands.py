"""`attain sandbox …` as people type it, against a sandbox that is being served."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from connectors.errors import ConfigurationError
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.server import Server, running
from connectors.sandbox.simulation import Simulation
from orchestration.sandbox import app

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    simulation = Simulation(seed=3, scale=0.01, opened_at=OPENED_AT)
    with running(simulation, clock=SimulatedClock(OPENED_AT)) as server:
        yield server


def attain_sandbox(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_time_passes_and_the_table_says_what_happened(server: Server) -> None:
    said = attain_sandbox("advance", "--to", "2026-08-17", "--url", server.url)
    assert "2026-08-17" in said and "saved" in said
    assert all(crm in said for crm in server.sandbox.crms)
    assert server.sandbox.clock() == datetime(2026, 8, 17, tzinfo=UTC)

    with pytest.raises(ConfigurationError, match="2026-08-17.*already"):
        attain_sandbox("advance", "--to", "2026-08-16", "--url", server.url)


def test_a_dump_is_a_file_for_each_object_with_every_record(server: Server, tmp_path: Path) -> None:
    attain_sandbox("dump", tmp_path, "--url", server.url)
    for crm, objects in server.sandbox.objects().items():
        for object, columns in objects.items():
            found = duckdb.sql(f"from '{tmp_path}/{crm}/{object}.parquet'")
            rows = list(server.sandbox.dump(crm, object))
            assert found.columns == columns
            assert len(found.fetchall()) == len(rows)
    amounts = duckdb.sql(f"select amount from '{tmp_path}/hubspot/deals.parquet' order by hs_object_id").fetchall()
    told = [row["amount"] for row in server.sandbox.dump("hubspot", "deals")]
    assert [text for (text,) in amounts] == [None if amount is None else f"{amount:f}" for amount in told]


def test_a_company_is_written_down_with_the_truth_about_it(tmp_path: Path) -> None:
    said = attain_sandbox("generate", tmp_path, "--seed", "5", "--scale", "0.01")
    assert str(tmp_path.name) in said.replace("\n", "")
    assert list(tmp_path.glob("*.parquet"))
    assert list((tmp_path / "truth").iterdir())


def test_nobody_home_is_said_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="attain sandbox serve"):
        attain_sandbox("advance", "--to", "2026-08-17", "--url", "http://127.0.0.1:9")


def test_a_file_in_use_is_not_filled_again(tmp_path: Path) -> None:
    (tmp_path / "records.db").touch()
    with pytest.raises(ConfigurationError, match="records.db exists"):
        attain_sandbox("serve", "--port", 0, "--on-disk", tmp_path / "records.db")


def test_a_folder_of_exports_has_one_moment_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--at"):
        attain_sandbox("serve", "--port", 0, "--from", tmp_path, "--at", "2026-08-14")
