"""The report is written after every night, where a steward finds it, and says of a bad night that it was one."""

import shlex
from collections.abc import Iterator
from datetime import date

import dagster as dg
import duckdb
import pytest
import typer
from click.testing import Result
from mornings import AS_OF, NOW, RUN, Left
from typer.testing import CliRunner

from expectations.report import REPORT
from expectations.report.facts import Night
from expectations.report.site import commands
from orchestration import steward_cli
from orchestration.automation import report_sensors
from orchestration.definitions import build_definitions
from orchestration.quality import REPORTS_KEPT, report_run_config, write_report
from orchestration.settings import PROJECT_ROOT, read_settings

NIGHT = f"{RUN.rpartition('-')[2]}-0000-4000-8000-000000000000"
GOOD, BAD = report_sensors(read_settings({"ATTAIN_TIMEZONE": "Pacific/Auckland"}))


@dg.op
def gate() -> None:
    pass


@dg.op
def refused() -> None:
    raise dg.Failure("Salesforce does not accept the credentials", allow_retries=False)


@dg.resource
def taken() -> None:
    raise dg.Failure("Another run is using the folder", allow_retries=False)


@dg.resource(config_schema={"as_of": dg.Field(str, is_required=False)})
def run() -> str:
    return "run"


@dg.job(name="nightly", resource_defs={"run": run})
def good_night() -> None:
    gate()


@dg.job(name="nightly", resource_defs={"run": run})
def bad_night() -> None:
    refused()


@dg.op(required_resource_keys={"run"})
def pull() -> None:
    pass


@dg.job(name="nightly", resource_defs={"run": taken})
def night_that_never_began() -> None:
    pull()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def requested(
    sensor: dg.SensorDefinition, job: dg.JobDefinition, instance: dg.DagsterInstance, as_of: str | None
) -> tuple[str, object]:
    """What the sensor asks for after a run of a job: the run it is about, and the request or why there is none."""
    config = {"resources": {"run": {"config": {"as_of": as_of}}}} if as_of else {}
    result = job.execute_in_process(config, instance=instance, raise_on_error=False)
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_success_event() if result.success else result.get_run_failure_event(),
    )
    return result.run_id, sensor(context)


def test_a_good_night_is_reported_as_of_its_own_day(instance: dg.DagsterInstance) -> None:
    night, request = requested(GOOD, good_night, instance, "2026-08-14")
    assert isinstance(request, dg.RunRequest)
    assert (request.run_key, request.run_config) == (night, report_run_config(night, "2026-08-14"))


def test_a_bad_night_is_reported_with_what_stopped_it(instance: dg.DagsterInstance) -> None:
    night, request = requested(BAD, bad_night, instance, "2026-08-14")
    assert isinstance(request, dg.RunRequest)
    why = ["Salesforce does not accept the credentials"]
    assert request.run_config == report_run_config(night, "2026-08-14", why)


def test_a_night_that_was_given_no_day_is_of_the_day_on_which_it_began(instance: dg.DagsterInstance) -> None:
    _, request = requested(GOOD, good_night, instance, None)
    assert isinstance(request, dg.RunRequest)
    as_of = date.fromisoformat(request.run_config["resources"]["run"]["config"]["as_of"])
    assert abs((as_of - date.today()).days) <= 1


def test_a_night_that_found_the_folder_in_use_is_not_reported(instance: dg.DagsterInstance) -> None:
    _, answer = requested(BAD, night_that_never_began, instance, None)
    assert isinstance(answer, dg.SkipReason)


SETTINGS = read_settings({})
CHECKED = {"stream": "deals", "rule": "key_unique", "reason": "two records have the same key"}


def test_the_job_writes_the_report_of_the_night_and_points_people_to_it(left: Left) -> None:
    left.results("hubspot", CHECKED)
    left.incidents()
    left.published()
    job = build_definitions(read_settings({"ATTAIN_HOME": str(left.home)})).resolve_job_def("quality")
    assert job.execute_in_process(report_run_config(NIGHT, "2026-08-14"), raise_on_error=False).success
    page = (left.home / REPORT).read_text(encoding="utf-8")
    assert "Tonight’s numbers may be trusted." in page and RUN in page
    assert (left.home / REPORT).resolve() == left.home / "quality" / "reports" / RUN / "index.html"


def test_old_reports_and_what_a_killed_run_left_make_room(left: Left) -> None:
    reports = left.home / "quality" / "reports"
    old = [f"202607{day:02}T020000-00000000" for day in range(1, REPORTS_KEPT + 2)]
    for name in (*old, f".{RUN}.draft"):
        (reports / name).mkdir(parents=True)
    write_report(left.home, left.night, SETTINGS, now=NOW)
    assert sorted(path.name for path in reports.iterdir()) == [*old[2:], RUN]


def test_a_report_that_cannot_be_written_leaves_the_last_one(left: Left) -> None:
    left.incidents()
    write_report(left.home, left.night, SETTINGS, now=NOW)
    before = (left.home / REPORT).read_bytes()
    (left.home / "quality" / "steward" / "incidents.parquet").write_bytes(b"torn")
    with pytest.raises(duckdb.Error):
        write_report(left.home, Night(run_id="20260815T020000-ffffffff", as_of=AS_OF), SETTINGS, now=NOW)
    assert (left.home / REPORT).read_bytes() == before


def test_the_command_line_says_where_the_report_lies(left: Left) -> None:
    def ask() -> Result:
        return CliRunner().invoke(steward_cli.app, ["report"], env={"ATTAIN_HOME": str(left.home)})

    before = ask()
    assert before.exit_code == 1 and "no report" in before.stderr
    write_report(left.home, left.night, SETTINGS, now=NOW)
    assert ask().stdout.strip() == str(left.home / REPORT)


def told_commands() -> list[str]:
    """What the README and the report tell stewards to type."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    shown = [line.partition("#")[0] for line in readme.splitlines() if line.startswith("attain quality ")]
    return [*shown, *(command for command, _ in commands("INC-000001"))]


@pytest.mark.parametrize("told", told_commands())
def test_what_stewards_are_told_to_type_is_understood(told: str) -> None:
    _, _, name, *arguments = shlex.split(told)
    command = typer.main.get_command(steward_cli.app).commands[name]
    command.make_context(name, arguments)  # refuses what it does not know, and runs nothing
