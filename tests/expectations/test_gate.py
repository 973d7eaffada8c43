"""What a stream's gate does as a whole: what it sees, when it blocks, and what it can only say it does not know."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations import results
from expectations.declared import SourceReport
from expectations.rule import Check, CheckResult, Dimension, GateResult, Rule, Severity, Status
from expectations.suite import crash_in, validate

if TYPE_CHECKING:
    from conftest import Landing

WON = {
    "Id": "o1",
    "OwnerId": "u1",
    "StageName": "Closed Won",
    "Amount": "48000",
    "CloseDate": "2026-08-01",
    "IsClosed": "true",
    "IsWon": "true",
    "CreatedDate": "2026-05-01T08:00:00Z",
    "SystemModstamp": "2026-08-01T08:00:00Z",
}
NO_AMOUNT = {**WON, "Amount": None}


def by_rule(result: GateResult) -> dict[str, CheckResult]:
    return {check.rule: check for check in result.checks}


def test_healthy_records_pass(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    result = landing.check("salesforce", "opportunities", report=SourceReport(count=1))
    assert (result.blocks, result.failing, result.rows, result.quarantined) == (False, (), 1, 0)
    assert by_rule(result)["complete"].status is Status.PASSED


def test_a_stream_of_which_nothing_ever_landed_is_not_judged(landing: Landing) -> None:
    result = landing.check("salesforce", "opportunities", report=SourceReport(count=0))
    assert {check.status for check in result.checks} == {Status.SKIPPED}
    assert not result.blocks


def test_it_blocks_though_if_the_crm_has_records_or_hides_what_is_needed(landing: Landing) -> None:
    assert landing.check("salesforce", "opportunities", report=SourceReport(count=3)).blocks
    assert landing.check("salesforce", "opportunities", report=SourceReport(missing_fields=["Amount"])).blocks


def test_rows_without_a_manifest_do_not_exist(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    landing.commit("salesforce", "opportunities", [NO_AMOUNT, {**WON, "Id": "o2"}], manifest=False)
    result = landing.check("salesforce", "opportunities")
    assert (result.rows, result.failing) == (1, ())
    assert landing.quarantine("salesforce", "opportunities") == []


def test_only_the_latest_version_is_judged(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    landing.commit("salesforce", "opportunities", [WON])
    assert landing.check("salesforce", "opportunities").failing == ()


def test_within_a_commit_the_later_modification_is_the_latest(landing: Landing) -> None:
    later = {**WON, "SystemModstamp": "2026-08-02T08:00:00Z"}
    landing.commit("salesforce", "opportunities", [later, NO_AMOUNT])
    assert landing.check("salesforce", "opportunities").failing == ()


def test_a_record_without_its_key_blocks_and_leaves_the_quarantine_alone(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [{**WON, "Id": None}, {**NO_AMOUNT, "Id": "o2"}])
    result = landing.check("salesforce", "opportunities")
    check = by_rule(result)["key_present"]
    assert result.blocks
    assert (check.status, check.severity, check.evaluated, check.failed) == (Status.FAILED, Severity.CRITICAL, 2, 1)
    assert by_rule(result)["won_has_amount"].sample_keys == ("o2",)
    assert landing.quarantine("salesforce", "opportunities") == []


@pytest.mark.parametrize(("field", "blocks"), [("Amount", True), ("Id", True), ("Probability", False)])
def test_a_field_that_the_crm_hides_blocks_if_it_is_required(landing: Landing, field: str, blocks: bool) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    result = landing.check("salesforce", "opportunities", report=SourceReport([field]))
    assert [check.rule for check in result.failing] == [f"delivers_{field}"]
    assert result.blocks is blocks


def test_a_stream_that_fell_empty_blocks(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    landing.commit("salesforce", "opportunities", [WON], deleted=True)
    result = landing.check("salesforce", "opportunities")
    assert [check.rule for check in result.failing] == ["volume"]
    assert result.blocks


def test_a_stream_that_never_had_a_record_passes(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [])
    assert not landing.check("salesforce", "opportunities", report=SourceReport(count=0)).failing
    assert not landing.check("hubspot", "deals").failing


def test_a_count_may_be_off_by_what_changed_meanwhile(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    assert not landing.check("salesforce", "opportunities", report=SourceReport(count=3, slack=2)).failing
    assert landing.check("salesforce", "opportunities", report=SourceReport(count=4, slack=2)).blocks


@pytest.mark.parametrize(("count", "is_exact", "blocks"), [(2, True, True), (0, True, True), (2, False, False)])
def test_live_records_are_as_many_as_the_crm_says(landing: Landing, count: int, is_exact: bool, blocks: bool) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    result = landing.check("salesforce", "opportunities", report=SourceReport(count=count, is_exact=is_exact))
    assert [check.rule for check in result.failing] == ["complete"]
    assert result.blocks is blocks
    assert "seen 1" in by_rule(result)["complete"].detail


def test_without_a_count_from_the_crm_completeness_is_skipped(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    assert by_rule(landing.check("salesforce", "opportunities"))["complete"].status is Status.SKIPPED


@pytest.mark.parametrize("fails_when", ["NoSuchColumn is null", "Amount::integer = Name::integer", "not a (query"])
def test_a_rule_that_crashes_is_neither_passed_nor_failed_and_blocks(landing: Landing, fails_when: str) -> None:
    landing.commit("salesforce", "opportunities", [{**WON, "Name": "Cell 4"}])
    broken = Rule(
        id="broken",
        dimension=Dimension.VALIDITY,
        severity=Severity.INFO,
        fails_when=fails_when,
        reason="the rule is wrong, not the data",
    )
    result = landing.check("salesforce", "opportunities", rules=[broken])
    check = by_rule(result)["broken"]
    assert check.status is Status.COULD_NOT_CHECK
    assert (check.failed, check.blocks, result.blocks) == (0, True, True)
    assert "Error" in check.detail
    others = [check.status for check in result.checks if check.rule != "broken"]
    assert set(others) == {Status.PASSED, Status.SKIPPED}


def test_a_rule_may_hold_braces(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    braces = Rule(
        id="short_id",
        dimension=Dimension.VALIDITY,
        severity=Severity.INFO,
        fails_when="not regexp_full_match(Id, '.{3}')",
        reason="the id has not three letters",
    )
    assert by_rule(landing.check("salesforce", "opportunities", rules=[braces]))["short_id"].failed == 1


def test_a_landing_that_cannot_be_read_blocks_without_blaming_the_data(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    (file,) = (landing.home / "landing" / "salesforce" / "opportunities").glob("run=*/*.parquet")
    file.write_bytes(b"not Parquet")
    result = landing.check("salesforce", "opportunities")
    assert result.blocks
    assert {check.status for check in result.failing} == {Status.COULD_NOT_CHECK}
    assert "cannot be read" in result.failing[0].detail


@pytest.mark.parametrize(
    ("info", "crash"),
    [
        ({"raised_exception": False, "exception_message": None, "exception_traceback": None}, None),
        (
            {"raised_exception": True, "exception_message": "no such column", "exception_traceback": "…"},
            "no such column",
        ),
        ({"metric id": {"raised_exception": True, "exception_message": "no such table"}}, "no such table"),
        ({"a": {"raised_exception": False}, "b": {"raised_exception": True, "exception_message": "late"}}, "late"),
        ({"raised_exception": True, "exception_message": ""}, "crashed without a message"),
        ({}, None),
    ],
)
def test_a_crash_is_told_from_both_shapes(info: dict[str, object], crash: str | None) -> None:
    assert crash_in(info) == crash


def test_a_file_that_is_not_there_could_not_be_checked(tmp_path: Path) -> None:
    check = Check(
        id="any",
        dimension=Dimension.VALIDITY,
        severity=Severity.CRITICAL,
        reason="",
        table="live",
        expects="ExpectTableRowCountToEqual",
        arguments={"value": 0},
    )
    outcome = validate(tmp_path / "none.duckdb", [check], read_only=True)["any"]
    assert not outcome.passed
    assert outcome.crash


def test_results_are_kept_and_the_newest_of_every_gate_is_found(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    old = landing.check("salesforce", "opportunities", run_id="2026-08-13")
    landing.commit("salesforce", "opportunities", [WON])
    new = landing.check("salesforce", "opportunities", run_id="2026-08-14")
    other = landing.check("hubspot", "deals", run_id="2026-08-14")
    os.utime(results.file_of(landing.home, old), (1, 1))
    assert results.latest_results(landing.home) == (other, new)
    assert results.load(results.file_of(landing.home, old)) == old
    assert results.file_of(landing.home, old).name == "salesforce.opportunities.json"


def test_nothing_is_printed_and_nothing_left_in_the_working_folder(
    landing: Landing, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    landing.check("salesforce", "opportunities")
    assert capfd.readouterr() == ("", "")
    assert list(Path.cwd().iterdir()) == []
    assert not list(landing.home.rglob(".*"))
