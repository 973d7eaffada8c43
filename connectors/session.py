"""One polite way to call a CRM: its budget, timeouts, retries that obey Retry-After, base URLs that SDKs will not take.

No CRM's paths, tokens or error bodies are known here.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import uniform
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception_type, retry_if_result, stop_after_attempt
from urllib3.exceptions import HTTPError

from connectors.budget import Budget
from connectors.errors import BudgetSpent

CONNECT_AND_READ_SECONDS = (10, 120)
ATTEMPTS = 7
BACKOFF_SECONDS = 0.5
"""About how long to pause before the first retry, doubled each time, unless the CRM names a pause."""
PATIENCE_SECONDS = 900
"""A CRM that asks for a longer pause than this is not waited for: the next run goes on."""
TRANSIENT = frozenset({406, 408, 420, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


class Answer(Protocol):
    """A response of requests, or one like it."""

    @property
    def status_code(self) -> int:
        """Of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """With names in any case."""


A = TypeVar("A", bound=Answer)


def politely(
    send: Callable[[], A], budget: Budget, is_transient: Callable[[A], bool] = lambda answer: is_busy(answer)
) -> A:
    """Send a request within the budget, again while the CRM is busy or the line breaks; the last answer is returned.

    Every call of the connectors is a read, so all of them may be sent again. The body is part of the call: `send` has
    read it.

    Raises:
        BudgetSpent: no call is permitted any more, or the CRM asks for a pause too long to wait for.

    """

    def take_and_send() -> A:
        budget.take()
        return send()

    def pause(state: RetryCallState) -> float:
        answer = None if state.outcome is None or state.outcome.failed else state.outcome.result()
        if answer is not None and (seconds := retry_after(answer)) is not None:
            if seconds > PATIENCE_SECONDS:
                raise BudgetSpent(
                    f"{budget.crm} asks to be left alone for {seconds:,.0f} seconds. What was committed is kept; "
                    "the next run goes on from there."
                )
            budget.pause(seconds)  # all threads wait, in `take`
            return 0
        return float(BACKOFF_SECONDS * 2 ** (state.attempt_number - 1) * uniform(0.75, 1.25))

    return Retrying(
        retry=retry_if_result(is_transient) | retry_if_exception_type(LINE_BROKEN),
        wait=pause,
        stop=stop_after_attempt(ATTEMPTS),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )(take_and_send)


LINE_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    HTTPError,
)


def is_busy(answer: Answer) -> bool:
    """Whether the same request may well succeed a moment later."""
    return answer.status_code in TRANSIENT


def retry_after(answer: Answer) -> float | None:
    """Seconds that the CRM asks to wait, given as such or as a date."""
    value = answer.headers.get("Retry-After")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        sent = parsedate_to_datetime(answer.headers.get("Date") or "")
    except ValueError:
        sent = datetime.now(UTC)
    try:
        return max(0.0, (parsedate_to_datetime(value) - sent).total_seconds())
    except ValueError:
        return None


class Transport(HTTPAdapter):
    """Sends requests meant for `vendor_domain` to `base_url`, and keeps the server's clock.

    Vendor SDKs insist on https and on the vendor's host names, while a base URL may be a proxy or a loopback server
    speaking plain http or TLS with a private CA.
    """

    def __init__(self, *, vendor_domain: str, base_url: str, ca_bundle: str | None) -> None:
        self._vendor_domain = vendor_domain
        self._base = urlsplit(base_url)
        self._ca_bundle = ca_bundle
        self._clock: datetime | None = None
        super().__init__(pool_maxsize=32)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send to the configured host, with a timeout even where the SDK sets none."""
        request.url = self._rehosted(str(request.url))
        kwargs["timeout"] = kwargs.get("timeout") or CONNECT_AND_READ_SECONDS
        kwargs["verify"] = self._ca_bundle or kwargs.get("verify", True)  # else REQUESTS_CA_BUNDLE would win
        response = super().send(request, *args, **kwargs)
        if sent := response.headers.get("Date"):
            self._clock = parsedate_to_datetime(sent)
        return response

    def server_time(self) -> datetime:
        """The server's clock at its last answer; ours before the first."""
        return self._clock or datetime.now(UTC)

    def _rehosted(self, url: str) -> str:
        parts = urlsplit(url)
        if self._is_vendor(parts.hostname) and not self._is_vendor(self._base.hostname):
            return urlunsplit(parts._replace(scheme=self._base.scheme, netloc=self._base.netloc))
        if parts.netloc == self._base.netloc:
            return urlunsplit(parts._replace(scheme=self._base.scheme))
        return url

    def _is_vendor(self, host: str | None) -> bool:
        return host is not None and (host == self._vendor_domain or host.endswith(f".{self._vendor_domain}"))


class PoliteSession(requests.Session):
    """A session whose every request goes through `transport`, within `budget`, and is sent again while that helps.

    `inspect` sees every answer first: it notes what the CRM says of its limits, and raises BudgetSpent where the CRM
    says that the day's are used up.
    """

    def __init__(
        self,
        transport: Transport,
        budget: Budget,
        inspect: Callable[[requests.Response], None] = lambda response: None,
    ) -> None:
        super().__init__()
        self._budget = budget
        self._inspect = inspect
        self.mount("https://", transport)
        self.mount("http://", transport)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, and read the whole body unless `stream` says that the caller will."""
        send_once = super().send

        unread: list[requests.Response] = []

        def send() -> requests.Response:
            while unread:
                unread.pop().close()  # a streamed answer that is asked for again
            unread.append(send_once(request, **kwargs))
            self._inspect(unread[-1])
            return unread[-1]

        try:
            return politely(send, self._budget)
        except BaseException:
            while unread:
                unread.pop().close()
            raise
