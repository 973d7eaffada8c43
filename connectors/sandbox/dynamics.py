"""Dynamics 365: Entra tokens, and Dataverse's Web API with paging, change tracking, metadata and writing.

The company's records in Dataverse's shape, and the routes that serve them. `$filter` and `$orderby` are in `odata`.
"""

import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox import odata
from connectors.sandbox.company import Account, Company, Contact, Lead, LeadStatus, Opportunity, Outcome, Product, Rep
from connectors.sandbox.store import (
    ALL,
    DELETED,
    LIVE,
    VERSION,
    Column,
    Kind,
    Row,
    Store,
    Table,
    Where,
)
from connectors.sandbox.wire import JsonResponse, Number, form

TENANT_ID = "5a6d0b0c-0000-4000-8000-73616e64626f"
CLIENT_ID = "5a6d0b0c-0000-4000-8000-636c69656e74"
CLIENT_SECRET = "sandbox-dynamics-secret"
BASE = "/api/data/v9.2"
MOST_ROWS = 5000
TOKEN_DAYS = 7
ANNOTATED = "Microsoft.Dynamics.CRM"
FORMATTED = "OData.Community.Display.V1.FormattedValue"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://sandbox.example/dataverse")

KINDS = {
    "Uniqueidentifier": Kind.KEY,
    "Lookup": Kind.KEY,
    "Owner": Kind.KEY,
    "Customer": Kind.KEY,
    "Money": Kind.NUMBER,
    "Decimal": Kind.NUMBER,
    "Integer": Kind.INTEGER,
    "BigInt": Kind.INTEGER,
    "State": Kind.INTEGER,
    "Status": Kind.INTEGER,
    "Picklist": Kind.INTEGER,
    "Boolean": Kind.BOOLEAN,
    "DateTime": Kind.TIMESTAMP,
    "DateOnly": Kind.DATE,
    "String": Kind.TEXT,
}


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A Dataverse table, as its metadata describes it."""

    name: str
    set: str
    primary_name: str
    table: Table
    is_tracked: bool

    @property
    def key(self) -> str:
        """Its primary id."""
        return self.table.key


def _entity(
    name: str,
    set: str,
    lookups: Mapping[str, str] | None = None,
    *,
    primary_name: str = "name",
    is_tracked: bool = True,
    **names_by_type: str,
) -> Entity:
    key = f"{name}id"
    columns = {key: Column(name=key, kind=Kind.KEY, type="Uniqueidentifier")}
    for lookup, target in (lookups or {}).items():
        type = {"ownerid": "Owner", "customerid": "Customer", "parentcustomerid": "Customer"}.get(lookup, "Lookup")
        columns[f"_{lookup}_value"] = Column(name=f"_{lookup}_value", kind=Kind.KEY, type=type, target=target)
    for type, names in names_by_type.items():
        for column in names.split():
            columns[column] = Column(name=column, kind=KINDS[type], type=type)
    if is_tracked:
        for column in ("createdon", "modifiedon"):
            columns[column] = Column(name=column, kind=Kind.TIMESTAMP, type="DateTime")
        columns["versionnumber"] = Column(name="versionnumber", kind=Kind.INTEGER, type="BigInt")
    indexes = ("modifiedon",) if is_tracked else ()
    table = Table(name=f"dynamics.{name}", key=key, columns=columns, indexes=indexes)
    return Entity(name=name, set=set, primary_name=primary_name, table=table, is_tracked=is_tracked)


CURRENCY = {"transactioncurrencyid": "transactioncurrency"}
OWNED = {"ownerid": "systemuser"}
ENTITIES = {
    entity.name: entity
    for entity in (
        _entity(
            "systemuser",
            "systemusers",
            {"parentsystemuserid": "systemuser", "businessunitid": "businessunit"},
            primary_name="fullname",
            String="fullname firstname lastname internalemailaddress domainname title",
            Boolean="isdisabled",
        ),
        _entity(
            "businessunit",
            "businessunits",
            {"parentbusinessunitid": "businessunit"},
            String="name",
            Boolean="isdisabled",
        ),
        _entity(
            "transactioncurrency",
            "transactioncurrencies",
            primary_name="currencyname",
            String="isocurrencycode currencyname currencysymbol",
            Decimal="exchangerate",
            State="statecode",
        ),
        _entity(
            "account",
            "accounts",
            {"parentaccountid": "account", "masterid": "account", **OWNED, **CURRENCY},
            String="name address1_country websiteurl description",
            Money="revenue",
            Picklist="industrycode",
            Integer="numberofemployees",
            State="statecode",
            Status="statuscode",
            Boolean="merged",
        ),
        _entity(
            "contact",
            "contacts",
            {"parentcustomerid": "account", "masterid": "contact", **OWNED},
            primary_name="fullname",
            String="firstname lastname fullname emailaddress1 telephone1 jobtitle",
            State="statecode",
            Status="statuscode",
            Boolean="merged",
        ),
        _entity(
            "lead",
            "leads",
            {"qualifyingopportunityid": "opportunity", "masterid": "lead", **OWNED},
            primary_name="fullname",
            String="firstname lastname fullname companyname emailaddress1 address1_country",
            Picklist="leadsourcecode",
            State="statecode",
            Status="statuscode",
            Boolean="merged",
        ),
        _entity(
            "opportunity",
            "opportunities",
            {"parentaccountid": "account", "customerid": "account", **OWNED, **CURRENCY},
            String="name stepname description",
            Uniqueidentifier="stageid",
            Money="estimatedvalue actualvalue",
            Integer="closeprobability",
            DateOnly="estimatedclosedate actualclosedate",
            Picklist="msdyn_forecastcategory",
            State="statecode",
            Status="statuscode",
        ),
        _entity(
            "processstage",
            "processstages",
            primary_name="stagename",
            is_tracked=False,
            String="stagename",
            Picklist="stagecategory",
        ),
        _entity(
            "product",
            "products",
            {"parentproductid": "product", **CURRENCY},
            String="name productnumber description",
            Money="price",
            State="statecode",
            Status="statuscode",
        ),
        _entity(
            "opportunityproduct",
            "opportunityproducts",
            {"opportunityid": "opportunity", "productid": "product", **CURRENCY},
            primary_name="opportunityproductname",
            String="opportunityproductname productdescription",
            Decimal="quantity",
            Money="priceperunit extendedamount",
        ),
    )
}
SETS = {entity.set: entity for entity in ENTITIES.values()}
LABELS = {
    ("opportunity", "statecode"): {0: "Open", 1: "Won", 2: "Lost"},
    ("opportunity", "statuscode"): {1: "In Progress", 2: "On Hold", 3: "Won", 4: "Canceled", 5: "Out-Sold"},
    ("opportunity", "msdyn_forecastcategory"): {100000001: "Pipeline", 100000005: "Won", 100000006: "Lost"},
    ("lead", "statecode"): {0: "Open", 1: "Qualified", 2: "Disqualified"},
    ("lead", "statuscode"): {1: "New", 2: "Contacted", 3: "Qualified", 4: "Lost"},
    ("lead", "leadsourcecode"): {1: "Web", 2: "Partner", 3: "Trade Show", 4: "Referral", 5: "Outbound"},
    ("account", "statecode"): {0: "Active", 1: "Inactive"},
    ("contact", "statecode"): {0: "Active", 1: "Inactive"},
    ("product", "statecode"): {0: "Active", 1: "Retired", 2: "Draft"},
}
STATES = {Outcome.OPEN: (0, 1, 100000001), Outcome.WON: (1, 3, 100000005), Outcome.LOST: (2, 4, 100000006)}


def record_id(entity: str, key: str) -> str:
    """The GUID of a company's record: the same in every run."""
    return str(uuid.uuid5(NAMESPACE, f"{entity}:{key}"))


