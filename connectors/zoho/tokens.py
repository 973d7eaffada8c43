"""Zoho's access tokens: few may be asked for, so that all threads, runs and processes share one.

What they open is in `api`.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from connectors.errors import ApiFailed, AuthenticationFailed
from connectors.tokens import TokenFile

PUBLIC_ACCOUNTS_URL = "https://accounts.zoho.com"
MARGIN = timedelta(minutes=2)
"""A token that is good for less is renewed before it is used."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one organisation: a self client, or server-based one, of Zoho's API console."""

    client_id: str
    client_secret: str
    refresh_token: str
    accounts_url: str = PUBLIC_ACCOUNTS_URL
    """The data centre's, such as https://accounts.zoho.eu."""
    url: str | None = None
    """In place of the address that Zoho gives out with a token: a proxy's."""
    ca_bundle: str | None = None

    @property
    def fingerprint(self) -> str:
        """Tells apart what tokens belong to, and says nothing of the secrets."""
        told = [self.accounts_url, self.client_id, self.client_secret, self.refresh_token]
        return hashlib.blake2b("\n".join(told).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True)
class Token:
    """An access token, and where it is good."""

    value: str
    api_domain: str
    expires_at: datetime
    """By this machine's clock, whatever Zoho's says."""

    @property
    def is_old(self) -> bool:
        """Whether it may die before it is used."""
        return self.expires_at - datetime.now(UTC) < MARGIN


class Tokens:
    """The access token that everybody uses, in memory and, with a folder, in a file."""

    def __init__(self, credentials: Credentials, session: requests.Session, folder: Path | None) -> None:
        self._credentials = credentials
        self._session = session
        self._file = TokenFile(folder / f"zoho-{credentials.fingerprint}.json") if folder else None
        self._lock = threading.Lock()
        self._token: Token | None = None

    def current(self) -> Token:
        """A token that is good for a while yet."""
        with self._lock:
            if self._token is None or self._token.is_old:
                self._token = self._shared_or_new(refused=None)
            return self._token

    def renew(self, refused: Token) -> Token:
        """Another token than the one that was refused: once for all who were refused it."""
        with self._lock:
            if self._token is None or self._token.value == refused.value:
                self._token = self._shared_or_new(refused)
            return self._token

    def _shared_or_new(self, refused: Token | None) -> Token:
        with self._kept() as file:
            token = _restored(file.load()) if file else None
            if token is None or token.is_old or (refused and token.value == refused.value):
                token = self._asked_for()
                if file:
                    file.save(
                        {
                            "value": token.value,
                            "api_domain": token.api_domain,
                            "expires_at": token.expires_at.isoformat(),
                        }
                    )
            return token

    @contextmanager
    def _kept(self) -> Iterator[TokenFile | None]:
        if self._file is None:
            yield None
            return
        with self._file.locked():
            yield self._file

    def _asked_for(self) -> Token:
        given = {
            "grant_type": "refresh_token",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "refresh_token": self._credentials.refresh_token,
        }
        try:
            response = self._session.post(f"{self._credentials.accounts_url}/oauth/v2/token", data=given)
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise ApiFailed(f"Zoho's accounts server gives no token: {error}") from error
        if not isinstance(answer, dict) or "access_token" not in answer:
            raise _refusal(answer if isinstance(answer, dict) else {}, response)
        try:
            lifetime = timedelta(seconds=int(answer.get("expires_in", 3600)))
            return Token(answer["access_token"], answer["api_domain"], datetime.now(UTC) + lifetime)
        except (KeyError, TypeError, ValueError) as error:
            raise ApiFailed(f"Zoho's accounts server gives a token, but not how to use it: {error!r}") from error


def _refusal(answer: Mapping[str, Any], response: requests.Response) -> ApiFailed | AuthenticationFailed:
    """What stands in an answer without a token, which says 200 all the same."""
    error = str(answer.get("error", f"HTTP {response.status_code}"))
    if "denied" in error.lower():
        return ApiFailed(
            "Zoho gives no access token for now: more than 10 were asked for in 10 minutes with this refresh token. "
            "Wait 10 minutes and run again; give each other program that reads this organisation a token of its own."
        )
    if error.startswith("invalid_"):
        return AuthenticationFailed(
            f"Zoho does not accept the credentials: {error}. Check ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET and "
            "ZOHO_REFRESH_TOKEN, and that ZOHO_ACCOUNTS_URL is the data centre of the organisation."
        )
    return ApiFailed(f"Zoho's accounts server gives no token: {error}")


def _restored(kept: Mapping[str, str]) -> Token | None:
    try:
        return Token(kept["value"], kept["api_domain"], datetime.fromisoformat(kept["expires_at"]))
    except (KeyError, ValueError):
        return None
