"""Zoho's accounts server: it gives out access tokens for a refresh token, few at a time and never many at once.

What a token opens is in the other modules.
"""

import secrets
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.store import Store
from connectors.sandbox.wire import JsonResponse, form

CLIENT_ID = "1000.SANDBOXCLIENT"
CLIENT_SECRET = "sandbox-zoho-secret"
REFRESH_TOKEN = "1000.sandboxrefreshtoken.sandbox"
SCOPE = (
    "ZohoCRM.modules.READ ZohoCRM.settings.READ ZohoCRM.users.READ ZohoCRM.org.READ ZohoCRM.coql.READ ZohoCRM.bulk.READ"
)
LIFETIME = timedelta(hours=1)
MOST_LIVE = 15
WINDOW = timedelta(minutes=10)


class Accounts:
    """The accounts server of one data centre."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tokens: dict[str, datetime] = {}
        """Live access tokens, oldest first, and when each expires."""
        self.most_in_window = 10
        """Access tokens that one refresh token is good for in ten minutes."""
        self._given: deque[datetime] = deque()

    def routes(self) -> list[Route]:
        """Everything it answers."""
        return [Route("/oauth/v2/token", self._token, methods=["POST"])]

    def expiry(self, authorization: str) -> datetime | None:
        """When the token in a header expires; None if it is no good."""
        scheme, _, token = authorization.partition(" ")
        expires_at = self.tokens.get(token) if scheme == "Zoho-oauthtoken" else None
        return expires_at if expires_at and expires_at > self._store.clock() else None

    async def _token(self, request: Request) -> Response:
        given = await form(request)
        if error := _error(given):
            return JsonResponse({"error": error})
        now = self._store.clock()
        while self._given and now - self._given[0] >= WINDOW:
            self._given.popleft()
        if len(self._given) >= self.most_in_window:
            return denied()
        self._given.append(now)
        return JsonResponse(
            {
                "access_token": self._issue(now),
                "scope": SCOPE,
                "api_domain": str(request.base_url).rstrip("/"),
                "token_type": "Bearer",
                "expires_in": int(LIFETIME.total_seconds()),
            }
        )

    def _issue(self, now: datetime) -> str:
        token = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        self.tokens[token] = now + LIFETIME
        if len(self.tokens) > MOST_LIVE:
            del self.tokens[next(iter(self.tokens))]
        return token


def denied() -> Response:
    """Too many tokens in too short a time: an error that says 200."""
    return JsonResponse(
        {
            "error_description": "You have made too many requests continuously. Please try again after some time.",
            "error": "Access Denied",
            "status": "failure",
        }
    )


def _error(given: Mapping[str, str]) -> str | None:
    """What is wrong with a request for a token; this, too, comes with a 200."""
    expected = {
        "grant_type": ("refresh_token", "invalid_request"),
        "client_id": (CLIENT_ID, "invalid_client"),
        "client_secret": (CLIENT_SECRET, "invalid_client_secret"),
        "refresh_token": (REFRESH_TOKEN, "invalid_code"),
    }
    return next((error for name, (right, error) in expected.items() if given.get(name) != right), None)
