"""Salesforce: OAuth, describe, SOQL over REST, Bulk API 2.0 queries, and writing single records.

The company's records in Salesforce's shape, and the routes that serve them. The SOQL itself is in `soql`.
"""

import base64
import csv
import hashlib
import io
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
from connectors.sandbox.soql import AGGREGATES, Aggregate, Query, SoqlError, long_id, parse
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
from connectors.sandbox.wire import JsonResponse, Number, form

CLIENT_ID = "sandbox-salesforce"
CLIENT_SECRET = "sandbox-salesforce-secret"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
VERSIONS = tuple(f"{number}.0" for number in range(20, 68))
BATCH = 2000
WIDE_BATCH = 1000
"""What Salesforce returns at a time once a long text is selected."""
MOST_CURSORS = 10
LONGEST_REQUEST = 16_384
DAILY_REQUESTS = 15_000

KINDS = {
    "id": Kind.KEY,
    "reference": Kind.KEY,
    "boolean": Kind.BOOLEAN,
    "int": Kind.INTEGER,
    "double": Kind.NUMBER,
    "currency": Kind.NUMBER,
    "percent": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.TIMESTAMP,
}
SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}
STAMPS = "CreatedDate LastModifiedDate SystemModstamp"
ADDRESS = ("Street", "City", "State", "PostalCode", "Country")
READ_ONLY = {
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "IsClosed",
    "IsWon",
    "LastStageChangeDate",
    "IsConverted",
    "BillingAddress",
    *STAMPS.split(),
}
FORECAST = {Outcome.WON: "Closed", Outcome.LOST: "Omitted"}


def _table(object: str, references: Mapping[str, str], **names_by_type: str) -> Table:
    columns = {"Id": Column(name="Id", kind=Kind.KEY, type="id")}
    for name, target in references.items():
        columns[name] = Column(name=name, kind=Kind.KEY, type="reference", target=target)
    for type, names in names_by_type.items():
        for name in names.split():
            columns[name] = Column(name=name, kind=KINDS.get(type, Kind.TEXT), type=type)
    return Table(name=f"salesforce.{object}", key="Id", columns=columns, indexes=("SystemModstamp",))


