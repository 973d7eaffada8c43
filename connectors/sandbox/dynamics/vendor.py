"""Dataverse's Web API: the routes, who may pass, and how faults are worded.

What happens behind them is in the modules beside this one.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from connectors.sandbox import odata
from connectors.sandbox.company import World
from connectors.sandbox.dynamics.answers import EXPIRED, LOST_PAGE, Refused, error, throttled, too_long
from connectors.sandbox.dynamics.batch import serve_batch
from connectors.sandbox.dynamics.directory import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Directory
from connectors.sandbox.dynamics.metadata import Metadata
from connectors.sandbox.dynamics.organisation import Organisation
from connectors.sandbox.dynamics.protection import Limits, Protection
from connectors.sandbox.dynamics.reading import BASE, Reading
from connectors.sandbox.dynamics.writing import Writing
from connectors.sandbox.faults import Fault
from connectors.sandbox.store import Store

MOST_URL = 32_768
AFFINITY = "ARRAffinity"

Handler = Callable[[Request], Awaitable[Response]]


class Dynamics(Organisation):
    """One Dataverse organisation, with the directory that gives out its tokens."""

    crm = "dynamics"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world, store)
        self._directory = Directory()
        self._protection = Protection(Limits())
        self._reading = Reading(self)
        self._api = self._api_routes()

    @property
    def tokens(self) -> set[str]:
        """The tokens that are good."""
        return self._directory.tokens

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        return {
            "DYNAMICS_URL": url,
            "DYNAMICS_TENANT_ID": TENANT_ID,
            "DYNAMICS_CLIENT_ID": CLIENT_ID,
            "DYNAMICS_CLIENT_SECRET": CLIENT_SECRET,
            "DYNAMICS_AUTHORITY_URL": url,
        }

    def expire_sessions(self) -> None:
        """Make every token given out so far invalid."""
        self.tokens.clear()

    def lose_pages(self) -> None:
        """Forget what the nextLinks given out so far stand for."""
        self._reading.links.clear()

    def protect(self, limits: Limits) -> None:
        """Set other limits of service protection."""
        self._protection = Protection(limits)

    def fault(self, kind: Fault, request: Request) -> Response | None:
        """How a fault looks here; None: there is no such thing, or the request is refused on its usual way."""
        query = request.url.query
        match kind:
            case Fault.TOO_MANY:
                return throttled(1)
            case Fault.TOO_MANY_BARE:
                return throttled(None)
            case Fault.SERVER_ERROR:
                return error(503, "0x80044150", "The service is temporarily unavailable. Try again later.")
            case Fault.EXPIRED:
                self.expire_sessions()
            case Fault.LOST_CURSOR if "$skiptoken=" in query:
                return _refusal(LOST_PAGE)
            case Fault.LOST_CURSOR if "$deltatoken=" in query:
                return _refusal(EXPIRED)
        return None

    def routes(self) -> list[Route]:
        """Everything this organisation and its directory answer."""
        batch = Route(f"{BASE}/$batch", self._guarded(self._batch), methods=["POST"])
        return [
            *self._directory.routes(),
            batch,
            *(Route(r.path, self._guarded(r.endpoint), methods=list(r.methods or ())) for r in self._api),
        ]

    def _api_routes(self) -> list[Route]:
        metadata, reading, writing = Metadata(self), self._reading, Writing(self, self._reading)
        set, definition = BASE + "/{set}", BASE + "/EntityDefinitions(LogicalName='{name}')"
        privileges = "/systemusers({id})/Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()"
        paths: list[tuple[str, str, Callable[[Request], Any]]] = [
            (f"{BASE}/WhoAmI", "GET", metadata.who_am_i),
            (f"{BASE}/EntityDefinitions", "GET", metadata.definitions),
            (definition, "GET", metadata.definition),
            (definition + "/Attributes", "GET", metadata.attributes),
            (definition + "/Attributes/{cast}", "GET", metadata.cast),
            (BASE + "/RetrieveTotalRecordCount({argument})", "GET", metadata.total),
            (BASE + privileges, "GET", metadata.privileges),
            (set + "/$count", "GET", reading.count),
            (set + "({id})", "GET", writing.retrieve),
            (set + "({id})", "PATCH", writing.update),
            (set + "({id})", "DELETE", writing.delete),
            (set, "GET", reading.read),
            (set, "POST", writing.create),
        ]
        return [Route(path, handler, methods=[method]) for path, method, handler in paths]

    def _guarded(self, handler: Handler) -> Handler:
        """Let a request through to a handler if its client may pass, and word what goes wrong."""

        async def served(request: Request) -> Response:
            return await _worded(handler, request)

        async def guarded(request: Request) -> Response:
            if len(request.scope["path"]) + len(request.scope["query_string"]) > MOST_URL:
                return too_long()
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or token not in self.tokens:
                challenge = 'Bearer authorization_uri="https://login.microsoftonline.com/"'
                return Response(status_code=401, headers={"WWW-Authenticate": challenge})
            response = await self._protection.serve(served, request)
            if AFFINITY not in request.cookies:
                response.set_cookie(AFFINITY, "server-1", httponly=True)
            return response

        return guarded

    async def _batch(self, request: Request) -> Response:
        return await serve_batch(request, self._serve_inner)

    async def _serve_inner(self, request: Request) -> Response:
        """Answer a request that came in a batch; the batch has been let through already."""
        for route in self._api:
            match, scope = route.matches(request.scope)
            if match is Match.FULL:
                request.scope.update(scope)
                return await _worded(route.endpoint, request)
        return error(404, "0x80060888", f"Resource not found for the segment '{request.url.path}'.")


async def _worded(handler: Handler, request: Request) -> Response:
    try:
        _check_headers(request)
        response = await handler(request)
    except Refused as refusal:
        response = _refusal(refusal)
    except odata.ODataError as problem:
        response = error(400, "0x80060888", str(problem))
    response.headers["OData-Version"] = "4.0"
    if response.headers.get("content-type") == "application/json":
        response.headers["content-type"] = "application/json; odata.metadata=minimal"
    return response


def _check_headers(request: Request) -> None:
    for name in ("odata-version", "odata-maxversion"):
        if request.headers.get(name, "4.0") not in ("4.0", "4.01"):
            raise Refused(400, "0x80060888", f"The value of the header '{name}' is not supported.")
    accept = request.headers.get("accept", "*/*")
    if not any(kind in accept for kind in ("*/*", "application/json", "application/*", "multipart/mixed")):
        raise Refused(415, "0x80060888", "A supported MIME type could not be found that matches the acceptable types.")


def _refusal(refusal: Refused) -> Response:
    return error(refusal.status, refusal.code, refusal.message)
