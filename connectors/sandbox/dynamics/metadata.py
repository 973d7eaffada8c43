"""What the organisation says of itself: tables, attributes, the labels of choices, row counts, who may read what.

Rows are read elsewhere.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.dynamics.answers import ANNOTATED, Refused, bad
from connectors.sandbox.dynamics.organisation import Organisation
from connectors.sandbox.dynamics.queries import options_of
from connectors.sandbox.dynamics.reading import root
from connectors.sandbox.dynamics.tables import POLYMORPHIC, Entity, lookup_name, record_id
from connectors.sandbox.store import Column
from connectors.sandbox.wire import JsonResponse

USER_ID = record_id("organization", "UserId")
FIELD_READABLE, FIELD_HIDDEN = 4, 0
LABELLED = ("Picklist", "State", "Status")


class Metadata:
    """Answers questions about one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        self._store = organisation.store

    async def who_am_i(self, request: Request) -> Response:
        """Answer `WhoAmI`."""
        ids = {name: record_id("organization", name) for name in ("BusinessUnitId", "UserId", "OrganizationId")}
        return JsonResponse({"@odata.context": f"{root(request)}/$metadata#{ANNOTATED}.WhoAmIResponse"} | ids)

    async def definitions(self, request: Request) -> Response:
        """Answer `EntityDefinitions`."""
        rows = [_definition(entity) for entity in self._organisation.entities.values()]
        return _listing(request, "EntityDefinitions", rows)

    async def definition(self, request: Request) -> Response:
        """Answer `EntityDefinitions(LogicalName='…')`."""
        definition = _definition(self._organisation.named(request.path_params["name"]))
        names = options_of(request.url.query).get("$select", ",".join(definition)).split(",")
        context = f"{root(request)}/$metadata#EntityDefinitions/$entity"
        shown = {n: v for n, v in definition.items() if n in (*names, "MetadataId")}
        return JsonResponse({"@odata.context": context} | shown)

    async def attributes(self, request: Request) -> Response:
        """Answer `…/Attributes`."""
        entity = self._organisation.named(request.path_params["name"])
        rows = [row for column in entity.columns.values() for row in attributes_of(entity, column)]
        return _listing(request, f"EntityDefinitions('{entity.name}')/Attributes", [*rows, _private(entity)])

    async def cast(self, request: Request) -> Response:
        """Answer `…/Attributes/Microsoft.Dynamics.CRM.<Type>AttributeMetadata`."""
        entity, cast = self._organisation.named(request.path_params["name"]), request.path_params["cast"]
        match = re.fullmatch(rf"{ANNOTATED}\.(Picklist|State|Status|Lookup)AttributeMetadata", cast)
        if not match:
            raise Refused(404, "0x80060888", f"Resource not found for the segment '{cast}'.")
        show: Callable[[Entity, Column], dict[str, Any]] = _targets if match[1] == "Lookup" else self._options
        columns = entity.columns.values()
        rows = [
            {"LogicalName": lookup_name(c), "MetadataId": _attribute_id(entity, c)} | show(entity, c)
            for c in columns
            if (c.target if match[1] == "Lookup" else c.type == match[1])
        ]
        context = f"{root(request)}/$metadata#EntityDefinitions('{entity.name}')/Attributes/{cast}"
        return JsonResponse({"@odata.context": context, "value": rows})

    def _options(self, entity: Entity, column: Column) -> dict[str, Any]:
        labels = self._organisation.choices.labels.get((entity.name, column.name), {})
        options = [
            {"Value": value, "Label": {"UserLocalizedLabel": {"Label": label, "LanguageCode": 1033}}}
            for value, label in labels.items()
        ]
        return {
            "OptionSet": {"MetadataId": record_id("options", column.name), "Options": options},
            "GlobalOptionSet": None,
        }

    async def total(self, request: Request) -> Response:
        """Answer `RetrieveTotalRecordCount(EntityNames=[…])`."""
        argument = unquote(request.path_params["argument"])
        name, _, given = argument.partition("=")
        if given.startswith("@"):
            given = options_of(request.url.query).get(given, "")
        if name != "EntityNames" or not re.fullmatch(r"\[\s*(['\"]\w+['\"]\s*,?\s*)*\]", given):
            raise bad("The function 'RetrieveTotalRecordCount' needs EntityNames=['name',…].")
        names, entities = re.findall(r"\w+", given), self._organisation.entities
        if unknown := [name for name in names if name not in entities]:
            message = f"The entity with a name = '{unknown[0]}' was not found in the MetadataCache."
            raise Refused(400, "0x80041102", message)
        counts = [self._store.count(entities[name].table.name) for name in names]
        collection = {"Count": len(names), "IsReadOnly": False, "Keys": names, "Values": counts}
        context = f"{root(request)}/$metadata#{ANNOTATED}.RetrieveTotalRecordCountResponse"
        return JsonResponse({"@odata.context": context, "EntityRecordCountCollection": collection})

    async def privileges(self, request: Request) -> Response:
        """Answer what the application user may read of the columns under column-level security."""
        if request.path_params["id"].lower() != USER_ID:
            raise Refused(404, "0x80040217", f"systemuser With Id = {request.path_params['id']} Does Not Exist")
        found = [
            {"AttributeId": _attribute_id(entity, entity.table.columns[name]), "CanRead": FIELD_HIDDEN}
            for entity in self._organisation.entities.values()
            for name in entity.secured
        ]
        context = f"{root(request)}/$metadata#{ANNOTATED}.RetrievePrincipalAttributePrivilegesResponse"
        return JsonResponse({"@odata.context": context, "AttributePrivileges": found})


