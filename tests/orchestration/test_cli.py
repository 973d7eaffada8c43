"""The command line as people meet it: exit codes, and errors in plain words."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from nights import Night

from connectors.sandbox.generate import generate
from connectors.sandbox.server import running
from orchestration.warehouse import wait_until_free

ATTAIN = str(Path(sys.executable).with_name("attain"))


def attain(*arguments: str, home: Path, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [ATTAIN, *arguments],
        cwd=home,
        env={"PATH": os.environ["PATH"], "ATTAIN_HOME": str(home), "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_running_without_a_crm_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    code, said = attain("run", home=tmp_path)
    assert code == 2
    assert "No CRM is configured" in said and "attain demo" in said


def test_a_half_set_crm_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    code, said = attain("run", home=tmp_path, environment={"HUBSPOT_URL": "https://api.hubapi.com"})
    assert code == 2
    assert "HUBSPOT_ACCESS_TOKEN" in said and "Traceback" not in said


def test_settings_may_come_from_a_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DYNAMICS_URL=https://acme.crm.dynamics.com\n")
    code, said = attain("run", home=tmp_path)
    assert code == 2
    assert "DYNAMICS_TENANT_ID" in said


def test_status_of_an_empty_folder_says_so(tmp_path: Path) -> None:
    code, said = attain("status", home=tmp_path)
    assert code == 0
    assert "Nothing is published yet" in said


def test_a_folder_that_is_no_export_is_refused_by_name(tmp_path: Path) -> None:
    code, said = attain("sandbox", "serve", "--from", str(tmp_path), home=tmp_path)
    assert code == 2
    assert "sales_pipeline.csv" in said or "accounts.csv" in said


def test_a_night_that_fails_says_why_and_does_not_exit_with_0(tmp_path: Path) -> None:
    with running(generate(), ["salesforce"]) as server:
        environment = {**server.environment(), "SALESFORCE_CLIENT_SECRET": "rotated"}
        code, said = attain("run", home=tmp_path, environment=environment)
    assert code == 1
    assert "SALESFORCE_CLIENT_SECRET" in said and "Nothing was published" in said
    assert "rotated" not in said and "Traceback" not in said


def test_two_runs_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    with running(generate()) as server, FileLock(tmp_path / "run.lock"):
        night = Night(server, tmp_path)
    assert not night.outcome.is_success
    assert "Another run is using" in night.errors
    assert night.pulled == 0


def test_a_warehouse_that_a_killed_run_still_holds_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(path)).close()
    hold = f"import duckdb, sys; db = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline() == b"held\n"
        naps: list[float] = []

        def let_go(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3 and holder.stdin:
                holder.stdin.close()
                holder.wait()

        wait_until_free(path, sleep=let_go)
    assert len(naps) == 3


@pytest.mark.parametrize("argument", ["2026-13-01", "yesterday"])
def test_a_date_that_is_none_is_refused(tmp_path: Path, argument: str) -> None:
    code, said = attain("run", "--as-of", argument, home=tmp_path)
    assert code == 2
    assert argument in said
