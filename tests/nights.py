"""Whole nights for tests: run the nightly job on a sandbox, and read what it published as a stranger would."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from rich.console import Console

from connectors.sandbox.generate import generate
from connectors.sandbox.server import Server, running
from orchestration.console import ConsoleProgress
from orchestration.nightly import run_nightly
from orchestration.settings import PROJECT_ROOT, read_settings
from orchestration.status import status_report

AS_OF = date(2026, 8, 14)
TWO_CRMS = ("salesforce", "hubspot")
"""As many as it takes to see them made one; a night of all four takes twice as long."""
DBT = Path(sys.executable).with_name("dbt")
Tables = Mapping[str, list[tuple[object, ...]]]


class Night:
    """What one run of the nightly job did, in this process."""

    def __init__(self, server: Server, home: Path, as_of: date = AS_OF, **variables: str) -> None:
        self.progress = ConsoleProgress(Console(file=io.StringIO()))
        settings = read_settings({"ATTAIN_HOME": str(home), **server.environment(), **variables})
        self.outcome = run_nightly(settings, self.progress, as_of=as_of)
        self.errors = "\n".join(self.outcome.errors)
        self.warnings = "\n".join(self.outcome.warnings)

    @property
    def pulled(self) -> int:
        return sum(self.progress.pulled.values())


@dataclass(frozen=True)
class FirstNight:
    """A sandbox that is being served, its data folder, and what the first night published of it."""

    server: Server
    home: Path
    night: Night
    tables: Tables

    def again(self, **variables: str) -> Night:
        """Run another night, perhaps with other settings."""
        return Night(self.server, self.home, **variables)


@contextmanager
def first_night_in(home: Path, crms: tuple[str, ...] = TWO_CRMS) -> Iterator[FirstNight]:
    """Serve CRMs of the sandbox company and run their first night into a folder."""
    with running(generate(), crms) as server:
        night = Night(server, home)
        assert night.outcome.is_success, night.errors
        yield FirstNight(server, home, night, published_tables(home))


def dbt(*arguments: str, home: Path, target: Path) -> str:
    """Run dbt on the project, as its developers do."""
    done = subprocess.run(
        [DBT, *arguments, "--project-dir", "dbt_project", "--profiles-dir", "dbt_project", "--target-path", target],
        cwd=PROJECT_ROOT,
        env={**os.environ, "ATTAIN_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def published_tables(home: Path) -> Tables:
    """Every published mart, row by row, read with a client that knows nothing of ours.

    Without those on data quality: they tell of every run, and so are never twice the same.
    """
    with duckdb.connect(str(home / "published" / "current" / "attain.duckdb"), read_only=True) as db:
        names = db.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name <> 'quality' order by 1"
        ).fetchall()
        return {name: db.execute(f"from {name} order by all").fetchall() for (name,) in names}


def published_bytes(home: Path) -> Mapping[str, bytes]:
    """Every published file, byte for byte."""
    root = home / "published"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def status_text(home: Path) -> str:
    """What `attain status` prints."""
    console = Console(width=300, file=io.StringIO())
    console.print(status_report(read_settings({"ATTAIN_HOME": str(home)})))
    return console.file.getvalue()
