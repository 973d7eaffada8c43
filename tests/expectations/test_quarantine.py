"""The life of a held-back record: in, healed, fallen back, deleted, waived, released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations import quarantine
from expectations.declared import SourceReport
from expectations.gate import RULES
from expectations.rule import Exemption, ExemptionKind, GateResult, Severity, Status

if TYPE_CHECKING:
    from conftest import Landing

ASKED = [rule for rule in RULES["salesforce"]["opportunities"] if rule.id in ("won_has_amount", "won_has_close_date")]
NO_CLOSE_DATE = next(rule for rule in ASKED if rule.id == "won_has_close_date")

GOOD = {
    "Id": "o1",
    "OwnerId": "u1",
    "StageName": "Closed Won",
    "Amount": "48000",
    "CloseDate": "2026-08-01",
    "IsClosed": "true",
    "IsWon": "true",
    "SystemModstamp": "2026-08-01T08:00:00Z",
}
BAD = {**GOOD, "CloseDate": None}
HEALTHY = {**GOOD, "Id": "o2"}


def states(landing: Landing) -> list[tuple[str, str, str]]:
    return [(row["key"], row["rule"], row["state"]) for row in landing.quarantine("salesforce", "opportunities")]


def check(landing: Landing, **options: Any) -> GateResult:
    return landing.check("salesforce", "opportunities", **{"rules": ASKED, **options})


def gate(landing: Landing, *rows: dict[str, str | None], deleted: bool = False, **options: Any) -> GateResult:
    landing.commit("salesforce", "opportunities", rows, deleted=deleted)
    result = check(landing, **options)
    assert not result.blocks
    return result


def exempt(kind: ExemptionKind, key: str | None = None, version: str | None = None, id: str = "W-000001") -> Exemption:
    return Exemption(
        kind=kind, waiver_id=id, rule="won_has_close_date", stream="opportunities", key=key, version=version
    )


def test_a_bad_record_is_held_back_alone_with_all_that_a_steward_needs(landing: Landing) -> None:
    gate(landing, BAD, HEALTHY)
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert list(row) == quarantine.COLUMNS
    assert (row["crm"], row["stream"], row["key"], row["state"]) == ("salesforce", "opportunities", "o1", "open")
    assert (row["rule"], row["dimension"]) == ("won_has_close_date", "completeness")
    assert row["reason"] == "the deal is won and has no close date"
    assert '"Amount":"48000"' in row["payload"]
    assert '"CloseDate":null' in row["payload"]
    (held,) = quarantine.open_quarantine(landing.home)
    assert (held.key, held.rule) == ("o1", "won_has_close_date")


def test_two_rules_on_one_record_are_two_rows_and_one_record(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [{**BAD, "Amount": None}])
    result = check(landing)
    assert [rule for _, rule, _ in states(landing)] == ["won_has_amount", "won_has_close_date"]
    assert result.quarantined == 1


def test_a_corrected_record_heals_and_its_bad_version_stays_out(landing: Landing) -> None:
    gate(landing, BAD)
    (before,) = landing.quarantine("salesforce", "opportunities")
    gate(landing, GOOD)
    (after,) = landing.quarantine("salesforce", "opportunities")
    assert (after["state"], after["version"]) == ("superseded", before["version"])
    assert quarantine.open_quarantine(landing.home) == ()
    gate(landing, HEALTHY)
    assert states(landing) == [("o1", "won_has_close_date", "superseded")]


def test_a_record_that_goes_bad_again_is_open_again(landing: Landing) -> None:
    gate(landing, BAD)
    gate(landing, GOOD)
    gate(landing, BAD)
    assert states(landing) == [("o1", "won_has_close_date", "open")]


def test_an_older_version_that_no_gate_has_seen_is_judged_before_staging_can_fall_back_to_it(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [GOOD])
    landing.commit("salesforce", "opportunities", [{**BAD, "Amount": None}])
    gate(landing, BAD)
    assert sorted(states(landing)) == [
        ("o1", "won_has_amount", "superseded"),
        ("o1", "won_has_close_date", "open"),
        ("o1", "won_has_close_date", "superseded"),
    ]


def test_a_deleted_record_is_never_held_back(landing: Landing) -> None:
    gate(landing, HEALTHY)
    gate(landing, BAD, deleted=True)
    assert states(landing) == []


def test_a_bad_record_that_is_deleted_leaves_the_queue_and_is_remembered(landing: Landing) -> None:
    gate(landing, BAD, HEALTHY)
    (before,) = landing.quarantine("salesforce", "opportunities")
    gate(landing, BAD, deleted=True)
    (after,) = landing.quarantine("salesforce", "opportunities")
    assert after == {**before, "state": "healed"}
    assert quarantine.open_quarantine(landing.home) == ()
    gate(landing, GOOD)
    assert states(landing) == [("o1", "won_has_close_date", "superseded")]


def test_a_rule_that_was_relaxed_lets_its_records_go_and_remembers_them(landing: Landing) -> None:
    gate(landing, BAD, run_id="first")
    relaxed = [rule for rule in ASKED if rule is not NO_CLOSE_DATE]
    assert check(landing, rules=relaxed, run_id="second").quarantined == 0
    check(landing, rules=relaxed, run_id="third")
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["state"], row["first_seen_run"], row["last_seen_run"]) == ("healed", "first", "first")
    assert '"CloseDate":null' in row["payload"]
    check(landing, run_id="fourth")
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["state"], row["first_seen_run"], row["last_seen_run"]) == ("open", "first", "fourth")


def test_what_only_notes_holds_nothing_back_and_keeps_no_payload(landing: Landing) -> None:
    noting = [replace(NO_CLOSE_DATE, severity=Severity.INFO, other_key="record.OwnerId")]
    result = gate(landing, BAD, rules=noting)
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["state"], row["severity"], row["payload"], row["other_key"]) == ("noted", "info", None, "u1")
    assert (result.quarantined, [found.status for found in result.failing]) == (0, [Status.FAILED])


def test_a_steward_sees_what_money_hangs_on_a_record(landing: Landing) -> None:
    gate(landing, {**BAD, "CurrencyIsoCode": "EUR", "Amount": "48,000.50"})
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["amount"], row["currency_code"], row["outcome"]) == (Decimal("48000.5000"), "EUR", "won")
    assert (row["deal_key"], row["owner_key"]) == ("o1", "u1")
    assert row["modified_at"] == "2026-08-01T08:00:00.000+00:00"


def test_a_waived_record_flows_until_the_waiver_ends(landing: Landing) -> None:
    other = {**BAD, "Id": "o3"}
    waived = [exempt(ExemptionKind.WAIVER, "o1")]
    result = gate(landing, BAD, other, exemptions=waived)
    assert states(landing) == [("o1", "won_has_close_date", "waived"), ("o3", "won_has_close_date", "open")]
    assert [row["waiver_id"] for row in landing.quarantine("salesforce", "opportunities")] == ["W-000001", None]
    assert result.quarantined == 1
    check(landing, exemptions=[exempt(ExemptionKind.WAIVER)])
    assert {state for _, _, state in states(landing)} == {"waived"}
    check(landing)
    assert {state for _, _, state in states(landing)} == {"open"}
    assert {row["waiver_id"] for row in landing.quarantine("salesforce", "opportunities")} == {None}


def test_a_waiver_is_for_one_rule_of_one_stream(landing: Landing) -> None:
    elsewhere: Sequence[Exemption] = [
        replace(exempt(ExemptionKind.WAIVER), rule="won_has_amount"),
        replace(exempt(ExemptionKind.WAIVER), stream="users"),
        exempt(ExemptionKind.WAIVER, "o2"),
    ]
    gate(landing, BAD, exemptions=elsewhere)
    assert states(landing) == [("o1", "won_has_close_date", "open")]


def test_a_release_is_for_one_version_and_says_more_than_a_waiver(landing: Landing) -> None:
    gate(landing, BAD)
    (row,) = landing.quarantine("salesforce", "opportunities")
    granted = [
        exempt(ExemptionKind.WAIVER, "o1", id="W-000001"),
        exempt(ExemptionKind.RELEASE, "o1", row["version"], id="R-000002"),
    ]
    check(landing, exemptions=granted)
    (released,) = landing.quarantine("salesforce", "opportunities")
    assert (released["state"], released["waiver_id"]) == ("released", "R-000002")
    assert released["payload"] == row["payload"]
    gate(landing, {**BAD, "Amount": "50000"}, exemptions=granted[1:])
    assert sorted(state for _, _, state in states(landing)) == ["open", "released"]


def test_staging_may_fall_back_to_an_older_version_that_is_waived(landing: Landing) -> None:
    gate(landing, BAD)
    gate(landing, {**BAD, "Amount": None}, exemptions=[exempt(ExemptionKind.WAIVER, "o1")])
    found = {
        (row["rule"], row["payload"] and '"Amount":null' in row["payload"]): row["state"]
        for row in landing.quarantine("salesforce", "opportunities")
    }
    assert found == {
        ("won_has_close_date", False): "waived",
        ("won_has_close_date", True): "waived",
        ("won_has_amount", True): "open",
    }


def test_a_gate_run_twice_says_the_same_and_remembers_who_saw_it_first(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [BAD, HEALTHY])
    days = [datetime(2026, 8, day, tzinfo=UTC) for day in (13, 14, 15)]
    first = check(landing, run_id="first", checked_at=days[0])
    again = check(landing, run_id="first", checked_at=days[0])
    assert first == again
    check(landing, run_id="second", checked_at=days[1])
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["first_seen_run"], row["first_seen_at"]) == ("first", "2026-08-13T00:00:00+00:00")
    assert (row["last_seen_run"], row["last_seen_at"]) == ("second", "2026-08-14T00:00:00+00:00")


def test_a_blocked_stream_keeps_its_quarantine_as_it_was(landing: Landing) -> None:
    gate(landing, BAD)
    before = landing.quarantine("salesforce", "opportunities")
    landing.commit("salesforce", "opportunities", [GOOD])
    assert check(landing, report=SourceReport(["Amount"])).blocks
    assert landing.quarantine("salesforce", "opportunities") == before


def test_a_crm_that_is_off_has_an_empty_quarantine(landing: Landing) -> None:
    quarantine.write_empty(landing.home, "hubspot", "deals")
    table = pq.read_table(quarantine.file_of(landing.home, "hubspot", "deals"))
    assert (table.num_rows, table.column_names) == (0, quarantine.COLUMNS)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds.pop("amount") == "decimal128(18, 4)"
    assert set(kinds.values()) == {"string"}


def test_a_quarantine_of_an_earlier_form_is_kept_and_gets_the_new_columns(landing: Landing) -> None:
    gate(landing, BAD)
    path = quarantine.file_of(landing.home, "salesforce", "opportunities")
    pq.write_table(pq.read_table(path).drop_columns(["other_key", "amount", "waiver_id"]), path)
    quarantine.write_empty(landing.home, "salesforce", "opportunities")
    table: pa.Table = pq.read_table(path)
    assert (table.num_rows, table.column_names) == (1, quarantine.COLUMNS)
    assert states(landing) == [("o1", "won_has_close_date", "open")]


def test_an_existing_quarantine_is_not_emptied(landing: Landing) -> None:
    gate(landing, BAD)
    quarantine.write_empty(landing.home, "salesforce", "opportunities")
    assert states(landing) == [("o1", "won_has_close_date", "open")]


def test_nothing_is_open_where_nothing_has_run(landing: Landing) -> None:
    assert quarantine.open_quarantine(landing.home) == ()
