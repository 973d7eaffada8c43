"""One call to HubSpot: signed, within its limits, parsed without touching a float, its errors turned into ours.

What is asked for is the business of the other modules.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from hubspot.crm.objects import PublicObjectSearchRequest
from urllib3.exceptions import HTTPError

from connectors.budget import Budget
from connectors.errors import ApiFailed, AuthenticationFailed, PlaceLost, Refused
from connectors.hubspot.auth import Credentials, caller, refused_grant
from connectors.hubspot.client import Answer, Client
from connectors.hubspot.paths import paths
from connectors.options import Options
from connectors.session import CONNECT_AND_READ_SECONDS, politely
from connectors.stream import Limit

BURST = 100
"""Calls in ten seconds that every plan has; the answers tell when there are more."""
SHARE_OF_BURST = 0.95
"""Calls that leave us evenly do not arrive evenly."""
SEARCHES_PER_SECOND = 5
"""For the whole portal; no answer tells."""
HEADER = "X-HubSpot-RateLimit-"
UNKNOWN_OBJECT = "Unable to infer object type"
"""How HubSpot says that an object is not in the portal's edition, or has another name; no code tells."""


class Api:
    """The way to one portal; threads may share it."""

    def __init__(self, credentials: Credentials, options: Options) -> None:
        self.paths = paths(credentials.api_version)
        self.budget = Budget("hubspot", calls=BURST, seconds=10, reserve=options.reserve)
        self._searches = Budget("hubspot", calls=SEARCHES_PER_SECOND)
        self._client = Client(credentials)
        self._caller = caller(credentials, options.token_folder, self._exchange)
        self._burst: tuple[int, int] = (0, 0)
        self._daily: tuple[int, int] | None = None
        self._clock: datetime | None = None

    def server_time(self) -> datetime:
        """The portal's clock at its last answer; ours before the first."""
        return self._clock or datetime.now(UTC)

    def limits(self) -> list[Limit]:
        """What the answers have told of the limits so far."""
        burst, seconds = self._burst
        told = [Limit(name=f"calls in {seconds} seconds", used=None, allowed=burst)] if burst else []
        if self._daily:
            told.append(Limit(name="calls a day", used=self._daily[0], allowed=self._daily[1]))
        return [*told, Limit(name="searches a second", used=None, allowed=SEARCHES_PER_SECOND)]

    def get(self, what: str, path: str, **parameters: Any) -> Mapping[str, Any]:
        """Ask for a resource; `what` names it in errors."""
        return self._call(what, "GET", path, parameters)

    def post(self, what: str, path: str, body: Mapping[str, Any], **parameters: Any) -> Mapping[str, Any]:
        """Ask for a resource with a body."""
        return self._call(what, "POST", path, parameters, body)

    def search(self, what: str, path: str, search: PublicObjectSearchRequest) -> Mapping[str, Any]:
        """Search, which has a limit of its own."""
        self._searches.take()
        return self._call(what, "POST", path, {}, search)

    def _call(
        self, what: str, method: str, path: str, parameters: Mapping[str, Any], body: Any = None
    ) -> Mapping[str, Any]:
        def send(token: str) -> Answer:
            signed = {"Authorization": f"Bearer {token}"}
            return self._send(what, method, path, query_params=parameters, header_params=signed, body=body)

        token = self._caller.token()
        answer = send(token)
        if answer.status_code == 401 and self._caller.renew(token):
            answer = send(self._caller.token())
        if not answer.ok:
            raise _named(what, answer, self._caller.variables, goes_on="after" in parameters)
        return _parsed(what, answer)

    def _send(self, what: str, method: str, path: str, **request: Any) -> Answer:
        def send() -> Answer:
            answer: Answer = self._client.call_api(
                path, method, _preload_content=False, _request_timeout=CONNECT_AND_READ_SECONDS, **request
            )
            self._inspect(answer)
            return answer

        try:
            return politely(send, self.budget)
        except HTTPError as error:
            raise ApiFailed(f"HubSpot failed on {what}: {error}") from error

    def _exchange(self, fields: Mapping[str, str]) -> Mapping[str, Any]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._send("the token", "POST", self.paths.token, header_params=form, post_params=dict(fields))
        if answer.status_code in (400, 401, 403):
            raise refused_grant(_parsed("the token", answer))
        if not answer.ok:
            raise _named("the token", answer, self._caller.variables)
        return _parsed("the token", answer)

    def _inspect(self, answer: Answer) -> None:
        """Take in what an answer says of the time and of the limits."""
        headers = answer.headers
        if sent := headers.get("Date"):
            self._clock = parsedate_to_datetime(sent)
        if burst := headers.get(f"{HEADER}Max"):
            told = (int(burst), int(headers.get(f"{HEADER}Interval-Milliseconds", "10000")) // 1000)
            if told != self._burst:
                self._burst = told
                self.budget.permit(max(1, int(told[0] * SHARE_OF_BURST)), told[1])
        if (allowed := headers.get(f"{HEADER}Daily")) and (left := headers.get(f"{HEADER}Daily-Remaining")):
            self._daily = (int(allowed) - int(left), int(allowed))
            self.budget.note_daily(used=self._daily[0], allowed=self._daily[1])
        if answer.status_code == 429 and b'"DAILY"' in answer.body:
            self.budget.spend("the day's calls are used up")
            self.budget.take()  # raises: not even this call is worth another try


def _parsed(what: str, answer: Answer) -> Mapping[str, Any]:
    try:
        parsed = json.loads(answer.body, parse_float=Decimal)
    except ValueError as error:
        got = f"{answer.status_code} {answer.text!r}"
        raise ApiFailed(f"HubSpot failed on {what}: it answered {got}, which is no JSON") from error
    if not isinstance(parsed, dict):
        raise ApiFailed(f"HubSpot failed on {what}: its answer is no JSON object")
    return parsed


def _named(what: str, answer: Answer, variables: str, *, goes_on: bool = False) -> Exception:
    """An error that names the object and says what to do."""
    status, text = answer.status_code, _message(answer)
    match status:
        case 401:
            return AuthenticationFailed(f"HubSpot does not accept the token: {text}. Check {variables}.")
        case 403 | 404:
            return Refused(f"HubSpot does not show {what}: {text}. Grant the app its read scope.")
        case 400 if text.startswith(UNKNOWN_OBJECT):
            return Refused(f"HubSpot has no {what} in this portal: {text}.")
        case 400 | 410 if goes_on:
            return PlaceLost(f"HubSpot failed on {what}: it does not know the place to go on from: {text}")
    return ApiFailed(f"HubSpot failed on {what}: {status} {text}")


def _message(answer: Answer) -> str:
    try:
        body = json.loads(answer.body)
        scopes = (body.get("context") or {}).get("requiredGranularScopes", ())
        return " ".join([str(body["message"]), *map(str, scopes)])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text or "without a word"
