"""The `attain sandbox` commands: serve a simulated company as the CRMs do, let time pass in it, look at what is in it.

Options, progress and printing only; the company, its CRMs and its clock are in `connectors.sandbox`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import requests
import typer
from more_itertools import chunked
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.errors import ConfigurationError
from orchestration.settings import STREAMS

if TYPE_CHECKING:
    from connectors.sandbox.server import Server

DEMO_PORT = 8750
DEMO_URL = f"http://127.0.0.1:{DEMO_PORT}"
DEMO_SCALE = 0.05
DIRT = 0.01
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
ROWS_AT_A_TIME = 10_000
SECONDS_FOR_A_DAY = 600

Seed = Annotated[int, typer.Option(help="Another simulated company.")]
Scale = Annotated[float, typer.Option(min=0.001, help="1 is 2,000 accounts and 20,000 deals in three years.")]
Dirt = Annotated[float, typer.Option(min=0, max=1, help="Share of the records that are wrong on purpose.")]
Url = Annotated[str, typer.Option(help="Where `attain sandbox serve` listens.")]

app = typer.Typer(no_args_is_help=True, help="A loopback server that speaks the CRMs' protocols.")
out = Console()


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = DEMO_PORT,
    folder: Annotated[Path | None, typer.Option("--from", help="Serve a folder of CSV exports.")] = None,
    crm: Annotated[str | None, typer.Option("--as", help=f"One CRM only: {', '.join(STREAMS)}.")] = None,
    seed: Seed = 1,
    scale: Scale = DEMO_SCALE,
    dirt: Dirt = DIRT,
    at: Annotated[datetime | None, typer.Option(formats=DATES, help="What time it is in the company, UTC.")] = None,
    faults: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that go wrong.")] = 0,
    fault_seed: Annotated[int, typer.Option(help="Other requests, other faults.")] = 1,
    on_disk: Annotated[Path | None, typer.Option(help="Keep the records in this new file, not in memory.")] = None,
) -> None:
    """Serve a simulated company, or a folder of CSV exports as one of the CRMs, until Ctrl-C."""
    from connectors.sandbox.clock import SimulatedClock, utc_now
    from connectors.sandbox.faults import some
    from connectors.sandbox.folder import read
    from connectors.sandbox.server import is_free
    from connectors.sandbox.server import serve as serve_until_stopped
    from connectors.sandbox.simulation import Simulation
    from connectors.sandbox.simulation.simulation import OPENED_AT

    if crm not in (None, *STREAMS):
        raise ConfigurationError(f"--as {crm}: the sandbox speaks {', '.join(STREAMS)}.")
    if not is_free(port):
        raise ConfigurationError(f"Port {port} is in use by another program; give another one with --port.")
    if on_disk and on_disk.exists():
        raise ConfigurationError(f"{on_disk} exists; the sandbox fills a new file. Delete it, or name another one.")
    if folder and at:
        raise ConfigurationError("--at: a folder of exports is what it is. Leave --at away, or --from.")

    opened_at = at.replace(tzinfo=UTC) if at else OPENED_AT
    world = read(folder, crm or "salesforce") if folder else Simulation(seed, scale, opened_at=opened_at, dirt=dirt)
    crms = (crm,) if crm else world.crms

    with _bar("loading", len(crms)) as step:

        def tell(server: "Server") -> None:
            server.sandbox.faults.follow(some(faults, fault_seed))
            step.stop()
            out.print("Serving until Ctrl-C. To pull from it, set in another shell:")
            for name, value in server.environment().items():
                out.print(f"export {name}={value}", highlight=False, soft_wrap=True)

        serve_until_stopped(
            world,
            crms,
            path=on_disk,
            port=port,
            clock=utc_now if folder else SimulatedClock(opened_at),
            on_load=step,
            on_start=tell,
        )


@app.command()
def advance(
    to: Annotated[datetime, typer.Option(formats=DATES, help="What time it is to be, UTC.")],
    url: Url = DEMO_URL,
) -> None:
    """Let time pass in the company that is being served: its records change as they would."""
    until = to.replace(tzinfo=UTC)
    happened: dict[str, Counter[str]] = {}
    days = list(_days(parsedate_to_datetime(_ask("GET", url).headers["Date"]), until))
    with _bar("advancing", len(days)) as step:
        for day in days:
            step(f"{day:%Y-%m-%d}")
            for crm, kinds in _ask("POST", f"{url}/sandbox/advance", json={"to": day.isoformat()}).json().items():
                happened.setdefault(crm, Counter()).update(kinds)
    out.print(_changes_table(happened, until))


@app.command()
def dump(
    folder: Annotated[Path, typer.Argument(help="Gets one Parquet file for each object, in a folder for each CRM.")],
    url: Url = DEMO_URL,
) -> None:
    """Write down what is in the CRMs now, the deleted records too."""
    objects = _ask("GET", f"{url}/sandbox/dump").json()
    names = [(crm, object) for crm in objects for object in objects[crm]]
    with _bar("dumping", len(names)) as step:
        for crm, object in names:
            step(f"{crm} {object}")
            _dump(f"{url}/sandbox/dump/{crm}/{object}", folder / crm / f"{object}.parquet", objects[crm][object])
    out.print(f"{len(names)} objects are in {folder}.", highlight=False)


@app.command()
def generate(
    folder: Annotated[Path, typer.Argument(help="Gets one Parquet file for each kind of record, and the truth.")],
    seed: Seed = 1,
    scale: Scale = 1,
    dirt: Dirt = DIRT,
    at: Annotated[datetime | None, typer.Option(formats=DATES, help="As of when, UTC.")] = None,
) -> None:
    """Write a simulated company to files, with the truth about it that no CRM tells."""
    from connectors.sandbox.simulation import Simulation, write, write_truth
    from connectors.sandbox.simulation.simulation import OPENED_AT

    as_of = at.replace(tzinfo=UTC) if at else OPENED_AT
    simulation = Simulation(seed, scale, opened_at=as_of, dirt=dirt)
    with _bar("generating", 2) as step:
        step("records")
        write(simulation, folder)
        step("truth")
        write_truth(simulation, as_of, folder / "truth")
    out.print(f"{simulation.name} as of {as_of:%Y-%m-%d} is in {folder}.", highlight=False)


class Steps:
    """A progress bar that is told what is next."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress = progress
        self._name = name
        self._task = progress.add_task(name, total=total, completed=-1)

    def __call__(self, what: str) -> None:
        """Begin the next step."""
        self._progress.update(self._task, description=f"{self._name} {what}", advance=1)

    def stop(self) -> None:
        """Go away before the work is over."""
        self._progress.stop()


