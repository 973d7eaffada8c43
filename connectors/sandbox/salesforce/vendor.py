"""The Salesforce org as the sandbox serves it: its parts put together, who is let in, how faults are worded.

What each part answers is in the module that carries its name.
"""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from connectors.sandbox.company import Change, World
from connectors.sandbox.faults import Fault
from connectors.sandbox.salesforce.api import VERSIONS, Handler, Paths, Refused, error, not_found
from connectors.sandbox.salesforce.bulk import BulkQueries
from connectors.sandbox.salesforce.login import CLIENT_ID, CLIENT_SECRET, Login
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.query import Queries
from connectors.sandbox.salesforce.sobjects import SObjects
from connectors.sandbox.soql import SoqlError
from connectors.sandbox.store import Store
from connectors.sandbox.wire import JsonResponse

LONGEST_REQUEST = 16_384
TOKEN = "/services/oauth2/token"
DATA = "/services/data"
BUSY = 503, "SERVER_UNAVAILABLE", "The server is temporarily unavailable, try again later"
TOO_MANY = 429, "TOO_MANY_REQUESTS", "Too many requests, try again later"
LIMIT_EXCEEDED = 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."


class Salesforce:
    """One Salesforce org. Attributes that are not private may be changed while it is served."""

    crm = Org.crm

    def __init__(self, world: World, store: Store) -> None:
        self.org = Org(world, store)
        self.login = Login(self.org)
        self.sobjects = SObjects(self.org)
        self.queries = Queries(self.org)
        self.bulk = BulkQueries(self.org)
        self.daily_requests = 15_000
        self.calls = 0

    @property
    def tokens(self) -> set[str]:
        """Of the sessions that live."""
        return self.login.tokens

    @property
    def change(self) -> Callable[[str, str, Mapping[str, Any]], None]:
        """Change a record (object, id, fields) as a user would."""
        return self.org.change

    @property
    def merge(self) -> Callable[[str, str, str], None]:
        """Merge two records (object, winner, loser) as a user would."""
        return self.org.merge

    def apply(self, change: Change) -> None:
        """Let something happen to a record."""
        self.org.apply(change)

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        return {
            "SALESFORCE_URL": url,
            "SALESFORCE_CLIENT_ID": CLIENT_ID,
            "SALESFORCE_CLIENT_SECRET": CLIENT_SECRET,
        }

    def expire_sessions(self) -> None:
        """Make every token given out so far invalid."""
        self.tokens.clear()

    def fault(self, kind: Fault, request: Request) -> Response | None:
        """How Salesforce words a fault."""
        is_login = request.url.path == TOKEN
        match kind:
            case Fault.TOO_MANY:
                return error(*TOO_MANY, {"Retry-After": "1"})
            case Fault.TOO_MANY_BARE:
                return error(*TOO_MANY)
            case Fault.SERVER_ERROR:
                return error(*BUSY)
            case Fault.DAILY_LIMIT if not is_login:  # logging in is not counted
                return error(*LIMIT_EXCEEDED)
            case Fault.EXPIRED:
                self.expire_sessions()
            case Fault.LOST_CURSOR if "/query/01g" in request.url.path or "locator" in request.query_params:
                self.queries.forget_cursors()
                return error(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return None

    def routes(self) -> list[Route]:
        """Everything this org answers."""
        parts = (self._paths(), self.sobjects.paths(), self.queries.paths(), self.bulk.paths())
        paths: Paths = [
            (f"{DATA}/v{{version}}{path}", method, handler) for part in parts for path, method, handler in part
        ]
        paths = [(DATA, "GET", self._versions), *paths, (f"{DATA}/v{{version}}/{{other:path}}", "GET", self._unknown)]
        routes = [Route(TOKEN, self.login.token, methods=["POST"])]
        for path, method, handler in paths:
            routes += [Route(spelling, self._guarded(handler), methods=[method]) for spelling in (path, f"{path}/")]
        return routes

    def _paths(self) -> Paths:
        return [("", "GET", self._resources), ("/limits", "GET", self._limits)]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            self.calls += 1
            if _length(request) > LONGEST_REQUEST:
                return HTMLResponse("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", status_code=414)
            try:
                self._admit(request)
                response: Response = await handler(request)
            except Refused as refusal:
                response = error(refusal.status, refusal.code, refusal.message)
            except SoqlError as problem:
                response = error(400, problem.code, problem.message)
            if response.status_code != 204:
                response.headers["Sforce-Limit-Info"] = f"api-usage={self.calls}/{self.daily_requests}"
            return response

        return guarded

    def _admit(self, request: Request) -> None:
        version = request.path_params.get("version")
        if version is None:  # the list of versions is public
            return
        if not self.login.admits(request):
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.calls > self.daily_requests:
            raise Refused(*LIMIT_EXCEEDED)
        if version not in VERSIONS:
            raise not_found()

    async def _versions(self, request: Request) -> Response:
        return JsonResponse([{"label": f"v{v}", "url": f"{DATA}/v{v}", "version": v} for v in VERSIONS])

    async def _resources(self, request: Request) -> Response:
        base = f"{DATA}/v{request.path_params['version']}"
        return JsonResponse({name: f"{base}/{name}" for name in ("limits", "sobjects", "query", "queryAll", "jobs")})

    async def _unknown(self, request: Request) -> Response:
        raise not_found()

    async def _limits(self, request: Request) -> Response:
        used = min(self.calls, self.daily_requests)
        return JsonResponse(
            {
                "DailyApiRequests": {"Max": self.daily_requests, "Remaining": self.daily_requests - used},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - self.bulk.created},
            }
        )


def _length(request: Request) -> int:
    """Bytes of the request line and the headers."""
    headers = sum(len(name) + len(value) + 4 for name, value in request.scope["headers"])
    return len(request.url.path) + len(request.url.query) + headers
