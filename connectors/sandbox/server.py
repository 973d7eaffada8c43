"""Serves a company as the CRMs do, on a loopback address: `running` in the background, `serve` until Ctrl-C.

Put together here, done elsewhere: what a CRM answers is in the module that carries its name. A new CRM is one line in
VENDORS.
"""

import contextlib
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Protocol, TypeVar

import uvicorn
from more_itertools import flatten
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.sandbox.clock import Clock, SimulatedClock, utc_now
from connectors.sandbox.company import Change, World
from connectors.sandbox.dynamics import Dynamics
from connectors.sandbox.faults import Fault, Faults, is_news
from connectors.sandbox.hubspot import HubSpot
from connectors.sandbox.salesforce import Salesforce
from connectors.sandbox.store import ALL, DELETED, DELETED_AT, VERSION, Row, Store, Where
from connectors.sandbox.wire import dumps
from connectors.sandbox.zoho import Zoho

Intercept = Callable[[Request], Response | None]
Happened = Mapping[str, Mapping[str, int]]
"""CRM to kind of change to how often."""
V = TypeVar("V")

CONTROL = "/sandbox/"
"""Paths below are no CRM's: clients move the clock and look behind the scenes there."""
ROWS_AT_A_TIME = 1_000


class Vendor(Protocol):
    """What a CRM module offers."""

    crm: str

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        ...

    def routes(self) -> list[Route]:
        """What it answers."""
        ...

    def apply(self, change: Change) -> None:
        """Let something happen to a record."""
        ...

    def fault(self, kind: Fault, request: Request) -> Response | None:
        """How it words a fault; None: it does not have this one, or the request is refused on its way in."""
        ...


VENDORS: dict[str, Callable[[World, Store], Vendor]] = {
    "salesforce": Salesforce,
    "hubspot": HubSpot,
    "dynamics": Dynamics,
    "zoho": Zoho,
}


