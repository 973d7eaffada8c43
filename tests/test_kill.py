"""`kill -9` of `attain run` at five moments, then an undisturbed run: the result is as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from nights import AS_OF, TWO_CRMS, FirstNight, published_tables

from connectors.sandbox.generate import generate
from connectors.sandbox.server import Server, running

ATTAIN = str(Path(sys.executable).with_name("attain"))
PATIENCE_SECONDS = 240

Moment = Callable[[Path], bool]


def has(pattern: str) -> Moment:
    """The moment at which the first file of a kind shows up that was not there when the run began."""
    return lambda home: any(home.glob(pattern))


MOMENTS: Mapping[str, Moment] = {
    "pulling": has("landing/*/*/run=*/*"),
    "checking": has("quality/results/*/salesforce.accounts.json"),
    "building": has("warehouse.duckdb*"),
    "before publishing": has("quality/results/*/warehouse.marts.json"),
    "publishing": has("published/releases/.*.draft"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(generate(), TWO_CRMS) as server:
        yield server


def attain_run(server: Server, home: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **server.environment(), "ATTAIN_HOME": str(home)}
    command = [ATTAIN, "run", "--as-of", AS_OF.isoformat()]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def kill_when(process: subprocess.Popen[bytes], home: Path, moment: Moment) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not moment(home):
        assert process.poll() is None and time.monotonic() < deadline, process.stdout and process.stdout.read().decode()
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    if process.stdout:
        process.stdout.close()


def test_killed_nights_leave_nothing_behind_that_counts(
    server: Server, tmp_path: Path, first_night: FirstNight
) -> None:
    home = tmp_path / "killed"
    for moment in MOMENTS.values():
        kill_when(attain_run(server, home), home, moment)

    last = attain_run(server, home)
    output = last.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    assert last.returncode == 0, output
    assert "Published" in output

    assert published_tables(home) == first_night.tables
    assert not list((home / "published" / "releases").glob(".*")), "no draft is left"
