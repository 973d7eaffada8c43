"""What a stream's gate does as a whole: what it sees, when it blocks, and what it can only say it does not know."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import findings, results, scratch
from expectations.declared import SourceReport
from expectations.rule import (
    Check,
    CheckResult,
    Derived,
    Dimension,
    Exemption,
    ExemptionKind,
    GateResult,
    Rule,
    Severity,
    Status,
)
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
    assert (result.blocks, result.failing, result.records, result.quarantined) == (False, (), 1, 0)
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
    assert (result.records, result.failing) == (1, ())
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


def test_a_count_that_used_to_be_there_is_missed(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    landing.check("salesforce", "opportunities", run_id="r1", report=SourceReport(count=1))
    result = landing.check("salesforce", "opportunities", run_id="r2", report=SourceReport())
    assert by_rule(result)["complete"].status is Status.COULD_NOT_CHECK
    assert result.blocks


@pytest.mark.parametrize("fails_when", ["NoSuchColumn is null", "Amount::integer = Name::integer", "not a (query"])
def test_a_rule_that_crashes_is_neither_passed_nor_failed_and_blocks(landing: Landing, fails_when: str) -> None:
    landing.commit("salesforce", "opportunities", [{**WON, "Name": "Cell 4"}])
    broken = rule("broken", fails_when, severity=Severity.INFO)
    result = landing.check("salesforce", "opportunities", rules=[broken])
    check = by_rule(result)["broken"]
    assert check.status is Status.COULD_NOT_CHECK
    assert (check.failed, check.blocks, result.blocks) == (0, True, True)
    assert "Error" in check.detail
    others = [check.status for check in result.checks if check.rule != "broken"]
    assert set(others) == {Status.PASSED, Status.SKIPPED}


def rule(id: str, fails_when: str, **more: Any) -> Rule:
    given = {"dimension": Dimension.VALIDITY, "severity": Severity.WARNING, "reason": "it is wrong", **more}
    return Rule(id=id, fails_when=fails_when, **given)


def test_only_the_rules_that_crash_could_not_be_checked(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON, {**NO_AMOUNT, "Id": "o2"}])
    doubles = Derived(name="doubles", sql="select Id from live where Amount is null")
    broken = Derived(name="broken_table", sql="select NoSuchColumn from live")
    rules = [
        rule("fails", "Amount is null"),
        rule("crashes", "NoSuchColumn is null"),
        rule("reads_a_table", "Id in (select Id from doubles)", derived=(doubles,)),
        rule("reads_a_broken_table", "Id in (select Id from broken_table)", derived=(broken, doubles)),
        rule("passes", "not regexp_full_match(Id, '.{2}')"),  # braces are no fields to be filled in
    ]
    result = landing.check("salesforce", "opportunities", rules=rules)
    found = {id: (by_rule(result)[id].status, by_rule(result)[id].sample_keys) for id in (one.id for one in rules)}
    assert found == {
        "fails": (Status.FAILED, ("o2",)),
        "crashes": (Status.COULD_NOT_CHECK, ()),
        "reads_a_table": (Status.FAILED, ("o2",)),
        "reads_a_broken_table": (Status.COULD_NOT_CHECK, ()),
        "passes": (Status.PASSED, ()),
    }
    assert result.blocks
    assert landing.quarantine("salesforce", "opportunities") == []


def test_a_looked_up_stream_that_cannot_be_read_stops_only_the_rules_that_read_it(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    landing.commit("salesforce", "users", [{"Id": "u1"}])
    (file,) = (landing.home / "landing" / "salesforce" / "users").glob("run=*/*.parquet")
    file.write_bytes(b"not Parquet")
    reads = rule("reads", "OwnerId in (select Id from users)", looks_up=("users",))
    result = landing.check("salesforce", "opportunities", rules=[reads, rule("reads_not", "false")])
    unknown = {check.rule for check in result.checks if check.status is Status.COULD_NOT_CHECK}
    assert unknown == {"reads", "refers_OwnerId"}


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.CRITICAL])
def test_a_crash_is_never_waived_and_a_failure_that_blocks_is(landing: Landing, severity: Severity) -> None:
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    rules = [rule("crashes", "NoSuchColumn", severity=severity), rule("fails", "Amount is null", severity=severity)]
    waived = [
        Exemption(kind=ExemptionKind.WAIVER, waiver_id=f"W-{place}", rule=id, stream="opportunities")
        for place, id in enumerate(["crashes", "fails", "complete", "delivers_Amount"])
    ]
    report = SourceReport(missing_fields=["Amount"], count=7)
    result = landing.check("salesforce", "opportunities", rules=rules, report=report, exemptions=waived)
    checks = by_rule(result)
    assert [check.rule for check in result.failing if check.blocks] == ["crashes"]
    assert (checks["complete"].status, checks["complete"].waiver_id) == (Status.WAIVED, "W-2")
    assert (checks["delivers_Amount"].status, checks["delivers_Amount"].waiver_id) == (Status.WAIVED, "W-3")
    by_record = {Severity.WARNING: (Status.FAILED, None), Severity.CRITICAL: (Status.WAIVED, "W-1")}
    assert (checks["fails"].status, checks["fails"].waiver_id) == by_record[severity]


def nights(landing: Landing, *counts: int, **options: Any) -> GateResult:
    """Run one gate after the other, each a day later, on a stream that has so many records; gives the last result."""
    for count in counts:
        landing.commit("zoho", "roles", [{"id": f"r{n}"} for n in range(count)])
        landing.commit("zoho", "roles", [{"id": f"r{n}"} for n in range(count, 400)], deleted=True)
        at = datetime(2026, 8, 1, 2, tzinfo=UTC) + timedelta(days=landing.commits)
        result = landing.check("zoho", "roles", rules=[], checked_at=at, **options)
    return result


def test_records_that_vanish_block_and_the_nights_that_lost_them_do_not_become_usual(landing: Landing) -> None:
    assert not nights(landing, 400, 400, 290).blocks
    result = nights(landing, 270, 270, 270, 270)
    assert [check.rule for check in result.failing] == ["volume"]
    assert "about 400" in by_rule(result)["volume"].reason
    waiver = Exemption(kind=ExemptionKind.WAIVER, waiver_id="W-1", rule="volume", stream="roles")
    assert by_rule(nights(landing, 270, exemptions=[waiver]))["volume"].status is Status.WAIVED
    assert not nights(landing, 270).blocks  # the night that was waived counts, so 345 are usual now
    assert nights(landing, 0).blocks


def test_a_small_stream_may_shrink_but_not_to_nothing(landing: Landing) -> None:
    assert not nights(landing, 120, 21).blocks
    assert nights(landing, 0).blocks


def test_a_stream_is_silent_when_it_is_quiet_for_far_longer_than_usual(landing: Landing) -> None:
    monday = datetime(2026, 8, 3, 2, tzinfo=UTC)
    statuses = []
    for day in [0, 1, 2, 3, 4, 7, 8, 9]:
        if day < 5:
            stamp = (monday + timedelta(days=day, hours=-12)).strftime("%Y-%m-%dT%H:%M:%SZ")
            landing.commit("salesforce", "opportunities", [{**WON, "SystemModstamp": stamp}])
        at = monday + timedelta(days=day)
        result = landing.check("salesforce", "opportunities", rules=[], run_id=f"day{day}", checked_at=at)
        assert not result.blocks
        statuses.append(by_rule(result)["fresh"].status)
    # half a day is usual, so two days are borne; then three and a half, four and a half, five and a half
    assert statuses == [Status.SKIPPED] * 5 + [Status.FAILED] * 3
    assert by_rule(result)["fresh"].detail == "quiet for 5 days, usually for 0 at most"


def test_fields_that_are_gone_or_retyped_are_noted(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    report = SourceReport(fields=9, drift={"added": ["New"], "removed": ["Old", "Older"], "retyped": ["A: int"]})
    check = by_rule(landing.check("salesforce", "opportunities", rules=[], report=report))["fields_steady"]
    assert (check.status, check.blocks, check.evaluated, check.failed) == (Status.FAILED, False, 9, 3)
    assert check.detail == "removed: Old, Older; retyped: A: int"
    steady = landing.check("salesforce", "opportunities", rules=[], report=replace(report, drift={"added": ["New"]}))
    assert by_rule(steady)["fields_steady"].status is Status.PASSED


def test_two_versions_that_nothing_orders_are_noted(landing: Landing) -> None:
    later = {**WON, "Id": "o2", "SystemModstamp": "2026-08-02T08:00:00Z"}
    twice = [WON, WON, {**WON, "Id": "o2"}, later, {**WON, "Id": "o3"}, {**WON, "Id": "o3", "Amount": "1"}]
    landing.commit("salesforce", "opportunities", twice)
    check = by_rule(landing.check("salesforce", "opportunities", rules=[]))["landed_once"]
    assert (check.status, check.severity, check.evaluated, check.failed) == (Status.FAILED, Severity.INFO, 3, 1)


VALUES = st.sampled_from([None, "", "1", "2", "true", "x"])
CONDITIONS = st.sampled_from(
    ["a is null", "b = a", "as_decimal(a) > 1", "is_true(record.b)", "a::integer > 1", "b in (select word from words)",
     "exists (select 1 from words where words.word = record.b)", "null", "(select count(*) from live) > 3"]
)  # fmt: skip


@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=6),
    conditions=st.lists(CONDITIONS, min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_one_pass_finds_what_each_rule_finds_alone(
    rows: list[tuple[str | None, str | None]], conditions: list[str]
) -> None:
    rules = [rule(f"r{place}", condition) for place, condition in enumerate(conditions)]
    with duckdb.connect() as connection:
        scratch.prepare(connection, date(2026, 8, 14))
        connection.execute(findings.TABLES)
        connection.execute("create table words as select unnest(['x', '2', null]) as word")
        connection.execute("create table live (_key varchar, _version varchar, a varchar, b varchar)")
        for place, row in enumerate(rows):
            connection.execute("insert into live values (?, 'v', ?, ?)", [f"k{place}", *row])
        crashed = findings.judge(connection, "any", rules)
        seen = connection.execute("select rule, key from findings order by all").fetchall()
        alone = []
        for one in rules:
            try:
                failing = connection.execute(f"select _key from live as record where {one.fails_when}").fetchall()
                alone += [(one.id, key) for (key,) in failing]
                assert one.id not in crashed
            except duckdb.Error:
                assert one.id in crashed
    assert sorted(seen) == sorted(alone)


def test_a_rule_knows_the_columns_it_looks_at() -> None:
    looks = rule(
        "looks",
        "is_true(IsWon) and record.\"Amount\" is null and Name <> 'StageName' and exists"
        " (select 1 from users as owner where owner.IsActive = 'true' and owner.Id = record.OwnerId)",
    )
    columns = ("Id", "Name", "Amount", "OwnerId", "StageName", "IsWon", "IsActive")
    assert looks.fields(columns) == ("Name", "Amount", "OwnerId", "IsWon")


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
    outcome = validate(tmp_path / "none.duckdb", {"live": [check]}, read_only=True)["live"].outcomes["any"]
    assert not outcome.passed
    assert outcome.crash


def test_results_are_kept_and_the_newest_of_every_gate_is_found(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    old = landing.check(
        "salesforce", "opportunities", run_id="2026-08-13", checked_at=datetime(2026, 8, 13, tzinfo=UTC)
    )
    landing.commit("salesforce", "opportunities", [WON])
    new = landing.check(
        "salesforce", "opportunities", run_id="2026-08-14", checked_at=datetime(2026, 8, 14, tzinfo=UTC)
    )
    other = landing.check("hubspot", "deals", run_id="2026-08-14")
    assert results.latest_results(landing.home) == (other, new)
    assert results.load(results.file_of(landing.home, "2026-08-13", "salesforce")) == (old,)


def test_results_have_their_columns_before_any_gate_has_run(landing: Landing) -> None:
    results.declare(landing.home)
    landing.commit("salesforce", "opportunities", [NO_AMOUNT])
    landing.check("salesforce", "opportunities", run_id="r1", report=SourceReport(count=1))
    folder = landing.home / "quality" / "results"
    assert pq.read_schema(folder / "schema.parquet").equals(pq.read_schema(folder / "r1" / "salesforce.parquet"))
    with duckdb.connect() as connection:
        found = connection.execute(
            "select rule, failed, evaluated, fields, sample_keys, records, source_count, newest_at, quarantined"
            f" from read_parquet('{folder}/**/*.parquet') where status = 'failed'"
        ).fetchall()
    moment = datetime(2026, 8, 1, 8)
    assert found == [("won_has_amount", 1, 1, ["Amount", "IsWon"], ["o1"], 1, 1, moment, 1)]


def test_great_expectations_own_result_is_kept_where_something_failed(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [WON])
    landing.check("salesforce", "opportunities", rules=[], run_id="good")
    landing.check("salesforce", "opportunities", rules=[rule("fails", "true")], run_id="bad")
    kept = list((landing.home / "quality" / "results").glob("*/gx/*"))
    assert [str(path.relative_to(landing.home / "quality" / "results")) for path in kept] == [
        "bad/gx/salesforce.opportunities.json"
    ]
    document = json.loads(kept[0].read_text())
    (failed,) = (one for one in document["results"] if not one["success"])
    assert failed["expectation_config"]["severity"] == "warning"
    assert failed["expectation_config"]["meta"] == {"rule": "fails", "dimension": "validity"}


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
