"""What dbt itself says of the project: it parses without a warning, and every rule's unit test passes."""

import os
import subprocess
import sys
from pathlib import Path

from nights import AS_OF, FirstNight

ROOT = Path(__file__).parent.parent.parent
DBT = Path(sys.executable).with_name("dbt")


def dbt(*arguments: str, home: Path, target: Path) -> str:
    done = subprocess.run(
        [DBT, *arguments, "--project-dir", "dbt_project", "--profiles-dir", "dbt_project", "--target-path", target],
        cwd=ROOT,
        env={**os.environ, "ATTAIN_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_project_parses_without_a_warning_and_without_a_date(tmp_path: Path) -> None:
    dbt("--warn-error", "parse", home=tmp_path, target=tmp_path / "target")


def test_every_unit_test_passes(first_night: FirstNight, tmp_path: Path) -> None:
    variables = f"{{as_of_date: {AS_OF}}}"
    said = dbt(
        "test", "--select", "test_type:unit", "--vars", variables, home=first_night.home, target=tmp_path / "target"
    )
    passed = [line for line in said.splitlines() if " PASS " in line]
    assert len(passed) > 30
