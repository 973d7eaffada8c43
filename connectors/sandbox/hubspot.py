"""HubSpot: CRM objects (list, search, batch read, writing), associations, properties, pipelines and owners.

The company's records in HubSpot's shape, and the routes that serve them, under the numbered and the dated paths.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from connectors.sandbox.company import (
    Account,
    Company,
    Contact,
    Lead,
    LeadStatus,
    Opportunity,
    Outcome,
    Product,
    Rep,
    Stage,
)
from connectors.sandbox.store import (
    ALL,
    DELETED,
    DELETED_AT,
    GONE,
    LIVE,
    Column,
    Kind,
    Row,
    Store,
    Table,
    Where,
    timestamp,
)
from connectors.sandbox.wire import JsonResponse, Number

ACCESS_TOKEN = "pat-na1-sandbox"
LONGEST_QUERY = 16_000
MOST_SEARCH_RESULTS = 10_000
DATED_VERSIONS = ("2026-03", "2026-09")
PIPELINE = ("default", "Sales Pipeline")
LEAD_PIPELINE = ("lead-pipeline-id", "Lead pipeline")
LEAD_STAGES = (
    ("new-stage-id", "New"),
    ("attempting-stage-id", "Attempting"),
    ("connected-stage-id", "Connected"),
    ("qualified-stage-id", "Qualified"),
    ("unqualified-stage-id", "Unqualified"),
)
TYPE_IDS = {
    "contacts": "0-1",
    "companies": "0-2",
    "deals": "0-3",
    "products": "0-7",
    "line_items": "0-8",
    "users": "0-115",
    "leads": "0-136",
}
SINGULARS = {
    "contact": "contacts",
    "company": "companies",
    "deal": "deals",
    "product": "products",
    "line_item": "line_items",
    "user": "users",
    "lead": "leads",
}
ALIASES = {**{id: name for name, id in TYPE_IDS.items()}, **SINGULARS, **{name: name for name in TYPE_IDS}}
BY_ID = '"hs_object_id"'
BY_NUMBER = f"cast({BY_ID} as integer)"
KINDS = {"number": Kind.NUMBER, "datetime": Kind.TIMESTAMP, "date": Kind.DATE, "bool": Kind.BOOLEAN}


def _table(object: str, **names_by_type: str) -> Table:
    columns = {"hs_object_id": Column(name="hs_object_id", kind=Kind.KEY, type="number")}
    for type, names in names_by_type.items():
        for name in names.split():
            kind = Kind.KEY if name.endswith("_id") else KINDS.get(type, Kind.TEXT)
            columns[name] = Column(name=name, kind=kind, type=type)
    # every object has both names of each stamp; one of them is always empty
    for name in ("hs_lastmodifieddate", "lastmodifieddate", "createdate", "hs_createdate"):
        columns[name] = Column(name=name, kind=Kind.TIMESTAMP, type="datetime")
    indexes = (BY_NUMBER, "hs_lastmodifieddate", "lastmodifieddate")
    return Table(name=f"hubspot.{object}", key="hs_object_id", columns=columns, indexes=indexes)


OWNER = "hubspot_owner_id"
TABLES = {
    "users": _table("users", string="hs_email hs_given_name hs_family_name hs_job_title manager_email region"),
    "companies": _table(
        "companies",
        string="name domain country hs_merged_object_ids website",
        enumeration=f"industry {OWNER}",
        number="annualrevenue numberofemployees hs_parent_company_id",
    ),
    "contacts": _table(
        "contacts",
        string="email firstname lastname jobtitle hs_merged_object_ids",
        phone_number="phone",
        enumeration=f"lifecyclestage hs_lead_status {OWNER}",
        number="associatedcompanyid",
    ),
    "leads": _table(
        "leads",
        string="hs_lead_name hs_lead_source",
        enumeration=f"hs_lead_type hs_pipeline hs_pipeline_stage {OWNER}",
    ),
    "deals": _table(
        "deals",
        string="dealname hs_merged_object_ids",
        enumeration=f"pipeline dealstage dealtype deal_currency_code hs_manual_forecast_category {OWNER}",
        number="amount hs_deal_stage_probability",
        bool="hs_is_closed hs_is_closed_won",
        datetime="closedate",
    ),
    "products": _table("products", string="name hs_sku", enumeration="hs_product_type", number="price"),
    "line_items": _table(
        "line_items",
        string="name",
        enumeration="hs_line_item_currency_code",
        number="quantity price amount hs_product_id",
    ),
}
OWNERS = Table(
    name="hubspot.owners",
    key="id",
    columns={
        **{
            name: Column(name=name, kind=Kind.TEXT, type="string")
            for name in ("email", "firstName", "lastName", "userId", "type", "teams")
        },
        "id": Column(name="id", kind=Kind.KEY, type="string"),
        **{name: Column(name=name, kind=Kind.TIMESTAMP, type="datetime") for name in ("createdAt", "updatedAt")},
    },
)
ASSOCIATIONS = Table(
    name="hubspot.associations",
    key="id",
    columns={
        name: Column(name=name, kind=Kind.KEY, type="string")
        for name in ("id", "from_type", "from_id", "to_type", "to_id")
    },
    indexes=("from_id", "to_id"),
)
DEFAULTS = {
    "contacts": ("email", "firstname", "lastname"),
    "companies": ("domain", "name"),
    "deals": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    "products": ("name", "price"),
    "line_items": ("quantity", "amount"),
}
TYPES_OF_ASSOCIATION: dict[tuple[str, str], tuple[tuple[int, str | None], ...]] = {
    ("deals", "companies"): ((5, "Primary"), (341, None)),
    ("companies", "deals"): ((6, "Primary"), (342, None)),
    ("contacts", "companies"): ((1, "Primary"), (279, None)),
    ("companies", "contacts"): ((2, "Primary"), (280, None)),
    ("deals", "contacts"): ((3, None),),
    ("contacts", "deals"): ((4, None),),
    ("line_items", "deals"): ((20, None),),
    ("deals", "line_items"): ((19, None),),
    ("leads", "deals"): ((583, None),),
    ("deals", "leads"): ((584, None),),
    ("leads", "contacts"): ((578, "Primary"),),
    ("contacts", "leads"): ((579, "Primary"),),
}


def record_id(object: str, key: str) -> str:
    """The numeric id of a company's record: the same in every run, in no particular order, not all of one length."""
    number = int.from_bytes(hashlib.sha256(f"{object}:{key}".encode()).digest()[:8])
    smallest, range = (10**7, 9 * 10**7) if object in ("owners", "user ids") else (10**9, 10**12 - 10**9)
    return str(smallest + number % range)


