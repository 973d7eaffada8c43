"""Where Dagster keeps the history of runs, and the UI that shows it.

Imports nothing of Dagster, so that the UI starts at once; what runs is in `definitions`.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from orchestration.settings import PROJECT_ROOT, Settings


def dagster_home(settings: Settings) -> Path:
    """Lay out the folder that runs from the shell and from the UI share, and name it."""
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT_ROOT / "orchestration" / "dagster.yaml", home / "dagster.yaml")
    return home


def start_ui(settings: Settings, port: int) -> int:
    """Serve the Dagster UI and run the schedule until Ctrl-C."""
    environment = {**os.environ, "ATTAIN_HOME": str(settings.home), "DAGSTER_HOME": str(dagster_home(settings))}
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--workspace",
        str(PROJECT_ROOT / "workspace.yaml"),
        "--port",
        str(port),
    ]
    # Where Ctrl-C is ignored, as behind `nohup … &`, Dagster would inherit that and ignore SIGTERM as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, env=environment) as ui:
        signal.signal(signal.SIGTERM, lambda *_: ui.terminate())
        return ui.wait()