PREFIXES = {
    "User": "005",
    "Account": "001",
    "Contact": "003",
    "Lead": "00Q",
    "Opportunity": "006",
    "OpportunityStage": "01J",
    "Product2": "01t",
    "OpportunityLineItem": "00k",
}
TABLES = {
    "User": _table(
        "User",
        {"ManagerId": "User", "UserRoleId": "UserRole"},
        string="Username FirstName LastName Name Department Division Title",
        email="Email",
        picklist="UserType",
        boolean="IsActive",
        datetime=STAMPS,
    ),
    "Account": _table(
        "Account",
        {"ParentId": "Account", "OwnerId": "User", "MasterRecordId": "Account"},
        string="Name BillingCity BillingState BillingPostalCode BillingCountry",
        textarea="BillingStreet Description",
        address="BillingAddress",
        picklist="Type Industry CurrencyIsoCode",
        url="Website",
        currency="AnnualRevenue",
        int="NumberOfEmployees",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    "Contact": _table(
        "Contact",
        {"AccountId": "Account", "OwnerId": "User", "MasterRecordId": "Contact"},
        string="FirstName LastName Name Title",
        email="Email",
        phone="Phone",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    "Lead": _table(
        "Lead",
        {
            "OwnerId": "User",
            "ConvertedAccountId": "Account",
            "ConvertedContactId": "Contact",
            "ConvertedOpportunityId": "Opportunity",
            "MasterRecordId": "Lead",
        },
        string="FirstName LastName Name Company Country",
        email="Email",
        picklist="Status LeadSource",
        date="ConvertedDate",
        boolean="IsConverted IsDeleted",
        datetime=STAMPS,
    ),
    "Opportunity": _table(
        "Opportunity",
        {"AccountId": "Account", "OwnerId": "User", "ContactId": "Contact"},
        string="Name",
        textarea="Description",
        picklist="StageName Type LeadSource ForecastCategoryName CurrencyIsoCode",
        currency="Amount",
        percent="Probability",
        date="CloseDate",
        boolean="IsClosed IsWon IsDeleted",
        datetime=f"LastStageChangeDate {STAMPS}",
    ),
    "OpportunityStage": _table(
        "OpportunityStage",
        {},
        string="MasterLabel ApiName",
        picklist="ForecastCategoryName",
        int="SortOrder",
        percent="DefaultProbability",
        boolean="IsActive IsClosed IsWon",
        datetime=STAMPS,
    ),
    "Product2": _table(
        "Product2",
        {},
        string="Name ProductCode",
        picklist="Family",
        boolean="IsActive IsDeleted",
        datetime=STAMPS,
    ),
    "OpportunityLineItem": _table(
        "OpportunityLineItem",
        {"OpportunityId": "Opportunity", "Product2Id": "Product2"},
        string="Name",
        double="Quantity",
        currency="UnitPrice TotalPrice",
        date="ServiceDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
}
OBJECTS = {name.lower(): table for name, table in TABLES.items()}
REQUIRED = {
    "Account": ("Name",),
    "Contact": ("LastName",),
    "Lead": ("LastName", "Company"),
    "Opportunity": ("Name", "StageName", "CloseDate"),
    "Product2": ("Name",),
    "OpportunityLineItem": ("OpportunityId", "Quantity"),
}
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def record_id(object: str, key: str) -> str:
    """The 18-character id of a company's record: the same in every run, in no particular order."""
    number = int.from_bytes(hashlib.sha256(f"{object}:{key}".encode()).digest()[:10])
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, len(ALPHABET))
        digits += ALPHABET[digit]
    return long_id(f"{PREFIXES[object]}5e0{digits}")


def _optional_id(object: str, key: str | None) -> str | None:
    return None if key is None else record_id(object, key)


def records(company: Company) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record that lives in Salesforce, with the object it belongs to."""
    company = company.within("salesforce")
    for number, stage in enumerate(company.stages["salesforce"], 1):
        yield "OpportunityStage", _stage(company, stage, number)
    yield from (("User", _user(rep)) for rep in company.reps)
    yield from (("Product2", _product(product)) for product in company.products)
    yield from (("Account", _account(account)) for account in company.accounts)
    yield from (("Contact", _contact(contact)) for contact in company.contacts)
    yield from (("Lead", _lead(lead)) for lead in company.leads)
    for deal in company.opportunities:
        yield "Opportunity", _opportunity(company, deal)
        yield from (("OpportunityLineItem", line) for line in _lines(deal))


def _stamps(created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    """Stamps to the second, as Salesforce keeps them, and a record that is not deleted."""
    modified_at = modified_at.replace(microsecond=0)
    return {
        "CreatedDate": created_at.replace(microsecond=0),
        "LastModifiedDate": modified_at,
        "SystemModstamp": modified_at,
        "IsDeleted": False,
    }


def _stage(company: Company, stage: Stage, number: int) -> dict[str, Any]:
    return {
        "Id": record_id("OpportunityStage", stage.key),
        "MasterLabel": stage.label,
        "ApiName": stage.label,
        "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
        "SortOrder": number,
        "DefaultProbability": Decimal(stage.probability),
        "IsActive": True,
        "IsClosed": stage.outcome is not Outcome.OPEN,
        "IsWon": stage.outcome is Outcome.WON,
        **_stamps(company.founded_at, company.founded_at),
    }


def _user(rep: Rep) -> dict[str, Any]:
    return {
        "Id": record_id("User", rep.email),
        "Username": rep.email,
        "FirstName": rep.first_name,
        "LastName": rep.last_name,
        "Name": rep.name,
        "Email": rep.email,
        "ManagerId": _optional_id("User", rep.manager_email),
        "Department": rep.team,
        "Division": rep.region,
        "Title": rep.title,
        "UserType": "Standard",
        "IsActive": True,
        **_stamps(rep.created_at, rep.modified_at),
    }


def _product(product: Product) -> dict[str, Any]:
    return {
        "Id": record_id("Product2", product.name),
        "Name": product.name,
        "ProductCode": product.sku,
        "Family": product.family,
        "IsActive": True,
        **_stamps(product.created_at, product.modified_at),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "Id": record_id("Account", account.key),
        "Name": account.name,
        "Type": "Customer - Direct",
        "ParentId": _optional_id("Account", account.parent_key),
        "OwnerId": _optional_id("User", account.owner_email),
        "Industry": account.industry,
        "BillingCountry": account.country,
        "Website": account.website,
        "AnnualRevenue": account.revenue,
        "NumberOfEmployees": account.employees,
        "CurrencyIsoCode": account.currency,
        **_stamps(account.created_at, account.modified_at),
    }


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "Id": record_id("Contact", contact.key),
        "AccountId": record_id("Account", contact.account_key),
        "OwnerId": record_id("User", contact.owner_email),
        "FirstName": contact.first_name,
        "LastName": contact.last_name,
        "Name": f"{contact.first_name} {contact.last_name}",
        "Title": contact.title,
        "Email": contact.email,
        "Phone": contact.phone,
        **_stamps(contact.created_at, contact.modified_at),
    }


LEAD_STATUSES = {
    LeadStatus.OPEN: "Open",
    LeadStatus.WORKING: "Working",
    LeadStatus.QUALIFIED: "Qualified",
    LeadStatus.UNQUALIFIED: "Unqualified",
}


def _lead(lead: Lead) -> dict[str, Any]:
    return {
        "Id": record_id("Lead", lead.key),
        "OwnerId": record_id("User", lead.owner_email),
        "FirstName": lead.first_name,
        "LastName": lead.last_name,
        "Name": f"{lead.first_name} {lead.last_name}",
        "Company": lead.company,
        "Email": lead.email,
        "Country": lead.country,
        "Status": LEAD_STATUSES[lead.status],
        "LeadSource": lead.source,
        "IsConverted": lead.opportunity_key is not None,
        "ConvertedDate": lead.converted_on,
        "ConvertedAccountId": _optional_id("Account", lead.account_key),
        "ConvertedContactId": _optional_id("Contact", lead.contact_key),
        "ConvertedOpportunityId": _optional_id("Opportunity", lead.opportunity_key),
        **_stamps(lead.created_at, lead.modified_at),
    }


def _opportunity(company: Company, deal: Opportunity) -> dict[str, Any]:
    stage = company.stage(deal)
    return {
        "Id": record_id("Opportunity", deal.key),
        "AccountId": _optional_id("Account", deal.account_key),
        "ContactId": _optional_id("Contact", deal.contact_key),
        "OwnerId": record_id("User", deal.owner_email),
        "Name": deal.name,
        "Type": deal.type,
        "LeadSource": deal.source,
        "CurrencyIsoCode": deal.currency,
        "Amount": deal.amount,
        "CloseDate": deal.close_date,
        "StageName": stage.label,
        "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
        "Probability": Decimal(stage.probability),
        "IsClosed": stage.outcome is not Outcome.OPEN,
        "IsWon": stage.outcome is Outcome.WON,
        "LastStageChangeDate": deal.stage_changed_at.replace(microsecond=0),
        **_stamps(deal.created_at, deal.modified_at),
    }


def _lines(deal: Opportunity) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(deal.lines):
        yield {
            "Id": record_id("OpportunityLineItem", f"{deal.key}:{number}"),
            "OpportunityId": record_id("Opportunity", deal.key),
            "Product2Id": record_id("Product2", line.product),
            "Name": f"{deal.name} {line.product}",
            "Quantity": Decimal(line.quantity),
            "UnitPrice": line.unit_price,
            "TotalPrice": line.amount,
            **_stamps(deal.created_at, deal.modified_at),
        }


class Refused(Exception):
    """A request Salesforce would not serve: HTTP status, code, text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error(status: int, code: str, message: str) -> Response:
    """A refusal in Salesforce's words; tests inject these too."""
    return JsonResponse([{"message": message, "errorCode": code}], status_code=status)


def double(value: Decimal) -> str:
    """A number as Salesforce writes it: like a Java double, so 15000.0 and 3.5E8, but with all digits kept."""
    if value == 0:
        return "0.0"
    # arithmetic, abs() included, would round to 28 digits
    text = f"{value.copy_abs():f}"
    sign = "-" if value < 0 else ""
    exponent = value.adjusted()
    if -3 <= exponent < 7:
        whole, _, fraction = text.partition(".")
        return f"{sign}{whole}.{fraction.rstrip('0') or '0'}"
    digits = text.replace(".", "").strip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def in_rest(column: Column, row: Row) -> Any:
    """A value as REST sends it."""
    if column.type == "address":
        parts = {part[0].lower() + part[1:]: row.get(f"Billing{part}") for part in ADDRESS}
        return {**parts, "latitude": None, "longitude": None, "geocodeAccuracy": None} if any(parts.values()) else None
    value = row[column.name]
    if value is None or value == "":
        return None
    if column.kind is Kind.TIMESTAMP:
        return value.replace("Z", "+0000")
    if column.kind is Kind.NUMBER:
        return Number(double(value))
    return value


def in_bulk(column: Column, row: Row) -> str:
    """A value as a Bulk result holds it; null is empty."""
    value = row[column.name]
    if value is None:
        return ""
    if column.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if column.kind is Kind.NUMBER:
        return double(value)
    return str(value)


@dataclass
class _Cursor:
    """A REST query whose answer did not fit one batch: the ids, fixed when it was asked."""

    query: Query
    ids: list[str]


@dataclass
class _Job:
    """A Bulk query job; its rows are taken when it completes."""

    id: str
    operation: str
    query: Query
    text: str
    version: str
    created_at: datetime
    delimiter: str
    line_ending: str
    state: str = "UploadComplete"
    polls: int = 0
    rows: list[list[str]] = field(default_factory=list)


DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}


class Salesforce:
    """One Salesforce org. Attributes that are not private may be changed while it is served."""

    crm = "salesforce"

    def __init__(self, company: Company, store: Store) -> None:
        self.company = company
        self.store = store
        self.tokens: set[str] = set()
        self.bulk_polls = 2
        """Polls until a job is complete."""
        self.bulk_page = 10_000
        """Rows of a result when the client does not say."""
        self.calls = 0
        self._cursors: dict[str, _Cursor] = {}
        self._jobs: dict[str, _Job] = {}
        for table in TABLES.values():
            store.create(table)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        for object, record in records(company):
            rows[object].append(record)
        for object, batch in rows.items():
            store.insert(TABLES[object].name, batch)

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

    def routes(self) -> list[Route]:
        """Everything this org answers."""
        data = "/services/data"
        versioned = data + "/v{version}"
        paths: list[tuple[str, str, Callable[[Request], Any]]] = [
            (data, "GET", self._versions),
            (versioned, "GET", self._resources),
            (versioned + "/limits", "GET", self._limits),
            (versioned + "/sobjects", "GET", self._global),
            (versioned + "/sobjects/{object}", "POST", self._create),
            (versioned + "/sobjects/{object}/describe", "GET", self._describe),
            (versioned + "/sobjects/{object}/deleted", "GET", self._deleted),
            (versioned + "/sobjects/{object}/{id}", "GET", self._retrieve),
            (versioned + "/sobjects/{object}/{id}", "PATCH", self._update),
            (versioned + "/sobjects/{object}/{id}", "DELETE", self._delete),
            (versioned + "/query", "GET", self._query),
            (versioned + "/queryAll", "GET", self._query_all),
            (versioned + "/query/{locator}", "GET", self._query_more),
            (versioned + "/jobs/query", "POST", self._create_job),
            (versioned + "/jobs/query", "GET", self._list_jobs),
            (versioned + "/jobs/query/{id}", "GET", self._poll_job),
            (versioned + "/jobs/query/{id}", "PATCH", self._abort_job),
            (versioned + "/jobs/query/{id}", "DELETE", self._delete_job),
            (versioned + "/jobs/query/{id}/results", "GET", self._results),
            (versioned + "/jobs/query/{id}/resultPages", "GET", self._result_pages),
            (versioned + "/{other:path}", "GET", self._unknown),
        ]
        routes = [Route("/services/oauth2/token", self._token, methods=["POST"])]
        for path, method, handler in paths:
            for spelling in (path, f"{path}/"):
                routes.append(Route(spelling, self._guarded(handler), methods=[method]))
        return routes

    def _guarded(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            self.calls += 1
            if len(request.url.path) + len(request.url.query) > LONGEST_REQUEST:
                return HTMLResponse("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", status_code=414)
            try:
                self._admit(request)
                response: Response = await handler(request)
            except Refused as refusal:
                response = error(refusal.status, refusal.code, refusal.message)
            except SoqlError as problem:
                response = error(400, problem.code, problem.message)
            if response.status_code != 204:
                response.headers["Sforce-Limit-Info"] = f"api-usage={self.calls}/{DAILY_REQUESTS}"
            return response

        return guarded

    def _admit(self, request: Request) -> None:
        version = request.path_params.get("version")
        if version is None:  # the list of versions is public
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("Bearer", "OAuth") or token not in self.tokens:
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if version not in VERSIONS:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")

    async def _token(self, request: Request) -> Response:
        fields = await form(request)
        grant = fields.get("grant_type")
        if grant == "client_credentials":
            problem = self._client_problem(request, fields)
        elif grant == JWT_BEARER:
            problem = self._assertion_problem(fields.get("assertion", ""), str(request.base_url).rstrip("/"))
        else:
            problem = ("unsupported_grant_type", "grant type not supported")
        if problem:
            return JsonResponse({"error": problem[0], "error_description": problem[1]}, status_code=400)
        token = f"00D5e000000sandbox!{secrets.token_urlsafe(48)}"
        self.tokens.add(token)
        url = str(request.base_url).rstrip("/")
        return JsonResponse(
            {
                "access_token": token,
                "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
                "scope": "api",
                "instance_url": url,
                "id": f"{url}/id/00D5e000000sandboxE/{record_id('User', self.company.reps[0].email)}",
                "token_type": "Bearer",
                "issued_at": str(int(self.store.clock().timestamp() * 1000)),
            }
        )

    def _client_problem(self, request: Request, fields: Mapping[str, str]) -> tuple[str, str] | None:
        given = (fields.get("client_id"), fields.get("client_secret"))
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(encoded).decode().partition(":")
            given = (user, password)
        if given[0] != CLIENT_ID:
            return "invalid_client_id", "client identifier invalid"
        if given[1] != CLIENT_SECRET:
            return "invalid_client", "invalid client credentials"
        return None

    def _assertion_problem(self, assertion: str, url: str) -> tuple[str, str] | None:
        """What is wrong with a JWT: its shape and claims are looked at, the signature is not."""
        try:
            head, claims = (json.loads(_unpadded(part)) for part in assertion.split(".")[:2])
            signature = _unpadded(assertion.split(".")[2])
        except (ValueError, IndexError):
            return "invalid_grant", "invalid assertion"
        now = datetime.now(UTC).timestamp()
        if head.get("alg") != "RS256" or len(signature) < 128:
            return "invalid_grant", "invalid assertion"
        if claims.get("iss") != CLIENT_ID:
            return "invalid_client_id", "client identifier invalid"
        if claims.get("aud") not in ("https://login.salesforce.com", "https://test.salesforce.com", url):
            return "invalid_grant", "audience is invalid"
        if not now - 5 < float(claims.get("exp") or 0) < now + 310:
            return "invalid_grant", "expired authorization code"
        users = {rep.email for rep in self.company.reps if self.crm in rep.crms}
        if claims.get("sub") not in users:
            return "invalid_grant", "user hasn't approved this consumer"
        return None

    async def _versions(self, request: Request) -> Response:
        return JsonResponse(
            [{"label": f"v{version}", "url": f"/services/data/v{version}", "version": version} for version in VERSIONS]
        )

    async def _resources(self, request: Request) -> Response:
        base = f"/services/data/v{request.path_params['version']}"
        names = ("limits", "sobjects", "query", "queryAll")
        return JsonResponse({name: f"{base}/{name}" for name in names} | {"jobs": f"{base}/jobs"})

    async def _unknown(self, request: Request) -> Response:
        raise Refused(404, "NOT_FOUND", "The requested resource does not exist")

    async def _limits(self, request: Request) -> Response:
        return JsonResponse(
            {
                "DailyApiRequests": {"Max": DAILY_REQUESTS, "Remaining": max(0, DAILY_REQUESTS - self.calls)},
                "DailyBulkV2QueryFileStorageMB": {"Max": 976562, "Remaining": 976562},
                "DailyBulkV2QueryJobs": {"Max": 10000, "Remaining": 10000 - len(self._jobs)},
            }
        )

    async def _global(self, request: Request) -> Response:
        base = f"/services/data/v{request.path_params['version']}/sobjects"
        return JsonResponse(
            {
                "encoding": "UTF-8",
                "maxBatchSize": 200,
                "sobjects": [
                    {
                        "name": name,
                        "label": name,
                        "keyPrefix": PREFIXES[name],
                        "queryable": True,
                        "custom": False,
                        "replicateable": "IsDeleted" in TABLES[name].columns,
                        "urls": {"sobject": f"{base}/{name}", "describe": f"{base}/{name}/describe"},
                    }
                    for name in TABLES
                ],
            }
        )

    async def _describe(self, request: Request) -> Response:
        name, table = _object(request)
        fields = [self._described(name, column) for column in table.columns.values()]
        return JsonResponse(
            {
                "name": name,
                "label": name,
                "keyPrefix": PREFIXES[name],
                "queryable": True,
                "replicateable": "IsDeleted" in table.columns,
                "fields": fields,
            }
        )

    def _described(self, object: str, column: Column) -> dict[str, Any]:
        precision, scale = {"currency": (18, 2), "percent": (3, 0), "double": (12, 2)}.get(column.type, (0, 0))
        picklist = [stage.label for stage in self.company.stages[self.crm]] if column.name == "StageName" else []
        is_settable = column.name not in READ_ONLY
        is_comparable = column.type not in ("address", "textarea")
        return {
            "name": column.name,
            "label": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.name),
            "type": column.type,
            "soapType": SOAP_TYPES.get(column.type, "xsd:string"),
            "length": 18 if column.kind is Kind.KEY else (255 if column.kind is Kind.TEXT else 0),
            "precision": precision,
            "scale": scale,
            "digits": 8 if column.type == "int" else 0,
            "nillable": column.kind is not Kind.BOOLEAN and column.name not in ("Id", *STAMPS.split()),
            "calculated": False,
            "custom": False,
            "filterable": is_comparable,
            "sortable": is_comparable,
            "createable": is_settable,
            "updateable": is_settable,
            "referenceTo": [column.target] if column.target else [],
            "relationshipName": column.name.removesuffix("Id") if column.target else None,
            "compoundFieldName": _compound(object, column),
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": label, "value": label} for label in picklist
            ],
        }

    # queries

    async def _query(self, request: Request) -> Response:
        return self._answer(request, LIVE)

    async def _query_all(self, request: Request) -> Response:
        return self._answer(request, ALL)

    def _answer(self, request: Request, scope: Where) -> Response:
        text = request.query_params.get("q")
        if text is None:
            raise Refused(400, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
        query = parse(text, OBJECTS)
        if query.is_count or query.aggregates:
            return self._aggregate(query, scope)
        ids = [row["Id"] for row in self._matching(query, scope)]
        return self._batch(request, _Cursor(query, ids), 0, f"01g5e00000{secrets.token_hex(4)}AA")

    def _matching(self, query: Query, scope: Where) -> list[Row]:
        order_by = query.order_by or "Id"
        return self.store.find(
            query.table.name, scope & query.where, order_by=order_by, limit=query.limit, offset=query.offset
        )

    def _aggregate(self, query: Query, scope: Where) -> Response:
        if query.is_count:
            total = self.store.count(query.table.name, scope & query.where)
            return JsonResponse({"totalSize": total, "done": True, "records": []})
        expressions = [AGGREGATES[a.function].format(a.column.sql if a.column else "*") for a in query.aggregates]
        values = self.store.values(query.table.name, expressions, scope & query.where)
        record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for number, (aggregate, value) in enumerate(zip(query.aggregates, values, strict=True)):
            record[aggregate.alias or f"expr{number}"] = _aggregated(aggregate, value)
        return JsonResponse({"totalSize": 1, "done": True, "records": [record]})

    async def _query_more(self, request: Request) -> Response:
        locator, _, offset = request.path_params["locator"].rpartition("-")
        cursor = self._cursors.get(locator)
        if cursor is None or not offset.isdigit() or int(offset) >= len(cursor.ids):
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._batch(request, cursor, int(offset), locator)

    def _batch(self, request: Request, cursor: _Cursor, start: int, locator: str) -> Response:
        end = start + _batch_size(request, cursor.query, start)
        ids = cursor.ids[start:end]
        found = {row["Id"]: row for row in self._rows(cursor.query.table, ids)}
        base = f"/services/data/v{request.path_params['version']}"
        object = cursor.query.table.name.partition(".")[2]
        answer: dict[str, Any] = {"totalSize": len(cursor.ids), "done": end >= len(cursor.ids)}
        if end < len(cursor.ids):
            self._cursors.setdefault(locator, cursor)
            if len(self._cursors) > MOST_CURSORS:
                del self._cursors[next(iter(self._cursors))]
            answer["nextRecordsUrl"] = f"{base}/query/{locator}-{end}"
        else:
            self._cursors.pop(locator, None)
        answer["records"] = [
            {
                "attributes": {"type": object, "url": f"{base}/sobjects/{object}/{id}"},
                **{column.name: in_rest(column, found[id]) for column in cursor.query.columns},
            }
            for id in ids
            if id in found
        ]
        return JsonResponse(answer)

    def _rows(self, table: Table, ids: list[str]) -> Iterator[Row]:
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            marks = ", ".join("?" * len(some))
            yield from self.store.find(table.name, Where(f'"Id" in ({marks})', tuple(some)))  # deleted ones as well

    # Bulk API 2.0

    async def _create_job(self, request: Request) -> Response:
        body = await _body(request)
        unknown = set(body) - {"operation", "query", "contentType", "columnDelimiter", "lineEnding"}
        if unknown:
            raise Refused(400, "JSON_PARSER_ERROR", f'Unrecognized field "{min(unknown)}"')
        operation = body.get("operation")
        if operation not in ("query", "queryAll"):
            raise Refused(400, "INVALIDENTITY", f"Unsupported operation: {operation}")
        if body.get("contentType", "CSV") != "CSV" or body.get("columnDelimiter", "COMMA") not in DELIMITERS:
            raise Refused(400, "INVALIDENTITY", "Unsupported contentType or columnDelimiter")
        if body.get("lineEnding", "LF") not in ("LF", "CRLF"):
            raise Refused(400, "INVALIDENTITY", f"Unsupported lineEnding: {body['lineEnding']}")
        text = str(body.get("query") or "")
        query = parse(text, OBJECTS)
        if query.is_count or query.aggregates:
            raise Refused(400, "FUNCTIONALITY_NOT_ENABLED", "Aggregate Relationships not supported in Bulk Query")
        if any(column.type == "address" for column in query.columns):
            raise Refused(400, "FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
        job = _Job(
            id=long_id(f"7505e{secrets.token_hex(5)}"),
            operation=operation,
            query=query,
            text=text,
            version=request.path_params["version"],
            created_at=self.store.clock(),
            delimiter=body.get("columnDelimiter", "COMMA"),
            line_ending=body.get("lineEnding", "LF"),
        )
        self._jobs[job.id] = job
        return JsonResponse(self._job_info(job))

    def _job(self, request: Request) -> _Job:
        job = self._jobs.get(long_id(request.path_params["id"]))
        if job is None:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def _job_info(self, job: _Job) -> dict[str, Any]:
        created = timestamp(job.created_at.replace(microsecond=0)).replace("Z", "+0000")
        info: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.query.table.name.partition(".")[2],
            "createdById": record_id("User", self.company.reps[0].email),
            "createdDate": created,
            "systemModstamp": created,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": Number(job.version),
            "lineEnding": job.line_ending,
            "columnDelimiter": job.delimiter,
        }
        if job.polls:
            info |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": len(job.rows),
                "retries": 0,
                "totalProcessingTime": 100 * job.polls,
            }
        return info

    async def _list_jobs(self, request: Request) -> Response:
        return JsonResponse(
            {
                "done": True,
                "records": [self._job_info(job) for job in self._jobs.values()],
                "nextRecordsUrl": None,
            }
        )

    async def _poll_job(self, request: Request) -> Response:
        job = self._job(request)
        job.polls += 1
        if job.state in ("UploadComplete", "InProgress"):
            job.state = "InProgress"
            if job.polls >= self.bulk_polls:
                self._complete(job)
        return JsonResponse(self._job_info(job))

    def _complete(self, job: _Job) -> None:
        rows = self._matching(job.query, ALL if job.operation == "queryAll" else LIVE)
        job.rows = [[in_bulk(column, row) for column in job.query.columns] for row in rows]
        job.state = "JobComplete"

    async def _abort_job(self, request: Request) -> Response:
        job = self._job(request)
        body = await _body(request)
        if body != {"state": "Aborted"}:
            raise Refused(400, "INVALIDJOBSTATE", "Only state Aborted is allowed")
        if job.state not in ("UploadComplete", "InProgress"):
            raise Refused(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
        job.state = "Aborted"
        return JsonResponse(self._job_info(job))

    async def _delete_job(self, request: Request) -> Response:
        job = self._job(request)
        if job.state in ("UploadComplete", "InProgress"):
            raise Refused(400, "INVALIDJOBSTATE", f"Deleting {job.state} Job not allowed")
        del self._jobs[job.id]
        return Response(status_code=204)

    async def _results(self, request: Request) -> Response:
        job = self._job(request)
        if request.path_params["version"] != job.version:
            raise Refused(409, "API_VERSION_MISMATCH", f"The job was created with API version {job.version}")
        if job.state != "JobComplete":
            raise Refused(400, "INVALIDJOBSTATE", f"Job results are not available in state {job.state}")
        start = _located(request.query_params.get("locator"))
        most = request.query_params.get("maxRecords", str(self.bulk_page))
        if start is None or start > len(job.rows) or not most.isdigit() or int(most) < 1:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator or maxRecords")
        end = start + int(most)
        rows = job.rows[start:end]
        return Response(
            _csv([[column.name for column in job.query.columns], *rows], job),
            media_type="text/csv",
            headers={
                "Sforce-NumberOfRecords": str(len(rows)),
                "Sforce-Locator": _locator(end) if end < len(job.rows) else "null",
            },
        )

    async def _result_pages(self, request: Request) -> Response:
        job = self._job(request)
        if job.state != "JobComplete":
            raise Refused(400, "INVALIDJOBSTATE", f"Job results are not available in state {job.state}")
        start = _located(request.query_params.get("locator"))
        if start is None:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        base = f"/services/data/v{job.version}/jobs/query/{job.id}"
        starts = list(range(start, max(len(job.rows), 1), self.bulk_page))
        answer: dict[str, Any] = {
            "resultPages": [
                {"resultUrl": f"{base}/results" + (f"?locator={_quoted_locator(page)}" if page else "")}
                for page in starts[:5]
            ],
            "nextRecordsUrl": f"{base}/resultPages?locator={_quoted_locator(starts[5])}" if starts[5:] else None,
            "done": len(starts) <= 5,
        }
        return JsonResponse(answer)

    # single records

    async def _retrieve(self, request: Request) -> Response:
        name, table = _object(request)
        row = self._record(request, table)
        wanted = request.query_params.get("fields")
        names = wanted.split(",") if wanted else list(table.columns)
        for unknown in set(names) - set(table.columns):
            raise Refused(400, "INVALID_FIELD", f"No such column '{unknown}' on sobject of type {name}")
        url = f"/services/data/v{request.path_params['version']}/sobjects/{name}/{row['Id']}"
        return JsonResponse(
            {"attributes": {"type": name, "url": url}} | {n: in_rest(table.columns[n], row) for n in names}
        )

    def _record(self, request: Request, table: Table) -> Row:
        row = self.store.get(table.name, long_id(request.path_params["id"]), ALL)
        if row is None:
            raise Refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        if row[DELETED]:
            raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted")
        return row

    async def _create(self, request: Request) -> Response:
        name, table = _object(request)
        changes = self._changes(name, table, await _body(request))
        missing = [n for n in REQUIRED.get(name, ()) if changes.get(n) is None]
        if missing:
            fields = ", ".join(missing)
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{fields}]")
        id = record_id(name, uuid.uuid4().hex)
        now = self.store.clock()
        self.store.insert(table.name, [_stamps(now, now) | changes | {"Id": id}])
        return JsonResponse({"id": id, "success": True, "errors": []}, status_code=201)

    async def _update(self, request: Request) -> Response:
        name, table = _object(request)
        row = self._record(request, table)
        self.change(name, row["Id"], self._changes(name, table, await _body(request)))
        return Response(status_code=204)

    async def _delete(self, request: Request) -> Response:
        name, table = _object(request)
        if "IsDeleted" not in table.columns:
            raise Refused(400, "INSUFFICIENT_ACCESS_OR_READONLY", f"{name} can not be deleted")
        id = self._record(request, table)["Id"]
        self.store.update(table.name, id, {"IsDeleted": True, **self._touched()})
        self.store.delete(table.name, id)
        return Response(status_code=204)

    def change(self, object: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: the stamps move."""
        self.store.update(TABLES[object].name, id, {**self._touched(), **changes})

    def merge(self, object: str, winner: str, loser: str) -> None:
        """Merge two records as a user would: the loser is deleted, and says which record took its place."""
        table = TABLES[object].name
        self.store.update(table, loser, {"MasterRecordId": winner, "IsDeleted": True, **self._touched()})
        self.store.delete(table, loser)
        for name, other in TABLES.items():
            for column in (c for c in other.columns.values() if c.target == object and c.name != "MasterRecordId"):
                for row in self.store.find(other.name, Where(f'"{column.name}" = ?', (loser,))):
                    self.change(name, row["Id"], {column.name: winner})

    def _touched(self) -> dict[str, Any]:
        now = self.store.clock().replace(microsecond=0)
        return {"LastModifiedDate": now, "SystemModstamp": now}

    def _changes(self, object: str, table: Table, body: Mapping[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for name, value in body.items():
            if name not in table.columns:
                raise Refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {object}")
            if name in READ_ONLY:
                message = f"Unable to create/update fields: {name}. Please check the security settings of this field"
                raise Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message)
            changes[name] = _accepted(table.columns[name], value)
        stage = next((s for s in self.company.stages[self.crm] if s.label == changes.get("StageName")), None)
        if object == "Opportunity" and stage:
            changes |= {
                "IsClosed": stage.outcome is not Outcome.OPEN,
                "IsWon": stage.outcome is Outcome.WON,
                "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
                "LastStageChangeDate": self.store.clock().replace(microsecond=0),
                "Probability": changes.get("Probability", Decimal(stage.probability)),
            }
        return changes

    async def _deleted(self, request: Request) -> Response:
        _, table = _object(request)
        try:
            start, end = (
                datetime.fromisoformat(request.query_params[name].replace("Z", "+00:00")) for name in ("start", "end")
            )
        except (KeyError, ValueError):
            raise Refused(400, "INVALID_REPLICATION_DATE", "start and end must be dates with a time") from None
        if start.tzinfo is None or end.tzinfo is None or end - start <= timedelta(minutes=1):
            raise Refused(400, "INVALID_REPLICATION_DATE", "startDate must precede endDate by more than one minute")
        earliest = self.store.clock() - timedelta(days=15)
        if start < earliest:
            raise Refused(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 15 days ago")
        window = Where(f"{DELETED_AT} >= ? and {DELETED_AT} < ?", (timestamp(start), timestamp(end)))
        gone = self.store.find(table.name, GONE & window, order_by=DELETED_AT)
        return JsonResponse(
            {
                "deletedRecords": [
                    {"id": row["Id"], "deletedDate": row[DELETED_AT].replace("Z", "+0000")} for row in gone
                ],
                "earliestDateAvailable": timestamp(earliest).replace("Z", "+0000"),
                "latestDateCovered": timestamp(min(end, self.store.clock())).replace("Z", "+0000"),
            }
        )


def _compound(object: str, column: Column) -> str | None:
    """The compound field that a field is part of; an account's name points at itself, as it does in real orgs."""
    if column.name.startswith("Billing") and column.type != "address":
        return "BillingAddress"
    named = ("Account", "User", "Contact", "Lead")
    return "Name" if object in named and column.name in ("Name", "FirstName", "LastName") else None


def _object(request: Request) -> tuple[str, Table]:
    name = request.path_params["object"]
    table = OBJECTS.get(name.lower())
    if table is None:
        raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
    return table.name.partition(".")[2], table


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body(), parse_float=Decimal)
    except ValueError as problem:
        raise Refused(400, "JSON_PARSER_ERROR", str(problem)) from None
    if not isinstance(body, dict):
        raise Refused(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
    return body


def _accepted(column: Column, value: Any) -> Any:
    """A value sent by a client, checked against the type of its field."""
    if value is None or value == "":
        return None
    wrong = Refused(
        400,
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of {column.type} from VALUE_STRING value {value}",
    )
    try:
        if column.kind is Kind.BOOLEAN and not isinstance(value, bool):
            raise wrong
        if column.kind is Kind.NUMBER:
            return Decimal(str(value))
        if column.kind is Kind.INTEGER:
            return int(value)
        if column.kind is Kind.DATE:
            return datetime.strptime(value, "%Y-%m-%d").date()
        if column.kind is Kind.TIMESTAMP:
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        if column.kind is Kind.KEY:
            return long_id(value)
    except (ValueError, TypeError, ArithmeticError):
        raise wrong from None
    return value


def _aggregated(aggregate: Aggregate, value: Any) -> Any:
    if value is None or aggregate.column is None or aggregate.function.startswith("COUNT"):
        return value
    if aggregate.column.kind is Kind.TIMESTAMP:
        return value.replace("Z", "+0000")
    if aggregate.column.kind is Kind.NUMBER:
        return Number(double(Decimal(str(value))))
    return value


def _batch_size(request: Request, query: Query, start: int) -> int:
    """How many records go into a batch: fewer for long texts, and sometimes fewer for no visible reason."""
    asked = re.search(r"batchSize=(\d+)", request.headers.get("sforce-query-options", ""))
    size = min(BATCH, max(200, int(asked[1]))) if asked else BATCH
    if any(column.type == "textarea" for column in query.columns):
        size = min(size, WIDE_BATCH)
    return size if start // size % 3 < 2 else size - size // 4


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _locator(offset: int) -> str:
    """An opaque locator, with the characters that clients forget to escape."""
    return base64.b64encode(b"\xfb\xef\xff" + str(offset).encode() + b" ").decode()


def _quoted_locator(offset: int) -> str:
    return _locator(offset).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


def _located(locator: str | None) -> int | None:
    """The offset in a locator: 0 without one, None if it is not one of ours."""
    if locator is None:
        return 0
    try:
        text = base64.b64decode(locator, validate=True)
        return int(text.removeprefix(b"\xfb\xef\xff")) if text.startswith(b"\xfb\xef\xff") else None
    except ValueError:
        return None


def _csv(rows: list[list[str]], job: _Job) -> str:
    text = io.StringIO()
    ending = "\n" if job.line_ending == "LF" else "\r\n"
    writer = csv.writer(text, delimiter=DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerows(rows)
    return text.getvalue()
