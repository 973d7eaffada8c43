"""When things run and who hears of failures: the nightly job in business time, and the quality report after it.

What the job does is the assets' own business.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import requests

from orchestration.quality import report_run_config
from orchestration.settings import Settings

_REPORT = dg.AssetSelection.assets("quality_report")

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all() - _REPORT,
    description="Pull the CRMs, check, build the marts, check again, publish.",
    executor_def=dg.in_process_executor,
)

quality = dg.define_asset_job(
    "quality",
    selection=_REPORT,
    description="Tell the stewards what the night found, whether it published or not.",
    executor_def=dg.in_process_executor,
)


def nightly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Run every night in the business time zone, as of the day it was due even if it starts late."""

    @dg.schedule(
        job=nightly,
        cron_schedule=settings.schedule,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def nightly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        due = context.scheduled_execution_time.astimezone(ZoneInfo(settings.timezone)).date().isoformat()
        return dg.RunRequest(run_key=due, run_config={"resources": {"run": {"config": {"as_of": due}}}})

    return nightly_schedule


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Tell a chat channel, when one is configured, that a night failed and nothing new was published."""

    @dg.run_failure_sensor(monitored_jobs=[nightly], default_status=dg.DefaultSensorStatus.RUNNING)
    def nightly_failure(context: dg.RunFailureSensorContext) -> None:
        message = (
            f"Attain: run {context.dagster_run.run_id} failed, the last published marts stay as they were. "
            f"{context.failure_event.message}"
        )
        context.log.error(message)
        if settings.alert_webhook:
            requests.post(settings.alert_webhook, json={"text": message}, timeout=30).raise_for_status()

    return nightly_failure


def report_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Write the quality report after every night that the schedule or the UI has started, good or bad."""
    return [
        _report_sensor("report_good_night", dg.DagsterRunStatus.SUCCESS, settings),
        _report_sensor("report_bad_night", dg.DagsterRunStatus.FAILURE, settings),
    ]


def _report_sensor(name: str, status: dg.DagsterRunStatus, settings: Settings) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        monitored_jobs=[nightly],
        request_job=quality,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def report_night(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        night = context.dagster_run
        events = [entry.dagster_event for entry in context.instance.all_logs(night.run_id) if entry.dagster_event]
        if not has_begun(events):
            return dg.SkipReason("The night never began, so it found nothing.")
        is_good = status is dg.DagsterRunStatus.SUCCESS
        errors = [] if is_good else failures(events) or [str(context.dagster_event.message)]
        return dg.RunRequest(
            run_key=night.run_id, run_config=report_run_config(night.run_id, _as_of(context, settings), errors)
        )

    return report_night


def has_begun(events: Iterable[dg.DagsterEvent]) -> bool:
    """Whether a run came to its first step; one that found the data folder in use did not."""
    return any(event.event_type_value == "STEP_START" for event in events)


def failures(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """Why the steps of a run failed, in the words of whoever failed them."""
    return [failure_message(event) for event in events if event.event_type_value == "STEP_FAILURE"]


def failure_message(event: dg.DagsterEvent) -> str:
    """Why one step failed."""
    failure = event.step_failure_data
    told = failure.user_failure_data.description if failure.user_failure_data else None
    return told or root_message(failure.error)


def root_message(error: Any) -> str:
    """The message of the innermost cause; what Dagster wraps around it says only where."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error else "failed without a message"


def _as_of(context: dg.RunStatusSensorContext, settings: Settings) -> str:
    """The day that a night was computed as of: what it was told, else the day on which it began."""
    asked: Any = context.dagster_run.run_config
    told = asked.get("resources", {}).get("run", {}).get("config", {}).get("as_of")
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    began = datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else datetime.now(UTC)
    return str(told or began.astimezone(ZoneInfo(settings.timezone)).date().isoformat())
