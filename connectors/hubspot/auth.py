"""Who calls HubSpot: a private app with one token for good, or an OAuth app whose tokens are renewed in time.

How the token endpoint is reached is for `api`; where tokens are kept, for `tokens`.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Protocol

from connectors.errors import ApiFailed, AuthenticationFailed, ConfigurationError
from connectors.tokens import TokenFile

PUBLIC_URL = "https://api.hubapi.com"
SPENT_AT = 0.9
"""A token is renewed when this share of its life is over: an answer 401 is no reliable sign."""
VARIABLES = {
    "BAD_CLIENT_ID": "HUBSPOT_CLIENT_ID",
    "BAD_CLIENT_SECRET": "HUBSPOT_CLIENT_SECRET",
    "BAD_REFRESH_TOKEN": "HUBSPOT_REFRESH_TOKEN",
}


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one portal: a private app's or service key's token, or an OAuth app with its grant."""

    access_token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    url: str = PUBLIC_URL
    ca_bundle: str | None = None
    api_version: str = "v3"
    """`v3`, or a dated one such as `2026-09`."""


class Caller(Protocol):
    """Has a token."""

    variables: str
    """What to check when HubSpot does not accept it."""

    def token(self) -> str:
        """What to sign a request with."""

    def renew(self, rejected: str) -> bool:
        """Get another token than the one that was rejected, if that is possible."""


class PrivateApp:
    """Has one token, which lives until somebody revokes it."""

    variables = "HUBSPOT_ACCESS_TOKEN"

    def __init__(self, access_token: str) -> None:
        self._access_token = access_token

    def token(self) -> str:
        """The one."""
        return self._access_token

    def renew(self, rejected: str) -> bool:
        """There is no other."""
        return False


Exchange = Callable[[Mapping[str, str]], Mapping[str, Any]]


class OAuthApp:
    """Gets a token for half an hour at a time: one for all threads, and for all processes that share the folder."""

    variables = "HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN"

    def __init__(self, credentials: Credentials, folder: Path | None, exchange: Exchange) -> None:
        self._app = {"client_id": str(credentials.client_id), "client_secret": str(credentials.client_secret)}
        self._granted = str(credentials.refresh_token)
        self._file = TokenFile(folder / f"hubspot-{credentials.client_id}.json") if folder else None
        self._exchange = exchange
        self._lock = threading.Lock()
        self._tokens: Mapping[str, str] = {}

    def token(self) -> str:
        """A token that will outlive the request."""
        with self._lock:
            if not _is_fresh(self._tokens):
                self._refresh(rejected="")
            return self._tokens["access_token"]

    def renew(self, rejected: str) -> bool:
        """Get another token, unless another thread did so already."""
        with self._lock:
            if self._tokens.get("access_token") == rejected:
                self._refresh(rejected)
        return True

    def _refresh(self, rejected: str) -> None:
        with self._file.locked() if self._file else nullcontext():
            kept = self._file.load() if self._file else self._tokens
            if kept.get("granted") != self._fingerprint():
                kept = {}  # the app was authorised anew, and what was kept belongs to the grant before
            if not _is_fresh(kept) or kept["access_token"] == rejected:
                kept = self._exchanged(kept.get("refresh_token", self._granted))
                if self._file:
                    self._file.save(kept)  # before anything uses it: the refresh token before it may be dead by now
            self._tokens = kept

    def _exchanged(self, refresh_token: str) -> Mapping[str, str]:
        answer = self._exchange({"grant_type": "refresh_token", "refresh_token": refresh_token, **self._app})
        try:
            return {
                "access_token": answer["access_token"],
                "refresh_token": answer.get("refresh_token", refresh_token),
                "renew_at": str(time() + SPENT_AT * float(answer["expires_in"])),
                "granted": self._fingerprint(),
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ApiFailed("HubSpot answered a token request with something that holds no token.") from error

    def _fingerprint(self) -> str:
        return sha256(self._granted.encode()).hexdigest()


def _is_fresh(tokens: Mapping[str, str]) -> bool:
    return "access_token" in tokens and float(tokens.get("renew_at", 0)) > time()


def caller(credentials: Credentials, folder: Path | None, exchange: Exchange) -> Caller:
    """Whoever the credentials are of."""
    if credentials.access_token:
        return PrivateApp(credentials.access_token)
    if credentials.client_id and credentials.client_secret and credentials.refresh_token:
        return OAuthApp(credentials, folder, exchange)
    raise ConfigurationError(
        "HubSpot needs HUBSPOT_ACCESS_TOKEN, or all of HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET and "
        "HUBSPOT_REFRESH_TOKEN."
    )


def refused_grant(answer: Mapping[str, Any]) -> AuthenticationFailed:
    """What to say when HubSpot hands out no token."""
    variable = VARIABLES.get(str(answer.get("status")), OAuthApp.variables)
    return AuthenticationFailed(f"HubSpot hands out no token: {answer.get('message')}. Check {variable}.")
