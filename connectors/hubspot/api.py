"""One call to HubSpot: signed, within its limits, parsed without touching a float, its errors turned into ours.

What is asked for is the business of the other modules.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import requests

from connectors.budget import Budget
from connectors.errors import ApiFailed, AuthenticationFailed, Refused
from connectors.hubspot.auth import Credentials, caller, refused_grant
from connectors.hubspot.paths import paths
from connectors.options import Options
from connectors.session import PoliteSession, Transport
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


class CursorLost(ApiFailed):
    """HubSpot does not know the place in a list (any more)."""


class Api:
    """The way to one portal; threads may share it."""

    def __init__(self, credentials: Credentials, options: Options) -> None:
        self.paths = paths(credentials.api_version)
        self.budget = Budget("hubspot", calls=BURST, seconds=10, reserve=options.reserve)
        self._searches = Budget("hubspot", calls=SEARCHES_PER_SECOND)
        self._url = credentials.url.rstrip("/")
        self._transport = Transport(
            vendor_domain="hubapi.com", base_url=credentials.url, ca_bundle=credentials.ca_bundle
        )
        self._session = PoliteSession(self._transport, self.budget, self._inspect)
        self._caller = caller(credentials, options.token_folder, self._exchange)
        self._burst: tuple[int, int] = (0, 0)
        self._daily: tuple[int, int] | None = None

    def server_time(self) -> datetime:
        """The portal's clock at its last answer."""
        return self._transport.server_time()

    def limits(self) -> list[Limit]:
        """What the answers have told of the limits so far."""
        burst, seconds = self._burst
        told = [Limit(name=f"calls in {seconds} seconds", used=None, allowed=burst)] if burst else []
        if self._daily:
            told.append(Limit(name="calls a day", used=self._daily[0], allowed=self._daily[1]))
        return [*told, Limit(name="searches a second", used=None, allowed=SEARCHES_PER_SECOND)]

    def get(self, what: str, path: str, **parameters: Any) -> Mapping[str, Any]:
        """Ask for a resource; `what` names it in errors."""
        return self._call(what, "GET", path, params=parameters)

    def post(self, what: str, path: str, body: Mapping[str, Any], **parameters: Any) -> Mapping[str, Any]:
        """Ask for a resource with a body."""
        return self._call(what, "POST", path, params=parameters, json=body)

    def search(self, what: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Search, which has a limit of its own."""
        self._searches.take()
        return self._call(what, "POST", path, json=body)

    def _call(self, what: str, method: str, path: str, **request: Any) -> Mapping[str, Any]:
        response = self._send(what, method, path, **request)
        rejected = str(response.request.headers.get("Authorization", "")).removeprefix("Bearer ")
        if response.status_code == 401 and self._caller.renew(rejected):
            response = self._send(what, method, path, **request)
        if not response.ok:
            raise _named(what, response, self._caller.variables)
        return _parsed(what, response)

    def _send(self, what: str, method: str, path: str, **request: Any) -> requests.Response:
        try:
            return self._session.request(method, self._url + path, auth=self._caller, **request)
        except requests.RequestException as error:
            raise ApiFailed(f"HubSpot failed on {what}: {error}") from error

    def _exchange(self, fields: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            response = self._session.post(self._url + self.paths.token, data=dict(fields), auth=_unsigned)
        except requests.RequestException as error:
            raise ApiFailed(f"HubSpot failed to hand out a token: {error}") from error
        if response.status_code in (400, 401, 403):
            raise refused_grant(_parsed("the token", response))
        if not response.ok:
            raise _named("the token", response, self._caller.variables)
        return _parsed("the token", response)

    def _inspect(self, response: requests.Response) -> None:
        """Take in what an answer says of the limits."""
        headers = response.headers
        if burst := headers.get(f"{HEADER}Max"):
            told = (int(burst), int(headers.get(f"{HEADER}Interval-Milliseconds", "10000")) // 1000)
            if told != self._burst:
                self._burst = told
                self.budget.permit(max(1, int(told[0] * SHARE_OF_BURST)), told[1])
        if (allowed := headers.get(f"{HEADER}Daily")) and (left := headers.get(f"{HEADER}Daily-Remaining")):
            self._daily = (int(allowed) - int(left), int(allowed))
            self.budget.note_daily(used=self._daily[0], allowed=self._daily[1])
        if response.status_code == 429 and b'"DAILY"' in response.content:
            self.budget.spend("the day's calls are used up")
            self.budget.take()  # raises: not even this call is worth another try


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _parsed(what: str, response: requests.Response) -> Mapping[str, Any]:
    try:
        answer = json.loads(response.content, parse_float=Decimal)
    except ValueError as error:
        got = f"{response.status_code} {response.text[:300]!r}"
        raise ApiFailed(f"HubSpot failed on {what}: it answered {got}, which is no JSON") from error
    if not isinstance(answer, dict):
        raise ApiFailed(f"HubSpot failed on {what}: its answer is no JSON object")
    return answer


def _named(what: str, response: requests.Response, variables: str) -> Exception:
    """An error that names the object and says what to do."""
    status, text = response.status_code, _message(response)
    match status:
        case 401:
            return AuthenticationFailed(f"HubSpot does not accept the token: {text}. Check {variables}.")
        case 403 | 404:
            return Refused(f"HubSpot does not show {what}: {text}. Grant the app its read scope.")
        case 400 if text.startswith(UNKNOWN_OBJECT):
            return Refused(f"HubSpot has no {what} in this portal: {text}.")
        case 400 if "after=" in str(response.url):
            return CursorLost(f"HubSpot failed on {what}: it does not know the place to go on from: {text}")
    return ApiFailed(f"HubSpot failed on {what}: {status} {text}")


def _message(response: requests.Response) -> str:
    try:
        body = response.json()
        scopes = (body.get("context") or {}).get("requiredGranularScopes", ())
        return " ".join([str(body["message"]), *map(str, scopes)])
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text[:300] or str(response.reason)
