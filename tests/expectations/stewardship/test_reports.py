"""What is told from the stewards' database: exports, the rule book, scores, alerts, the monthly audit pack."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from desk import FIRST_NIGHT, Desk, checked
from sqlalchemy import update

from expectations import results
from expectations.rule import CheckResult, Derived, Dimension, ExemptionKind, GateResult, Rule, Severity, Status
from expectations.stewardship import tables
from expectations.stewardship.alerts import Kind, due_alerts, falls, mark_sent
from expectations.stewardship.audit_pack import Month, write_pack
from expectations.stewardship.exemptions import Target, approve, request
from expectations.stewardship.export import declare, export, file_of
from expectations.stewardship.incidents import resolve
from expectations.stewardship.lifecycle import Deed, Reason
from expectations.stewardship.rulebook import record_rules, versions_between
from expectations.stewardship.scores import Score, scores
from expectations.stewardship.state import reading, writing

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "dbt_project" / "seeds" / "quality_weights.csv"
MORNING = FIRST_NIGHT + timedelta(hours=7)
AUGUST = Month(first=date(2026, 8, 1), timezone=ZoneInfo("Europe/Berlin"))
RULE = Rule(
    id="won_has_amount",
    dimension=Dimension.COMPLETENESS,
    severity=Severity.WARNING,
    fails_when="Amount is null",
    reason="the deal is won and has no amount",
)

INCIDENT_TYPES = {
    "incident_id": "VARCHAR",
    "queue": "VARCHAR",
    "crm": "VARCHAR",
    "stream": "VARCHAR",
    "key": "VARCHAR",
    "other_key": "VARCHAR",
    "rule": "VARCHAR",
    "dimension": "VARCHAR",
    "severity": "VARCHAR",
    "reason": "VARCHAR",
    "state": "VARCHAR",
    "resolution": "VARCHAR",
    "comment": "VARCHAR",
    "assignee": "VARCHAR",
    "occurred_at": "TIMESTAMP",
    "opened_at": "TIMESTAMP",
    "opened_run": "VARCHAR",
    "acknowledged_at": "TIMESTAMP",
    "assigned_at": "TIMESTAMP",
    "resolved_at": "TIMESTAMP",
    "due_at": "TIMESTAMP",
    "last_seen_at": "TIMESTAMP",
    "amount_at_risk": "DECIMAL(18,4)",
    "pipeline_at_risk": "DECIMAL(18,4)",
    "payout_at_risk": "DECIMAL(18,4)",
    "waiver_id": "VARCHAR",
}


def work(desk: Desk) -> None:
    """A night, a waiver, and a second night on which a record has healed."""
    desk.night("a", "b", "<c>")
    wanted = [Target(crm="salesforce", stream="opportunities", rule="won_has_amount", key="a")]
    request(
        desk.engine,
        wanted,
        Deed("ann", MORNING, "paid in kind"),
        kind=ExemptionKind.WAIVER,
        reason=Reason.OTHER,
        expires_on=date(2026, 8, 20),
    )
    approve(desk.engine, ["W-000001"], Deed("ben", MORNING))
    desk.night({"key": "a", "state": "waived", "waiver_id": "W-000001"}, "<c>")


def test_what_is_exported_has_the_columns_and_types_that_marts_are_built_on(desk: Desk) -> None:
    def described(name: str) -> dict[str, str]:
        rows = duckdb.sql(f"describe from '{file_of(desk.home, name)}'").fetchall()
        return {row[0]: row[1] for row in rows}

    declare(desk.home)
    declared = {name: described(name) for name in ("incidents", "waivers", "actions")}
    assert duckdb.sql(f"select count(*) from '{file_of(desk.home, 'incidents')}'").fetchall() == [(0,)]
    work(desk)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.incident).values(amount_at_risk=Decimal("12345678901234.5678")))
    export(desk.home, desk.engine)
    declare(desk.home)
    assert {name: described(name) for name in declared} == declared
    assert declared["incidents"] == INCIDENT_TYPES
    assert declared["waivers"]["expires_on"] == "DATE" and declared["actions"]["action_id"] == "BIGINT"
    found = duckdb.sql(
        "select incident_id, resolution, occurred_at, opened_at, amount_at_risk, waiver_id"
        f" from '{file_of(desk.home, 'incidents')}' where key = 'a'"
    ).fetchall()
    occurred, opened = datetime(2026, 7, 31, 8), FIRST_NIGHT.replace(tzinfo=None)
    assert found == [("INC-000002", "Waived", occurred, opened, Decimal("12345678901234.5678"), "W-000001")]
    asked = duckdb.sql(
        f"select after ->> 'expires_on' from '{file_of(desk.home, 'actions')}' where action = 'requested'"
    )
    assert asked.fetchall() == [("2026-08-20",)]


def test_a_rule_that_changes_is_written_down_and_one_that_does_not_is_not(desk: Desk) -> None:
    pairs = Derived(name="pairs", sql="select 1")
    nights = [
        [RULE, replace(RULE, id="other")],
        [RULE, replace(RULE, id="other")],
        [replace(RULE, fails_when="Amount is null or Amount = 0"), replace(RULE, id="other", derived=(pairs,))],
        [replace(RULE, fails_when="Amount is null or Amount = 0")],
    ]
    for day, rules in enumerate(nights):
        at = FIRST_NIGHT + timedelta(days=day)
        record_rules(desk.engine, "zoho", {"deals": rules}, run_id=f"run{day}", at=at)
        record_rules(desk.engine, "hubspot", {}, run_id=f"run{day}", at=at)
    with reading(desk.engine) as connection:
        told = versions_between(connection, FIRST_NIGHT + timedelta(hours=1), FIRST_NIGHT + timedelta(days=9))
    assert [(one.rule, one.first_seen_at.day, one.replaced_at and one.replaced_at.day) for one in told] == [
        ("other", 1, 3),
        ("other", 3, 4),
        ("won_has_amount", 1, 3),
        ("won_has_amount", 3, None),
    ]
    assert told[1].definition == "with pairs as (select 1)\nfails when Amount is null"


def kept(home: Path, day: int, *checks: CheckResult, run: str = "a", crm: str = "salesforce") -> None:
    """Keep the results of a night as the gates do."""
    at = FIRST_NIGHT + timedelta(days=day)
    result = GateResult(
        crm=crm,
        stream="opportunities",
        run_id=f"run{day:02}{run}",
        as_of=at.date(),
        checked_at=at + timedelta(minutes=ord(run)),
        records=100,
        checks=checks,
    )
    results.save(home, [result])


def found(failed: int, dimension: Dimension = Dimension.COMPLETENESS, **values: object) -> CheckResult:
    status = Status.FAILED if failed else Status.PASSED
    one = checked("won_has_amount", status)
    return replace(one, dimension=dimension, evaluated=100, failed=failed, fields=("Amount",), **values)  # type: ignore[arg-type]


def test_a_score_weighs_dimensions_and_takes_the_last_run_of_a_day(tmp_path: Path) -> None:
    kept(tmp_path, 0, found(100))
    kept(tmp_path, 0, found(10), found(50, Dimension.VALIDITY), run="b")
    kept(tmp_path, 0, found(100), crm="warehouse")
    kept(tmp_path, 1, found(0), found(9, Dimension.VALIDITY, status=Status.COULD_NOT_CHECK))
    told = scores(tmp_path, WEIGHTS, since=date(2026, 8, 1), until=date(2026, 8, 2))
    weighed = (0.25 * 0.9 + 0.2 * 0.5) / 0.45
    assert [(one.crm, one.day) for one in told] == [("salesforce", date(2026, 8, day)) for day in (1, 2)]
    assert [one.value for one in told] == pytest.approx([weighed, 1.0])
    assert scores(tmp_path / "none", WEIGHTS, since=date(2026, 8, 1), until=date(2026, 8, 2)) == []


@pytest.mark.parametrize(
    ("values", "falls_from"),
    [
        ([0.99, 0.98, 0.99, 0.93], 0.99),
        ([0.99, 0.98, 0.99, 0.945], None),
        ([0.99, 0.10, 0.99, 0.95], None),
        ([0.10], None),
        ([], None),
    ],
)
def test_a_score_falls_when_it_is_five_points_below_the_median(values: list[float], falls_from: float | None) -> None:
    found = [Score("zoho", date(2026, 8, 1) + timedelta(days=day), value) for day, value in enumerate(values)]
    assert [before for _, before in falls(found)] == ([falls_from] if falls_from else [])


def test_every_channel_is_told_of_each_thing_once(desk: Desk) -> None:
    desk.night(*(f"k{number:02}" for number in range(12)), checks=[])
    for day, failed in enumerate([1, 1, 30]):
        kept(desk.home, day, found(failed))
    late = FIRST_NIGHT + timedelta(days=5, hours=2)

    def due(at: datetime, channel: str = "webhook") -> dict[Kind, tuple[str, ...]]:
        told = due_alerts(desk.engine, desk.home, at, weights=WEIGHTS, channel=channel)
        return {one.kind: one.subjects for one in told}

    assert due(FIRST_NIGHT) == {}
    everything = due(late)
    assert len(everything[Kind.OVERDUE]) == 12 and everything[Kind.SCORE] == ("salesforce 2026-08-03",)
    for one in due_alerts(desk.engine, desk.home, late, weights=WEIGHTS, channel="webhook"):
        if one.kind is Kind.OVERDUE:
            assert one.title == "Attain: 12 incidents are overdue" and one.text.count("INC-0") == 10
            assert "... and 2 more" in one.text and "due 0 d 2 h ago, with nobody" in one.text
        mark_sent(desk.engine, one, late, channel="webhook")
    assert due(late) == {}
    assert due(late, "e-mail") == everything
    desk.nights = 5
    desk.night(checks=[checked("volume", Status.FAILED, Severity.CRITICAL)])
    assert due(late) == {Kind.BLOCKED: ("INC-000013",)}


def test_the_audit_pack_tells_a_month(desk: Desk, tmp_path: Path) -> None:
    record_rules(desk.engine, "salesforce", {"opportunities": [RULE]}, run_id="r0", at=datetime(2026, 7, 1, tzinfo=UTC))
    work(desk)
    stricter = replace(RULE, fails_when="Amount is null or Amount < '1'")
    record_rules(desk.engine, "salesforce", {"opportunities": [stricter]}, run_id="r1", at=MORNING)
    resolve(desk.engine, [1], Deed("ann", MORNING + timedelta(days=1), "added"), resolution=Reason.MISSING_DATA)
    kept(desk.home, 0, found(10))
    kept(desk.home, 9, found(5))
    pages = write_pack(desk.engine, desk.home, AUGUST, tmp_path / "pack", weights=WEIGHTS)
    assert [page.name for page in pages] == [
        "audit-2026-08.html",
        *(f"audit-2026-08-{name}.csv" for name in ("cleansing", "times", "fields", "waivers", "rules")),
    ]

    def rows(name: str) -> list[dict[str, str]]:
        with (tmp_path / "pack" / f"audit-2026-08-{name}.csv").open() as file:
            return list(csv.DictReader(file))

    (changed,) = rows("rules")
    assert (changed["change"], changed["at"]) == ("changed", "2026-08-01 11:00")
    assert (changed["before"], changed["after"]) == (
        "fails when Amount is null",
        "fails when Amount is null or Amount < '1'",
    )
    (waiver,) = rows("waivers")
    assert (waiver["waiver_id"], waiver["requested_by"], waiver["approved_by"]) == ("W-000001", "ann", "ben")
    (field,) = rows("fields")
    assert [field[name] for name in ("field", "failing_first_night", "failing_last_night")] == ["Amount", "10", "5"]
    assert rows("cleansing") == [
        {
            "crm": "salesforce",
            "score_first_night": "0.9",
            "score_last_night": "0.95",
            "open_at_start": "0",
            "opened": "3",
            "healed": "1",
            "waived_or_released": "1",
            "resolved_by_a_steward": "1",
            "open_at_end": "0",
        }
    ]
    (times,) = rows("times")
    assert (times["mean_hours_to_detect"], times["mean_hours_to_acknowledge"]) == ("18", "")
    assert times["mean_hours_to_resolve"] == "26.3"  # a day twice, and a day and seven hours
    page = pages[0].read_text()
    assert "<script" not in page and "http" not in page
    assert "Amount &lt; &#39;1&#39;" in page and "Europe/Berlin" in page


def test_the_pack_of_a_month_without_anything_says_so(desk: Desk, tmp_path: Path) -> None:
    page, *_ = write_pack(desk.engine, desk.home, AUGUST, tmp_path / "pack", weights=WEIGHTS)
    assert page.read_text().count("There is nothing to tell for this month.") == 5
    assert (AUGUST.began_at, AUGUST.ended_at) == (
        datetime(2026, 7, 31, 22, tzinfo=UTC),
        datetime(2026, 8, 31, 22, tzinfo=UTC),
    )