def _listing(request: Request, suffix: str, rows: list[dict[str, Any]]) -> Response:
    """A list as the metadata service gives it, with the few options that it knows."""
    options = options_of(request.url.query)
    names = options["$select"].split(",") if "$select" in options else list(rows[0])
    for name in names:
        _check(name, rows[0])
    if "$filter" in options:
        rows = [row for row in rows if _is_match(row, options["$filter"])]
    shown = [{name: value for name, value in row.items() if name in (*names, "MetadataId")} for row in rows]
    return JsonResponse({"@odata.context": f"{root(request)}/$metadata#{suffix}", "value": shown})


def _check(name: str, row: Mapping[str, Any]) -> None:
    if name not in row:
        raise bad(f"Could not find a property named '{name}' on type '{ANNOTATED}.EntityMetadata'.")


def _is_match(row: Mapping[str, Any], filter: str) -> bool:
    """Whether a `$filter` of the metadata service, which knows little more than `eq`, `and` and `or`, holds."""
    return any(
        all(_is_equal(row, condition) for condition in alternative.split(" and "))
        for alternative in filter.split(" or ")
    )


def _is_equal(row: Mapping[str, Any], condition: str) -> bool:
    match = re.fullmatch(r"\s*(\w+) eq (true|false|'([^']*)')\s*", condition)
    if not match:
        raise bad(f"The metadata service of the sandbox does not understand the condition '{condition}'.")
    _check(match[1], row)
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
        "IsCustomEntity": entity.is_custom,
        "MetadataId": record_id("entity", entity.name),
    }


def _attribute_id(entity: Entity, column: Column) -> str:
    return record_id("attribute", f"{entity.name}.{lookup_name(column)}")


def attributes_of(entity: Entity, column: Column) -> list[dict[str, Any]]:
    """An attribute, and the ones that only show its name or label."""
    name = lookup_name(column)
    type = "DateTime" if column.type == "DateOnly" else column.type
    attribute = {
        "@odata.type": f"#{ANNOTATED}.{type}AttributeMetadata",
        "LogicalName": name,
        "SchemaName": name.title(),
        "AttributeType": type,
        "AttributeTypeName": {"Value": f"{type}Type"},
        "AttributeOf": None,
        "IsPrimaryId": name == entity.key,
        "IsValidForRead": True,
        "IsSecured": name in map(lookup_name, map(entity.table.columns.__getitem__, entity.secured)),
        "SourceType": 1 if column.name in entity.calculated else 0,
        "EntityLogicalName": entity.name,
        "MetadataId": _attribute_id(entity, column),
    }
    if column.target or column.type in LABELLED:
        return [attribute, attribute | _virtual(f"{name}name", name, attribute)]
    return [attribute]


def _virtual(name: str, of: str, attribute: Mapping[str, Any]) -> dict[str, Any]:
    """What changes for the attribute that only shows another one's label."""
    return {
        "@odata.type": f"#{ANNOTATED}.AttributeMetadata",
        "LogicalName": name,
        "SchemaName": name.title(),
        "AttributeType": "Virtual",
        "AttributeTypeName": {"Value": "VirtualType"},
        "AttributeOf": of,
        "IsSecured": False,
        "SourceType": None,
        "MetadataId": record_id("attribute", f"{attribute['EntityLogicalName']}.{name}"),
    }


def _private(entity: Entity) -> dict[str, Any]:
    """An attribute that every table has and nobody can read."""
    column = Column(name="isprivate", kind=next(iter(entity.table.columns.values())).kind, type="Boolean")
    return attributes_of(entity, column)[0] | {"IsValidForRead": False}


def _targets(entity: Entity, column: Column) -> dict[str, Any]:
    name = lookup_name(column)
    return {"Targets": list(POLYMORPHIC[name][1]) if name in POLYMORPHIC else [column.target]}
