"""The replay of the tests at any length and size: `python tests/bench/replay.py --days 60 --scale 1`.

It prints a line for each day and the first differences of each, and fails if there are any.
"""

import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

sys.path.insert(0, str(Path(__file__).parent.parent))

from replays import Replay

from connectors.hubspot import api
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.faults import some
from connectors.sandbox.server import running
from connectors.sandbox.simulation import Simulation
from orchestration.settings import STREAMS

MONDAY = datetime(2026, 8, 17, 4, 7, tzinfo=UTC)
SHOWN = 5


def replay(options: Namespace, home: Path) -> int:
    """The number of differences that all days together showed."""
    api.SEARCHES_PER_SECOND = 1_000  # the sandbox does not mind
    simulation = Simulation(seed=options.seed, scale=options.scale, opened_at=MONDAY, dirt=options.dirt)
    count = 0
    with running(simulation, options.crms, clock=SimulatedClock(MONDAY)) as server:
        server.sandbox.faults.follow(some(options.faults, options.seed))
        if "zoho" in options.crms:
            server.sandbox.zoho.accounts.most_in_window = 1_000_000
            server.sandbox.zoho.allowance = 1_000_000_000
        replay = Replay(server, home)
        for day in range(options.days + 1):
            began = monotonic()
            happened = replay.advance() if day else 0
            advanced = monotonic()
            for crm in options.crms:
                found = list(replay.pull(crm))
                count += len(found)
                print(*islice(found, SHOWN), sep="\n", end="\n" if found else "")
            faults = sum(server.sandbox.faults.injected.values())
            print(
                f"day {day}: {happened:,} changes in {advanced - began:.1f} s, pulled and compared in"
                f" {monotonic() - advanced:.1f} s, {faults:,} faults, {len(replay.errors)} nights run"
                f" again and {count:,} differences so far",
                flush=True,
            )
    return count


def main() -> None:
    """Replay as asked for."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dirt", type=float, default=0.05)
    parser.add_argument("--faults", type=float, default=0.01)
    parser.add_argument("--crms", nargs="+", choices=STREAMS, default=list(STREAMS))
    with TemporaryDirectory() as folder:
        sys.exit(1 if replay(parser.parse_args(), Path(folder)) else 0)


if __name__ == "__main__":
    main()
