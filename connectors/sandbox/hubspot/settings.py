"""Requests for what a portal is set up with: properties, schemas, pipelines, owners, currencies, the account itself.

Records are in `objects`.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from json import loads
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.company import DatedRate, Outcome, Stage
from connectors.sandbox.hubspot.answers import (
    Refused,
    known,
    limit_of,
    lost,
    offset,
    only,
    paging,
    wants_archived,
)
from connectors.sandbox.hubspot.habits import Habits
from connectors.sandbox.hubspot.portal import Portal
from connectors.sandbox.hubspot.tables import (
    LEAD_PIPELINE,
    LEAD_STAGES,
    OBJECTS,
    OWNERS,
    PARENTS,
    PIPELINE,
    PORTAL_ID,
    TYPES_OF_ASSOCIATION,
    Object,
)
from connectors.sandbox.store import DELETED, GONE, LIVE, Column, Row, Where, timestamp
from connectors.sandbox.wire import JsonResponse, Number

SIX_PLACES = Decimal("0.000001")
FIELD_TYPES = {
    "number": "number",
    "datetime": "date",
    "date": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}


class Settings:
    """Answers requests for settings."""

    def __init__(self, portal: Portal, habits: Habits) -> None:
        self._portal, self._habits, self._store = portal, habits, portal.store

    # properties and schemas

    async def properties(self, request: Request) -> Response:
        """All properties of an object; the archive of properties is empty."""
        only(request, "archived", "properties", "dataSensitivity")
        object = OBJECTS[known(request.path_params["object"])]
        return JsonResponse({"results": [] if wants_archived(request) else list(self.described(object))})

    async def property(self, request: Request) -> Response:
        """One property."""
        object, name = OBJECTS[known(request.path_params["object"])], request.path_params["name"]
        found = next((it for it in self.described(object) if it["name"] == name), None)
        if found is None:
            raise Refused(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND")
        return JsonResponse(found)

    def described(self, object: Object) -> Iterator[dict[str, Any]]:
        """The properties that the app may see."""
        for column in self._portal.catalogue.tables[object.name].columns.values():
            if (object.name, column.name) not in self._habits.hidden:
                yield self._property(object, column)

    def _property(self, object: Object, column: Column) -> dict[str, Any]:
        identity = (object.name, column.name)
        return {
            "name": column.name,
            "label": column.name.replace("_", " ").title(),
            "type": column.type,
            "fieldType": FIELD_TYPES.get(column.type, "text"),
            "description": "",
            "groupName": f"{object.singular}information",
            "options": self._options(object, column) if column.type == "enumeration" else [],
            "displayOrder": -1,
            "calculated": identity in self._portal.catalogue.calculated,
            "externalOptions": column.name == "hubspot_owner_id",
            "hasUniqueValue": column.name == "hs_object_id",
            "hidden": False,
            "hubspotDefined": identity not in self._portal.catalogue.custom,
            "modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": False},
            "formField": False,
            "archived": False,
        }

    def _options(self, object: Object, column: Column) -> list[dict[str, Any]]:
        """The values in use; owners are not options of the property that names them."""
        if column.name == "hubspot_owner_id":
            return []
        labels = dict(LEAD_STAGES) | {stage.id: stage.label for stage in self._portal.terms.stages.values()}
        used = Where(f'"{column.name}" is not null')
        values = self._store.values(f"hubspot.{object.name}", [f'json_group_array(distinct "{column.name}")'], used)[0]
        return [
            {
                "label": labels.get(value, value.replace("_", " ").title()),
                "value": value,
                "displayOrder": number,
                "hidden": False,
                "description": "",
            }
            for number, value in enumerate(sorted(loads(values)))
        ]

    async def schemas(self, request: Request) -> Response:
        """The objects that the company defined itself."""
        only(request, "archived", "includePropertyDefinitions", "includeAssociationDefinitions", "includeAuditMetadata")
        custom = [object for object in OBJECTS.values() if object.is_custom]
        return JsonResponse({"results": [] if wants_archived(request) else [self._schema(it) for it in custom]})

    def _schema(self, object: Object) -> dict[str, Any]:
        stamp = timestamp(self._portal.world.founded_at)
        return {
            "labels": {"singular": object.singular.title(), "plural": f"{object.singular.title()}s"},
            "requiredProperties": [],
            "searchableProperties": list(object.defaults),
            "primaryDisplayProperty": object.defaults[0],
            "secondaryDisplayProperties": [],
            "archived": False,
            "id": object.type_id.partition("-")[2],
            "fullyQualifiedName": f"p{PORTAL_ID}_{object.name}",
            "createdAt": stamp,
            "updatedAt": stamp,
            "objectTypeId": object.type_id,
            "properties": list(self.described(object)),
            "associations": [
                {
                    "fromObjectTypeId": object.type_id,
                    "toObjectTypeId": OBJECTS[other].type_id,
                    "name": f"{object.name}_to_{OBJECTS[other].singular}",
                    "id": str(TYPES_OF_ASSOCIATION[(object.name, other)][0][0]),
                }
                for other in PARENTS[object.name]
            ],
            "name": object.name,
        }

    # pipelines

    async def pipelines(self, request: Request) -> Response:
        """The pipelines of an object, with their stages."""
        only(request)
        object = known(request.path_params["object"])
        if object == "deals":
            stages = self._portal.terms.stages.values()
            steps = [(stage.id, stage.label, _stage_metadata(stage)) for stage in stages]
            pipelines = [self._pipeline(*PIPELINE, steps)]
        elif object == "leads":
            lead_steps = [(id, label, {"leadState": label.upper()}) for id, label in LEAD_STAGES]
            pipelines = [self._pipeline(*LEAD_PIPELINE, lead_steps)]
        else:
            pipelines = []
        return JsonResponse({"results": pipelines})

    def _pipeline(self, id: str, label: str, steps: Iterable[tuple[str, str, dict[str, str]]]) -> dict[str, Any]:
        stamp = timestamp(self._portal.world.founded_at)
        common = {"createdAt": stamp, "updatedAt": stamp, "archived": False}
        stages = [
            {"label": step_label, "displayOrder": number, "metadata": metadata, "id": step_id, **common}
            for number, (step_id, step_label, metadata) in enumerate(steps)
        ]
        return {"label": label, "displayOrder": 0, "id": id, "stages": stages, **common}

    # owners

    async def owners(self, request: Request) -> Response:
        """One page of those who can own a record, deactivated ones apart."""
        only(request, "limit", "after", "email", "archived")
        limit = limit_of(request, default=100, most=500)
        where = GONE if wants_archived(request) else LIVE
        if "email" in request.query_params:
            where &= Where('"email" = ?', (request.query_params["email"],))
        if after := request.query_params.get("after"):
            where &= Where('cast("id" as integer) > ?', (offset(after),))
        rows = self._store.find(OWNERS.name, where, order_by='cast("id" as integer)', limit=limit + 1)
        answer: dict[str, Any] = {"results": [owner_answer(row) for row in rows[:limit]]}
        if len(rows) > limit:
            answer["paging"] = paging(request, rows[limit - 1]["id"])
        return JsonResponse(answer)

    async def owner(self, request: Request) -> Response:
        """One of those who can own a record."""
        only(request, "idProperty", "archived")
        row = self._store.get(OWNERS.name, request.path_params["id"], GONE if wants_archived(request) else LIVE)
        if row is None:
            raise Refused(404, "resource not found", "OBJECT_NOT_FOUND")
        return JsonResponse(owner_answer(row))

    # the account and its currencies

    async def account(self, request: Request) -> Response:
        """What the account is."""
        only(request)
        shift = ZoneInfo(self._habits.timezone).utcoffset(self._store.clock())
        assert shift is not None
        minutes = int(shift.total_seconds()) // 60
        return JsonResponse(
            {
                "portalId": PORTAL_ID,
                "accountType": "STANDARD",
                "timeZone": self._habits.timezone,
                "companyCurrency": self._portal.world.currency,
                "additionalCurrencies": sorted(set(self._portal.world.rates) - {self._portal.world.currency}),
                "utcOffset": f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
                "utcOffsetMilliseconds": minutes * 60_000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    async def exchange_rates(self, request: Request) -> Response:
        """One page of the rates from each currency to the company's, through time."""
        only(request, "limit", "after", "fromCurrencyCode", "toCurrencyCode")
        limit = limit_of(request, default=100)
        rates = list(self.rates())
        start = offset(request.query_params.get("after"))
        if start > len(rates):
            raise lost(str(start))
        answer: dict[str, Any] = {"results": rates[start : start + limit]}
        if start + limit < len(rates):
            answer["paging"] = paging(request, str(start + limit))
        return JsonResponse(answer)

    def rates(self) -> Iterator[dict[str, Any]]:
        """Every rate that holds already, as it is sent."""
        world = self._portal.world
        undated = (
            DatedRate(currency=currency, starts_on=world.founded_at.date(), rate=rate)
            for currency, rate in world.rates.items()
        )
        for number, rate in enumerate(world.dated_rates or undated, start=1):
            stamp = datetime.combine(rate.starts_on, time(), UTC)
            if rate.currency != world.currency and stamp <= self._store.clock():
                yield {
                    "id": str(number),
                    "fromCurrencyCode": rate.currency,
                    "toCurrencyCode": world.currency,
                    "conversionRate": Number(f"{(1 / rate.rate).quantize(SIX_PLACES):f}"),
                    "effectiveAt": timestamp(stamp),
                    "createdAt": timestamp(stamp),
                    "updatedAt": timestamp(stamp),
                    "visibleInUI": True,
                }

    async def company_currency(self, request: Request) -> Response:
        """The company's currency."""
        only(request)
        stamp = timestamp(self._portal.world.founded_at)
        currency = {"id": "1", "currencyCode": self._portal.world.currency, "createdAt": stamp, "updatedAt": stamp}
        return JsonResponse(currency)


def owner_answer(row: Row) -> dict[str, Any]:
    """An owner as HubSpot sends it."""
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
        **({"teams": loads(row["teams"])} if row["teams"] != "[]" else {}),
    }


def _stage_metadata(stage: Stage) -> dict[str, str]:
    probability = f"{Decimal(stage.probability) / 100}"
    return {
        "isClosed": "false" if stage.outcome is Outcome.OPEN else "true",
        "probability": probability if "." in probability else f"{probability}.0",
    }
