"""Every rule of every stream: a small clean company breaks none, and a record made to break one breaks no other."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from planted import FX_RATES
from small_company import (
    AS_OF,
    BROKEN,
    BROKEN_ELSEWHERE,
    DELETED,
    IMPLIED,
    broken_rows,
    healthy_rows,
    rows_to_break,
)

from expectations.gate import RULES, check_crm, rules_of
from expectations.rule import GateResult, Severity
from orchestration.settings import STREAMS

if TYPE_CHECKING:
    from conftest import Landing

CRMS = tuple(STREAMS)
Found = dict[tuple[str, str], set[str]]
"""Stream and key to the rules that the record breaks."""


def land_clean(landing: Landing, crm: str) -> None:
    for stream in STREAMS[crm]:
        landing.commit(crm, stream.name, [*healthy_rows(crm, stream), *rows_to_break(crm, stream)])
    for name, row in DELETED.get(crm, {}).items():
        landing.commit(crm, name, [row], deleted=True)


def land_broken(landing: Landing, crm: str) -> None:
    for stream in STREAMS[crm]:
        landing.commit(crm, stream.name, list(broken_rows(crm, stream).values()))


def gate(landing: Landing, crm: str) -> tuple[GateResult, ...]:
    return check_crm(landing.home, crm, STREAMS[crm], {}, run_id="gate", as_of=AS_OF, fx_rates=FX_RATES)


def found(landing: Landing, crm: str) -> Found:
    rules: Found = defaultdict(set)
    for stream in STREAMS[crm]:
        for row in landing.quarantine(crm, stream.name):
            if row["state"] != "healed":
                rules[stream.name, row["key"]].add(row["rule"])
    return dict(rules)


@pytest.mark.parametrize("crm", CRMS)
def test_a_clean_company_breaks_no_rule_and_each_broken_record_breaks_its_own_alone(landing: Landing, crm: str) -> None:
    land_clean(landing, crm)
    gate(landing, crm)
    assert {place: rules for place, rules in found(landing, crm).items() if place[1] not in BROKEN_ELSEWHERE} == {}

    land_broken(landing, crm)
    results = gate(landing, crm)
    assert [(result.stream, check) for result in results for check in result.failing if check.blocks] == []
    expected = {
        (stream.name, rule): {rule, IMPLIED.get((crm, stream.name, rule), rule)}
        for stream in STREAMS[crm]
        for rule in broken_rows(crm, stream)
    }
    seen = found(landing, crm)
    assert {place: (seen.get(place), rules) for place, rules in expected.items() if seen.get(place) != rules} == {}
    assert {place: rules for place, rules in seen.items() if place not in expected} == {}
    assert_only_warnings_hold_back(landing, crm)


def assert_only_warnings_hold_back(landing: Landing, crm: str) -> None:
    for stream in STREAMS[crm]:
        severity = {rule.id: rule.severity for rule in rules_of(crm, stream)}
        for row in landing.quarantine(crm, stream.name):
            state = "open" if severity[row["rule"]] is Severity.WARNING else "noted"
            assert row["state"] in (state, "healed"), row


@pytest.mark.parametrize("crm", CRMS)
def test_every_rule_of_a_crm_has_a_record_that_breaks_it(crm: str) -> None:
    own = {(name, rule.id) for name in RULES[crm] for rule in RULES[crm][name]}
    assert own == {(name, rule) for name in BROKEN[crm] for rule in BROKEN[crm][name]}
    for stream in STREAMS[crm]:
        assert {rule.id for rule in rules_of(crm, stream)} == broken_rows(crm, stream).keys()