def _optional_id(entity: str, key: str | None) -> str | None:
    return None if key is None else record_id(entity, key)


def _stamps(created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    return {"createdon": created_at.replace(microsecond=0), "modifiedon": modified_at.replace(microsecond=0)}


def industries(company: Company) -> dict[str, int]:
    """The codes of the `industrycode` choice, 1 for the first."""
    names = sorted({a.industry for a in company.accounts if a.crm == "dynamics" and a.industry})
    return {name: number for number, name in enumerate(names, 1)}


def records(company: Company) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record that lives in Dataverse, with the table it belongs to."""
    company = company.within("dynamics")
    codes = industries(company)
    yield from (("businessunit", unit) for unit in _business_units(company))
    yield from (("transactioncurrency", currency) for currency in _currencies(company))
    yield from (("processstage", stage) for stage in _process_stages(company))
    yield from (("systemuser", _user(company, rep)) for rep in company.reps)
    yield from (("product", _product(company, product)) for product in company.products)
    yield from (("account", _account(account, codes)) for account in company.accounts)
    yield from (("contact", _contact(contact)) for contact in company.contacts)
    yield from (("lead", _lead(lead)) for lead in company.leads)
    for deal in company.opportunities:
        yield "opportunity", _opportunity(company, deal)
        yield from (("opportunityproduct", line) for line in _lines(deal))


def _business_units(company: Company) -> Iterator[dict[str, Any]]:
    """The company, and a unit for each region."""
    common = {"isdisabled": False, **_stamps(company.founded_at, company.founded_at)}
    root = record_id("businessunit", company.name)
    yield {"businessunitid": root, "name": company.name, **common}
    for region in dict.fromkeys(rep.region for rep in company.reps if rep.region):
        id = record_id("businessunit", f"region:{region}")
        yield {"businessunitid": id, "name": region, "_parentbusinessunitid_value": root, **common}


def _currencies(company: Company) -> Iterator[dict[str, Any]]:
    for code, rate in company.rates.items():
        yield {
            "transactioncurrencyid": record_id("transactioncurrency", code),
            "isocurrencycode": code,
            "currencyname": code,
            "currencysymbol": code,
            "exchangerate": rate,
            "statecode": 0,
            **_stamps(company.founded_at, company.founded_at),
        }


def _process_stages(company: Company) -> Iterator[dict[str, Any]]:
    labels = dict.fromkeys(stage.label for stage in company.stages["dynamics"])
    for number, label in enumerate(labels):
        yield {"processstageid": record_id("processstage", label), "stagename": label, "stagecategory": number}


def _product(company: Company, product: Product) -> dict[str, Any]:
    return {
        "productid": record_id("product", product.name),
        "name": product.name,
        "productnumber": product.sku,
        "price": product.price,
        "statecode": 0,
        "statuscode": 1,
        "_transactioncurrencyid_value": record_id("transactioncurrency", company.currency),
        **_stamps(product.created_at, product.modified_at),
    }


def _user(company: Company, rep: Rep) -> dict[str, Any]:
    unit = f"region:{rep.region}" if rep.region else company.name
    return {
        "systemuserid": record_id("systemuser", rep.email),
        "fullname": rep.name,
        "firstname": rep.first_name,
        "lastname": rep.last_name,
        "internalemailaddress": rep.email,
        "domainname": rep.email,
        "title": rep.title,
        "isdisabled": False,
        "_parentsystemuserid_value": _optional_id("systemuser", rep.manager_email),
        "_businessunitid_value": record_id("businessunit", unit),
        **_stamps(rep.created_at, rep.modified_at),
    }


def _account(account: Account, codes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "accountid": record_id("account", account.key),
        "name": account.name,
        "industrycode": codes.get(account.industry or ""),
        "address1_country": account.country,
        "websiteurl": account.website,
        "revenue": account.revenue,
        "numberofemployees": account.employees,
        "statecode": 0,
        "statuscode": 1,
        "merged": False,
        "_parentaccountid_value": _optional_id("account", account.parent_key),
        "_ownerid_value": _optional_id("systemuser", account.owner_email),
        "_transactioncurrencyid_value": record_id("transactioncurrency", account.currency),
        **_stamps(account.created_at, account.modified_at),
    }


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "contactid": record_id("contact", contact.key),
        "firstname": contact.first_name,
        "lastname": contact.last_name,
        "fullname": f"{contact.first_name} {contact.last_name}",
        "emailaddress1": contact.email,
        "telephone1": contact.phone,
        "jobtitle": contact.title,
        "statecode": 0,
        "statuscode": 1,
        "merged": False,
        "_parentcustomerid_value": record_id("account", contact.account_key),
        "_ownerid_value": record_id("systemuser", contact.owner_email),
        **_stamps(contact.created_at, contact.modified_at),
    }


LEAD_STATES = {
    LeadStatus.OPEN: (0, 1),
    LeadStatus.WORKING: (0, 2),
    LeadStatus.QUALIFIED: (1, 3),
    LeadStatus.UNQUALIFIED: (2, 4),
}


def _lead(lead: Lead) -> dict[str, Any]:
    sources = {label: code for code, label in LABELS[("lead", "leadsourcecode")].items()}
    state, status = LEAD_STATES[lead.status]
    return {
        "leadid": record_id("lead", lead.key),
        "firstname": lead.first_name,
        "lastname": lead.last_name,
        "fullname": f"{lead.first_name} {lead.last_name}",
        "companyname": lead.company,
        "emailaddress1": lead.email,
        "address1_country": lead.country,
        "leadsourcecode": sources.get(lead.source),
        "statecode": state,
        "statuscode": status,
        "merged": False,
        "_qualifyingopportunityid_value": _optional_id("opportunity", lead.opportunity_key),
        "_ownerid_value": record_id("systemuser", lead.owner_email),
        **_stamps(lead.created_at, lead.modified_at),
    }


def _opportunity(company: Company, deal: Opportunity) -> dict[str, Any]:
    stage = company.stage(deal)
    state, status, category = STATES[stage.outcome]
    is_open = stage.outcome is Outcome.OPEN
    # what a lost deal would have brought stays in the estimate
    return {
        "opportunityid": record_id("opportunity", deal.key),
        "name": deal.name,
        "stepname": stage.label,
        "stageid": record_id("processstage", stage.label),
        "estimatedvalue": deal.amount,
        "actualvalue": deal.amount if stage.outcome is Outcome.WON else None,
        "closeprobability": stage.probability,
        "estimatedclosedate": deal.close_date,
        "actualclosedate": None if is_open else deal.close_date,
        "msdyn_forecastcategory": category,
        "statecode": state,
        "statuscode": status,
        "_parentaccountid_value": _optional_id("account", deal.account_key),
        "_customerid_value": _optional_id("account", deal.account_key),
        "_ownerid_value": record_id("systemuser", deal.owner_email),
        "_transactioncurrencyid_value": record_id("transactioncurrency", deal.currency),
        **_stamps(deal.created_at, deal.modified_at),
    }


def _lines(deal: Opportunity) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(deal.lines):
        yield {
            "opportunityproductid": record_id("opportunityproduct", f"{deal.key}:{number}"),
            "opportunityproductname": line.product,
            "quantity": Decimal(line.quantity),
            "priceperunit": line.unit_price,
            "extendedamount": line.amount,
            "_opportunityid_value": record_id("opportunity", deal.key),
            "_productid_value": record_id("product", line.product),
            "_transactioncurrencyid_value": record_id("transactioncurrency", deal.currency),
            **_stamps(deal.created_at, deal.modified_at),
        }


class Refused(Exception):
    """A request Dataverse would not serve."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error(status: int, code: str, message: str) -> Response:
    """A refusal in Dataverse's words; tests inject these too."""
    return JsonResponse({"error": {"code": code, "message": message}}, status_code=status)


def throttled(retry_after: int = 1) -> Response:
    """A service protection error as Dataverse words it, for tests to inject."""
    message = "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
    response = error(429, "0x80072322", message)
    response.headers["Retry-After"] = str(retry_after)
    return response


EXPIRED = Refused(
    400,
    "0x80044352",
    "Version stamp associated with the client has expired. Please perform a full sync.",
)


def _bad(message: str) -> Refused:
    return Refused(400, "0x80060888", message)


def sent(column: Column, value: Any) -> Any:
    """A value as Dataverse sends it."""
    if value is None:
        return None
    if column.type == "Money":
        return Number(f"{value:.4f}")
    if column.type == "Decimal":
        return Number(f"{value:.10f}")
    if column.kind is Kind.TIMESTAMP:
        return f"{value[:19]}Z"
    return value


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A query of a table, as its options and headers ask for it."""

    entity: Entity
    names: tuple[str, ...] | None
    """Of `$select`; None for all columns."""
    where: Where
    order_by: str
    is_ordered: bool
    top: int | None
    is_counted: bool
    is_tracking: bool
    since: int | None = None
    """For a delta: the version after which changes are wanted."""
    version: int = 0
    """For tracking: the version at which the first page was read."""


@dataclass(frozen=True, kw_only=True)
class _Link:
    """What a nextLink stands for."""

    read: _Read
    page: int
    last: tuple[int, str] | None
    """Where the page before ended: version and key."""
    offset: int


class Dynamics:
    """One Dataverse organisation, with the directory that gives out its tokens."""

    crm = "dynamics"

    def __init__(self, company: Company, store: Store) -> None:
        self.company = company
        self.store = store
        self.tokens: set[str] = set()
        self.oldest_delta = 0
        """Delta tokens from before this version have expired."""
        self._links: dict[str, _Link] = {}
        self._labels = LABELS | {
            ("account", "industrycode"): {code: name for name, code in industries(company).items()}
        }
        for entity in ENTITIES.values():
            store.create(entity.table)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ENTITIES}
        for entity_name, record in records(company):
            rows[entity_name].append(record)
        for name, batch in rows.items():
            store.insert(ENTITIES[name].table.name, batch)

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

    def expire_delta_tokens(self) -> None:
        """Make every delta link given out so far too old."""
        self.oldest_delta = self.store.version + 1
        self.store.touch()

    def routes(self) -> list[Route]:
        """Everything this organisation and its directory answer."""
        set = BASE + "/{set}"
        paths: list[tuple[str, str, Callable[[Request], Any]]] = [
            (f"{BASE}/WhoAmI", "GET", self._who_am_i),
            (f"{BASE}/EntityDefinitions", "GET", self._definitions),
            (BASE + "/EntityDefinitions(LogicalName='{name}')", "GET", self._definition),
            (BASE + "/EntityDefinitions(LogicalName='{name}')/Attributes", "GET", self._attributes),
            (BASE + "/EntityDefinitions(LogicalName='{name}')/Attributes/{cast}", "GET", self._options),
            (BASE + "/RetrieveTotalRecordCount({argument})", "GET", self._total),
            (set + "({id})", "GET", self._retrieve),
            (set + "({id})", "PATCH", self._update),
            (set + "({id})", "DELETE", self._delete),
            (set, "GET", self._read),
            (set, "POST", self._create),
        ]
        tenant = "/{tenant}"
        return [
            Route("/common/discovery/instance", self._discover, methods=["GET"]),
            Route(tenant + "/v2.0/.well-known/openid-configuration", self._openid, methods=["GET"]),
            Route(tenant + "/oauth2/v2.0/token", self._token, methods=["POST"]),
            *(Route(path, self._guarded(handler), methods=[method]) for path, method, handler in paths),
        ]

    def _guarded(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            try:
                scheme, _, token = request.headers.get("authorization", "").partition(" ")
                if scheme != "Bearer" or token not in self.tokens:
                    challenge = 'Bearer authorization_uri="https://login.microsoftonline.com/"'
                    return Response(status_code=401, headers={"WWW-Authenticate": challenge})
                response: Response = await handler(request)
            except Refused as refusal:
                response = error(refusal.status, refusal.code, refusal.message)
            except odata.ODataError as problem:
                response = error(400, "0x80060888", str(problem))
            response.headers["OData-Version"] = "4.0"
            if response.headers.get("content-type") == "application/json":
                response.headers["content-type"] = "application/json; odata.metadata=minimal"
            response.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] = "5999"
            return response

        return guarded

    # the directory

    async def _discover(self, request: Request) -> Response:
        url = _url(request)
        host = "login.microsoftonline.com"
        return JsonResponse(
            {
                "tenant_discovery_endpoint": f"{url}/{TENANT_ID}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def _openid(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if tenant != TENANT_ID:
            return _entra_error(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.", 90002)
        # msal takes nothing but https; a client of the plain http sandbox turns the scheme back on the way out
        url = f"https://{request.url.netloc}/{tenant}"
        return JsonResponse(
            {
                "token_endpoint": f"{url}/oauth2/v2.0/token",
                "authorization_endpoint": f"{url}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{url}/oauth2/v2.0/devicecode",
                "issuer": f"{url}/v2.0",
                "jwks_uri": f"{url}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": "microsoftonline.com",
            }
        )

    async def _token(self, request: Request) -> Response:
        fields = await form(request)
        if request.path_params["tenant"] != TENANT_ID:
            return _entra_error(400, "invalid_request", "AADSTS90002: Tenant not found.", 90002)
        if fields.get("grant_type") != "client_credentials":
            return _entra_error(400, "unsupported_grant_type", "AADSTS70003: unsupported grant type.", 70003)
        if fields.get("client_id") != CLIENT_ID:
            message = f"AADSTS700016: Application with identifier '{fields.get('client_id')}' was not found."
            return _entra_error(400, "unauthorized_client", message, 700016)
        if fields.get("client_secret") != CLIENT_SECRET:
            message = "AADSTS7000215: Invalid client secret provided."
            return _entra_error(401, "invalid_client", message, 7000215)
        scope = str(fields.get("scope", ""))
        if not scope.endswith("/.default") or scope.endswith("//.default"):
            message = f"AADSTS1002012: The provided value for scope {scope} is not valid."
            return _entra_error(400, "invalid_scope", message, 1002012)
        token = f"eyJ{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}"
        self.tokens.add(token)
        return JsonResponse({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})

    # reading

    async def _read(self, request: Request) -> Response:
        entity = _entity_of(request)
        query = request.url.query
        size, is_tracking = _preferences(request)
        options = _options_of(query)
        if "$skiptoken" in options:
            link = self._links.get(_canonical(f"{entity.set}?{query}"))
            if link is None:
                raise Refused(400, "0x80048d0a", "The paging cookie is malformed or was changed.")
            return self._page(request, link, size)
        if "$deltatoken" in options:
            read = self._delta(entity, options)
        else:
            read = self._full(entity, options, is_tracking, size is not None)
        return self._page(request, _Link(read=read, page=1, last=None, offset=0), size)

    def _full(self, entity: Entity, options: Mapping[str, str], is_tracking: bool, has_size: bool) -> _Read:
        for name in ("$filter", "$orderby", "$expand", "$top"):
            if is_tracking and name in options:
                raise _bad(f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')
        if is_tracking and not entity.is_tracked:
            raise _bad(f"Change tracking is not enabled for entity '{entity.name}'.")
        if "$expand" in options:
            raise _bad("$expand is not offered by the sandbox.")
        table, ordered = entity.table, options.get("$orderby")
        top = options.get("$top")
        if top is not None and not (top.isdigit() and int(top) > 0):
            raise _bad(f"Invalid value '{top}' for $top query option found.")
        return _Read(
            entity=entity,
            names=_selected(entity, options),
            where=LIVE & odata.filter(table, options["$filter"]) if "$filter" in options else LIVE,
            order_by=odata.order_by(table, ordered) if ordered else "",
            is_ordered=bool(ordered),
            top=int(top) if top and not has_size else None,  # with a page size, $top is ignored
            is_counted=options.get("$count") == "true",
            is_tracking=is_tracking,
            version=self.store.version,
        )

    def _delta(self, entity: Entity, options: Mapping[str, str]) -> _Read:
        number, _, stamp = options["$deltatoken"].partition("!")
        if not number.isdigit() or not entity.is_tracked:
            raise _bad("The delta token is malformed.")
        try:
            age = self.store.clock() - datetime.strptime(stamp, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            raise _bad("The delta token is malformed.") from None
        since = int(number)
        if since > self.store.version or since < self.oldest_delta or age > timedelta(days=TOKEN_DAYS):
            raise EXPIRED
        return _Read(
            entity=entity,
            names=_selected(entity, options),
            where=Where(f"{VERSION} > ?", (since,)),
            order_by="",
            is_ordered=False,
            top=None,
            is_counted=False,
            is_tracking=True,
            since=since,
            version=self.store.version,
        )

    def _page(self, request: Request, link: _Link, size: int | None) -> Response:
        read = link.read
        limit = min(size or MOST_ROWS, MOST_ROWS, read.top or MOST_ROWS)
        rows = self._rows(link, limit + 1)
        has_more = len(rows) > limit and read.top is None
        annotations = _annotations(request)
        answer = {"@odata.context": self._context(request, read), **self._totals(read, annotations)}
        answer["value"] = [
            self._tombstone(request, read.entity, row) if row[DELETED] else self._record(read, row, annotations)
            for row in rows[:limit]
        ]
        if has_more:
            answer["@odata.nextLink"] = self._next_link(request, link, rows[limit - 1], limit)
        elif read.is_tracking:
            answer["@odata.deltaLink"] = self._delta_link(request, read)
        response = JsonResponse(answer)
        applied = [f"odata.maxpagesize={limit}"] if size else []
        applied += ["odata.track-changes"] if read.is_tracking else []
        if applied:
            response.headers["Preference-Applied"] = ",".join(applied)
        return response

    def _totals(self, read: _Read, annotations: tuple[str, ...]) -> dict[str, Any]:
        """Counts, as far as asked for; they go no further than 5,000."""
        total = self.store.count(read.entity.table.name, read.where) if read.is_counted else -1
        totals: dict[str, Any] = {"@odata.count": min(total, MOST_ROWS)} if read.is_counted else {}
        if "*" in annotations:
            totals |= {
                f"@{ANNOTATED}.totalrecordcount": min(total, MOST_ROWS),
                f"@{ANNOTATED}.totalrecordcountlimitexceeded": total > MOST_ROWS,
                f"@{ANNOTATED}.globalmetadataversion": "9210713",
            }
        return totals

    def _rows(self, link: _Link, limit: int) -> list[Row]:
        read, key = link.read, link.read.entity.key
        table = read.entity.table.name
        if read.is_ordered:
            # rows that tie come in a different order on each page, so only a unique order is safe
            tie = "asc" if link.page % 2 else "desc"
            order_by = f'{read.order_by}, "{key}" {tie}'
            return self.store.find(table, read.where, order_by=order_by, limit=limit, offset=link.offset)
        if read.since is None:
            where = read.where & Where(f'"{key}" > ?', (link.last[1] if link.last else "",))
            return self.store.find(table, where, order_by=f'"{key}"', limit=limit)
        # changes in the order they happened, then what is gone
        where = read.where & Where(f"{VERSION} <= ?", (read.version,))
        if link.last:
            where &= Where(f"({DELETED} * 1000000000 + {VERSION}) > ?", (link.last[0],))
        return self.store.find(table, where, order_by=f"{DELETED}, {VERSION}", limit=limit)

    def _context(self, request: Request, read: _Read) -> str:
        columns = f"({','.join(read.names)})" if read.names is not None else ""
        delta = "/$delta" if read.since is not None else ""
        return f"{_url(request)}{BASE}/$metadata#{read.entity.set}{columns}{delta}"

    def _tombstone(self, request: Request, entity: Entity, row: Row) -> dict[str, Any]:
        context = f"{_url(request)}{BASE}/$metadata#{entity.set}/$deletedEntity"
        return {"@odata.context": context, "id": row[entity.key], "reason": "deleted"}

    def _record(self, read: _Read, row: Row, annotations: tuple[str, ...]) -> dict[str, Any]:
        entity = read.entity
        columns = entity.table.columns
        names = list(columns if read.names is None else read.names)
        if any(columns[name].type == "Money" for name in names) and "_transactioncurrencyid_value" in columns:
            names.append("_transactioncurrencyid_value")
        record: dict[str, Any] = {"@odata.etag": f'W/"{row[VERSION]}"'}
        for name in dict.fromkeys([*names, entity.key]):
            value = row[VERSION] if name == "versionnumber" else row[name]
            record |= self._annotated(entity, columns[name], value, annotations)
            record[name] = sent(columns[name], value)
        return record

    def _annotated(self, entity: Entity, column: Column, value: Any, annotations: tuple[str, ...]) -> dict[str, str]:
        """The annotations of one value, as far as the client asked for them."""
        found: dict[str, str] = {}
        if value is None or not annotations:
            return found
        if column.target:
            found[f"{ANNOTATED}.associatednavigationproperty"] = column.name.removeprefix("_").removesuffix("_value")
            found[f"{ANNOTATED}.lookuplogicalname"] = column.target
            target = ENTITIES[column.target]
            row = self.store.get(target.table.name, value, ALL)
            if row:
                found[FORMATTED] = str(row[target.primary_name])
        label = self._labels.get((entity.name, column.name), {}).get(value)
        if label:
            found[FORMATTED] = label
        if column.type == "Money":
            found[FORMATTED] = f"${value:,.2f}"
        return {f"{column.name}@{name}": text for name, text in found.items() if _is_wanted(name, annotations)}

    def _next_link(self, request: Request, link: _Link, last: Row, limit: int) -> str:
        entity = link.read.entity
        inner = f'<cookie page="{link.page}"><{entity.key} last="{{{last[entity.key].upper()}}}" /></cookie>'
        twice = quote(_lower_escapes(quote(inner, safe="")), safe="")
        cookie = (
            f"%3Ccookie%20pagenumber=%22{link.page + 1}%22%20pagingcookie=%22{twice}%22"
            f"%20istracking=%22{link.read.is_tracking}%22%20/%3E"
        )
        query = re.sub(r"&?\$skiptoken=[^&]*", "", request.url.query)
        path = f"{entity.set}?{query}{'&' if query else ''}$skiptoken={cookie}"
        position = (1000000000 if last[DELETED] else 0) + last[VERSION], last[entity.key]
        self._links[_canonical(path)] = _Link(
            read=link.read, page=link.page + 1, last=position, offset=link.offset + limit
        )
        return f"{_url(request)}{BASE}/{path}"

    def _delta_link(self, request: Request, read: _Read) -> str:
        stamp = self.store.clock().strftime("%m/%d/%Y %H:%M:%S")
        token = _lower_escapes(quote(f"{read.version}!{stamp}", safe=""))
        select = f"$select={','.join(read.names)}&" if read.names is not None else ""
        return f"{_url(request)}{BASE}/{read.entity.set}?{select}$deltatoken={token}"

    # metadata and functions

    async def _who_am_i(self, request: Request) -> Response:
        ids = {name: record_id("organization", name) for name in ("BusinessUnitId", "UserId", "OrganizationId")}
        context = f"{_url(request)}{BASE}/$metadata#{ANNOTATED}.WhoAmIResponse"
        return JsonResponse({"@odata.context": context} | ids)

    def _metadata(self, request: Request, suffix: str, rows: list[dict[str, Any]]) -> Response:
        """An answer of the metadata service."""
        options = _options_of(request.url.query)
        names = options["$select"].split(",") if "$select" in options else list(rows[0])
        for name in names:
            _check_metadata(name, rows[0])
        if "$filter" in options:
            rows = [row for row in rows if _is_metadata_match(row, options["$filter"])]
        shown = [{name: value for name, value in row.items() if name in (*names, "MetadataId")} for row in rows]
        return JsonResponse({"@odata.context": f"{_url(request)}{BASE}/$metadata#{suffix}", "value": shown})

    async def _definitions(self, request: Request) -> Response:
        return self._metadata(request, "EntityDefinitions", [_definition(entity) for entity in ENTITIES.values()])

    async def _definition(self, request: Request) -> Response:
        definition = _definition(_defined(request))
        names = _options_of(request.url.query).get("$select", ",".join(definition)).split(",")
        context = f"{_url(request)}{BASE}/$metadata#EntityDefinitions/$entity"
        shown = {n: v for n, v in definition.items() if n in (*names, "MetadataId")}
        return JsonResponse({"@odata.context": context} | shown)

    async def _attributes(self, request: Request) -> Response:
        entity = _defined(request)
        suffix = f"EntityDefinitions('{entity.name}')/Attributes"
        return self._metadata(request, suffix, [_attribute(entity, c) for c in entity.table.columns.values()])

    async def _options(self, request: Request) -> Response:
        """Labels of choices: `Attributes/Microsoft.Dynamics.CRM.StateAttributeMetadata?$expand=OptionSet(…)`."""
        entity = _defined(request)
        match = re.fullmatch(rf"{ANNOTATED}\.(Picklist|State|Status)AttributeMetadata", request.path_params["cast"])
        if not match:
            raise Refused(404, "0x80060888", f"Resource not found for the segment '{request.path_params['cast']}'.")
        rows = []
        for column in (c for c in entity.table.columns.values() if c.type == match[1]):
            labels = self._labels.get((entity.name, column.name), {})
            options = [
                {"Value": value, "Label": {"UserLocalizedLabel": {"Label": label, "LanguageCode": 1033}}}
                for value, label in labels.items()
            ]
            rows.append(
                {
                    "LogicalName": column.name,
                    "MetadataId": record_id("attribute", f"{entity.name}.{column.name}"),
                    "OptionSet": {"MetadataId": record_id("options", column.name), "Options": options},
                }
            )
        context = f"{_url(request)}{BASE}/$metadata#EntityDefinitions('{entity.name}')/Attributes/{match[0]}"
        return JsonResponse({"@odata.context": context, "value": rows})

    async def _total(self, request: Request) -> Response:
        argument = unquote(request.path_params["argument"])
        name, _, given = argument.partition("=")
        if given.startswith("@"):
            given = _options_of(request.url.query).get(given, "")
        if name != "EntityNames" or not re.fullmatch(r"\[\s*(['\"]\w+['\"]\s*,?\s*)*\]", given):
            raise _bad("The function 'RetrieveTotalRecordCount' needs EntityNames=['name',…].")
        names = re.findall(r"\w+", given)
        unknown = [name for name in names if name not in ENTITIES]
        if unknown:
            raise Refused(
                400,
                "0x80041102",
                f"The entity with a name = '{unknown[0]}' was not found in the MetadataCache.",
            )
        counts = [self.store.count(ENTITIES[name].table.name) for name in names]
        collection = {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts}
        context = f"{_url(request)}{BASE}/$metadata#{ANNOTATED}.RetrieveTotalRecordCountResponse"
        return JsonResponse({"@odata.context": context, "EntityRecordCountCollection": collection})

    # single records

    async def _retrieve(self, request: Request) -> Response:
        entity, row = self._addressed(request)
        read = self._full(entity, _options_of(request.url.query), False, False)
        context = f"{self._context(request, read)}/$entity"
        return JsonResponse({"@odata.context": context} | self._record(read, row, _annotations(request)))

    def _addressed(self, request: Request) -> tuple[Entity, Row]:
        entity = _entity_of(request)
        id = request.path_params["id"].lower()
        row = self.store.get(entity.table.name, id)
        if row is None:
            label = entity.name.title()
            raise Refused(404, "0x80040217", f"Entity '{label}' With Id = {id} Does Not Exist")
        return entity, row

    async def _create(self, request: Request) -> Response:
        entity = _entity_of(request)
        changes = _changes(entity, await _body(request))
        id = changes.get(entity.key) or str(uuid.uuid4())
        now = self.store.clock()
        defaults = {name: 0 for name, column in entity.table.columns.items() if column.type == "State"}
        self.store.insert(entity.table.name, [defaults | _stamps(now, now) | changes | {entity.key: id}])
        headers = {"OData-EntityId": f"{_url(request)}{BASE}/{entity.set}({id})"}
        if "return=representation" in request.headers.get("prefer", ""):
            row = self.store.get(entity.table.name, id)
            assert row is not None
            read = self._full(entity, _options_of(request.url.query), False, False)
            context = f"{self._context(request, read)}/$entity"
            return JsonResponse({"@odata.context": context} | self._record(read, row, ()), status_code=201)
        return Response(status_code=204, headers=headers)

    async def _update(self, request: Request) -> Response:
        entity, row = self._addressed(request)
        if_match = request.headers.get("if-match", "*")
        if if_match not in ("*", f'W/"{row[VERSION]}"'):
            raise Refused(
                412, "0x80060882", "The version of the existing record doesn't match the RowVersion property."
            )
        self.change(entity.name, row[entity.key], _changes(entity, await _body(request)))
        headers = {"OData-EntityId": f"{_url(request)}{BASE}/{entity.set}({row[entity.key]})"}
        return Response(status_code=204, headers=headers)

    def change(self, entity: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: its stamp moves."""
        stamps = {"modifiedon": self.store.clock().replace(microsecond=0)} if ENTITIES[entity].is_tracked else {}
        self.store.update(ENTITIES[entity].table.name, id, {**stamps, **changes})

    def merge(self, entity: str, winner: str, loser: str) -> None:
        """Merge two records as a user would: the loser stays, inactive, and says which record took its place."""
        self.change(entity, loser, {"merged": True, "_masterid_value": winner, "statecode": 1})
        for name, other in ENTITIES.items():
            for column in (
                c for c in other.table.columns.values() if c.target == entity and c.name != "_masterid_value"
            ):
                for row in self.store.find(other.table.name, LIVE & Where(f'"{column.name}" = ?', (loser,))):
                    self.change(name, row[other.key], {column.name: winner})

    async def _delete(self, request: Request) -> Response:
        entity, row = self._addressed(request)
        self.store.delete(entity.table.name, row[entity.key])
        return Response(status_code=204)


def _url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _entra_error(status: int, code: str, description: str, number: int) -> Response:
    body = {
        "error": code,
        "error_description": f"{description} Trace ID: {uuid.uuid4()}",
        "error_codes": [number],
        "correlation_id": str(uuid.uuid4()),
    }
    return JsonResponse(body, status_code=status)


def _entity_of(request: Request) -> Entity:
    name = request.path_params["set"]
    if name not in SETS:
        raise Refused(404, "0x80060888", f"Resource not found for the segment '{name}'.")
    return SETS[name]


def _defined(request: Request) -> Entity:
    name = request.path_params["name"]
    if name not in ENTITIES:
        raise Refused(404, "0x80060888", f"Could not find an entity with name '{name}'.")
    return ENTITIES[name]


OPTIONS = ("$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken", "$deltatoken")


def _options_of(query: str) -> dict[str, str]:
    """The query options, decoded; unknown ones are refused."""
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name = unquote(name)
        if name == "$skip":
            raise _bad("Skip Clause is not supported in CRM")
        if name.startswith("$") and name not in OPTIONS or not name.startswith(("$", "@")):
            raise _bad(f"The query parameter {name} is not supported.")
        if name in options:
            raise _bad(f"Query option '{name}' was specified more than once, but it must be specified at most once.")
        # a plus is a space here, as it is for Dataverse
        options[name] = unquote(value.replace("+", " "))
    return options


def _selected(entity: Entity, options: Mapping[str, str]) -> tuple[str, ...] | None:
    if "$select" not in options:
        return None
    names = tuple(name.strip() for name in options["$select"].split(","))
    for name in names:
        odata.column_named(entity.table, name)
    return names


def _preferences(request: Request) -> tuple[int | None, bool]:
    """The page size and whether changes are to be tracked, from the `Prefer` header."""
    header = request.headers.get("prefer", "")
    match = re.search(r"odata\.maxpagesize=(\d+)", header)
    if match and int(match[1]) < 1:
        raise _bad("The value of odata.maxpagesize must be greater than zero.")
    return int(match[1]) if match else None, "odata.track-changes" in header


def _annotations(request: Request) -> tuple[str, ...]:
    match = re.search(r'odata\.include-annotations="([^"]*)"', request.headers.get("prefer", ""))
    return tuple(match[1].split(",")) if match else ()


def _is_wanted(annotation: str, patterns: tuple[str, ...]) -> bool:
    return any(
        pattern == "*" or pattern == annotation or (pattern.endswith("*") and annotation.startswith(pattern[:-1]))
        for pattern in patterns
    )


def _lower_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _canonical(path: str) -> str:
    """A link for comparison: clients may change the case of an escape (many do), and nothing else."""
    return re.sub(r"%[0-9a-fA-F]{2}", lambda match: match[0].upper(), path)


def _check_metadata(name: str, row: Mapping[str, Any]) -> None:
    if name not in row:
        raise _bad(f"Could not find a property named '{name}' on type '{ANNOTATED}.EntityMetadata'.")


def _is_metadata_match(row: Mapping[str, Any], filter: str) -> bool:
    """Whether a `$filter` of the metadata service, which knows little more than `eq`, `and` and `or`, holds."""
    return any(
        all(_is_metadata_equal(row, condition) for condition in alternative.split(" and "))
        for alternative in filter.split(" or ")
    )


def _is_metadata_equal(row: Mapping[str, Any], condition: str) -> bool:
    match = re.fullmatch(r"\s*(\w+) eq (true|false|'([^']*)')\s*", condition)
    if not match:
        raise _bad(f"The metadata service of the sandbox does not understand the condition '{condition}'.")
    _check_metadata(match[1], row)
    return bool(row[match[1]] == {"true": True, "false": False}.get(match[2], match[3]))


def _definition(entity: Entity) -> dict[str, Any]:
    return {
        "LogicalName": entity.name,
        "SchemaName": entity.name.title(),
        "EntitySetName": entity.set,
        "LogicalCollectionName": entity.set,
        "PrimaryIdAttribute": entity.key,
        "PrimaryNameAttribute": entity.primary_name,
        "ChangeTrackingEnabled": entity.is_tracked,
        "IsCustomEntity": False,
        "MetadataId": record_id("entity", entity.name),
    }


def _attribute(entity: Entity, column: Column) -> dict[str, Any]:
    name = column.name.removeprefix("_").removesuffix("_value") if column.target else column.name
    type = "DateTime" if column.type == "DateOnly" else column.type
    return {
        "@odata.type": f"#{ANNOTATED}.{type}AttributeMetadata",
        "LogicalName": name,
        "SchemaName": name.title(),
        "AttributeType": type,
        "AttributeTypeName": {"Value": f"{type}Type"},
        "IsPrimaryId": name == entity.key,
        "IsValidForRead": True,
        "Targets": [column.target] if column.target else None,
        "EntityLogicalName": entity.name,
        "MetadataId": record_id("attribute", f"{entity.name}.{name}"),
    }


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body(), parse_float=Decimal)
    except ValueError:
        raise Refused(400, "0x80048d19", "Error identified in Payload provided by the user.") from None
    if not isinstance(body, dict):
        raise Refused(400, "0x80048d19", "Error identified in Payload provided by the user.")
    return body


