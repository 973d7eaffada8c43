"""How a run looks in the shell: progress while it lasts, and one clear line for each stage at the end.

What is shown comes from the run; nothing is decided here.
"""

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Lock

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

STAGES = ("pull", "check", "build", "check marts", "publish", "report")


class ConsoleProgress:
    """A bar over the stages, a growing count for each CRM, and the seconds every stage took."""

    def __init__(self, console: Console) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=console, transient=True)
        self._stages = self._bars.add_task("starting", total=len(STAGES))
        self._crms: dict[str, TaskID] = {}
        self._lock = Lock()
        self._began: dict[str, float] = {}
        self.pulled: dict[str, int] = {}
        """Record versions read so far, by CRM."""
        self.called: dict[str, int] = {}
        """API calls made so far, by CRM."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw the bars as long as the run lasts."""
        with self._bars:
            yield
        self._begin("")

    def rows(self, crm: str, stream: str, rows: int) -> None:
        """Count what a CRM delivers; called by one thread for each CRM."""
        with self._lock:
            if crm not in self._crms:
                self._crms[crm] = self._bars.add_task(crm, total=None)
            self.pulled[crm] = self.pulled.get(crm, 0) + rows
            self._bars.update(self._crms[crm], description=f"{crm}: {self.pulled[crm]:,} rows, now {stream}")

    def calls(self, crm: str, calls: int) -> None:
        """Note what a CRM was asked."""
        self.called[crm] = calls

    def stage(self, name: str) -> None:
        """Move on; a stage named twice, such as the gates of several CRMs, is one stage."""
        stage = next(stage for stage in reversed(STAGES) if name.startswith(stage))
        if stage not in self._began:
            self._begin(stage)
            self._bars.update(self._stages, description=name, completed=STAGES.index(stage))

    def seconds(self) -> Mapping[str, float]:
        """How long each stage took."""
        marks = list(self._began.items())
        return {stage: end - begin for (stage, begin), (_, end) in zip(marks, marks[1:], strict=False)}

    def _begin(self, stage: str) -> None:
        self._began[stage] = time.monotonic()


def timing_table(progress: ConsoleProgress) -> Table:
    """Show how long each stage took, what was pulled, and how much memory the run needed."""
    table = Table("stage", "seconds", "", title="This run", title_justify="left", title_style="bold")
    table.box = box.SIMPLE_HEAD
    pulled = ", ".join(
        f"{crm} {progress.pulled.get(crm, 0):,} rows in {calls:,} calls"
        for crm, calls in sorted(progress.called.items())
    )
    for stage, seconds in progress.seconds().items():
        table.add_row(stage, f"{seconds:.1f}", pulled if stage == "pull" else "")
    table.add_row("all", f"{sum(progress.seconds().values()):.1f}", f"peak memory {_peak_mebibytes():,} MiB")
    return table


@contextmanager
def tools_output_in(path: Path) -> Iterator[None]:
    """Keep what Dagster and dbt print out of the shell; it goes to a file that an error message can name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield


def _peak_mebibytes() -> int:
    """Peak of the largest process: this one, or the dbt it started."""
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(peaks) // 1024
