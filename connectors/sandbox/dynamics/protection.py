"""Service protection: how much one user may ask of one web server, and what is said beyond that.

Real time counts here, whatever the sandbox's clock shows.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.dynamics.answers import TOO_MANY_AT_ONCE, TOO_MANY_REQUESTS, TOO_MUCH_TIME, throttled

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is allowed in a sliding window."""

    requests: int = 6_000
    execution_seconds: float = 1_200
    concurrent: int = 52
    window_seconds: int = 300


class Protection:
    """Counts requests and their time, and refuses what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._served: deque[tuple[float, float]] = deque()
        """When a request came, and how long it took."""
        self._refused: deque[float] = deque()
        self._running = 0

    async def serve(self, handler: Handler, request: Request) -> Response:
        """Let a handler answer, unless too much was asked for lately."""
        began = monotonic()
        self._forget(began - self.limits.window_seconds)
        if refusal := self._refusal(began):
            wait, code, message = refusal
            self._refused.append(began)
            return throttled(wait + len(self._refused) - 1, code, message)  # who goes on sending waits longer
        self._running += 1
        try:
            response = await handler(request)
        finally:
            self._running -= 1
            self._served.append((began, monotonic() - began))
        left = self.limits.execution_seconds - sum(seconds for _, seconds in self._served)
        response.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] = str(self.limits.requests - len(self._served))
        response.headers["x-ms-ratelimit-time-remaining-xrm-requests"] = f"{left:,.2f}"
        return response

    def _refusal(self, now: float) -> tuple[int, str, str] | None:
        """For how long, and why; None: nothing is too much."""
        limits = self.limits
        until_free = ceil(self._served[0][0] + limits.window_seconds - now) if self._served else 1
        if len(self._served) >= limits.requests:
            code, text = TOO_MANY_REQUESTS
            return until_free, code, text.format(limits.requests, limits.window_seconds)
        if sum(seconds for _, seconds in self._served) >= limits.execution_seconds:
            code, text = TOO_MUCH_TIME
            return until_free, code, text.format(int(limits.execution_seconds * 1000), limits.window_seconds)
        if self._running >= limits.concurrent:
            code, text = TOO_MANY_AT_ONCE
            return 1, code, text.format(limits.concurrent)
        return None

    def _forget(self, before: float) -> None:
        while self._served and self._served[0][0] <= before:
            self._served.popleft()
        while self._refused and self._refused[0] <= before:
            self._refused.popleft()
