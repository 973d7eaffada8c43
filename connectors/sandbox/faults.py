"""What can go wrong on the way to a CRM, on demand: which fault meets which request, and how lines break or crawl.

How each CRM words its refusals is in the module that carries its name.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from random import Random

from more_itertools import sliced
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Sandbox-Fault"
"""A request names the fault it wants to meet."""
PIECES = 4
"""A slow body comes in so many."""
SECONDS_BETWEEN_PIECES = 0.05


class Fault(StrEnum):
    """A way in which one request goes wrong."""

    TOO_MANY = "too-many"
    """429 with Retry-After."""
    TOO_MANY_BARE = "too-many-bare"
    """429 that does not say how long to wait."""
    SERVER_ERROR = "server-error"
    HTML_PAGE = "html-page"
    """An edge server's error page instead of the CRM's answer."""
    RESET = "reset"
    """The line breaks in the middle of the body."""
    SLOW = "slow"
    EXPIRED = "expired"
    """The session or token dies."""
    DAILY_LIMIT = "daily-limit"
    LOST_CURSOR = "lost-cursor"
    """The query locator, page token or delta token of the request is no longer known."""


PASSING = tuple(fault for fault in Fault if fault is not Fault.DAILY_LIMIT)
"""Those that a client gets over within the same sync."""

Plan = Callable[[int], Fault | None]
"""The fault that a request meets, by its number from 1 on; the `get` of a dictionary is one."""
Answer = Callable[[Fault, Request], Response | None]
"""How the CRM that a request is for words a fault; None: it has nothing to say, and serves the request."""


def nothing(number: int) -> None:
    """The plan by which all goes well."""


def some(share: float, seed: int = 1) -> Plan:
    """A plan by which a share of the requests meet a passing fault, the same ones for the same seed."""

    def fault(number: int) -> Fault | None:
        dice = Random(f"{seed}:{number}")
        return dice.choice(PASSING) if dice.random() < share else None

    return fault


class LineBroken(ConnectionError):
    """Raised into the server, so that it hangs up without finishing its answer."""


def is_news(record: logging.LogRecord) -> bool:
    """Whether a server's log line tells of anything else than a line broken on purpose."""
    return not (record.exc_info and isinstance(record.exc_info[1], LineBroken))


class Faults:
    """Stands between the clients and an application, and lets requests go wrong by plan or as their header asks."""

    def __init__(self, app: ASGIApp, answer: Answer) -> None:
        self._app = app
        self._answer = answer
        self.injected: Counter[Fault] = Counter()
        """Faults that requests have met."""
        self.follow(nothing)

    def follow(self, plan: Plan) -> None:
        """Let requests go wrong by another plan; the next request is its number 1."""
        self._plan = plan
        self.requests = 0
        """Since the plan began."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        self.requests += 1
        request = Request(scope, receive)
        try:
            fault = Fault(request.headers[HEADER]) if HEADER in request.headers else self._plan(self.requests)
        except ValueError as error:
            await PlainTextResponse(f"{error}; there are {', '.join(Fault)}\n", status_code=400)(scope, receive, send)
            return
        if fault:
            self.injected[fault] += 1
        match fault:
            case None:
                await self._app(scope, receive, send)
            case Fault.SLOW:
                await self._app(scope, receive, _slowly(send))
            case Fault.RESET:
                await self._break_off(scope, receive, send)
            case _:
                await (self._answer(fault, request) or _page(fault) or self._app)(scope, receive, send)

    async def _break_off(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the true headers and a part of the true body; an answer without a body has nothing to break."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages)
        if not body:
            for message in messages:
                await send(message)
            return
        start = messages[0]
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        part = body[: Random(f"{self.requests}:{len(body)}").randrange(len(body))]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        raise LineBroken(f"after {len(part)} of {len(body)} bytes")


def _slowly(send: Send) -> Send:
    async def send_slowly(message: Message) -> None:
        body = message.get("body", b"")
        for piece in sliced(body, -(-len(body) // PIECES) or 1):
            await asyncio.sleep(SECONDS_BETWEEN_PIECES)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({**message, "body": b""} if body else message)

    return send_slowly


def _page(fault: Fault) -> Response | None:
    """What a server in front of any CRM says."""
    if fault is not Fault.HTML_PAGE:
        return None
    return HTMLResponse("<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>", 502)
