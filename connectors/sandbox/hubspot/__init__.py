"""HubSpot: CRM objects, associations, properties, pipelines, owners and currencies, under both families of paths.

Put together here: the records are in `portal`, each group of requests in a module of its own.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.company import World
from connectors.sandbox.faults import Fault
from connectors.sandbox.hubspot.answers import Refused, error, lost, page, rate_limited
from connectors.sandbox.hubspot.associations import Associations
from connectors.sandbox.hubspot.gate import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    Gate,
)
from connectors.sandbox.hubspot.habits import Habits
from connectors.sandbox.hubspot.objects import Objects
from connectors.sandbox.hubspot.portal import Portal
from connectors.sandbox.hubspot.rows import record_id, records, sent
from connectors.sandbox.hubspot.settings import Settings, owner_answer
from connectors.sandbox.hubspot.tables import LEAD_PIPELINE, OBJECTS, PIPELINE, TABLES
from connectors.sandbox.store import Store

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "LEAD_PIPELINE",
    "OBJECTS",
    "PIPELINE",
    "REFRESH_TOKEN",
    "TABLES",
    "HubSpot",
    "error",
    "owner_answer",
    "rate_limited",
    "record_id",
    "records",
    "sent",
]

Handler = Callable[[Request], Awaitable[Response]]
DATES = ("2026-03", "2026-09")
NUMBERED = {
    "objects": "/crm/v3/objects",
    "splits": "/crm/objects/v3/deals/splits",
    "properties": "/crm/v3/properties",
    "pipelines": "/crm/v3/pipelines",
    "owners": "/crm/v3/owners",
    "associations": "/crm/v4/associations",
    "schemas": "/crm-object-schemas/v3/schemas",
    "currencies": "/settings/v3/currencies",
    "account": "/account-info/v3/details",
}
DATED = {
    "objects": "/crm/objects/{date}",
    "splits": "/crm/deal-splits/{date}",
    "properties": "/crm/properties/{date}",
    "pipelines": "/crm/pipelines/{date}",
    "owners": "/crm/owners/{date}",
    "associations": "/crm/associations/{date}",
    "schemas": "/crm-object-schemas/{date}/schemas",
    "currencies": "/settings/currencies/{date}",
    "account": "/account-info/{date}/details",
}
TOKEN_PATHS = ("/oauth/v1/token", "/oauth/v3/token", *(f"/oauth/{date}/token" for date in DATES))


class HubSpot(Portal):
    """One HubSpot portal that answers requests."""

    crm = "hubspot"

    def __init__(self, world: World, store: Store) -> None:
        super().__init__(world, store)
        self.gate = Gate()
        self.habits = Habits()
        self.settings = Settings(self, self.habits)

    @property
    def tokens(self) -> Mapping[str, float | None]:
        """Access tokens that are good for now."""
        return self.gate.tokens

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        return {"HUBSPOT_URL": url, "HUBSPOT_ACCESS_TOKEN": ACCESS_TOKEN}

    def fault(self, kind: Fault, request: Request) -> Response | None:
        """What HubSpot says when something goes wrong; None where it goes on as usual."""
        match kind:
            case Fault.TOO_MANY:
                return rate_limited(retry_after=0)
            case Fault.TOO_MANY_BARE:
                return rate_limited()
            case Fault.DAILY_LIMIT:
                return rate_limited("DAILY")
            case Fault.SERVER_ERROR:
                return error(503, "Service temporarily unavailable", "SERVICE_UNAVAILABLE")
            case Fault.HTML_PAGE:
                return page(502, "Bad Gateway")
            case Fault.LOST_CURSOR if after := request.query_params.get("after"):
                refusal = lost(after)
                return error(refusal.status, refusal.message, refusal.category)
            case Fault.EXPIRED:
                self.gate.expire()
        return None

    def routes(self) -> list[Route]:
        """Everything this portal answers, under both families of paths."""
        families = [NUMBERED, *({what: path.format(date=date) for what, path in DATED.items()} for date in DATES)]
        entries = [entry for family in families for entry in self._paths(family)]
        entries.append(("/crm/v3/schemas", "GET", self.settings.schemas))
        routes = [Route(path, self.gate.exchange, methods=["POST"]) for path in TOKEN_PATHS]
        for path, method, handler in entries:
            for spelling in (path, f"{path}/"):
                routes.append(Route(spelling, self._guarded(handler), methods=[method]))
        return routes

    def _paths(self, roots: Mapping[str, str]) -> list[tuple[str, str, Handler]]:
        objects, associations = Objects(self, self.habits), Associations(self, self.habits)
        settings, records = self.settings, roots["objects"] + "/{object}"
        return [
            (records + "/search", "POST", objects.search),
            (records + "/merge", "POST", objects.merge),
            (records + "/batch/read", "POST", objects.batch_read),
            (records, "GET", objects.listing),
            (records, "POST", objects.create),
            (records + "/{id}", "GET", objects.read),
            (records + "/{id}", "PATCH", objects.update),
            (records + "/{id}", "DELETE", objects.archive),
            (roots["splits"] + "/batch/read", "POST", objects.splits),
            (roots["associations"] + "/{from_type}/{to_type}/batch/read", "POST", associations.batch_read),
            (roots["properties"] + "/{object}", "GET", settings.properties),
            (roots["properties"] + "/{object}/{name}", "GET", settings.property),
            (roots["schemas"], "GET", settings.schemas),
            (roots["pipelines"] + "/{object}", "GET", settings.pipelines),
            (roots["owners"], "GET", settings.owners),
            (roots["owners"] + "/{id}", "GET", settings.owner),
            (roots["currencies"] + "/exchange-rates", "GET", settings.exchange_rates),
            (roots["currencies"] + "/company-currency", "GET", settings.company_currency),
            (roots["account"], "GET", settings.account),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            response = self.gate.refusal(request)
            if response is None:
                try:
                    response = await handler(request)
                except Refused as refusal:
                    response = error(refusal.status, refusal.message, refusal.category, **refusal.more)
            response.headers.update(self.gate.headers(request))
            return response

        return guarded
