"""What dbt itself says of the project: it parses without a warning, and what can be built when no mart can."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from nights import AS_OF, dbt

from expectations import results
from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status
from expectations.stewardship import export


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