def _changes(entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in a body as the store keeps them."""
    changes: dict[str, Any] = {}
    for name, value in body.items():
        if name.endswith("@odata.bind"):
            lookup = f"_{name.removesuffix('@odata.bind').lower()}_value"
            match = re.fullmatch(r".*?(\w+)\(([0-9a-fA-F-]{36})\)", str(value))
            if lookup not in entity.table.columns or not match or match[1] not in SETS:
                raise _bad(f"An undeclared property '{name}' was found in the payload.")
            changes[lookup] = match[2].lower()
        elif name in entity.table.columns and not name.startswith("_"):
            changes[name] = _accepted(entity.table.columns[name], value)
        else:
            raise _bad(
                "Error identified in Payload provided by the user for Entity"
                f" :'{entity.set}', InnerException : The property '{name}' does not exist on type"
                f" '{ANNOTATED}.{entity.name}'."
            )
    return changes


def _accepted(column: Column, value: Any) -> Any:
    wrong = _bad(f"Cannot convert the literal '{value}' to the expected type 'Edm.{column.type}' ({column.name}).")
    if value is None:
        return None
    try:
        if column.kind is Kind.NUMBER and not isinstance(value, str):
            return Decimal(str(value))
        if column.kind is Kind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
            return value
        if column.kind is Kind.BOOLEAN and isinstance(value, bool):
            return value
        if column.kind is Kind.DATE:
            return date.fromisoformat(value)
        if column.kind is Kind.TIMESTAMP:
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        if column.kind in (Kind.TEXT, Kind.KEY) and isinstance(value, str):
            return value
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        raise wrong from None
    raise wrong
