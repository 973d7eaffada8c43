"""What a run holds while it lasts: the data folder, locked for it alone, its as-of date, and an ear for its progress.

Values and one resource; what is done with them is in the asset modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import dagster as dg
from filelock import FileLock, Timeout

from orchestration.settings import Settings


class Progress(Protocol):
    """Hears how far a run is."""

    def rows(self, crm: str, stream: str, rows: int) -> None:
        """`rows` more record versions have been read."""

    def calls(self, crm: str, calls: int) -> None:
        """So many API calls have been made in all."""

    def stage(self, name: str) -> None:
        """A new stage begins."""


class Silent:
    """Tells nobody; the Dagster UI has its own view."""

    def rows(self, crm: str, stream: str, rows: int) -> None:
        """Do nothing."""

    def calls(self, crm: str, calls: int) -> None:
        """Do nothing."""

    def stage(self, name: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Run:
    """One nightly run."""

    home: Path
    run_id: str
    """Sorts by time, and leads to the Dagster run: `20260814T020000-1a2b3c4d`."""
    as_of: date


def run_resource(settings: Settings) -> dg.ResourceDefinition:
    """Build the resource that locks the data folder for one run at a time and fixes the run's as-of date."""

    @dg.resource(
        config_schema={
            "as_of": dg.Field(
                str, is_required=False, description="Recompute as of this date; default: today in business time."
            )
        }
    )
    def run(context: dg.InitResourceContext) -> Iterator[Run]:
        settings.home.mkdir(parents=True, exist_ok=True)
        with _lock(settings.home):
            started, dagster_run = datetime.now(UTC), context.run
            today = started.astimezone(ZoneInfo(settings.timezone)).date().isoformat()
            yield Run(
                home=settings.home,
                run_id=f"{started:%Y%m%dT%H%M%S}-{dagster_run.run_id[:8] if dagster_run else 'adhoc'}",
                as_of=date.fromisoformat(context.resource_config.get("as_of", today)),
            )

    return run


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Hold the folder as long as the run lasts; a killed process gives it back by itself."""
    lock = FileLock(home / "run.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise dg.Failure(
            f"Another run is using {home}. Wait for it to end, or start this one with another ATTAIN_HOME.",
            allow_retries=False,
        ) from None
    with lock:
        yield
