"""Alerts over real connections: each arrives once on every channel, and one that was not taken comes again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from socket import socket
from typing import Any

import dagster as dg
import pytest
from aiosmtpd.controller import Controller
from channel import Channel, open_channel
from desk import FIRST_NIGHT, Desk, checked

from connectors.errors import ConfigurationError
from expectations.rule import Severity, Status
from expectations.stewardship.state import open_state
from orchestration.alerts import NotCarried, alert_sensor, tell_stewards
from orchestration.settings import Settings, read_settings

MORNING = FIRST_NIGHT + timedelta(hours=7)
BLOCKED = [checked("volume", Status.FAILED, Severity.CRITICAL)]


class Mailbox:
    """What a mail server has taken."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.answer = "250 taken"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@pytest.fixture
def channel() -> Iterator[Channel]:
    with open_channel() as channel:
        yield channel


@contextmanager
def mail_server(host: str) -> Iterator[tuple[Mailbox, int]]:
    """A mail server that offers no TLS, and the port on which it listens."""
    with socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    mailbox = Mailbox()
    server = Controller(mailbox, hostname=host, port=port)
    server.start()
    try:
        yield mailbox, port
    finally:
        server.stop()


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, str]]:
    with mail_server("127.0.0.1") as (mailbox, port):
        yield mailbox, f"smtp://127.0.0.1:{port}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path / 'quality' / 'steward.db'}"
    engine = open_state(url)
    yield Desk(engine, tmp_path, url)
    engine.dispose()


def settings(desk: Desk, **variables: str) -> Settings:
    return read_settings({"ATTAIN_HOME": str(desk.home), **variables})


def test_a_blocked_night_is_told_once_to_the_chat_and_by_mail(
    desk: Desk, channel: Channel, mail: tuple[Mailbox, str]
) -> None:
    mailbox, server = mail
    desk.night(checks=BLOCKED)
    people = "ann@example.com, ben@example.com"
    both = settings(desk, ATTAIN_ALERT_WEBHOOK=channel.url, ATTAIN_ALERT_EMAIL=people, ATTAIN_SMTP_URL=server)
    assert tell_stewards(both, MORNING) == 2
    assert tell_stewards(both, MORNING + timedelta(minutes=5)) == 0
    (told,) = channel.messages
    assert told.startswith("*Attain: the night is blocked") and "INC-000001 salesforce opportunities volume" in told
    (letter,) = mailbox.messages
    assert (letter["To"], letter["Subject"]) == (people, "Attain: the night is blocked")
    assert "INC-000001" in letter.get_content()


def test_what_a_receiver_does_not_take_is_due_again_and_others_are_told_meanwhile(
    desk: Desk, channel: Channel, mail: tuple[Mailbox, str]
) -> None:
    mailbox, server = mail
    desk.night(checks=BLOCKED)
    channel.status, mailbox.answer = 500, "451 later"
    both = settings(
        desk, ATTAIN_ALERT_WEBHOOK=channel.url, ATTAIN_ALERT_EMAIL="ann@example.com", ATTAIN_SMTP_URL=server
    )
    with pytest.raises(NotCarried, match="webhook of ATTAIN_ALERT_WEBHOOK answered 500. The mail server 127.0.0.1 did"):
        tell_stewards(both, MORNING)
    mailbox.answer = "250 taken"
    with pytest.raises(NotCarried, match="answered 500"):
        tell_stewards(both, MORNING)
    assert len(mailbox.messages) == 1
    channel.status = 200
    channel.messages.clear()
    assert tell_stewards(both, MORNING) == 1
    assert (len(channel.messages), len(mailbox.messages)) == (1, 1)


def test_an_error_does_not_tell_the_address_of_a_webhook(desk: Desk) -> None:
    desk.night(checks=BLOCKED)
    gone = settings(desk, ATTAIN_ALERT_WEBHOOK="http://127.0.0.1:1/services/secret")
    with pytest.raises(NotCarried, match="cannot be reached") as error:
        tell_stewards(gone, MORNING)
    assert "secret" not in str(error.value)


def test_a_password_is_not_sent_in_the_clear(desk: Desk) -> None:
    desk.night(checks=BLOCKED)
    with mail_server("127.0.0.2") as (mailbox, port):
        url = f"smtp://attain:secret@127.0.0.2:{port}"
        with pytest.raises(NotCarried, match="not sent in the clear") as error:
            tell_stewards(settings(desk, ATTAIN_ALERT_EMAIL="ann@example.com", ATTAIN_SMTP_URL=url), MORNING)
    assert mailbox.messages == [] and "secret" not in str(error.value)


def test_without_a_channel_nothing_is_looked_for(desk: Desk) -> None:
    assert tell_stewards(settings(desk), MORNING) == 0


def test_the_sensor_tells_and_its_tick_fails_while_nobody_takes_it(desk: Desk, channel: Channel) -> None:
    desk.night(checks=BLOCKED)
    sensor = alert_sensor(settings(desk, ATTAIN_ALERT_WEBHOOK=channel.url))
    channel.status = 503
    with dg.build_sensor_context() as context:
        with pytest.raises(Exception, match="answered 503"):
            sensor(context)
        channel.status = 200
        assert sensor(context).skip_message == "Messages sent: 2.", "blocked then, overdue by now"
        assert sensor(context).skip_message == "Nothing to tell."


@pytest.mark.parametrize(
    "variables",
    [
        {"ATTAIN_ALERT_EMAIL": "ann@example.com"},
        {"ATTAIN_SMTP_URL": "smtp://mail.example.com"},
        {"ATTAIN_ALERT_EMAIL": "ann@example.com", "ATTAIN_SMTP_URL": "mail.example.com"},
        {"ATTAIN_STATE_URL": "mysql://db/attain"},
    ],
)
def test_settings_that_make_no_sense_are_errors_that_name_the_variable(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="ATTAIN_"):
        read_settings(variables)
