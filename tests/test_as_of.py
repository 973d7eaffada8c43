"""What was published as of a day is published again when that day is recomputed, whatever has happened since."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from nights import Night, published_tables

from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.server import running
from connectors.sandbox.simulation import Simulation

MONDAY = datetime(2026, 8, 17, 20, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_a_day_computed_again_gives_what_was_published_then(tmp_path: Path) -> None:
    with running(Simulation(1, 0.02, opened_at=MONDAY), ("salesforce",), clock=SimulatedClock(MONDAY)) as server:

        def published_as_of(day: date) -> dict[str, list[tuple[object, ...]]]:
            night = Night(server, tmp_path, as_of=day)
            assert night.outcome.is_success, night.errors
            return dict(published_tables(tmp_path))

        then = published_as_of(MONDAY.date())
        assert sum(sum(kinds.values()) for kinds in server.sandbox.advance(MONDAY + WEEK).values()) > 10
        later = published_as_of((MONDAY + WEEK).date())
        again = published_as_of(MONDAY.date())

    assert later["core.fct_opportunity"] != then["core.fct_opportunity"]
    assert {name for name in then if again[name] != then[name]} == set()
