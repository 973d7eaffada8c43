"""A company day by day, with dirt in it and faults on the way: after every pull the landing is what the CRMs are."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from replays import Replay

from connectors import budget
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.faults import some
from connectors.sandbox.server import running
from connectors.sandbox.simulation import Simulation
from orchestration.settings import STREAMS

MONDAY = datetime(2026, 8, 17, 4, 7, tzinfo=UTC)
DAYS = 5


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox does not mind how often it is called."""
    monkeypatch.setattr(budget, "sleep", lambda seconds: None)


@pytest.fixture(params=STREAMS)
def replay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replay]:
    simulation = Simulation(seed=2, scale=0.02, opened_at=MONDAY, dirt=0.05)
    with running(simulation, [request.param], clock=SimulatedClock(MONDAY)) as server:
        server.sandbox.faults.follow(some(0.02))
        yield Replay(server, tmp_path)


def test_landing_is_the_crm_after_every_day(replay: Replay) -> None:
    (crm,) = replay.sandbox.crms
    happened = 0
    assert list(replay.pull(crm)) == []
    for _ in range(DAYS):
        happened += replay.advance()
        assert list(replay.pull(crm)) == []
    assert happened
    assert sum(replay.sandbox.faults.injected.values()) > DAYS
