"""The life of a held-back record: in, healed, fallen back, deleted, released."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from expectations import quarantine
from expectations.declared import SourceReport
from expectations.gate import RULES

if TYPE_CHECKING:
    from conftest import Landing

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


def gate(landing: Landing, *rows: dict[str, str | None], deleted: bool = False) -> None:
    landing.commit("salesforce", "opportunities", rows, deleted=deleted)
    assert not landing.check("salesforce", "opportunities").blocks


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
    result = landing.check("salesforce", "opportunities")
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


def test_a_bad_record_that_is_deleted_leaves_the_queue(landing: Landing) -> None:
    gate(landing, BAD, HEALTHY)
    gate(landing, BAD, deleted=True)
    assert states(landing) == [("o1", "won_has_close_date", "superseded")]
    assert quarantine.open_quarantine(landing.home) == ()


def test_a_rule_that_was_relaxed_lets_its_records_go(landing: Landing) -> None:
    gate(landing, BAD)
    relaxed = [rule for rule in RULES["salesforce"]["opportunities"] if rule.id != "won_has_close_date"]
    landing.check("salesforce", "opportunities", rules=relaxed)
    assert states(landing) == []


def test_a_gate_run_twice_says_the_same_and_remembers_who_saw_it_first(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [BAD, HEALTHY])
    days = [datetime(2026, 8, day, tzinfo=UTC) for day in (13, 14, 15)]
    first = landing.check("salesforce", "opportunities", run_id="first", checked_at=days[0])
    again = landing.check("salesforce", "opportunities", run_id="first", checked_at=days[0])
    assert first == again
    landing.check("salesforce", "opportunities", run_id="second", checked_at=days[1])
    (row,) = landing.quarantine("salesforce", "opportunities")
    assert (row["first_seen_run"], row["first_seen_at"]) == ("first", "2026-08-13T00:00:00+00:00")
    assert (row["last_seen_run"], row["last_seen_at"]) == ("second", "2026-08-14T00:00:00+00:00")


def test_a_blocked_stream_keeps_its_quarantine_as_it_was(landing: Landing) -> None:
    gate(landing, BAD)
    before = landing.quarantine("salesforce", "opportunities")
    landing.commit("salesforce", "opportunities", [GOOD])
    assert landing.check("salesforce", "opportunities", report=SourceReport(["Amount"])).blocks
    assert landing.quarantine("salesforce", "opportunities") == before


def test_a_crm_that_is_off_has_an_empty_quarantine(landing: Landing) -> None:
    quarantine.write_empty(landing.home, "hubspot", "deals")
    table = pq.read_table(quarantine.file_of(landing.home, "hubspot", "deals"))
    assert (table.num_rows, table.column_names) == (0, quarantine.COLUMNS)
    assert {str(kind) for kind in table.schema.types} == {"string"}


def test_an_existing_quarantine_is_not_emptied(landing: Landing) -> None:
    gate(landing, BAD)
    quarantine.write_empty(landing.home, "salesforce", "opportunities")
    assert states(landing) == [("o1", "won_has_close_date", "open")]


def test_nothing_is_open_where_nothing_has_run(landing: Landing) -> None:
    assert quarantine.open_quarantine(landing.home) == ()
