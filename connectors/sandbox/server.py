"""Serves a company as the CRMs do, on a loopback address: `running` in the background, `serve` until Ctrl-C.

Put together here, done elsewhere: what a CRM answers is in the module that carries its name. A new CRM is one line in
VENDORS.
"""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.sandbox.company import Company
from connectors.sandbox.dynamics import Dynamics
from connectors.sandbox.hubspot import HubSpot
from connectors.sandbox.salesforce import Salesforce
from connectors.sandbox.store import Store

Clock = Callable[[], datetime]
Intercept = Callable[[Request], Response | None]
V = TypeVar("V")


class Vendor(Protocol):
    """What a CRM module offers."""

    crm: str

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        ...

    def routes(self) -> list[Route]:
        """What it answers."""
        ...


VENDORS: dict[str, Callable[[Company, Store], Vendor]] = {
    "salesforce": Salesforce,
    "hubspot": HubSpot,
    "dynamics": Dynamics,
}


def utc_now() -> datetime:
    """The time, for the stamps of what clients change."""
    return datetime.now(UTC)


class Sandbox:
    """The CRMs of a company: an ASGI application, and what tests want to see and change while it is served."""

    def __init__(self, company: Company, crms: Iterable[str] | None = None, *, clock: Clock = utc_now) -> None:
        self.company = company
        self.crms = tuple(crms or company.crms)
        unknown = set(self.crms) - set(VENDORS)
        if unknown:
            raise ValueError(f"the sandbox does not speak {min(unknown)}; it speaks {', '.join(VENDORS)}")
        self.store = Store(clock)
        self.requests: Counter[str] = Counter()
        """Requests so far, by method and path: `GET /crm/v3/owners`."""
        self.intercept: Intercept | None = None
        """Asked before each request; a response it returns is sent instead of the CRM's."""
        self.vendors = {crm: VENDORS[crm](company, self.store) for crm in self.crms}
        routes = [route for vendor in self.vendors.values() for route in vendor.routes()]
        starlette = Starlette(routes=[Route("/", self._front_page), *routes])
        self._app: ASGIApp = GZipMiddleware(starlette, minimum_size=1000, compresslevel=1)

    @property
    def salesforce(self) -> Salesforce:
        """The Salesforce org."""
        return self._vendor(Salesforce)

    @property
    def hubspot(self) -> HubSpot:
        """The HubSpot portal."""
        return self._vendor(HubSpot)

    @property
    def dynamics(self) -> Dynamics:
        """The Dataverse organisation."""
        return self._vendor(Dynamics)

    def _vendor(self, kind: type[V]) -> V:
        for vendor in self.vendors.values():
            if isinstance(vendor, kind):
                return vendor
        raise LookupError(f"this sandbox serves {', '.join(self.crms)} only")

    def environment(self, url: str) -> dict[str, str]:
        """The variables that the connectors read, for the CRMs served at a URL."""
        return {name: value for vendor in self.vendors.values() for name, value in vendor.environment(url).items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            request = Request(scope, receive)
            self.requests[f"{request.method} {request.url.path}"] += 1
            response = self.intercept(request) if self.intercept else None
            if response is not None:
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _front_page(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        lines = [
            f"{self.company.name}: a sandbox that speaks {', '.join(self.crms)}. Nothing here is real.",
            "",
        ]
        lines += [f"{name}={value}" for name, value in self.environment(url).items()]
        return PlainTextResponse("\n".join(lines) + "\n")


class Server:
    """A sandbox that is being served."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self.sandbox = sandbox
        self.url = url

    @property
    def store(self) -> Store:
        """All records."""
        return self.sandbox.store

    @property
    def requests(self) -> Counter[str]:
        """Requests so far, by method and path."""
        return self.sandbox.requests

    def environment(self) -> dict[str, str]:
        """The variables that the connectors read."""
        return self.sandbox.environment(self.url)


@contextlib.contextmanager
def running(
    company: Company,
    crms: Iterable[str] | None = None,
    *,
    port: int = 0,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    clock: Clock = utc_now,
) -> Iterator[Server]:
    """Serve a company on 127.0.0.1 in a background thread; port 0 takes a free one, a certificate makes it https."""
    sandbox = Sandbox(company, crms, clock=clock)
    with contextlib.closing(sandbox.store), _listening(port) as listener:
        server = uvicorn.Server(_configuration(sandbox, certfile, keyfile))
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield Server(sandbox, _url(listener, certfile))
        finally:
            server.should_exit = True
            thread.join()


def serve(
    company: Company,
    crms: Iterable[str] | None = None,
    *,
    port: int = 0,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    on_start: Callable[[Server], None] = lambda server: None,
) -> None:
    """Serve a company on 127.0.0.1 until Ctrl-C (or a terminate signal); `on_start` is told where, once it listens."""
    sandbox = Sandbox(company, crms)
    with contextlib.closing(sandbox.store), _listening(port) as listener:
        on_start(Server(sandbox, _url(listener, certfile)))
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(_configuration(sandbox, certfile, keyfile)).run([listener])


def _configuration(sandbox: Sandbox, certfile: Path | None, keyfile: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox,
        loop="asyncio",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certfile,
        ssl_keyfile=str(keyfile) if keyfile else None,
    )


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens already, so that the address is known, and connections wait, before the server is up."""
    # with the protocol named, asyncio sends small answers at once (TCP_NODELAY); without, each waits 40 ms
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        yield listener


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _url(listener: socket.socket, certfile: Path | None) -> str:
    return f"{'https' if certfile else 'http'}://127.0.0.1:{listener.getsockname()[1]}"


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        thread.join(0.01)
        if not thread.is_alive():
            raise RuntimeError("the sandbox did not start")
