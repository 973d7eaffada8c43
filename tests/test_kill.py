"""`kill -9` of `attain run` at four moments, then an undisturbed run: the result is as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from nights import AS_OF, Night, published_tables

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
    "checking": has("quality/results/*/salesforce.parquet"),
    "building": has("warehouse.duckdb*"),
    "publishing": has("published/releases/.*.draft"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(generate(), ["salesforce"]) as server:
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


def test_killed_nights_leave_nothing_behind_that_counts(server: Server, tmp_path: Path) -> None:
    home, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert Night(server, undisturbed).outcome.is_success
    for moment in MOMENTS.values():
        kill_when(attain_run(server, home), home, moment)

    last = attain_run(server, home)
    output = last.communicate(timeout=PATIENCE_SECONDS)[0].decode()
    assert last.returncode == 0, output
    assert "Published" in output

    assert published_tables(home) == published_tables(undisturbed)
    assert not list((home / "published" / "releases").glob(".*")), "no draft is left"