@contextmanager
def _bar(name: str, total: int) -> Iterator[Steps]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        yield Steps(progress, name, total)


def _ask(method: str, url: str, **arguments: Any) -> requests.Response:
    try:
        response = requests.request(method, url, timeout=SECONDS_FOR_A_DAY, **arguments)
    except requests.RequestException as error:
        raise ConfigurationError(
            f"No sandbox answers at {url}; start one with `attain sandbox serve`, or give its address with --url."
        ) from error
    if not response.ok:
        raise ConfigurationError(f"The sandbox refuses: {response.text.strip()}.")
    return response


def _days(now: datetime, until: datetime) -> Iterator[datetime]:
    """The ends of the days from now on, and at last the moment itself."""
    while (now := now + timedelta(days=1)) < until:
        yield now
    yield until


def _changes_table(happened: dict[str, Counter[str]], until: datetime) -> Table:
    kinds = sorted({kind for counts in happened.values() for kind in counts})
    table = Table("", *kinds, title=f"What happened until {until:%Y-%m-%d %H:%M} UTC", box=box.SIMPLE_HEAD)
    for crm, counts in happened.items():
        table.add_row(crm, *(f"{counts[kind]:,}" for kind in kinds))
    return table


def _dump(url: str, path: Path, columns: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(column, pa.string()) for column in columns])
    with (
        requests.get(url, stream=True, timeout=SECONDS_FOR_A_DAY) as response,
        pq.ParquetWriter(path, schema) as file,
    ):
        for lines in chunked(response.iter_lines(), ROWS_AT_A_TIME):
            file.write_table(pa.Table.from_pylist(list(map(_as_text, lines)), schema=schema))


def _as_text(line: bytes) -> dict[str, str | None]:
    row = json.loads(line, parse_float=str, parse_int=str)
    return {name: json.dumps(value) if isinstance(value, bool) else value for name, value in row.items()}
