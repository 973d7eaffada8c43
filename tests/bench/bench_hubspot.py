"""A hundred thousand HubSpot deals under the limit of a private app, against the least time that so many calls take.

Run it with `make bench`; it measures and prints, and asserts nothing but that every row has landed.
`python tests/bench/bench_hubspot.py 10000` measures fewer.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deals import OPENED_AT, many_deals
from measure import measured, serving
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.sync import Pulled, pull
from orchestration.settings import STREAMS, read_settings

if TYPE_CHECKING:
    from connectors.sandbox.server import Sandbox

DEALS = 100_000
CALLS, SECONDS = 190, 10
STREAM = next(stream for stream in STREAMS["hubspot"] if stream.name == "deals")


def limit(sandbox: "Sandbox") -> None:
    """Refuse more calls than HubSpot does."""
    sandbox.hubspot.gate.burst = CALLS


def sync(environment: Mapping[str, str], home: str) -> Pulled:
    """Pull the deals."""
    source = read_settings({**environment, "ATTAIN_HOME": home}).connect("hubspot")
    return pull(source, STREAM, home=Path(home), run_id="bench")


def bench(deals: int, folder: Path) -> Table:
    """The sync beside what its calls take at the permitted rate."""
    with serving(many_deals, "hubspot", deals, crm="hubspot", at=OPENED_AT, prepare=limit) as environment:
        whole = measured(sync, environment, str(folder))
    assert whole.result.rows >= deals, whole.result
    least = whole.result.calls / (CALLS / SECONDS)
    table = Table("", "calls", "seconds", "rows/s", "peak MiB", "", box=box.SIMPLE_HEAD)
    table.add_row(
        f"sync, {whole.result.rows:,} deals",
        f"{whole.result.calls:,}",
        f"{whole.seconds:.1f}",
        f"{whole.result.rows / whole.seconds:,.0f}",
        f"{whole.mebibytes:,}",
        f"{whole.seconds / least:.2f} × the least",
    )
    table.add_row(f"{CALLS} calls in {SECONDS} s", f"{whole.result.calls:,}", f"{least:.1f}", "", "", "")
    return table


def main() -> None:
    """Print the table."""
    deals = int(sys.argv[1]) if len(sys.argv) > 1 else DEALS
    with TemporaryDirectory() as folder:
        Console().print(bench(deals, Path(folder)))


if __name__ == "__main__":
    main()
