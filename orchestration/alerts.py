"""Carries what stewards should know to a chat channel and by e-mail, and goes on trying until it has arrived.

What there is to tell is in `expectations.stewardship.alerts`; without a configured channel nothing is told.
"""

import smtplib
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import dagster as dg
import requests

from expectations.stewardship.alerts import Alert, due_alerts, mark_sent
from expectations.stewardship.state import StateUnusable, open_state
from orchestration.settings import QUALITY_WEIGHTS, Settings

PATIENCE_SECONDS = 30
EVERY_SECONDS = 300
HERE = ("localhost", "127.0.0.1", "::1")

Carry = Callable[[Alert], None]


class NotCarried(Exception):
    """A channel did not take a message; it is tried again."""


def tell_stewards(settings: Settings, at: datetime) -> int:
    """Send every channel what it has not been told yet; returns how many messages went out.

    Raises:
        NotCarried: a channel did not take a message. The other channels have had theirs, and what was not taken is due
            again the next time.

    """
    carriers = channels(settings)
    if not carriers:
        return 0
    try:
        engine = open_state(settings.state_url)
    except StateUnusable as error:
        raise NotCarried(str(error)) from error
    sent, failures = 0, []
    for channel, carry in carriers.items():
        try:
            for alert in due_alerts(engine, settings.home, at, weights=QUALITY_WEIGHTS, channel=channel):
                carry(alert)
                mark_sent(engine, alert, at, channel=channel)
                sent += 1
        except NotCarried as failure:
            failures.append(str(failure))
    engine.dispose()
    if failures:
        raise NotCarried(" ".join(failures))
    return sent


def channels(settings: Settings) -> Mapping[str, Carry]:
    """Give the channels that are configured, by name."""
    found: dict[str, Carry] = {}
    if settings.alert_webhook:
        found["webhook"] = partial(_post, settings.alert_webhook)
    if settings.smtp_url:
        found["e-mail"] = partial(_mail, settings.smtp_url, tuple(settings.alert_emails))
    return found


def _post(url: str, alert: Alert) -> None:
    try:
        answer = requests.post(url, json={"text": f"*{alert.title}*\n{alert.text}"}, timeout=PATIENCE_SECONDS)
    except requests.RequestException as error:  # its text holds the address, which is a secret
        raise NotCarried(f"The webhook of ATTAIN_ALERT_WEBHOOK cannot be reached: {type(error).__name__}.") from None
    if not answer.ok:
        raise NotCarried(f"The webhook of ATTAIN_ALERT_WEBHOOK answered {answer.status_code}.")


def _mail(url: str, to: tuple[str, ...], alert: Alert) -> None:
    server = urlsplit(url)
    message = EmailMessage()
    message["Subject"], message["To"] = alert.title, ", ".join(to)
    user = unquote(server.username or "")
    message["From"] = user if "@" in user else to[0]
    message.set_content(alert.text)
    try:
        with _connected(url) as connection:
            if user:
                connection.login(user, unquote(server.password or ""))
            connection.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        raise NotCarried(f"The mail server {server.hostname} did not take the message: {error}") from None


def _connected(url: str) -> smtplib.SMTP:
    server, context = urlsplit(url), ssl.create_default_context()
    host = server.hostname or ""
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(host, server.port or 465, timeout=PATIENCE_SECONDS, context=context)
    connection = smtplib.SMTP(host, server.port or 587, timeout=PATIENCE_SECONDS)
    connection.ehlo()
    if connection.has_extn("starttls"):
        connection.starttls(context=context)
    elif server.username and host not in HERE:
        connection.close()
        raise smtplib.SMTPNotSupportedError("it offers no TLS, and a password is not sent in the clear")
    return connection


def alert_sensor(settings: Settings) -> dg.SensorDefinition:
    """Look every five minutes for something to tell; a tick fails as long as a channel does not take it."""

    @dg.sensor(
        name="steward_alerts",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells stewards of a blocked night, of what is overdue and of scores that fell, each once.",
    )
    def steward_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        sent = tell_stewards(settings, datetime.now(UTC).astimezone(ZoneInfo(settings.timezone)))
        return dg.SkipReason(f"Messages sent: {sent}." if sent else "Nothing to tell.")

    return steward_alerts
