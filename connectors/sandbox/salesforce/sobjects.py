"""The `sobjects` resources: what objects and fields there are, single records, what was deleted or updated when.

Queries are in `query` and `bulk`.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.company import Outcome
from connectors.sandbox.salesforce.api import Paths, Refused, body, instant, object_of, only, written
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.shape import FORECAST, record_id, stamps
from connectors.sandbox.salesforce.tables import PREFIXES, READ_ONLY, REQUIRED, STAMPS
from connectors.sandbox.salesforce.values import Json, accepted, json_of, sql
from connectors.sandbox.soql import long_id
from connectors.sandbox.store import ALL, DELETED, DELETED_AT, GONE, Column, Kind, Row, Table, Where, timestamp
from connectors.sandbox.wire import JsonResponse

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
    "anyType": "xsd:anyType",
}
DIGITS = {"currency": (18, 2), "percent": (3, 0), "double": (12, 2)}
COMPOUND_NAMES = ("Account", "User", "Contact", "Lead")
DELETED_DAYS = 15
UPDATED_DAYS = 30


class SObjects:
    """Answers for objects, fields and single records."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.most_ids = 600_000
        """That getDeleted and getUpdated list."""
        self.deletes_known_since: datetime | None = None
        """Where the log of deletes begins, if it was cut; else it reaches back as far as Salesforce keeps it."""

    def paths(self) -> Paths:
        """What it answers."""
        one = "/sobjects/{object}"
        return [
            ("/sobjects", "GET", self._global),
            (one, "POST", self._create),
            (f"{one}/describe", "GET", self._describe),
            (f"{one}/deleted", "GET", self._deleted),
            (f"{one}/updated", "GET", self._updated),
            (f"{one}/{{id}}", "GET", self._retrieve),
            (f"{one}/{{id}}", "PATCH", self._update),
            (f"{one}/{{id}}", "DELETE", self._delete),
        ]

    # objects and fields

    async def _global(self, request: Request) -> Response:
        base = f"/services/data/v{request.path_params['version']}/sobjects"
        objects = [self._outline(table.name.partition(".")[2], table) for table in self._org.visible().values()]
        for outline in objects:
            url = f"{base}/{outline['name']}"
            outline["urls"] = {"sobject": url, "describe": f"{url}/describe"}
        return JsonResponse({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})

    def _outline(self, name: str, table: Table) -> dict[str, Any]:
        return {
            "name": name,
            "label": name,
            "keyPrefix": PREFIXES[name],
            "queryable": True,
            "custom": name.endswith("__c"),
            "replicateable": "IsDeleted" in table.columns,
        }

    async def _describe(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        changed = self._org.described_at.replace(microsecond=0)
        headers = {"Last-Modified": format_datetime(changed, usegmt=True)}
        if since := request.headers.get("if-modified-since"):
            try:
                is_known = parsedate_to_datetime(since) >= changed
            except ValueError:
                raise Refused(400, "INVALID_HEADER", f"If-Modified-Since is no HTTP date: {since}") from None
            if is_known:
                return Response(status_code=304, headers=headers)
        fields = [self._described(name, column) for column in table.columns.values()]
        return JsonResponse({**self._outline(name, table), "fields": fields}, headers=headers)

    def _described(self, object: str, column: Column) -> dict[str, Any]:
        precision, scale = DIGITS.get(column.type, (0, 0))
        is_formula = (object, column.name) in self._org.formulas
        is_settable = column.name not in READ_ONLY and not is_formula
        is_comparable = column.type not in ("address", "textarea")
        values = self._stages() if (object, column.name) == ("Opportunity", "StageName") else []
        return {
            "name": column.name,
            "label": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column.name.removesuffix("__c").replace("_", " ")),
            "type": column.type,
            "soapType": SOAP_TYPES.get(column.type, "xsd:string"),
            "length": 18 if column.kind is Kind.KEY else (255 if column.kind is Kind.TEXT else 0),
            "precision": precision,
            "scale": scale,
            "digits": 8 if column.type == "int" else 0,
            "nillable": column.kind is not Kind.BOOLEAN and column.name not in ("Id", *STAMPS.split()),
            "calculated": is_formula,
            "custom": column.name.endswith("__c"),
            "filterable": is_comparable,
            "sortable": is_comparable,
            "createable": is_settable,
            "updateable": is_settable,
            "referenceTo": [column.target] if column.target else [],
            "relationshipName": column.name.removesuffix("Id") if column.target else None,
            "compoundFieldName": _compound(object, column),
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": value, "value": value} for value in values
            ],
        }

    def _stages(self) -> list[str]:
        return [stage.label for stage in self._org.world.stages[self._org.crm]]

    # single records

    async def _retrieve(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        id = self._record(request, table)["Id"]
        wanted = request.query_params.get("fields")
        names = wanted.split(",") if wanted else list(table.columns)
        for unknown in set(names) - set(table.columns):
            raise Refused(400, "INVALID_FIELD", f"No such column '{unknown}' on sobject of type {name}")
        columns = [table.columns[field] for field in names]
        (values,) = self._org.store.each(table.name, [sql(c) for c in columns], ALL & Where('"Id" = ?', (id,)))
        url = f"/services/data/v{request.path_params['version']}/sobjects/{name}/{id}"
        shown = {column.name: Json(json_of(column)(value)) for column, value in zip(columns, values, strict=True)}
        return JsonResponse({"attributes": {"type": name, "url": url}, **shown})

    def _record(self, request: Request, table: Table) -> Row:
        row = self._org.store.get(table.name, long_id(request.path_params["id"]), ALL)
        if row is None:
            raise Refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        if row[DELETED]:
            raise Refused(404, "ENTITY_IS_DELETED", "entity is deleted")
        return row

    async def _create(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        changes = self._changes(name, table, await body(request))
        missing = [field for field in REQUIRED.get(name, ()) if changes.get(field) is None]
        if missing:
            raise Refused(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]")
        id = record_id(name, uuid.uuid4().hex)
        now = self._org.store.clock()
        self._org.store.insert(table.name, [stamps(now, now) | changes | {"Id": id}])
        return JsonResponse({"id": id, "success": True, "errors": []}, status_code=201)

    async def _update(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        row = self._record(request, table)
        self._org.change(name, row["Id"], self._changes(name, table, await body(request)))
        return Response(status_code=204)

    async def _delete(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        if "IsDeleted" not in table.columns:
            raise Refused(400, "INSUFFICIENT_ACCESS_OR_READONLY", f"{name} can not be deleted")
        self._org.delete(name, self._record(request, table)["Id"])
        return Response(status_code=204)

    def _changes(self, object: str, table: Table, sent: Mapping[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for name, value in sent.items():
            if name not in table.columns:
                raise Refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {object}")
            if name in READ_ONLY or (object, name) in self._org.formulas:
                message = f"Unable to create/update fields: {name}. Please check the security settings of this field"
                raise Refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message)
            column = table.columns[name]
            try:
                changes[name] = accepted(column, value)
            except ValueError:
                message = f"Cannot deserialize instance of {column.type} from VALUE_STRING value {value}"
                raise Refused(400, "JSON_PARSER_ERROR", message) from None
        return changes | (self._stage_of(changes) if object == "Opportunity" else {})

    def _stage_of(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What follows from the stage that a deal was put in."""
        stages = self._org.world.stages[self._org.crm]
        stage = next((stage for stage in stages if stage.label == changes.get("StageName")), None)
        if stage is None:
            return {}
        return {
            "IsClosed": stage.outcome is not Outcome.OPEN,
            "IsWon": stage.outcome is Outcome.WON,
            "ForecastCategory": FORECAST.get(stage.outcome, "Pipeline"),
            "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
            "LastStageChangeDate": self._org.store.clock().replace(microsecond=0),
            "Probability": changes.get("Probability", Decimal(stage.probability)),
        }

    # what was deleted or updated when

    async def _deleted(self, request: Request) -> Response:
        name, table = object_of(request, self._org.visible())
        start, end = self._span(request, DELETED_DAYS)
        between = Where(f"{DELETED_AT} >= ? and {DELETED_AT} < ?", (timestamp(start), timestamp(end)))
        gone = [(row["Id"], row[DELETED_AT]) for row in self._org.store.find(table.name, GONE & between)]
        gone += [(id, timestamp(at)) for id, at in self._org.purged[name] if start <= at < end]
        self._check_ids(len(gone))
        earliest = self.deletes_known_since or self._org.store.clock() - timedelta(days=DELETED_DAYS)
        return JsonResponse(
            {
                "deletedRecords": [
                    {"id": id, "deletedDate": written(at)} for id, at in sorted(gone, key=lambda entry: entry[1])
                ],
                "earliestDateAvailable": written(timestamp(earliest)),
                "latestDateCovered": written(timestamp(min(end, self._org.store.clock()))),
            }
        )

    async def _updated(self, request: Request) -> Response:
        _, table = object_of(request, self._org.visible())
        start, end = self._span(request, UPDATED_DAYS)
        between = Where('"SystemModstamp" >= ? and "SystemModstamp" < ?', (timestamp(start), timestamp(end)))
        ids = [id for (id,) in self._org.store.each(table.name, ['"Id"'], ALL & between)]
        self._check_ids(len(ids))
        covered = written(timestamp(min(end, self._org.store.clock())))
        return JsonResponse({"ids": ids, "latestDateCovered": covered})

    def _span(self, request: Request, days: int) -> tuple[datetime, datetime]:
        """From start to end, to the minute as Salesforce takes them."""
        only(request, "start", "end")
        try:
            start, end = (instant(request.query_params[name]) for name in ("start", "end"))
        except (KeyError, ValueError):
            raise Refused(400, "INVALID_REPLICATION_DATE", "start and end must be dates with a time") from None
        start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
        if end - start < timedelta(minutes=1):
            raise Refused(400, "INVALID_REPLICATION_DATE", "startDate must precede endDate by more than one minute")
        if start < self._org.store.clock() - timedelta(days=days):
            raise Refused(400, "INVALID_REPLICATION_DATE", f"startDate cannot be more than {days} days ago")
        return start, end

    def _check_ids(self, count: int) -> None:
        if count > self.most_ids:
            raise Refused(400, "EXCEEDED_ID_LIMIT", "The limit on the number of ids returned has been exceeded")


def _compound(object: str, column: Column) -> str | None:
    """The compound field that a field is part of; an account's name points at itself, as it does in real orgs."""
    if column.name.startswith("Billing") and column.type != "address":
        return "BillingAddress"
    if column.name in ("FiscalQuarter", "FiscalYear"):
        return "Fiscal"
    return "Name" if object in COMPOUND_NAMES and column.name in ("Name", "FirstName", "LastName") else None
