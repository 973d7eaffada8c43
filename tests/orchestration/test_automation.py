"""A failed night is told where somebody will hear it, and not told where nobody asked."""

from collections.abc import Iterator

import dagster as dg
import pytest
from channel import Channel, open_channel

from orchestration.automation import failure_sensor
from orchestration.settings import read_settings


@pytest.fixture
def channel() -> Iterator[Channel]:
    with open_channel() as channel:
        yield channel


@pytest.fixture
def failure() -> Iterator[dg.RunFailureSensorContext]:
    """What Dagster hands to the sensor after a run of a job that fails."""

    @dg.op
    def pull() -> None:
        raise dg.Failure("Salesforce does not accept the credentials", allow_retries=False)

    @dg.job
    def nightly() -> None:
        pull()

    with dg.DagsterInstance.ephemeral() as instance:
        result = nightly.execute_in_process(instance=instance, raise_on_error=False)
        yield dg.build_run_status_sensor_context(
            sensor_name="nightly_failure",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()


def test_a_failed_night_is_told_to_the_configured_channel(
    channel: Channel, failure: dg.RunFailureSensorContext
) -> None:
    failure_sensor(read_settings({"ATTAIN_ALERT_WEBHOOK": channel.url}))(failure)
    (message,) = channel.messages
    assert failure.dagster_run.run_id in message and "stay as they were" in message


def test_without_a_channel_nothing_is_sent(channel: Channel, failure: dg.RunFailureSensorContext) -> None:
    failure_sensor(read_settings({}))(failure)
    assert channel.messages == []
