"""Who may call a portal, and how often: tokens of private and OAuth apps, burst, search and daily limits.

What is answered to those who are let in is elsewhere.
"""

import uuid
from collections import Counter, deque
from datetime import timedelta
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.hubspot.answers import Refused, error, page, rate_limited
from connectors.sandbox.wire import JsonResponse, form

ACCESS_TOKEN = "pat-na1-sandbox"
CLIENT_ID = "sandbox-client-id"
CLIENT_SECRET = "sandbox-client-secret"
REFRESH_TOKEN = "sandbox-refresh-token-0"
LONGEST_QUERY = 8_000


class Window:
    """The latest calls."""

    def __init__(self) -> None:
        self._calls: deque[float] = deque()

    def admits(self, limit: int, seconds: int) -> bool:
        """Count a call in, unless there have been too many in the last so many seconds."""
        now = monotonic()
        while self._calls and self._calls[0] <= now - seconds:
            self._calls.popleft()
        if len(self._calls) >= limit:
            return False
        self._calls.append(now)
        return True

    def __len__(self) -> int:
        """How many were counted."""
        return len(self._calls)


class Gate:
    """Lets calls in or not. Attributes that are not private may be changed while the portal is served."""

    def __init__(self) -> None:
        self.calls = 0
        self.burst = 10_000
        """Calls in so many seconds; HubSpot's plans have 100 to 250, which tests need not wait for."""
        self.burst_seconds = 10
        self.searches_per_second = 1_000
        """HubSpot allows 5."""
        self.daily_allowance = 250_000
        self.token_life = timedelta(minutes=30)
        self.rotates_refresh_tokens = False
        """Whether a refresh token is good for one exchange only."""
        self.tokens: dict[str, float | None] = {ACCESS_TOKEN: None}
        """Access tokens and when they end; those of private apps do not."""
        self.refresh_tokens = {REFRESH_TOKEN}
        self.limited: Counter[str] = Counter()
        """Calls that were too many, by policy."""
        self._recent, self._searches = Window(), Window()

    def refusal(self, request: Request) -> Response | None:
        """Why a call is not let in, if so."""
        self.calls += 1
        if len(request.url.query) > LONGEST_QUERY:
            return page(414, "Request-URI Too Large")
        try:
            self._admit(request)
        except Refused as refusal:
            return error(refusal.status, refusal.message, refusal.category, **refusal.more)
        if policy := self._exceeded(request):
            self.limited[policy] += 1
            return rate_limited(policy)
        return None

    def _exceeded(self, request: Request) -> str | None:
        if self.calls > self.daily_allowance:
            return "DAILY"
        if _is_search(request):
            return None if self._searches.admits(self.searches_per_second, 1) else "SECONDLY"
        return None if self._recent.admits(self.burst, self.burst_seconds) else "TEN_SECONDLY_ROLLING"

    def _admit(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        if not header.startswith("Bearer "):
            raise Refused(
                401,
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more"
                " details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
                "INVALID_AUTHENTICATION",
            )
        token = header.removeprefix("Bearer ")
        ends_at = self.tokens.get(token)
        if token not in self.tokens or (ends_at is not None and ends_at <= monotonic()):
            raise Refused(
                401,
                "The OAuth token used to make this call expired or does not exist.",
                "EXPIRED_AUTHENTICATION",
            )

    def headers(self, request: Request) -> dict[str, str]:
        """What every answer but that to a search says of the limits; OAuth apps are told nothing of the day's."""
        if _is_search(request):
            return {}
        burst = {
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(self.burst_seconds * 1000),
            "X-HubSpot-RateLimit-Max": str(self.burst),
            "X-HubSpot-RateLimit-Remaining": str(max(0, self.burst - len(self._recent))),
            "X-HubSpot-RateLimit-Secondly": str(self.burst // self.burst_seconds),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(self.burst // self.burst_seconds),
        }
        if request.headers.get("authorization") != f"Bearer {ACCESS_TOKEN}":
            return burst
        return burst | {
            "X-HubSpot-RateLimit-Daily": str(self.daily_allowance),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, self.daily_allowance - self.calls)),
        }

    def expire(self) -> None:
        """Let all access tokens that can die do so now."""
        self.tokens = {token: ends_at for token, ends_at in self.tokens.items() if ends_at is None}

    async def exchange(self, request: Request) -> Response:
        """Hand out an access token for a refresh token."""
        fields = await form(request)
        if fields.get("grant_type") != "refresh_token":
            return _oauth_error("BAD_GRANT_TYPE", "missing or unknown grant type")
        if fields.get("client_id") != CLIENT_ID:
            return _oauth_error("BAD_CLIENT_ID", "missing or unknown client id")
        if fields.get("client_secret") != CLIENT_SECRET:
            return _oauth_error("BAD_CLIENT_SECRET", "missing or unknown client secret")
        refresh_token = fields.get("refresh_token", "")
        if refresh_token not in self.refresh_tokens:
            return _oauth_error("BAD_REFRESH_TOKEN", "missing or unknown refresh token")
        if self.rotates_refresh_tokens:
            self.refresh_tokens.discard(refresh_token)
            refresh_token = f"sandbox-refresh-token-{uuid.uuid4().hex}"
            self.refresh_tokens.add(refresh_token)
        access_token = f"sandbox-access-token-{uuid.uuid4().hex}"
        self.tokens[access_token] = monotonic() + self.token_life.total_seconds()
        answer: dict[str, Any] = {
            "token_type": "bearer",
            "refresh_token": refresh_token,
            "access_token": access_token,
            "expires_in": int(self.token_life.total_seconds()),
        }
        return JsonResponse(answer)


def _is_search(request: Request) -> bool:
    return request.url.path.rstrip("/").endswith("/search")


def _oauth_error(status: str, message: str) -> Response:
    return JsonResponse({"status": status, "message": message, "correlationId": str(uuid.uuid4())}, status_code=400)
