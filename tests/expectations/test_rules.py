"""How rules read what has landed, and when they say nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_company import HEALTHY

from expectations import scratch
from expectations.declared import row_rules
from expectations.gate import RULES
from expectations.rule import CheckResult, Severity, Status
from orchestration.settings import STREAMS

if TYPE_CHECKING:
    from conftest import Landing

OPPORTUNITIES = next(stream for stream in STREAMS["salesforce"] if stream.name == "opportunities")
README = Path(__file__).parents[2] / "expectations" / "README.md"


@pytest.mark.parametrize(
    ("field", "value", "is_readable"),
    [
        ("Amount", "1,234.50", True),
        ("Amount", "-12", True),
        ("Amount", "1.5e3", True),
        ("Amount", "1,50", False),  # a decimal comma read as a thousands comma would be a hundred times too much
        ("Amount", "12 EUR", False),
        ("Amount", "123456789012345678", False),
        ("CloseDate", "2026-08-01", True),
        ("CloseDate", "2026-08-01T00:00:00Z", True),
        ("CloseDate", "2026-02-30", False),
        ("CloseDate", "01/08/2026", False),
        ("CreatedDate", "2026-05-01T08:00:00.000+0000", True),
        ("CreatedDate", "2026-05-01T08:00:00Z", True),
        ("CreatedDate", "1777622400000", True),
        ("CreatedDate", "May 1st", False),
        ("IsClosed", "true", True),
        ("IsClosed", "perhaps", False),
    ],
)
def test_values_are_read_as_the_crms_send_them(landing: Landing, field: str, value: str, is_readable: bool) -> None:
    rule = next(rule for rule in row_rules(OPPORTUNITIES) if rule.id == f"casts_{field}")
    with scratch.connect(landing.home / "scratch.duckdb") as connection:
        scratch.prepare(connection, date(2026, 8, 14))
        connection.execute(f"create table live as select '{value}' as \"{field}\", 'k' as _key, 'v' as _version")
        failing = connection.execute(f"select 1 from live as record where {rule.fails_when}").fetchall()
        assert (failing == []) is is_readable


def test_a_rule_without_the_records_it_looks_up_is_skipped_and_says_so(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [HEALTHY["salesforce"]["opportunities"]])
    result = landing.check("salesforce", "opportunities")
    skipped = {check.rule: check.detail for check in result.checks if check.status is Status.SKIPPED}
    assert skipped["stage_known"] == "no record of opportunity_stages has landed"
    assert skipped["refers_OwnerId"] == "no record of users has landed"
    assert not result.failing


def test_a_hubspot_deal_is_won_by_its_own_word_when_no_stage_has_landed(landing: Landing) -> None:
    landing.commit("hubspot", "deals", [{**HEALTHY["hubspot"]["deals"], "amount": None}])
    assert [check.rule for check in landing.check("hubspot", "deals").failing] == ["won_has_amount"]


def test_a_rule_that_most_records_break_holds_none_of_them_back(landing: Landing) -> None:
    migrated = {**HEALTHY["salesforce"]["opportunities"], "CreatedDate": "2026-08-10T00:00:00Z"}
    landing.commit("salesforce", "opportunities", [{**migrated, "Id": f"o{n}"} for n in range(60)])
    result = landing.check("salesforce", "opportunities")
    (check,) = result.failing
    assert (check.rule, check.severity, check.failed) == ("closed_after_created", Severity.INFO, 60)
    assert "no record is held back" in check.detail
    assert {row["state"] for row in landing.quarantine("salesforce", "opportunities")} == {"noted"}


def test_a_past_day_recomputed_holds_no_deal_back_that_was_closed_since(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [HEALTHY["salesforce"]["opportunities"]])
    assert not landing.check("salesforce", "opportunities", as_of=date(2025, 1, 31)).failing


@pytest.mark.parametrize(
    ("phone", "is_valid"),
    [
        ("+1 (555) 010-2030 ext. 4", True),
        ("020 7946 0958", True),
        ("+49.30.123456x12", True),
        ("555-01", False),
        ("see e-mail", False),
        ("1234567890123456", False),
    ],
)
def test_phone_numbers_are_those_that_can_be_dialled(landing: Landing, phone: str, is_valid: bool) -> None:
    rule = next(rule for rule in RULES["zoho"]["contacts"] if rule.id == "phone_valid")
    with scratch.connect(landing.home / "scratch.duckdb") as connection:
        connection.execute(f"create table live as select '{phone}' as Phone, 'k' as _key, 'v' as _version")
        failing = connection.execute(f"select 1 from live as record where {rule.fails_when}").fetchall()
        assert (failing == []) is is_valid


@pytest.mark.parametrize(
    ("names", "are_one"),
    [
        (("Acme Corp.", "ACME, Inc."), True),
        (("The Acme Company", "acme"), True),
        (("Acme (EMEA)", "Acme S.A. de C.V."), True),
        (("Acme Foods", "Acme Robotics"), False),
        (("Inc.", "Ltd"), False),
    ],
)
def test_accounts_are_one_by_what_is_left_of_their_names(
    landing: Landing, names: tuple[str, str], are_one: bool
) -> None:
    healthy = HEALTHY["salesforce"]["accounts"]
    rows = [{**healthy, "Id": f"a{place}", "Name": name, "Website": None} for place, name in enumerate(names)]
    landing.commit("salesforce", "accounts", rows)
    landing.check("salesforce", "accounts")
    found = [
        (row["key"], row["other_key"])
        for row in landing.quarantine("salesforce", "accounts")
        if row["rule"] == "no_duplicate"
    ]
    assert found == ([("a1", "a0")] if are_one else [])


def test_a_group_and_its_subsidiary_are_two_accounts(landing: Landing) -> None:
    group = HEALTHY["salesforce"]["accounts"]
    landing.commit("salesforce", "accounts", [group, {**group, "Id": "a2", "ParentId": "a1"}])
    assert "no_duplicate" not in {check.rule for check in landing.check("salesforce", "accounts").failing}


def test_quotas_are_held_against_the_last_that_was_right(landing: Landing) -> None:
    quota = HEALTHY["zoho"]["forecast_quotas"]
    spans = {
        "first": ("2026-01-01", "2026-03-31"),
        "intruder": ("2026-02-15", "2026-05-15"),
        "second": ("2026-04-01", "2026-06-30"),
        "other intruder": ("2026-06-30", "2026-07-31"),
    }
    rows = [{**quota, "id": key, "Start_Date": start, "End_Date": end} for key, (start, end) in spans.items()]
    landing.commit("zoho", "forecast_quotas", rows)
    landing.check("zoho", "forecast_quotas")
    pairs = {
        (row["key"], row["other_key"]) for row in landing.quarantine("zoho", "forecast_quotas") if row["other_key"]
    }
    assert pairs == {("intruder", "first"), ("other intruder", "second")}


def test_the_landing_remembers_late_changes_that_the_crm_does_not(landing: Landing) -> None:
    deal = {
        **HEALTHY["dynamics"]["opportunities"],
        "createdon": "2026-01-05T08:00:00Z",
        "actualclosedate": "2026-03-01",
        "modifiedon": "2026-03-01T08:00:00Z",
    }
    landing.commit("dynamics", "opportunities", [deal])
    assert "unchanged_after_pay_period" not in {check.rule for check in _failing(landing)}
    landing.commit(
        "dynamics", "opportunities", [{**deal, "_ownerid_value": "u2", "modifiedon": "2026-04-15T08:00:00Z"}]
    )
    assert "unchanged_after_pay_period" not in {check.rule for check in _failing(landing)}
    landing.commit(
        "dynamics", "opportunities", [{**deal, "_ownerid_value": "u3", "modifiedon": "2026-04-16T08:00:00Z"}]
    )
    assert "unchanged_after_pay_period" in {check.rule for check in _failing(landing)}


def _failing(landing: Landing) -> tuple[CheckResult, ...]:
    return landing.check("dynamics", "opportunities").failing


def test_the_table_of_rules_in_the_readme_is_the_rules() -> None:
    listed = {
        tuple(cell.strip().strip("`") for cell in (cells[0], cells[2], cells[3], cells[4]))
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and len(cells := line.strip("| ").split(" | ")) == 6
    }
    crms: dict[tuple[str, str, str], list[str]] = {}
    for crm, streams in RULES.items():
        for rule in {rule.id: rule for rules in streams.values() for rule in rules}.values():
            crms.setdefault((rule.id, rule.dimension, rule.severity), []).append(crm[0].upper())
    assert listed == {(*rule, " ".join(sorted(where, key="SHDZ".index))) for rule, where in crms.items()}
