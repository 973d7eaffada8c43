"""The gates on a simulated company that is dirty on purpose: they find what was planted, and nothing else."""

from collections.abc import Collection

import pytest
from planted import MONDAY, STATISTICAL, Score, precision, recall, scores, serve_and_gate

from connectors import budget
from connectors.sandbox.simulation import Simulation, dirty_records
from orchestration.settings import STREAMS

CRMS = tuple(STREAMS)
SEED, SCALE, DIRT = 2, 0.05, 0.15


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Collection[Score]:
    home = tmp_path_factory.mktemp("company")
    simulation = Simulation(seed=SEED, scale=SCALE, opened_at=MONDAY, dirt=DIRT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "sleep", lambda seconds: None)  # the sandbox does not mind how often it is called
        results = serve_and_gate(simulation, CRMS, home)
    blocking = [
        (gate.crm, gate.stream, check) for gates in results.values() for gate in gates for check in gate.failing
    ]
    assert [found for found in blocking if found[2].blocks] == []
    return scores(simulation, CRMS, home)


@pytest.mark.parametrize("crm", CRMS)
def test_rules_that_say_what_is_wrong_find_all_that_was_planted_and_nothing_else(
    scored: Collection[Score], crm: str
) -> None:
    wrong = {
        (score.stream, score.rule): {"missed": sorted(score.missed), "invented": sorted(score.invented)}
        for score in scored
        if score.crm == crm and score.rule not in STATISTICAL and score.planted != score.found
    }
    assert wrong == {}


@pytest.mark.parametrize("rule", sorted(STATISTICAL - {"not_stale"}))
def test_rules_that_go_by_likeness_are_right_nearly_always(scored: Collection[Score], rule: str) -> None:
    of_rule = [score for score in scored if score.rule == rule]
    assert precision(of_rule) >= 0.95, of_rule
    assert recall(of_rule) >= 0.95, of_rule


def test_deals_are_called_stale_later_than_they_are_forgotten_and_seldom_wrongly(scored: Collection[Score]) -> None:
    """The simulation calls a deal forgotten 60 days after its last step; some stages take others longer than that."""
    of_rule = [score for score in scored if score.rule == "not_stale"]
    assert precision(of_rule) >= 0.8, of_rule
    assert recall(of_rule) >= 0.75, of_rule


def test_the_company_has_nearly_every_kind_of_dirt() -> None:
    simulation = Simulation(seed=SEED, scale=SCALE, opened_at=MONDAY, dirt=DIRT)
    planted = {row.kind for row in dirty_records(simulation, MONDAY) if row.is_spoilt}
    assert len(planted) >= 30, planted