def _optional_id(object: str, key: str | None) -> str | None:
    return None if key is None else record_id(object, key)


def _stamps(object: str, created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    created = "hs_createdate" if object in ("users", "leads") else "createdate"
    return {created: created_at, modified_name(object): modified_at}


def modified_name(object: str) -> str:
    """The property that moves when a record changes."""
    return "lastmodifieddate" if object == "contacts" else "hs_lastmodifieddate"


def records(company: Company) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record that lives in HubSpot, with the object it belongs to."""
    company = company.within("hubspot")
    customers = {deal.account_key for deal in company.opportunities if company.stage(deal).outcome is Outcome.WON}
    yield from (("users", _user(rep)) for rep in company.reps)
    yield from (("products", _product(product)) for product in company.products)
    yield from (("companies", _company(account)) for account in company.accounts)
    yield from (("contacts", _contact(contact, contact.account_key in customers)) for contact in company.contacts)
    yield from (("leads", _lead(lead)) for lead in company.leads)
    for deal in company.opportunities:
        yield "deals", _deal(deal, company.stage(deal))
        yield from (("line_items", line) for line in _lines(deal))


def owners(company: Company) -> Iterator[dict[str, Any]]:
    """The users, as those who can own a record."""
    for rep in company.within("hubspot").reps:
        teams = [{"id": record_id("owners", rep.team), "name": rep.team, "primary": True}] if rep.team else []
        yield {
            "id": record_id("owners", rep.email),
            "email": rep.email,
            "firstName": rep.first_name,
            "lastName": rep.last_name,
            "userId": record_id("user ids", rep.email),
            "type": "PERSON",
            "teams": json.dumps(teams),
            "createdAt": rep.created_at,
            "updatedAt": rep.modified_at,
        }


def _user(rep: Rep) -> dict[str, Any]:
    return {
        "hs_object_id": record_id("users", rep.email),
        "hs_email": rep.email,
        "hs_given_name": rep.first_name,
        "hs_family_name": rep.last_name,
        "hs_job_title": rep.title,
        "manager_email": rep.manager_email,
        "region": rep.region,
        **_stamps("users", rep.created_at, rep.modified_at),
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "hs_object_id": record_id("products", product.name),
        "name": product.name,
        "hs_sku": product.sku,
        "hs_product_type": "service" if product.family == "Services" else "inventory",
        "price": product.price,
        **_stamps("products", product.created_at, product.modified_at),
    }


def _company(account: Account) -> dict[str, Any]:
    return {
        "hs_object_id": record_id("companies", account.key),
        "name": account.name,
        "domain": account.website.removeprefix("https://") if account.website else None,
        "website": account.website,
        "industry": account.industry,
        "country": account.country,
        "annualrevenue": account.revenue,
        "numberofemployees": None if account.employees is None else Decimal(account.employees),
        "hs_parent_company_id": _optional_id("companies", account.parent_key),
        OWNER: _optional_id("owners", account.owner_email),
        **_stamps("companies", account.created_at, account.modified_at),
    }


def _contact(contact: Contact, is_customer: bool) -> dict[str, Any]:
    return {
        "hs_object_id": record_id("contacts", contact.key),
        "email": contact.email,
        "firstname": contact.first_name,
        "lastname": contact.last_name,
        "phone": contact.phone,
        "jobtitle": contact.title,
        "lifecyclestage": "customer" if is_customer else "opportunity",
        "associatedcompanyid": Decimal(record_id("companies", contact.account_key)),
        OWNER: record_id("owners", contact.owner_email),
        **_stamps("contacts", contact.created_at, contact.modified_at),
    }


def _lead(lead: Lead) -> dict[str, Any]:
    stages = {
        LeadStatus.OPEN: "new-stage-id",
        LeadStatus.WORKING: "connected-stage-id" if lead.key.endswith("0") else "attempting-stage-id",
        LeadStatus.QUALIFIED: "qualified-stage-id",
        LeadStatus.UNQUALIFIED: "unqualified-stage-id",
    }
    return {
        "hs_object_id": record_id("leads", lead.key),
        "hs_lead_name": f"{lead.first_name} {lead.last_name} ({lead.company})",
        "hs_lead_source": lead.source,
        "hs_lead_type": "NEW_BUSINESS",
        "hs_pipeline": LEAD_PIPELINE[0],
        "hs_pipeline_stage": stages[lead.status],
        OWNER: record_id("owners", lead.owner_email),
        **_stamps("leads", lead.created_at, lead.modified_at),
    }


def _deal(deal: Opportunity, stage: Stage) -> dict[str, Any]:
    types = {"New Business": "newbusiness", "Existing Business": "existingbusiness"}
    return {
        "hs_object_id": record_id("deals", deal.key),
        "dealname": deal.name,
        "pipeline": PIPELINE[0],
        "dealtype": types.get(deal.type or ""),
        "deal_currency_code": deal.currency,
        "amount": deal.amount,
        # a day is picked; noon UTC is that day from Honolulu to Tokyo
        "closedate": datetime.combine(deal.close_date, time(12), UTC) if deal.close_date else None,
        OWNER: record_id("owners", deal.owner_email),
        **in_stage(stage),
        **_stamps("deals", deal.created_at, deal.modified_at),
    }


def in_stage(stage: Stage) -> dict[str, Any]:
    """What HubSpot derives from the stage of a deal."""
    return {
        "dealstage": stage.id,
        "hs_deal_stage_probability": Decimal(stage.probability) / 100,
        "hs_is_closed": stage.outcome is not Outcome.OPEN,
        "hs_is_closed_won": stage.outcome is Outcome.WON,
    }


def _lines(deal: Opportunity) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(deal.lines):
        yield {
            "hs_object_id": record_id("line_items", f"{deal.key}:{number}"),
            "name": line.product,
            "hs_product_id": record_id("products", line.product),
            "hs_line_item_currency_code": deal.currency,
            "quantity": Decimal(line.quantity),
            "price": line.unit_price,
            "amount": line.amount,
            **_stamps("line_items", deal.created_at, deal.modified_at),
        }


Link = tuple[str, str, str, str]


def associations(company: Company) -> Iterator[Link]:
    """Which record belongs to which, in one direction."""
    company = company.within("hubspot")
    for contact in company.contacts:
        account_id = record_id("companies", contact.account_key)
        yield "contacts", record_id("contacts", contact.key), "companies", account_id
    for lead in company.leads:
        if lead.opportunity_key:
            yield "leads", record_id("leads", lead.key), "deals", record_id("deals", lead.opportunity_key)
        if lead.contact_key:
            yield "leads", record_id("leads", lead.key), "contacts", record_id("contacts", lead.contact_key)
    for deal in company.opportunities:
        id = record_id("deals", deal.key)
        if deal.account_key:
            yield "deals", id, "companies", record_id("companies", deal.account_key)
        if deal.contact_key:
            yield "deals", id, "contacts", record_id("contacts", deal.contact_key)
        for number in range(len(deal.lines)):
            yield "line_items", record_id("line_items", f"{deal.key}:{number}"), "deals", id


class Refused(Exception):
    """A request HubSpot would not serve."""

    def __init__(self, status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.category, self.more = status, message, category, more


def error(status: int, message: str, category: str, **more: Any) -> Response:
    """A refusal in HubSpot's words; tests inject these too."""
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return JsonResponse(body | more, status_code=status)


RATE_LIMITS = {
    "TEN_SECONDLY_ROLLING": "You have reached your ten_secondly_rolling limit.",
    "SECONDLY": "You have reached your secondly limit.",
    "DAILY": "You have reached your daily limit.",
}


def rate_limited(policy: str = "TEN_SECONDLY_ROLLING", retry_after: int | None = None) -> Response:
    """A 429 as HubSpot words it, for tests to inject."""
    body = {
        "status": "error",
        "message": RATE_LIMITS[policy],
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "groupName": "publicapi:private-apps:sandbox",
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JsonResponse(body, status_code=429, headers=headers)


def sent(column: Column, value: Any) -> str | None:
    """A property's value as HubSpot sends it: text or null."""
    if value is None:
        return None
    if column.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if column.kind is Kind.NUMBER:
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if column.kind is Kind.TIMESTAMP:
        return str(value).replace(".000Z", "Z")
    return str(value)


class HubSpot:
    """One HubSpot portal. Attributes that are not private may be changed while it is served."""

    crm = "hubspot"

    def __init__(self, company: Company, store: Store) -> None:
        self.company = company
        self.store = store
        self.tokens = {ACCESS_TOKEN}
        self.compares_ids_as_text = False
        """Whether search orders and compares `hs_object_id` as text; nobody outside HubSpot knows for sure."""
        self.has_short_pages = True
        """Whether some pages hold fewer records than asked for although more follow."""
        self.association_page = 100
        self.calls = 0
        for table in (*TABLES.values(), OWNERS, ASSOCIATIONS):
            store.create(table)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        for object, record in records(company):
            rows[object].append(record)
        for object, batch in rows.items():
            store.insert(TABLES[object].name, batch)
        store.insert(OWNERS.name, owners(company))
        self._link(associations(company))

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        return {"HUBSPOT_URL": url, "HUBSPOT_ACCESS_TOKEN": ACCESS_TOKEN}

    def _link(self, links: Iterable[Link]) -> None:
        rows = []
        for from_type, from_id, to_type, to_id in links:
            for a, b, c, d in ((from_type, from_id, to_type, to_id), (to_type, to_id, from_type, from_id)):
                rows.append({"id": f"{a}:{b}:{c}:{d}", "from_type": a, "from_id": b, "to_type": c, "to_id": d})
        self.store.insert(ASSOCIATIONS.name, rows)

    def routes(self) -> list[Route]:
        """Everything this portal answers, under both families of paths."""
        whats = ("objects", "properties", "pipelines", "owners", "associations")
        numbered = {what: f"/crm/{'v4' if what == 'associations' else 'v3'}/{what}" for what in whats}
        families = [numbered, *({what: f"/crm/{what}/{date}" for what in whats} for date in DATED_VERSIONS)]
        routes = []
        for path, method, handler in (entry for family in families for entry in self._paths(family)):
            for spelling in (path, f"{path}/"):
                routes.append(Route(spelling, self._guarded(handler), methods=[method]))
        return routes

    def _paths(self, roots: Mapping[str, str]) -> list[tuple[str, str, Callable[[Request], Any]]]:
        objects = roots["objects"] + "/{object}"
        return [
            (objects + "/search", "POST", self._search),
            (objects + "/merge", "POST", self._merge),
            (objects + "/batch/read", "POST", self._batch_read),
            (objects, "GET", self._list),
            (objects, "POST", self._create),
            (objects + "/{id}", "GET", self._read),
            (objects + "/{id}", "PATCH", self._update),
            (objects + "/{id}", "DELETE", self._archive),
            (roots["properties"] + "/{object}", "GET", self._properties),
            (roots["properties"] + "/{object}/{name}", "GET", self._property),
            (roots["pipelines"] + "/{object}", "GET", self._pipelines),
            (roots["owners"], "GET", self._owners),
            (roots["owners"] + "/{id}", "GET", self._owner),
            (roots["associations"] + "/{from_type}/{to_type}/batch/read", "POST", self._associations),
        ]

    def _guarded(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            self.calls += 1
            if len(request.url.query) > LONGEST_QUERY:
                page = "<html><head><title>414 Request-URI Too Large</title></head><body></body></html>"
                return HTMLResponse(page, status_code=414)
            try:
                self._admit(request)
                response: Response = await handler(request)
            except Refused as refusal:
                response = error(refusal.status, refusal.message, refusal.category, **refusal.more)
            if not request.url.path.rstrip("/").endswith("/search"):
                response.headers.update(self._rate_headers())
            return response

        return guarded

    def _admit(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        if not header.startswith("Bearer "):
            raise Refused(
                401,
                "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more"
                " details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
                "INVALID_AUTHENTICATION",
            )
        if header.removeprefix("Bearer ") not in self.tokens:
            raise Refused(
                401,
                "The OAuth token used to make this call expired or does not exist.",
                "EXPIRED_AUTHENTICATION",
            )

    def _rate_headers(self) -> dict[str, str]:
        return {
            "X-HubSpot-RateLimit-Daily": "250000",
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, 250000 - self.calls)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": "100",
            "X-HubSpot-RateLimit-Remaining": str(99 - self.calls % 50),
            "X-HubSpot-RateLimit-Secondly": "10",
            "X-HubSpot-RateLimit-Secondly-Remaining": "9",
        }

    def _order(self, column: Column) -> str:
        """SQL to compare and sort by."""
        if column.name != "hs_object_id":
            return column.sql
        return column.sql if self.compares_ids_as_text else BY_NUMBER

    # reading

    async def _list(self, request: Request) -> Response:
        object, table = _object(request)
        _only(request, "limit", "after", "properties", "propertiesWithHistory", "associations", "archived")
        _no_history(request.query_params.get("propertiesWithHistory"))
        limit = _limit(request, default=10)
        where = GONE if _archived(request) else LIVE
        after = _after(request.query_params.get("after"))
        if after is not None:
            where &= Where(f"{BY_NUMBER} > ?", (after,))
        rows = self.store.find(table.name, where, order_by=BY_NUMBER, limit=limit + 1)
        wanted = _names(request, "properties")
        results = [self._record(object, row, wanted) for row in rows[:limit]]
        for other in _names(request, "associations"):
            self._add_inline(object, _known(other), results)
        answer: dict[str, Any] = {"results": results}
        if len(rows) > limit:
            cursor = base64.b64encode(f"{rows[limit - 1]['hs_object_id']}\n".encode()).decode()
            link = f"https://api.hubapi.com{request.url.path}?after={cursor.replace('=', '%3D')}"
            answer["paging"] = {"next": {"after": cursor, "link": link}}
        return JsonResponse(answer)

    def _record(self, object: str, row: Row, wanted: Iterable[str]) -> dict[str, Any]:
        columns = TABLES[object].columns
        modified = modified_name(object)
        created = "hs_createdate" if row["createdate"] is None else "createdate"
        names = [*dict.fromkeys([*(wanted or DEFAULTS.get(object, ())), created, modified, "hs_object_id"])]
        record = {
            "id": row["hs_object_id"],
            "properties": {name: sent(columns[name], row[name]) for name in sorted(names) if name in columns},
            "createdAt": row[created],
            "updatedAt": row[modified],
            "archived": row[DELETED],
        }
        if row[DELETED]:
            record["archivedAt"] = row[DELETED_AT]
        return record

    def _add_inline(self, object: str, other: str, results: list[dict[str, Any]]) -> None:
        links = self._linked(object, other, [record["id"] for record in results])
        for record in results:
            ids = links.get(record["id"], [])
            if ids:
                type = f"{_singular(object)}_to_{_singular(other)}"
                found: dict[str, Any] = {
                    "results": [
                        {"id": id, "type": suffixed}
                        for id in ids[:100]
                        for suffixed in ((type, f"{type}_unlabeled") if len(_types(object, other)) > 1 else (type,))
                    ]
                }
                if len(ids) > 100:
                    found["paging"] = {"next": {"after": ids[99], "link": "https://api.hubapi.com/"}}
                record.setdefault("associations", {})[other] = found

    async def _read(self, request: Request) -> Response:
        object, _ = _object(request)
        _only(request, "properties", "propertiesWithHistory", "associations", "archived", "idProperty")
        _no_history(request.query_params.get("propertiesWithHistory"))
        record = self._record(
            object, self._row(request, GONE if _archived(request) else LIVE), _names(request, "properties")
        )
        for other in _names(request, "associations"):
            self._add_inline(object, _known(other), [record])
        return JsonResponse(record)

    def _row(self, request: Request, where: Where = LIVE) -> Row:
        _, table = _object(request)
        row = self.store.get(table.name, request.path_params["id"], where)
        if row is None:
            raise Refused(404, "resource not found", "OBJECT_NOT_FOUND")
        return row

    async def _batch_read(self, request: Request) -> Response:
        object, table = _object(request)
        body = await _body(request, "inputs", "properties", "propertiesWithHistory", "idProperty")
        _no_history(body.get("propertiesWithHistory"))
        if body.get("idProperty"):
            raise Refused(400, "idProperty is not offered by the sandbox")
        ids = _inputs(body)
        marks = ", ".join("?" * len(ids))
        where = (GONE if _archived(request) else LIVE) & Where(f'"hs_object_id" in ({marks})', tuple(ids))
        found = self.store.find(table.name, where)
        results = [self._record(object, row, body.get("properties") or ()) for row in found]
        missing = [id for id in ids if id not in {record["id"] for record in results}]
        problem = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": f"Could not get some {_singular(object).upper()} objects, they may be deleted or not exist."
            " Check that ids are valid.",
            "context": {"ids": missing},
        }
        return self._batch_answer(results, [problem] if missing else [], 1)

    async def _search(self, request: Request) -> Response:
        object, table = _object(request)
        body = await _body(request, "filterGroups", "sorts", "properties", "limit", "after", "query")
        if body.get("query"):
            raise Refused(400, "query is not offered by the sandbox")
        limit = body.get("limit", 10)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= 200:
            raise Refused(400, "Invalid input JSON: limit must be between 0 and 200")
        start = _offset(body.get("after"))
        if start + limit > MOST_SEARCH_RESULTS:
            raise Refused(400, f"There was a problem with the request: paging past {MOST_SEARCH_RESULTS} results")
        where = LIVE & self._filter(table, body.get("filterGroups") or [])
        order_by = self._sort(table, body.get("sorts") or [])
        total = self.store.count(table.name, where)
        size = limit // 2 if self.has_short_pages and limit > 1 and start // limit % 5 == 3 else limit
        rows = self.store.find(table.name, where, order_by=order_by, limit=size, offset=start)
        answer: dict[str, Any] = {
            "total": total,
            "results": [self._record(object, row, body.get("properties") or ()) for row in rows],
        }
        if start + len(rows) < total and limit:
            answer["paging"] = {"next": {"after": str(start + len(rows))}}
        return JsonResponse(answer)

    def _sort(self, table: Table, sorts: list[Any]) -> str:
        if len(sorts) > 1:
            raise Refused(400, "There was a problem with the request: only one sort is allowed")
        for sort in sorts:
            if isinstance(sort, str):
                sort = {
                    "propertyName": sort.removeprefix("-"),
                    "direction": "DESCENDING" if sort[0] == "-" else "",
                }
            column = _column(table, sort.get("propertyName"))
            direction = "desc" if sort.get("direction") == "DESCENDING" else "asc"
            return f"{self._order(column)} {direction}, {BY_ID}"
        return BY_ID

    def _filter(self, table: Table, groups: list[Any]) -> Where:
        """Any of the groups, all filters in a group."""
        sizes = [len(group.get("filters") or ()) for group in groups]
        if len(groups) > 5 or any(size > 6 for size in sizes) or sum(sizes) > 18:
            raise Refused(400, "There was a problem with the request: too many filters (5 groups, 6 each, 18 in all)")
        alternatives = []
        for group in groups:
            condition = ALL
            for filter in group.get("filters") or ():
                condition &= self._condition(table, filter)
            alternatives.append(condition)
        if not alternatives:
            return ALL
        return Where(" or ".join(f"({a.sql})" for a in alternatives), tuple(v for a in alternatives for v in a.values))

    def _condition(self, table: Table, filter: Mapping[str, Any]) -> Where:
        unknown = set(filter) - {"propertyName", "operator", "value", "values", "highValue"}
        if unknown:
            raise Refused(400, f'Invalid input JSON: Unrecognized field "{min(unknown)}"')
        column = _column(table, filter.get("propertyName"))
        operator = filter.get("operator")
        sql = self._order(column)
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            return Where(f"{column.sql} is {'not ' if operator == 'HAS_PROPERTY' else ''}null")
        if operator in ("IN", "NOT_IN"):
            values = [self._comparable(column, value) for value in filter.get("values") or ()]
            if not values:
                raise Refused(400, f"There was a problem with the request: operator {operator} requires values")
            marks = ", ".join("?" * len(values))
            return Where(f"{sql} {'not ' if operator == 'NOT_IN' else ''}in ({marks})", tuple(values))
        value = self._comparable(column, filter.get("value"))
        if operator == "BETWEEN":
            return Where(f"{sql} between ? and ?", (value, self._comparable(column, filter.get("highValue"))))
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            negation = "not " if operator.startswith("NOT") else ""
            return Where(f"{sql} {negation}like ?", (f"%{str(value).strip('*')}%",))
        signs = {"EQ": "=", "NEQ": "is not", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
        if operator not in signs:
            raise Refused(400, f"Invalid input JSON: Cannot deserialize value of type `FilterOperator` from {operator}")
        return Where(f"{sql} {signs[operator]} ?", (value,))

    def _comparable(self, column: Column, value: Any) -> Any:
        """A filter value as the store compares it."""
        if value is None or value == "":
            raise Refused(400, f"There was a problem with the request: no value for {column.name}")
        try:
            if column.name == "hs_object_id":
                return str(value) if self.compares_ids_as_text else int(value)
            if column.kind is Kind.NUMBER:
                return float(Decimal(str(value)))
            return parsed(column, str(value))
        except (ValueError, ArithmeticError):
            raise Refused(400, f"There was a problem with the request: {value} is not a {column.type}") from None

    # associations

    def _linked(self, object: str, other: str, ids: Iterable[str]) -> dict[str, list[str]]:
        """For each record, the ids of the others it is associated with, archived ones left out."""
        ids = tuple(ids)
        marks = ", ".join("?" * len(ids))
        where = Where(
            f'"from_type" = ? and "to_type" = ? and "from_id" in ({marks}) and "to_id" in'
            f' (select "hs_object_id" from "{TABLES[other].name}" where not {DELETED})',
            (object, other, *ids),
        )
        found: dict[str, list[str]] = {}
        for row in self.store.find(ASSOCIATIONS.name, LIVE & where, order_by='cast("to_id" as integer)'):
            found.setdefault(row["from_id"], []).append(row["to_id"])
        return found

    async def _associations(self, request: Request) -> Response:
        object, other = _known(request.path_params["from_type"]), _known(request.path_params["to_type"])
        _types(object, other)  # refuses what cannot be associated
        body = await _body(request, "inputs")
        ids = _inputs(body, most=1000)
        afters = {str(entry["id"]): _offset(entry.get("after")) for entry in body["inputs"]}
        links = self._linked(object, other, ids)
        results = [self._association(object, other, id, links[id], afters[id]) for id in ids if id in links]
        missing = [_unassociated(object, other, id) for id in ids if id not in links]
        return self._batch_answer(results, missing, len(missing))

    def _association(self, object: str, other: str, id: str, to_ids: list[str], after: int) -> dict[str, Any]:
        """One page of what a record is associated with."""
        types = [{"category": "HUBSPOT_DEFINED", "typeId": n, "label": label} for n, label in _types(object, other)]
        left = [to for to in to_ids if int(to) > after]
        page = left[: self.association_page]
        to = [{"toObjectId": Number(to), "associationTypes": types} for to in page]
        result: dict[str, Any] = {"from": {"id": id}, "to": to}
        if len(left) > len(page):
            result["paging"] = {"next": {"after": page[-1], "link": "https://api.hubapi.com/"}}
        return result

    def _batch_answer(self, results: list[Any], errors: list[Any], count: int) -> Response:
        now = timestamp(self.store.clock())
        answer: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if errors:
            answer |= {"numErrors": count, "errors": errors}
        return JsonResponse(answer, status_code=207 if errors else 200)

    # properties, pipelines, owners

    async def _properties(self, request: Request) -> Response:
        object, table = _object(request)
        if _archived(request):
            return JsonResponse({"results": []})
        return JsonResponse({"results": [_property(object, column) for column in table.columns.values()]})

    async def _property(self, request: Request) -> Response:
        object, table = _object(request)
        column = table.columns.get(request.path_params["name"])
        if column is None:
            raise Refused(404, f"Property {request.path_params['name']} does not exist", "OBJECT_NOT_FOUND")
        return JsonResponse(_property(object, column))

    async def _pipelines(self, request: Request) -> Response:
        object, _ = _object(request)
        if object == "deals":
            steps = [(stage.id, stage.label, _stage_metadata(stage)) for stage in self.company.stages[self.crm]]
            pipelines = [self._pipeline(*PIPELINE, steps)]
        elif object == "leads":
            steps = [(id, label, {"leadState": label.upper()}) for id, label in LEAD_STAGES]
            pipelines = [self._pipeline(*LEAD_PIPELINE, steps)]
        else:
            pipelines = []
        return JsonResponse({"results": pipelines})

    def _pipeline(self, id: str, label: str, steps: list[tuple[str, str, dict[str, str]]]) -> dict[str, Any]:
        stamp = timestamp(self.company.founded_at)
        common = {"createdAt": stamp, "updatedAt": stamp, "archived": False}
        stages = [
            {"label": step_label, "displayOrder": number, "metadata": metadata, "id": step_id, **common}
            for number, (step_id, step_label, metadata) in enumerate(steps)
        ]
        return {"label": label, "displayOrder": 0, "id": id, "stages": stages, **common}

    async def _owners(self, request: Request) -> Response:
        _only(request, "limit", "after", "email", "archived")
        limit = _limit(request, default=100, most=500)
        where = GONE if _archived(request) else LIVE
        if "email" in request.query_params:
            where &= Where('"email" = ?', (request.query_params["email"],))
        after = request.query_params.get("after")
        if after:
            where &= Where('cast("id" as integer) > ?', (_offset(after),))
        rows = self.store.find(OWNERS.name, where, order_by='cast("id" as integer)', limit=limit + 1)
        answer: dict[str, Any] = {"results": [_owner(row) for row in rows[:limit]]}
        if len(rows) > limit:
            cursor = rows[limit - 1]["id"]
            link = f"https://api.hubapi.com{request.url.path}?after={cursor}"
            answer["paging"] = {"next": {"after": cursor, "link": link}}
        return JsonResponse(answer)

    async def _owner(self, request: Request) -> Response:
        row = self.store.get(OWNERS.name, request.path_params["id"], GONE if _archived(request) else LIVE)
        if row is None:
            raise Refused(404, "resource not found", "OBJECT_NOT_FOUND")
        return JsonResponse(_owner(row))

    # writing

    async def _create(self, request: Request) -> Response:
        object, table = _object(request)
        body = await _body(request, "properties", "associations")
        id = record_id(object, uuid.uuid4().hex)
        now = self.store.clock()
        links = [
            (object, id, other, str(link["to"]["id"]))
            for link in body.get("associations") or ()
            for other in [self._type_of(str(link["to"]["id"]))]
        ]
        changes = self._changes(object, body.get("properties") or {})
        self.store.insert(table.name, [{**_stamps(object, now, now), **changes, "hs_object_id": id}])
        self._link(links)
        row = self.store.get(table.name, id)
        assert row is not None
        return JsonResponse(self._record(object, row, changes), status_code=201)

    def _type_of(self, id: str) -> str:
        for object, table in TABLES.items():
            if self.store.get(table.name, id):
                return object
        raise Refused(400, f"One or more associations are not valid: {id} does not exist")

    async def _update(self, request: Request) -> Response:
        object, table = _object(request)
        body = await _body(request, "properties")
        id = self._row(request)["hs_object_id"]
        changes = self._changes(object, body.get("properties") or {})
        self.change(object, id, changes)
        row = self.store.get(table.name, id)
        assert row is not None
        return JsonResponse(self._record(object, row, changes))

    def change(self, object: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: its stamp moves."""
        self.store.update(TABLES[object].name, id, {modified_name(object): self.store.clock(), **changes})

    async def _merge(self, request: Request) -> Response:
        """The survivor gets the loser's associations and lists it; no list shows the loser any more."""
        object, table = _object(request)
        body = await _body(request, "primaryObjectId", "objectIdToMerge")
        ids = [str(body.get(name)) for name in ("primaryObjectId", "objectIdToMerge")]
        winner, loser = (self.store.get(table.name, id) for id in ids)
        if winner is None or loser is None or "hs_merged_object_ids" not in winner:
            raise Refused(404, "resource not found", "OBJECT_NOT_FOUND")
        links = self.store.find(ASSOCIATIONS.name, Where('"from_type" = ? and "from_id" = ?', (object, ids[1])))
        others = self.store.find(ASSOCIATIONS.name, Where('"from_type" = ? and "from_id" = ?', (object, ids[0])))
        known = {(link["to_type"], link["to_id"]) for link in others}
        moved = {(link["to_type"], link["to_id"]) for link in links} - known
        self._link((object, ids[0], to_type, to_id) for to_type, to_id in sorted(moved))
        merged = [winner["hs_merged_object_ids"], loser["hs_merged_object_ids"], ids[1]]
        self.store.purge(table.name, ids[1])
        self.change(object, ids[0], {"hs_merged_object_ids": ";".join(filter(None, merged))})
        survivor = self.store.get(table.name, ids[0])
        assert survivor is not None
        return JsonResponse(self._record(object, survivor, ["hs_merged_object_ids"]))

    async def _archive(self, request: Request) -> Response:
        _, table = _object(request)
        row = self.store.get(table.name, request.path_params["id"])
        if row:  # archiving what is not there succeeds, and archiving does not move the stamp
            self.store.delete(table.name, row["hs_object_id"])
        return Response(status_code=204)

    def _changes(self, object: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Properties sent by a client as the store keeps them, with what follows from them."""
        columns = TABLES[object].columns
        problems = []
        changes: dict[str, Any] = {}
        for name, value in properties.items():
            if name not in columns:
                problems.append(_problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif name in ("hs_object_id", "createdate", "hs_createdate", modified_name(object)):
                problems.append(_problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property'))
            else:
                try:
                    changes[name] = None if value in (None, "") else parsed(columns[name], str(value))
                except (ValueError, ArithmeticError):
                    message = f"{value} was not a valid {columns[name].type}."
                    problems.append(_problem(name, "INVALID_VALUE", message))
        if object == "deals" and "dealstage" in changes:
            stage = next((s for s in self.company.stages[self.crm] if s.id == changes["dealstage"]), None)
            if stage:
                changes |= in_stage(stage)
            else:
                message = f"{changes['dealstage']} was not one of the allowed options"
                problems.append(_problem("dealstage", "INVALID_OPTION", message))
        if problems:
            raise Refused(400, f"Property values were not valid: {json.dumps(problems)}")
        return changes


def _problem(name: str, error: str, message: str) -> dict[str, Any]:
    return {"isValid": False, "message": message, "error": error, "name": name}


def _stage_metadata(stage: Stage) -> dict[str, str]:
    probability = f"{Decimal(stage.probability) / 100}"
    return {
        "isClosed": "false" if stage.outcome is Outcome.OPEN else "true",
        "probability": probability if "." in probability else f"{probability}.0",
    }


def parsed(column: Column, text: str) -> Any:
    """A property's text as the store keeps it; raises ValueError or ArithmeticError if it is not of its type."""
    if column.kind is Kind.NUMBER:
        return Decimal(text.replace(",", ""))
    if column.kind is Kind.BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if column.kind is Kind.TIMESTAMP:
        if text.lstrip("-").isdigit():
            return timestamp(datetime.fromtimestamp(int(text) / 1000, UTC))
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return text


def _known(name: str) -> str:
    if name not in ALIASES:
        raise Refused(400, f"Unable to infer object type from: {name}")
    return ALIASES[name]


def _object(request: Request) -> tuple[str, Table]:
    object = _known(request.path_params["object"])
    return object, TABLES[object]


def _column(table: Table, name: Any) -> Column:
    if name not in table.columns:
        raise Refused(
            400,
            "There was a problem with the request.",
            errors=[{"message": f"Unknown property: {name}", "code": "UNKNOWN_PROPERTY"}],
        )
    return table.columns[name]


def _singular(object: str) -> str:
    return next(singular for singular, plural in SINGULARS.items() if plural == object)


def _types(object: str, other: str) -> tuple[tuple[int, str | None], ...]:
    if (object, other) not in TYPES_OF_ASSOCIATION:
        raise Refused(400, f"No association types exist between {object} and {other}")
    return TYPES_OF_ASSOCIATION[(object, other)]


def _unassociated(object: str, other: str, id: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {_singular(other)} is associated with {_singular(object)} {id}.",
        "context": {
            "fromObjectId": [id],
            "fromObjectType": [_singular(object)],
            "toObjectType": [_singular(other)],
        },
    }


def _owner(row: Row) -> dict[str, Any]:
    user = Number(row["userId"])
    return {
        "id": row["id"],
        "email": row["email"],
        "type": row["type"],
        "firstName": row["firstName"],
        "lastName": row["lastName"],
        "userId": None if row[DELETED] else user,
        "userIdIncludingInactive": user,
        "createdAt": row["createdAt"],
        "updatedAt": row["updatedAt"],
        "archived": row[DELETED],
        **({"teams": json.loads(row["teams"])} if row["teams"] != "[]" else {}),
    }


def _property(object: str, column: Column) -> dict[str, Any]:
    field_types = {
        "number": "number",
        "datetime": "date",
        "date": "date",
        "enumeration": "select",
        "bool": "booleancheckbox",
    }
    return {
        "name": column.name,
        "label": column.name.replace("_", " ").title(),
        "type": column.type,
        "fieldType": field_types.get(column.type, "text"),
        "description": "",
        "groupName": f"{_singular(object)}information",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": column.name == "hs_object_id",
        "hidden": False,
        "hubspotDefined": column.name not in ("manager_email", "region"),
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": False},
        "formField": False,
        "archived": False,
    }


def _only(request: Request, *names: str) -> None:
    unknown = set(request.query_params) - set(names)
    if unknown:
        raise Refused(400, f"Unknown query parameter: {min(unknown)}")


def _no_history(value: Any) -> None:
    if value:
        raise Refused(400, "propertiesWithHistory is not offered by the sandbox")


def _names(request: Request, parameter: str) -> list[str]:
    """A list given as `a,b`, or as the same parameter several times."""
    return [name for value in request.query_params.getlist(parameter) for name in value.split(",") if name]


def _limit(request: Request, *, default: int, most: int = 100) -> int:
    text = request.query_params.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refused(400, f"Invalid limit {text}: it must be between 1 and {most}")
    return int(text)


def _archived(request: Request) -> bool:
    text = request.query_params.get("archived", "false").lower()
    if text not in ("true", "false"):
        raise Refused(400, f"Invalid boolean {text} for archived")
    return text == "true"


def _after(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        return int(base64.b64decode(cursor, validate=True))
    except ValueError:
        raise Refused(400, f"Invalid paging cursor {cursor}") from None


def _offset(after: Any) -> int:
    if after in (None, ""):
        return 0
    if not str(after).isdigit():
        raise Refused(400, f"Invalid input JSON: after must be a number, not {after}")
    return int(after)


async def _body(request: Request, *names: str) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Refused(400, "Invalid input JSON on line 1, column 1") from None
    if not isinstance(body, dict) or set(body) - set(names):
        unknown = min(set(body) - set(names)) if isinstance(body, dict) else "root"
        raise Refused(400, f'Invalid input JSON: Unrecognized field "{unknown}"')
    return body


def _inputs(body: Mapping[str, Any], most: int = 100) -> list[str]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(entry, dict) and "id" in entry for entry in inputs):
        raise Refused(400, "Invalid input JSON: inputs must be a list of objects with an id")
    if len(inputs) > most:
        raise Refused(
            400,
            f"The maximum number of inputs supported in a batch request is {most}. Received {len(inputs)}.",
        )
    return list(dict.fromkeys(str(entry["id"]) for entry in inputs))
