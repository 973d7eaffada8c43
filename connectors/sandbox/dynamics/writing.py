"""Single records: retrieving, creating, updating and deleting them.

Reading many at once is in `reading`.
"""

import json
import re
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.dynamics.answers import ANNOTATED, Refused, bad
from connectors.sandbox.dynamics.organisation import Organisation
from connectors.sandbox.dynamics.queries import options_of, preferences
from connectors.sandbox.dynamics.reading import Reading, root, single_context
from connectors.sandbox.dynamics.tables import Entity
from connectors.sandbox.store import VERSION, Column, Kind, Row
from connectors.sandbox.wire import JsonResponse


class Writing:
    """Serves single records of one organisation."""

    def __init__(self, organisation: Organisation, reading: Reading) -> None:
        self._organisation = organisation
        self._reading = reading
        self._store = organisation.store

    async def retrieve(self, request: Request) -> Response:
        """Answer `GET set(id)`."""
        entity, row = self._addressed(request)
        return self._shown(request, entity, row, 200)

    async def create(self, request: Request) -> Response:
        """Answer `POST set`."""
        entity = self._organisation.behind(request.path_params["set"])
        changes = _changes(self._organisation, entity, await _body(request))
        id = changes.get(entity.key) or str(uuid.uuid4())
        columns, now = entity.table.columns, self._organisation.now
        defaults: dict[str, Any] = {name: 0 for name, column in columns.items() if column.type == "State"}
        defaults |= {name: now for name in ("createdon", "modifiedon")}
        self._store.insert(entity.table.name, [defaults | changes | {entity.key: id}])
        if "return=representation" in request.headers.get("prefer", ""):
            row = self._store.get(entity.table.name, id)
            assert row is not None
            return self._shown(request, entity, row, 201)
        return Response(status_code=204, headers={"OData-EntityId": f"{root(request)}/{entity.set}({id})"})

    async def update(self, request: Request) -> Response:
        """Answer `PATCH set(id)`."""
        entity, row = self._addressed(request)
        if request.headers.get("if-match", "*") not in ("*", f'W/"{row[VERSION]}"'):
            message = "The version of the existing record doesn't match the RowVersion property."
            raise Refused(412, "0x80060882", message)
        changes = _changes(self._organisation, entity, await _body(request))
        self._organisation.change(entity.name, row[entity.key], changes)
        headers = {"OData-EntityId": f"{root(request)}/{entity.set}({row[entity.key]})"}
        return Response(status_code=204, headers=headers)

    async def delete(self, request: Request) -> Response:
        """Answer `DELETE set(id)`."""
        entity, row = self._addressed(request)
        self._organisation.delete(entity.name, row[entity.key])
        return Response(status_code=204)

    def _shown(self, request: Request, entity: Entity, row: Row, status: int) -> Response:
        prefers = preferences(request)
        read = self._reading.query(entity, options_of(request.url.query), prefers)
        context = single_context(request, read)
        record = self._reading.record(read, row, prefers)
        return JsonResponse({"@odata.context": context} | record, status_code=status)

    def _addressed(self, request: Request) -> tuple[Entity, Row]:
        entity = self._organisation.behind(request.path_params["set"])
        id = request.path_params["id"].lower()
        row = self._store.get(entity.table.name, id)
        if row is None:
            raise Refused(404, "0x80040217", f"Entity '{entity.name.title()}' With Id = {id} Does Not Exist")
        return entity, row


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body(), parse_float=Decimal)
    except ValueError:
        raise Refused(400, "0x80048d19", "Error identified in Payload provided by the user.") from None
    if not isinstance(body, dict):
        raise Refused(400, "0x80048d19", "Error identified in Payload provided by the user.")
    return body


def _changes(organisation: Organisation, entity: Entity, body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in a body as the store keeps them."""
    sets = {other.set for other in organisation.entities.values()}
    changes: dict[str, Any] = {}
    for name, value in body.items():
        if name.endswith("@odata.bind"):
            lookup = f"_{name.removesuffix('@odata.bind').lower()}_value"
            match = re.fullmatch(r".*?(\w+)\(([0-9a-fA-F-]{36})\)", str(value))
            if lookup not in entity.table.columns or not match or match[1] not in sets:
                raise bad(f"An undeclared property '{name}' was found in the payload.")
            changes[lookup] = match[2].lower()
        elif name in entity.table.columns and not name.startswith("_"):
            changes[name] = _accepted(entity.table.columns[name], value)
        else:
            raise bad(
                "Error identified in Payload provided by the user for Entity"
                f" :'{entity.set}', InnerException : The property '{name}' does not exist on type"
                f" '{ANNOTATED}.{entity.name}'."
            )
    return changes


def _accepted(column: Column, value: Any) -> Any:
    wrong = bad(f"Cannot convert the literal '{value}' to the expected type 'Edm.{column.type}' ({column.name}).")
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
