"""Whole nights for tests: run the nightly job on a sandbox, and read what it published as a stranger would."""

import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import duckdb
import requests
from rich.console import Console

from connectors.sandbox.server import Server
from orchestration.console import ConsoleProgress
from orchestration.nightly import run_nightly
from orchestration.settings import read_settings
from orchestration.status import status_report

AS_OF = date(2026, 8, 14)
Tables = Mapping[str, list[tuple[object, ...]]]


class Night:
    """What one run of the nightly job did, in this process."""

    def __init__(self, server: Server, home: Path, as_of: date = AS_OF) -> None:
        self.progress = ConsoleProgress(Console(file=io.StringIO()))
        settings = read_settings({"ATTAIN_HOME": str(home), **server.environment()})
        self.outcome = run_nightly(settings, self.progress, as_of=as_of)
        self.errors = "\n".join(self.outcome.errors)
        self.warnings = "\n".join(self.outcome.warnings)

    @property
    def pulled(self) -> int:
        return sum(self.progress.pulled.values())


def published_tables(home: Path) -> Tables:
    """Every published mart, row by row, read with a client that knows nothing of ours."""
    with duckdb.connect(str(home / "published" / "current" / "attain.duckdb"), read_only=True) as db:
        names = db.execute("select schema_name || '.' || table_name from duckdb_tables() order by 1").fetchall()
        return {name: db.execute(f"from {name} order by all").fetchall() for (name,) in names}


def published_bytes(home: Path) -> Mapping[str, bytes]:
    """Every published file, byte for byte."""
    root = home / "published"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def status_text(home: Path) -> str:
    """What `attain status` prints."""
    console = Console(width=300, file=io.StringIO())
    console.print(status_report(home))
    return console.file.getvalue()


def change_deal(server: Server, key: str, **properties: str) -> None:
    """Edit a deal in HubSpot, as its owner would."""
    environment = server.environment()
    requests.patch(
        f"{environment['HUBSPOT_URL']}/crm/v3/objects/deals/{key}",
        json={"properties": properties},
        headers={"Authorization": f"Bearer {environment['HUBSPOT_ACCESS_TOKEN']}"},
        timeout=10,
    ).raise_for_status()
