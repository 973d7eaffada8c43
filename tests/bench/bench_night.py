"""How long a night takes: the sandbox company's first and second night by stage, and dbt alone as floor of the build.

Run it with `make bench`. It measures and prints, and asserts nothing but that every run succeeds.
"""

import io
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from connectors.sandbox.generate import generate
from connectors.sandbox.server import Server, running
from orchestration.cli import DEMO_AS_OF
from orchestration.console import ConsoleProgress
from orchestration.nightly import run_nightly
from orchestration.resources import Run
from orchestration.settings import Settings, read_settings
from orchestration.warehouse import DBT_FOLDER, dbt_arguments, dbt_vars


def night(settings: Settings) -> ConsoleProgress:
    """Run one night; its progress knows the seconds and the rows."""
    progress = ConsoleProgress(Console(file=io.StringIO()))
    outcome = run_nightly(settings, progress, as_of=DEMO_AS_OF)
    assert outcome.is_success, outcome.errors
    return progress


def dbt_alone(settings: Settings) -> float:
    """Seconds that the same dbt command takes without Dagster around it."""
    arguments = dbt_arguments(dbt_vars(Run(settings.home, "bench", DEMO_AS_OF), settings))
    dbt = Path(sys.executable).with_name("dbt")
    began = time.monotonic()
    subprocess.run(
        [dbt, *arguments, "--project-dir", DBT_FOLDER, "--profiles-dir", DBT_FOLDER],
        env={**os.environ, "ATTAIN_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def bench(server: Server, home: Path) -> Table:
    """Two nights and the floor, side by side."""
    settings = read_settings({"ATTAIN_HOME": str(home), **server.environment()})
    first, second, floor = night(settings), night(settings), dbt_alone(settings)
    table = Table("stage", "first night", "second night", "second ÷ first", box=box.SIMPLE_HEAD)
    for stage, seconds in second.seconds().items():
        before = first.seconds()[stage]
        table.add_row(stage, f"{before:.1f} s", f"{seconds:.1f} s", f"{seconds / before:.2f}")
    pulled = sum(first.pulled.values()), sum(second.pulled.values())
    table.add_row("rows pulled", f"{pulled[0]:,}", f"{pulled[1]:,}", f"{pulled[1] / pulled[0]:.3f}")
    build = second.seconds()["build"]
    table.add_row("build ÷ dbt alone", "", f"{build:.1f} s ÷ {floor:.1f} s", f"{build / floor:.2f}")
    return table


def main() -> None:
    """Print the table and the peak memory of this process and of the dbt it started."""
    with TemporaryDirectory() as folder, running(generate()) as server:
        Console().print(bench(server, Path(folder)))
    peaks = {
        "this process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "dbt": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }
    print("peak memory, MiB:", json.dumps(peaks))


if __name__ == "__main__":
    main()
