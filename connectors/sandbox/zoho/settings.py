"""What Zoho CRM says of itself: modules, fields, pipelines, users, roles, territories, currencies, the edition.

Its records are in `records`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.store import ALL, LIVE, Column, Kind, Row, Where
from connectors.sandbox.wire import JsonResponse
from connectors.sandbox.zoho.look import plain
from connectors.sandbox.zoho.org import PER_PAGE, Org, info, number, parameters, since
from connectors.sandbox.zoho.records import BASE
from connectors.sandbox.zoho.refusals import invalid_data
from connectors.sandbox.zoho.rows import record_id
from connectors.sandbox.zoho.tables import LISTS, LOOKUPS, Module

JSON_TYPES = {
    Kind.INTEGER: "integer",
    Kind.NUMBER: "double",
    Kind.BOOLEAN: "boolean",
}
LAYOUT = record_id("layout", "Standard")
USERS = {
    "AllUsers": Where("status in ('active', 'disabled')"),
    "ActiveUsers": Where("status = 'active'"),
    "DeactiveUsers": Where("status = 'disabled'"),
    "DeletedUsers": Where("status = 'deleted'"),
}


class Settings:
    """The metadata APIs of one organisation."""

    def __init__(self, org: Org, license: Mapping[str, Any]) -> None:
        self._org = org
        self._store = org.store
        self._license = license

    def routes(self) -> list[Route]:
        """Everything these APIs answer."""
        paths: Mapping[str, Callable[[Request], Any]] = {
            "/settings/modules": self._modules,
            "/settings/fields": self._fields,
            "/settings/layouts": self._layouts,
            "/settings/pipeline": self._pipelines,
            "/settings/roles": self._roles,
            "/settings/territories": self._territories,
            "/users": self._users,
            "/org/currencies": self._currencies,
            "/org": self._organisation,
        }
        return [Route(BASE + path, handler, methods=["GET"]) for path, handler in paths.items()]

    async def _modules(self, request: Request) -> Response:
        parameters(request, "status")
        return JsonResponse({"modules": [self._described(module) for module in self._org.modules.values()]})

    def _described(self, module: Module) -> dict[str, Any]:
        return {
            "api_name": module.name,
            "module_name": module.name.replace("_", " "),
            "generated_type": "custom" if module.is_custom else "default",
            "api_supported": True,
            "viewable": module.name not in self._org.hidden_modules,
            "id": record_id("module", module.name),
        }

    async def _fields(self, request: Request) -> Response:
        given = parameters(request, "module", "type")
        if given.get("type", "all") not in ("all", "unused"):
            raise invalid_data("type", "all, unused")
        module = self._org.module(given.get("module", ""))
        return JsonResponse({"fields": [self._field(module, c) for c in self._org.columns(module).values()]})

    def _field(self, module: Module, column: Column) -> dict[str, Any]:
        is_formula = column.name in module.formulas
        described: dict[str, Any] = {
            "id": record_id("field", f"{module.name}.{column.name}"),
            "api_name": column.name,
            "field_label": column.name.replace("_", " "),
            "data_type": "formula" if is_formula else column.type,
            "json_type": _json_type(column),
            "length": 2000 if column.kind is Kind.TEXT else 16,
            "decimal_place": 2 if column.kind is Kind.NUMBER else None,
            "custom_field": column.name in module.custom_names,
            "visible": True,
            "lookup": {"module": {"api_name": column.target}} if column.type == "lookup" else {},
            "formula": {"return_type": column.type} if is_formula else {},
            "pick_list_values": [],
        }
        if (module.name, column.name) == ("Deals", "Stage"):
            described["pick_list_values"] = [_choice(row) for row in self._stages()]
        return described

    def _stages(self) -> list[Row]:
        return self._store.find("zoho.pipeline", order_by="sequence_number")

    async def _layouts(self, request: Request) -> Response:
        given = parameters(request, "module")
        self._org.module(given.get("module", ""))
        return JsonResponse({"layouts": [{"id": LAYOUT, "name": "Standard", "visible": True, "status": "active"}]})

    async def _pipelines(self, request: Request) -> Response:
        given = parameters(request, "layout_id")
        if given.get("layout_id") != LAYOUT:
            raise invalid_data("layout_id", "the id of a layout")
        found: dict[str, dict[str, Any]] = {}
        for row in self._stages():
            if row["pipeline_id"] is None:
                continue
            empty = {"id": row["pipeline_id"], "display_value": row["pipeline_name"], "default": True, "maps": []}
            pipeline = found.setdefault(row["pipeline_id"], empty)
            pipeline["maps"].append({**_choice(row), "forecast_category": None, "delete": False})
        return JsonResponse({"pipeline": list(found.values())}) if found else Response(status_code=204)

    async def _users(self, request: Request) -> Response:
        given = parameters(request, "type", "page", "per_page")
        if given.get("type", "AllUsers") not in USERS:
            raise invalid_data("type", ", ".join(USERS))
        per_page, page = number(given, "per_page", PER_PAGE, PER_PAGE), number(given, "page", 1)
        where = LIVE & USERS[given.get("type", "AllUsers")]
        if at := since(request):
            where &= Where('"Modified_Time" >= ?', (at,))
        found = self._store.find("zoho.users", where, order_by='"id"', limit=per_page + 1, offset=(page - 1) * per_page)
        if not found:
            return Response(status_code=204)
        rows = found[:per_page]
        about = info(rows, page, per_page, len(found) > per_page)
        return JsonResponse({"users": [self._listed("users", row) for row in rows], "info": about})

    async def _roles(self, request: Request) -> Response:
        return self._all(request, "roles")

    async def _territories(self, request: Request) -> Response:
        return self._all(request, "territories", "page", "per_page", "include")

    async def _currencies(self, request: Request) -> Response:
        return self._all(request, "currencies")

    def _all(self, request: Request, name: str, *known: str) -> Response:
        given = parameters(request, *known)
        per_page, page = number(given, "per_page", PER_PAGE, PER_PAGE), number(given, "page", 1)
        found = self._store.find(f"zoho.{name}", order_by='"id"')
        rows = found[(page - 1) * per_page : page * per_page] if known else found
        if not rows:
            return Response(status_code=204)
        about = info(rows, page, per_page, len(found) > page * per_page) if known else {}
        return JsonResponse({name: [self._listed(name, row) for row in rows], "info": about})

    def _listed(self, name: str, row: Row) -> dict[str, Any]:
        return {column.name: self._value(column, row[column.name]) for column in LISTS[name].columns.values()}

    def _value(self, column: Column, value: Any) -> Any:
        if column.type not in LOOKUPS or value is None:
            return plain(column, value)
        target = f"zoho.{column.target}"
        row = self._store.get(target, value, ALL) if target in self._store.tables else None
        title = "full_name" if column.target == "users" else "name"
        return {"id": value, "name": row[title] if row else None}

    async def _organisation(self, request: Request) -> Response:
        parameters(request)
        org = {
            "id": record_id("org", self._org.world.name),
            "company_name": self._org.world.name,
            "time_zone": "Asia/Kolkata",
            "currency": self._org.world.currency,
            "iso_code": self._org.world.currency,
            "license_details": self._license,
        }
        return JsonResponse({"org": [org]})


def _choice(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"].rpartition("-")[2],
        "display_value": row["display_value"],
        "actual_value": row["actual_value"],
        "sequence_number": row["sequence_number"],
        "forecast_type": row["forecast_type"],
        "probability": row["probability"],
    }


def _json_type(column: Column) -> str:
    if column.type == "subform":
        return "jsonarray"
    return "jsonobject" if column.type in LOOKUPS else JSON_TYPES.get(column.kind, "string")