class Sandbox:
    """The CRMs of a company: an ASGI application, and what tests want to see and change while it is served.

    Records are kept in memory, or in a new file at `path`. `on_load` is told which CRM is being filled.
    """

    def __init__(
        self,
        world: World,
        crms: Iterable[str] | None = None,
        path: Path | None = None,
        *,
        clock: Clock = utc_now,
        on_load: Callable[[str], None] = lambda crm: None,
    ) -> None:
        self.company = world
        self.crms = tuple(crms or world.crms)
        unknown = set(self.crms) - set(VENDORS)
        if unknown:
            raise ValueError(f"the sandbox does not speak {min(unknown)}; it speaks {', '.join(VENDORS)}")
        self.clock = clock
        self.store = Store(clock, path)
        self.requests: Counter[str] = Counter()
        """Requests to the CRMs so far, by method and path: `GET /crm/v3/owners`."""
        self.intercept: Intercept | None = None
        """Asked before each request to a CRM; a response it returns is sent instead of the CRM's."""
        self.vendors: dict[str, Vendor] = {}
        for crm in self.crms:
            on_load(crm)
            self.vendors[crm] = VENDORS[crm](world, self.store)
        self._routes = {crm: vendor.routes() for crm, vendor in self.vendors.items()}
        routes = [*self._own_routes(), *flatten(self._routes.values())]
        self._app: ASGIApp = GZipMiddleware(Starlette(routes=routes), minimum_size=1000, compresslevel=1)
        self.faults = Faults(self._app, self._fault)

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

    @property
    def zoho(self) -> Zoho:
        """The Zoho CRM organisation."""
        return self._vendor(Zoho)

    def _vendor(self, kind: type[V]) -> V:
        for vendor in self.vendors.values():
            if isinstance(vendor, kind):
                return vendor
        raise LookupError(f"this sandbox serves {', '.join(self.crms)} only")

    def environment(self, url: str) -> dict[str, str]:
        """The variables that the connectors read, for the CRMs served at a URL."""
        return {name: value for vendor in self.vendors.values() for name, value in vendor.environment(url).items()}

    def advance(self, to: datetime) -> Happened:
        """Let happen what happens in the company until a moment, which it is then.

        Raises:
            ValueError: the moment has passed, or the sandbox keeps real time.

        """
        if not isinstance(self.clock, SimulatedClock):
            raise ValueError("this sandbox keeps real time: nothing happens in its company")
        after = self.clock()
        self.clock.check(to)
        happened: dict[str, Counter[str]] = {crm: Counter() for crm in self.crms}
        for change in merge(*(self.company.changes(crm, after, to) for crm in self.crms), key=attrgetter("at")):
            self.clock.set(change.at)
            self.vendors[change.crm].apply(change)
            happened[change.crm][change.kind] += 1
        self.clock.set(to)
        return happened

    def objects(self) -> dict[str, dict[str, list[str]]]:
        """What can be dumped: CRM to object to columns."""
        found: dict[str, dict[str, list[str]]] = {crm: {} for crm in self.crms}
        for table in self.store.tables.values():
            crm, _, object = table.name.partition(".")
            found[crm][object] = [*table.columns, VERSION, DELETED, DELETED_AT]
        return found

    def dump(self, crm: str, object: str) -> Iterator[Row]:
        """All records of an object as they are now, by key; the deleted ones too, with the flag that says so."""
        table = self.store.tables[f"{crm}.{object}"]
        key, last = table.key, ""
        while rows := self.store.find(
            table.name, ALL & Where(f'"{key}" > ?', (last,)), order_by=f'"{key}"', limit=ROWS_AT_A_TIME
        ):
            yield from rows
            last = rows[-1][key]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app: ASGIApp = self._app
        if scope["type"] == "http":
            send = self._dated(send)
            request = Request(scope, receive)
            if not (request.url.path == "/" or request.url.path.startswith(CONTROL)):
                self.requests[f"{request.method} {request.url.path}"] += 1
                app = (self.intercept(request) if self.intercept else None) or self.faults
        await app(scope, receive, send)

    def _dated(self, send: Send) -> Send:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start" and not any(name == b"date" for name, _ in message["headers"]):
                date = format_datetime(self.clock().astimezone(UTC), usegmt=True)
                message = {**message, "headers": [*message["headers"], (b"date", date.encode())]}
            await send(message)

        return send_dated

    def _fault(self, kind: Fault, request: Request) -> Response | None:
        for crm, routes in self._routes.items():
            if any(route.matches(request.scope)[0] is not Match.NONE for route in routes):
                return self.vendors[crm].fault(kind, request)
        return None

    def _own_routes(self) -> list[Route]:
        return [
            Route("/", self._front_page),
            Route(f"{CONTROL}advance", self._advance, methods=["POST"]),
            Route(f"{CONTROL}dump", self._list_objects),
            Route(f"{CONTROL}dump/{{crm}}/{{object}}", self._dump),
        ]

    async def _front_page(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        lines = [
            f"{self.company.name}: a sandbox that speaks {', '.join(self.crms)}. Nothing here is real.",
            "",
        ]
        lines += [f"{name}={value}" for name, value in self.environment(url).items()]
        return PlainTextResponse("\n".join(lines) + "\n")

    async def _advance(self, request: Request) -> Response:
        try:
            # on the event loop: no request is to see half of what happens
            return JSONResponse(self.advance(moment((await request.json())["to"])))
        except (ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(f"{error}\n", status_code=400)

    async def _list_objects(self, request: Request) -> Response:
        return JSONResponse(self.objects())

    async def _dump(self, request: Request) -> Response:
        crm, object = request.path_params["crm"], request.path_params["object"]
        if f"{crm}.{object}" not in self.store.tables:
            return PlainTextResponse(f"there is no {object} in {crm}\n", status_code=404)
        lines = (dumps(row) + "\n" for row in self.dump(crm, object))
        return StreamingResponse(lines, media_type="application/x-ndjson")


def moment(text: str) -> datetime:
    """A moment told as ISO date or time; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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
    world: World,
    crms: Iterable[str] | None = None,
    *,
    path: Path | None = None,
    port: int = 0,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    clock: Clock = utc_now,
) -> Iterator[Server]:
    """Serve a company on 127.0.0.1 in a background thread; port 0 takes a free one, a certificate makes it https."""
    sandbox = Sandbox(world, crms, path, clock=clock)
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
    world: World,
    crms: Iterable[str] | None = None,
    *,
    path: Path | None = None,
    port: int = 0,
    certfile: Path | None = None,
    keyfile: Path | None = None,
    clock: Clock = utc_now,
    on_load: Callable[[str], None] = lambda crm: None,
    on_start: Callable[[Server], None] = lambda server: None,
) -> None:
    """Serve a company on 127.0.0.1 until Ctrl-C (or a terminate signal); `on_start` is told where, once it listens."""
    sandbox = Sandbox(world, crms, path, clock=clock, on_load=on_load)
    with contextlib.closing(sandbox.store), _listening(port) as listener:
        on_start(Server(sandbox, _url(listener, certfile)))
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(_configuration(sandbox, certfile, keyfile)).run([listener])


def _configuration(sandbox: Sandbox, certfile: Path | None, keyfile: Path | None) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(is_news)
    return uvicorn.Config(
        sandbox,
        loop="asyncio",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # the sandbox's clock, not ours
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
