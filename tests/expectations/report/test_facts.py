"""What the report knows: it reads what a night left, in whatever state that is, and says what it could not read."""

from datetime import date
from decimal import Decimal

from mornings import RUN, Left, build_quality_marts

EARLIER, LATER = "20260813T020000-00000000", "20260815T020000-ffffffff"
FAILING = {"stream": "deals", "rule": "won_has_amount", "reason": "no amount", "status": "failed", "failed": 2}


def test_an_empty_folder_is_told_as_what_cannot_be_known(left: Left) -> None:
    facts = left.facts()
    assert not facts.is_published
    assert len(facts.unknown) == 3
    assert (facts.checks, facts.incidents, facts.scores) == ((), (), ())


def test_a_crm_without_results_of_the_night_is_shown_by_its_newest_earlier_ones(left: Left) -> None:
    left.results("zoho", {**FAILING, "failed": 9}, run_id="20260812T020000-00000000")
    left.results("zoho", {**FAILING, "failed": 5}, run_id=EARLIER)
    left.results("zoho", {**FAILING, "failed": 7}, run_id=LATER)
    left.results("hubspot", FAILING)
    found = {check.crm: (check.run_id, check.failed) for check in left.facts().checks}
    assert found == {"hubspot": (RUN, 2), "zoho": (EARLIER, 5)}


def test_what_blocks_comes_first_then_what_holds_back_then_what_is_noted(left: Left) -> None:
    left.results(
        "hubspot",
        {**FAILING, "rule": "noted", "severity": "info", "failed": 90},
        {**FAILING, "rule": "few", "failed": 1},
        {**FAILING, "rule": "many", "failed": 4},
        {**FAILING, "rule": "complete", "severity": "critical", "blocks": True},
    )
    assert [check.rule for check in left.facts().checks] == ["complete", "many", "few", "noted"]


def test_the_queue_is_ordered_by_money_and_leaves_out_what_is_resolved(left: Left) -> None:
    held = {"crm": "zoho", "stream": "deals", "rule": "won_has_amount", "reason": "no amount"}
    left.incidents(
        {**held, "incident_id": "INC-000001", "key": "1", "amount_at_risk": 500},
        {**held, "incident_id": "INC-000002", "key": "2", "payout_at_risk": Decimal("0.5")},
        {**held, "incident_id": "INC-000003", "key": "3", "amount_at_risk": 1, "pipeline_at_risk": 600},
        {**held, "incident_id": "INC-000004", "key": "4", "state": "resolved", "resolved_at": "2026-08-14 05:00:00"},
        {**held, "incident_id": "INC-000005", "queue": "checks", "severity": "critical", "rule": "complete"},
        {**held, "incident_id": "INC-000006", "key": "6", "due_at": "2026-08-14 06:59:00"},
    )
    facts = left.facts()
    assert [incident.incident_id[-1] for incident in facts.incidents] == ["5", "2", "3", "1", "6"]
    assert [incident.incident_id[-1] for incident in facts.incidents if incident.is_overdue] == ["6"]


def test_a_record_that_breaks_two_rules_is_at_risk_once(left: Left) -> None:
    held = {"crm": "zoho", "stream": "deals", "key": "1", "reason": "", "amount_at_risk": 500, "payout_at_risk": 25}
    left.incidents(
        {**held, "incident_id": "INC-000001", "rule": "won_has_owner"},
        {**held, "incident_id": "INC-000002", "rule": "won_has_close_date"},
        {**held, "incident_id": "INC-000003", "rule": "won_has_owner", "crm": "hubspot"},
        {**held, "incident_id": "INC-000004", "rule": "complete", "queue": "checks", "key": None},
    )
    at_risk = left.facts().at_risk
    assert (at_risk.records, at_risk.amount, at_risk.payout) == (2, 1000, 50)


def test_an_incident_counts_on_every_day_at_whose_end_it_was_open(left: Left) -> None:
    held = {"crm": "zoho", "stream": "deals", "rule": "r", "reason": ""}
    left.incidents(
        {**held, "incident_id": "INC-000001", "key": "1", "opened_at": "2026-08-11 02:00:00"},
        {
            **held,
            "incident_id": "INC-000002",
            "key": "2",
            "opened_at": "2026-08-12 02:00:00",
            "acknowledged_at": "2026-08-12 08:00:00",
            "state": "resolved",
            "resolved_at": "2026-08-13 02:00:00",
        },
        {**held, "incident_id": "INC-000003", "queue": "duplicates", "opened_at": "2026-08-13 02:00:00"},
    )
    facts = left.facts()
    assert [(day.day.day, day.records, day.duplicates) for day in facts.queue] == [
        (11, 1, 0),
        (12, 2, 0),
        (13, 1, 1),
        (14, 1, 1),
    ]
    assert facts.pace is not None
    assert (facts.pace.opened, facts.pace.resolved) == (3, 1)
    assert (facts.pace.hours_to_acknowledge, facts.pace.hours_to_resolve) == (6, 24)


def test_samples_are_the_dearest_records_that_are_held_back_now(left: Left) -> None:
    held = {"rule": "won_has_owner", "payload": "{}"}
    dear = [{**held, "key": f"dear {number}", "amount": 100 - number} for number in range(9)]
    left.held("zoho", "deals", {**held, "key": "healed", "amount": 10_000, "state": "healed"}, *dear)
    assert [sample.key for sample in left.facts().samples] == [f"dear {number}" for number in range(5)]


def test_what_a_waiver_lets_pass_is_told_with_its_number(left: Left) -> None:
    held = {"rule": "won_has_owner", "payload": "{}", "state": "waived"}
    left.held("zoho", "deals", *({**held, "key": str(key), "waiver_id": f"W-00000{key % 2}"} for key in range(3)))
    (let_pass,) = left.facts().let_pass
    assert (let_pass.rule, let_pass.records, let_pass.waiver_ids) == ("won_has_owner", 3, ["W-000000", "W-000001"])
    left.results("zoho", {**FAILING, "rule": "won_has_owner", "failed": 3})
    assert "3 let pass by W-000000, W-000001" in left.page()


def test_scores_are_those_of_90_days_and_the_reconciliation_that_of_the_night(left: Left) -> None:
    build_quality_marts(
        left.home,
        scores=[
            ("zoho", "(all)", day, 0.9, 0.8)
            for day in (date(2026, 5, 15), date(2026, 5, 16), date(2026, 8, 14), date(2026, 8, 15))
        ],
        reconciled=[
            ("zoho", "deals", "records", None, 9, 9, 1, 8, 0, 8, 0),
            ("zoho", "deals", "won_amount", "EUR", None, 100, 0, 100, 0, 99.99, 0.01),
        ],
    )
    facts = left.facts()
    assert [score.day for score in facts.scores] == [date(2026, 5, 16), date(2026, 8, 14)]
    assert [(row.measure, row.difference) for row in facts.reconciled] == [
        ("won_amount", Decimal("0.01")),
        ("records", 0),
    ]


def test_a_warehouse_without_quality_marts_is_told(left: Left) -> None:
    build_quality_marts(left.home, [], [])
    assert any("no score yet" in gap for gap in left.facts().unknown)
    (left.home / "warehouse.duckdb").write_bytes(b"not a database")
    assert any("cannot be read" in gap for gap in left.facts().unknown)
