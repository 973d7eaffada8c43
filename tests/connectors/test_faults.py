"""Every fault at every request of a sync: it ends in the same landed state, or in a clear error and then in it."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from crms import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import live, uncommitted

from connectors import budget, dynamics, hubspot, salesforce, zoho
from connectors.errors import ConnectorError
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.faults import Fault, Plan, nothing
from connectors.sandbox.server import Server, running
from connectors.sandbox.simulation import Simulation
from connectors.stream import Stream
from connectors.sync import pull
from orchestration.settings import STREAMS, read_settings

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
NAMES = {
    "salesforce": ("accounts", "opportunities"),
    "hubspot": ("companies", "deals", "deal_history"),
    "dynamics": ("accounts", "opportunities"),
    "zoho": ("accounts", "deals"),
}
NIGHTS = ("first", "second")
POSITIONS = int(os.environ.get("ATTAIN_TEST_POSITIONS", "2"))
"""Requests of a night that meet each fault in turn, evenly spread where it makes more: 1000 tries each."""

State = dict[str, pa.Table]


@dataclass(frozen=True)
class Night:
    """A sync that nothing disturbed: what it began with, what it came to, in how many requests."""

    base: Path | None
    state: State
    requests: int


@dataclass(repr=False)
class Trials:
    """One CRM, the nights as they should be, and as many disturbed ones as are asked for."""

    server: Server
    home: Path
    nights: dict[str, Night] = field(default_factory=dict)
    number: int = 0

    @property
    def crm(self) -> str:
        return self.server.sandbox.crms[0]

    @property
    def streams(self) -> list[Stream]:
        return [stream for stream in STREAMS[self.crm] if stream.name in NAMES[self.crm]]

    def sync(self, home: Path, plan: Plan = nothing) -> None:
        self.server.sandbox.faults.follow(plan)
        self.number += 1
        source = read_settings({**self.server.environment(), "ATTAIN_HOME": str(home)}).connect(self.crm)
        for stream in self.streams:
            pull(source, stream, home=home, run_id=f"trial-{self.number:04d}")

    def state(self, home: Path) -> State:
        return {stream.name: live(home, self.crm, stream) for stream in self.streams}

    def begin(self, base: Path | None) -> Path:
        home = self.home / f"trial {self.number}"
        if base:
            shutil.copytree(base, home)
        return home

    def undisturbed(self, base: Path | None) -> Night:
        home = self.begin(base)
        self.sync(home)
        return Night(base, self.state(home), self.server.sandbox.faults.requests)

    def disturbed(self, night: Night, plan: Plan) -> None:
        home = self.begin(night.base)
        try:
            self.sync(home, plan)
        except ConnectorError as error:
            assert self.crm in str(error).lower()
            assert not uncommitted(home)
            self.sync(home)
        assert self.state(home) == night.state
        shutil.rmtree(home)


SMALL: dict[ModuleType, dict[str, Any]] = {
    salesforce.source: {"REST_ROWS": 20, "SLICE_ROWS": 80},
    salesforce.bulk: {"PAGE_ROWS": 30, "FIRST_PAUSE_SECONDS": 0},
    hubspot.records: {"LIST_PAGE": 30, "SEARCH_PAGE": 10},
    hubspot.source: {"PAGES_PER_COMMIT": 2},
    dynamics.source: {"PAGE_ROWS": 30, "PAGES_PER_COMMIT": 2},
    zoho.source: {"FEW_ROWS": 50},
    zoho.bulk: {"PAUSES": (0, 0)},
    zoho.records: {"PAGE_ROWS": 6},
    zoho.coql: {"PAGE_ROWS": 6},
    zoho.dated: {"PAGES_PER_COMMIT": 1},
}
"""Few records are many: they come in bulk, in several pages, in several commits."""


@pytest.fixture(scope="module")
def small_and_hasty() -> Iterator[None]:
    """Everything small, and the pauses that a CRM asks for are over at once."""
    with pytest.MonkeyPatch.context() as patch:
        for module, sizes in SMALL.items():
            for name, size in sizes.items():
                patch.setattr(module, name, size)
        patch.setattr(budget, "sleep", lambda seconds: None)
        yield


def make_small(server: Server) -> None:
    """The same for what the CRM decides."""
    match server.sandbox.crms:
        case ("salesforce",):
            server.sandbox.salesforce.queries.batch = 6
        case ("zoho",):
            server.sandbox.zoho.bulk.page_rows = 40
            server.sandbox.zoho.accounts.most_in_window = 10_000  # tokens, which most trials let die


@pytest.fixture(scope="module", params=list(NAMES))
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_and_hasty: None
) -> Iterator[Trials]:
    simulation = Simulation(seed=2, scale=0.02, opened_at=OPENED_AT)
    with running(simulation, [request.param], clock=SimulatedClock(OPENED_AT)) as server:
        make_small(server)
        trials = Trials(server, tmp_path_factory.mktemp(request.param))
        base = trials.home / "yesterday"
        trials.sync(base)
        server.sandbox.advance(OPENED_AT + timedelta(days=1))
        purge_an_account(server)
        trials.nights = {"first": trials.undisturbed(None), "second": trials.undisturbed(base)}
        yield trials


def purge_an_account(server: Server) -> None:
    """Let a record go without a trace, so that the second night has to list all keys."""
    (crm,) = server.sandbox.crms
    table = server.store.tables[f"{crm}.{WORDS[crm].account}"]
    server.store.purge(table.name, server.store.find(table.name, limit=1)[0][table.key])


def positions(requests: int, fault: Fault) -> list[int]:
    """Evenly spread numbers of requests, other ones for each fault."""
    step = max(1.0, requests / POSITIONS)
    offset = Random(fault).random() * step
    return sorted({int(offset + step * number) + 1 for number in range(min(POSITIONS, requests))})


def test_both_ways_of_reading_agree_when_nothing_goes_wrong(trials: Trials) -> None:
    first, second = (trials.nights[name] for name in NIGHTS)
    for name, records in first.state.items():
        assert records.num_rows
        assert records["_key"] == second.state[name]["_key"]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", NIGHTS)
def test_one_fault_at_each_request(trials: Trials, name: str, fault: Fault) -> None:
    night = trials.nights[name]
    for position in positions(night.requests, fault):
        trials.disturbed(night, {position: fault}.get)


@settings(max_examples=3, derandomize=True, database=None)
@given(plan=st.dictionaries(st.integers(1, 30), st.sampled_from(list(Fault)), min_size=2, max_size=8))
@pytest.mark.parametrize("name", NIGHTS)
def test_several_faults_in_one_sync(trials: Trials, name: str, plan: dict[int, Fault]) -> None:
    trials.disturbed(trials.nights[name], plan.get)
