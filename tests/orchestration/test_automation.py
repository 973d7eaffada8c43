"""A failed night is told where somebody will hear it, and not told where nobody asked."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import dagster as dg
import pytest

from orchestration.automation import failure_sensor
from orchestration.settings import read_settings


class Channel:
    """A chat channel's incoming webhook."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        channel = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                channel.messages.append(json.loads(body)["text"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    thread = Thread(target=channel.server.serve_forever)
    thread.start()
    yield channel
    channel.server.shutdown()
    thread.join()
    channel.server.server_close()


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
