"""What dbt itself says of the project: it parses without a warning, and what can be built when no mart can."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from nights import AS_OF, DBT, dbt

from expectations import results
from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status
from expectations.stewardship import export
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import TARGET, dbt_findings


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every model, seed and test as dbt sees it, parsed without a warning and without a date."""
    folder = tmp_path_factory.mktemp("parsed")
    dbt("--warn-error", "parse", home=folder, target=folder / "target")
    manifest: dict[str, Any] = json.loads((folder / "target" / "manifest.json").read_text())
    return dict(manifest["nodes"])


def _parents(nodes: dict[str, dict[str, Any]], names: Iterable[str]) -> set[str]:
    return {parent for name in names for parent in nodes[name]["depends_on"].get("nodes", ())}


def test_every_staged_stream_is_reconciled(nodes: dict[str, dict[str, Any]]) -> None:
    staged = {name for name, node in nodes.items() if node["name"].startswith("stg_")}
    staged = {name for name in staged if not nodes[name]["name"].startswith("stg_attain__")}
    assert len(staged) > 30
    assert _parents(nodes, ["model.attain.int_staged_counts"]) == staged


def test_what_is_tagged_quality_can_be_built_when_no_mart_can(nodes: dict[str, dict[str, Any]]) -> None:
    tagged = {name for name, node in nodes.items() if "quality" in node["tags"]}
    assert {nodes[name]["name"] for name in tagged if nodes[name]["resource_type"] == "model"} == {
        "quality_check_result",
        "quality_incident",
        "quality_score",
    }
    assert _parents(nodes, tagged) - tagged == {"source.attain.attain.check_results", "source.attain.attain.incidents"}


def test_periods_that_people_got_wrong_stop_the_night_and_are_named(tmp_path: Path) -> None:
    project, home = tmp_path / "dbt_project", tmp_path / "home"
    left_out = shutil.ignore_patterns("models", "assert_*.sql", "target", "logs")  # it is about seeds, and faster so
    shutil.copytree(PROJECT_ROOT / "dbt_project", project, ignore=left_out)
    home.mkdir()
    (project / "seeds" / "teams.csv").write_text(
        "manager_email,team_name,region,valid_from,valid_to\n"
        "mia@x,Enterprise,EMEA,2026-01-01,2026-01-31\n"
        "mia@x,Enterprise,EMEA,2026-02-02,\n"
        "ned@x,Inbound,EMEA,2026-01-01,2026-02-01\n"
        "Ned@x,Outbound,EMEA,2026-02-01,\n"
    )
    (project / "seeds" / "rep_assignments.csv").write_text(
        "rep_email,manager_email,team_name,region,territory,valid_from,valid_to\n"
        "ann@x,bob@x,,,,2026-01-01,2026-03-31\n"
        "bob@x,cy@x,,,,2026-01-01,\n"
        "cy@x,Ann@x,,,,2026-03-01,\n"
        "dee@x,eva@x,,,,2026-01-01,2026-01-31\n"  # the other way round afterwards, which is no circle
        "eva@x,dee@x,,,,2026-02-01,\n"
        "eva@x,bob@x,,,,2025-01-01,2025-12-31\n"
    )
    arguments = ("build", "--select", "teams", "rep_assignments", "--indirect-selection", "cautious")
    folders = ("--project-dir", project, "--profiles-dir", project, "--target-path", home / TARGET)
    done = subprocess.run(
        [DBT, *arguments, *folders, "--vars", f"{{as_of_date: {AS_OF}}}"],
        env={**os.environ, "ATTAIN_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    found = sorted(dbt_findings(home, "fail"))
    assert [finding.partition(": 1 rows, for example ")[2] for finding in found] == [
        "reports_to ann@x > bob@x > cy@x > ann@x, valid_from 2026-03-01, valid_until 2026-04-01",
        "lower(manager_email) mia@x, valid_from 2026-02-02, valid_to None, previous_valid_to 2026-01-31",
        "lower(manager_email) ned@x, valid_from 2026-02-01, valid_to None, previous_valid_to 2026-02-01",
    ], found


def keep(home: Path, run_id: str, crm: str, *, nights_ago: int, failed: int) -> None:
    """Leave what a gate found, as a gate does."""
    check = CheckResult(
        rule="amount_readable",
        dimension=Dimension.VALIDITY,
        severity=Severity.WARNING,
        status=Status.FAILED if failed else Status.PASSED,
        reason="the amount cannot be read",
        evaluated=10,
        failed=failed,
        fields=("Amount",),
    )
    day = AS_OF - timedelta(days=nights_ago)
    at = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    result = GateResult(crm=crm, stream="deals", run_id=run_id, as_of=day, checked_at=at, records=10, checks=(check,))
    results.save(home, [result])


def test_a_blocked_night_still_builds_what_is_tagged_quality_and_reads_only_what_is_new(tmp_path: Path) -> None:
    home, build = (
        tmp_path / "home",
        ("build", "--exclude-resource-type", "unit_test", "test", "--select", "tag:quality"),
    )
    variables = ("--vars", f"{{as_of_date: {AS_OF}}}")
    results.declare(home)
    export.declare(home)
    keep(home, "20260812T020000-a", "zoho", nights_ago=2, failed=4)
    keep(home, "20260813T020000-b", "zoho", nights_ago=1, failed=2)
    dbt(*build, *variables, home=home, target=tmp_path / "target")

    results.file_of(home, "20260812T020000-a", "zoho").unlink()  # kept in the mart, since no night reads it again
    keep(home, "20260813T020000-b", "warehouse", nights_ago=1, failed=0)  # came after that night's build
    keep(home, "20260814T020000-c", "zoho", nights_ago=0, failed=0)
    dbt(*build, *variables, home=home, target=tmp_path / "target")

    with duckdb.connect(home / "warehouse.duckdb", read_only=True) as db:
        kept = db.execute("select crm, run_id from quality.quality_check_result order by run_id, crm").fetchall()
        scores = db.execute(
            "select day, score::float from quality.quality_score"
            " where stream = '(all)' and dimension = '(all)' order by day"
        ).fetchall()
    assert kept == [
        ("zoho", "20260812T020000-a"),
        ("warehouse", "20260813T020000-b"),
        ("zoho", "20260813T020000-b"),
        ("zoho", "20260814T020000-c"),
    ]
    assert [(AS_OF - day).days for day, _ in scores] == [2, 1, 0]
    assert [score for _, score in scores] == pytest.approx([0.6, 0.8, 1.0])
