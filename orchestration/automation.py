"""When things run and who hears of failures: the nightly job, its schedule in business time, the failure sensor.

What the job does is the assets' own business.
"""

from zoneinfo import ZoneInfo

import dagster as dg
import requests

from orchestration.settings import Settings

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="Pull the CRMs, check, build the marts, check again, publish.",
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
