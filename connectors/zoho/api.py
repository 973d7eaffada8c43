"""Calls to one organisation of Zoho CRM: address, token, credits, and what its refusals mean.

Plain requests: Zoho's own SDK keeps its settings in a global that threads share, hands out errors as if they were
records, swallows exceptions and turns ids into numbers. What is asked for is in `records`, `coql` and `bulk`.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from connectors.budget import Budget
from connectors.errors import ApiFailed, AuthenticationFailed, ConnectorError, PlaceLost, Refused
from connectors.options import Options
from connectors.session import PoliteSession, Transport
from connectors.stream import Limit
from connectors.zoho.tokens import Credentials, Token, Tokens
from connectors.zoho.values import parsed

API = "/crm/v8/"
REMAINING = "X-API-CREDITS-REMAINING"
EDITIONS = {
    "free": (5_000, 0, 5_000),
    "standard": (50_000, 250, 100_000),
    "professional": (50_000, 500, 3_000_000),
    "enterprise": (50_000, 1_000, 5_000_000),
    "ultimate": (50_000, 2_000, 10_000_000),
}
"""Credits in 24 hours: to begin with, for each user, and at most."""
UNSUPPORTED = frozenset(
    {"MODULE_NOT_SUPPORTED", "NOT_SUPPORTED", "INVALID_MODULE", "INVALID_QUERY", "FEATURE_NOT_SUPPORTED"}
)

LOST = frozenset({"EXPIRED_VALUE", "PAGINATION_LIMIT_EXCEEDED", "DISCRETE_PAGINATION_LIMIT_EXCEEDED"})


class Unsupported(ConnectorError):
    """This API does not know the module, while another one may."""


class Api:
    """One organisation, as one user of the API sees it; all threads may share it."""

    def __init__(self, credentials: Credentials, options: Options, budget: Budget) -> None:
        self._budget = budget
        self._url = credentials.url
        self._transport = Transport(
            vendor_domain="zohoapis.com",
            base_url=credentials.url or credentials.accounts_url,
            ca_bundle=credentials.ca_bundle,
        )
        self._session = PoliteSession(self._transport, budget, self._inspect)
        self._tokens = Tokens(credentials, self._session, options.token_folder)
        self._remaining: int | None = None
        self._allowed: int | None = None
        self._is_edition_known = False

    def server_time(self) -> datetime:
        """Zoho's clock at its last answer."""
        return self._transport.server_time()

    def get(
        self, name: str, path: str, parameters: Mapping[str, str | int] | None = None, *, since: datetime | None = None
    ) -> Mapping[str, Any] | None:
        """Ask for something; None if there is nothing, or nothing new. `name` is what messages call it."""
        headers = {"If-Modified-Since": since.isoformat(timespec="seconds")} if since else {}
        response = self._call(name, "GET", path, params=dict(parameters or {}), headers=headers)
        return _content(name, response)

    def post(self, name: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask for something by a body: queries and jobs."""
        return _content(name, self._call(name, "POST", path, json=body))

    def save(self, name: str, path: str, file: Path) -> None:
        """Download something to a file."""
        with self._call(name, "GET", path, stream=True) as response, file.open("wb") as target:
            for piece in response.iter_content(1 << 20):
                target.write(piece)

    def limits(self) -> list[Limit]:
        """The credits of a rolling day, where the edition is told."""
        allowed = self._allowance()
        if allowed is None:
            return []
        used = None if self._remaining is None else max(0, allowed - self._remaining)
        return [Limit(name="API credits in 24 hours", used=used, allowed=allowed)]

    def _call(self, name: str, method: str, path: str, **kwargs: Any) -> requests.Response:
        token = self._tokens.current()
        response = self._send(token, name, method, path, **kwargs)
        if response.status_code == 401 and _code(response) != "OAUTH_SCOPE_MISMATCH":
            response.close()
            response = self._send(self._tokens.renew(token), name, method, path, **kwargs)
        if response.status_code in (200, 201, 204, 304):
            return response
        raise _error(name, response)

    def _send(self, token: Token, name: str, method: str, path: str, **kwargs: Any) -> requests.Response:
        url = (self._url or token.api_domain) + (path if path.startswith("/") else API + path)
        headers = {**kwargs.pop("headers", {}), "Authorization": f"Zoho-oauthtoken {token.value}"}
        try:
            return self._session.request(method, url, headers=headers, **kwargs)
        except requests.RequestException as error:
            raise ApiFailed(f"Zoho failed on {name}: {error}") from error

    def _inspect(self, response: requests.Response) -> None:
        """Zoho tells what is left from half of the allowance on; with nothing left, a retry tonight is in vain."""
        left = response.headers.get(REMAINING, "")
        if not left.isdigit():
            return
        self._remaining = int(left)
        if self._remaining == 0:
            self._budget.spend("the API credits of the last 24 hours are used up")
        elif (allowed := self._allowance()) is not None:
            self._budget.note_daily(used=max(0, allowed - self._remaining), allowed=allowed)
        if response.status_code == 429:
            self._budget.take()  # raises, if that was the last of them

    def _allowance(self) -> int | None:
        """What follows from the edition and the number of users, once it was asked for."""
        if not self._is_edition_known:
            self._is_edition_known = True
            self._allowed = self._asked_allowance()
        return self._allowed

    def _asked_allowance(self) -> int | None:
        try:
            answer = self.get("the organisation", "org") or {}
            license = answer["org"][0]["license_details"]
            base, per_user, most = EDITIONS[str(license["paid_type"]).lower()]
            return min(most, base + per_user * int(license["users_license_purchased"]))
        except (Refused, ApiFailed, Unsupported, LookupError, TypeError, ValueError):
            return None


def _content(name: str, response: requests.Response) -> Mapping[str, Any] | None:
    if response.status_code in (204, 304) or not response.content:
        return None
    try:
        answer = parsed(response.content)
    except ValueError as error:
        raise ApiFailed(f"Zoho failed on {name}: the answer is no JSON ({error})") from error
    if not isinstance(answer, dict):
        raise ApiFailed(f"Zoho failed on {name}: the answer is not what was asked for")
    return answer


def _code(response: requests.Response) -> str:
    return str(_body(response).get("code", ""))


def _body(response: requests.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _error(name: str, response: requests.Response) -> ConnectorError:
    """What a refusal means."""
    body, code = _body(response), _code(response)
    told = f"{code or response.status_code}: {body.get('message', response.reason)}"
    if details := body.get("details"):
        told += f" {details}"
    if code == "OAUTH_SCOPE_MISMATCH":
        return Refused(f"Zoho refuses {name} ({told}): make the refresh token anew with the scopes that README lists")
    if response.status_code == 401:
        return AuthenticationFailed(
            f"Zoho does not accept the access token for {name} ({told}). Check ZOHO_REFRESH_TOKEN."
        )
    if response.status_code == 403:
        return Refused(f"Zoho refuses {name} ({told}): let the profile of the integration user read it")
    if code in LOST:
        return PlaceLost(f"Zoho lost the page of {name} ({told})")
    if code in UNSUPPORTED:
        return Unsupported(f"Zoho does not offer {name} here ({told})")
    return ApiFailed(f"Zoho failed on {name} ({told})")
