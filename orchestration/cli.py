"""The `attain` command line: run the nightly job, ask for its state, look at it in the browser, try it on the sandbox.

Commands read their options and print; what they start is imported when needed, since some of it is slow to import.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import load_dotenv
from rich.console import Console

from connectors.errors import ConnectorError
from orchestration.sandbox import DEMO_PORT
from orchestration.sandbox import app as sandbox
from orchestration.settings import PROJECT_ROOT, Settings, read_settings
from orchestration.steward_cli import app as quality

if TYPE_CHECKING:
    from connectors.sandbox.server import Server

DEMO_AS_OF = date(2026, 8, 14)
"""The sandbox company's today."""
DEMO_HOME = PROJECT_ROOT / "data" / "demo"
FAILED, MISUSED = 1, 2
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(sandbox, name="sandbox")
app.add_typer(quality, name="quality")
out = Console()
err = Console(stderr=True)


def main() -> None:
    """Run the command line; an error a person can mend is told in plain words."""
    load_dotenv(Path.cwd() / ".env")
    try:
        app()
    except ConnectorError as error:
        err.print(str(error), style="red", markup=False, highlight=False)
        raise SystemExit(MISUSED) from None


@app.command()
def run(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Recompute as of this date.")] = None,
    full_refresh: Annotated[bool, typer.Option(help="Read every record again, not only what changed.")] = False,
    since: Annotated[
        datetime | None, typer.Option(formats=DATES, help="Repair: read again what changed since this day.")
    ] = None,
) -> None:
    """Pull the CRMs that are configured, check, build the marts, check again, publish."""
    as_of_day = as_of.date() if as_of else None
    raise typer.Exit(_run(_configured(), as_of=as_of_day, full_refresh=full_refresh, since=since))


@app.command()
def check() -> None:
    """Try the credentials and permissions of each CRM, and tell what would be pulled, with about how many API calls."""
    from rich.progress import Progress

    from orchestration.check import check_crms, check_report

    settings = _configured()
    with Progress(console=err, transient=True) as bars:
        bar = bars.add_task("asking", total=sum(len(settings.streams[crm]) for crm in settings.credentials))
        checks = check_crms(settings, lambda crm, stream: bars.update(bar, advance=1, description=f"{crm} {stream}"))
    out.print(check_report(checks))
    raise typer.Exit(FAILED if any(check.is_blocking for check in checks) else 0)


@app.command()
def status() -> None:
    """Tell what is fresh, blocked, quarantined and published."""
    from orchestration.status import is_blocked, status_report

    settings = read_settings(os.environ)
    out.print(status_report(settings))
    raise typer.Exit(FAILED if is_blocked(settings.home) else 0)


@app.command()
def demo() -> None:
    """Run the nightly job on the sandbox company; needs no account."""
    home = os.environ.get("ATTAIN_HOME", str(DEMO_HOME))
    with _sandbox_company() as server:
        settings = read_settings({"ATTAIN_HOME": home, **server.environment()})
        raise typer.Exit(_run(settings, as_of=DEMO_AS_OF))


@app.command()
def dev(port: Annotated[int, typer.Option(help="Where the page is served.")] = 3000) -> None:
    """Open the Dagster UI with the schedule running; without a configured CRM, on the sandbox company."""
    from orchestration.instance import start_ui

    settings = read_settings(os.environ)
    if settings.credentials:
        raise typer.Exit(start_ui(settings, port))
    out.print("No CRM is configured; this is the sandbox company.")
    with _sandbox_company() as server:
        os.environ.update(server.environment())
        os.environ.setdefault("ATTAIN_HOME", str(DEMO_HOME))
        raise typer.Exit(start_ui(read_settings(os.environ), port))


@contextmanager
def _sandbox_company() -> Iterator["Server"]:
    """Serve the sandbox company where the last demo found it, so that what it remembers of addresses still holds."""
    from connectors.sandbox.generate import generate
    from connectors.sandbox.server import is_free, running

    with running(generate(), port=DEMO_PORT if is_free(DEMO_PORT) else 0) as server:
        yield server


def _configured() -> Settings:
    settings = read_settings(os.environ)
    if not settings.credentials:
        err.print("[red]No CRM is configured.[/] Set its variables as .env.example shows, or try [bold]attain demo[/].")
        raise typer.Exit(MISUSED)
    return settings


def _run(settings: Settings, *, as_of: date | None, full_refresh: bool = False, since: datetime | None = None) -> int:
    from orchestration.console import ConsoleProgress, timing_table
    from orchestration.nightly import run_nightly
    from orchestration.summary import published_files, published_summary

    progress = ConsoleProgress(out)
    outcome = run_nightly(settings, progress, as_of=as_of, full_refresh=full_refresh, since=since)
    if outcome.is_success:
        out.print(published_summary(settings.home))
    out.print(timing_table(progress))
    for warning in outcome.warnings:
        out.print(warning, style="yellow", markup=False, highlight=False)
    if outcome.is_success:
        out.print(published_files(settings.home))
    if outcome.report:
        out.print(f"Quality report: {outcome.report}", soft_wrap=True, markup=False, highlight=False)
    if outcome.is_success:
        return 0
    for error in outcome.errors:
        err.print(error, style="red", markup=False, highlight=False)
    err.print(f"Nothing was published; the marts stay as they were. Details: {outcome.log}", soft_wrap=True)
    return FAILED
