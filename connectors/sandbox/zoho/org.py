"""What an organisation has, and what the user of the API may see of it.

No routes: these are in the modules that carry the APIs' names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from starlette.requests import Request

from connectors.sandbox.company import World
from connectors.sandbox.store import Column, Store
from connectors.sandbox.zoho.look import Look, instant
from connectors.sandbox.zoho.refusals import Refused, invalid_data, invalid_module, no_permission
from connectors.sandbox.zoho.tables import Module

MOST_URL = 8_000
PER_PAGE = 200


@dataclass
class Org:
    """One organisation."""

    world: World
    store: Store
    modules: Mapping[str, Module]
    hidden_fields: set[tuple[str, str]] = field(default_factory=set)
    """Module and field that the user's profile hides."""
    hidden_modules: set[str] = field(default_factory=set)
    """Modules that the user may not read."""
    purged: set[tuple[str, str]] = field(default_factory=set)
    """Table and id of what has left the recycle bin, too."""

    @cached_property
    def look(self) -> Look:
        """How its records are sent."""
        return Look(self.store, self.modules)

    def module(self, name: str) -> Module:
        """A module that the user may read."""
        if name not in self.modules:
            raise invalid_module(name)
        if name in self.hidden_modules:
            raise no_permission(name)
        return self.modules[name]

    def columns(self, module: Module) -> dict[str, Column]:
        """The fields that the user sees."""
        return {
            name: column
            for name, column in module.table.columns.items()
            if (module.name, name) not in self.hidden_fields
        }


def parameters(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters; unknown and repeated ones are refused."""
    if len(str(request.url)) > MOST_URL:
        raise Refused(414, "URI_TOO_LONG", "the request URI is too long")
    found = dict(request.query_params)
    if len(found) < len(request.query_params.multi_items()):
        raise invalid_data("parameter", "given once")
    for name in found:
        if name not in known:
            raise Refused(400, "EXTRA_PARAM_FOUND", "extra param found", {"param": name})
    return found


def number(given: Mapping[str, str], name: str, default: int, most: int | None = None) -> int:
    """A positive whole number among the parameters."""
    text = given.get(name, str(default))
    if not text.isdigit() or int(text) < 1 or (most is not None and int(text) > most):
        raise invalid_data(name, f"1 to {most}" if most else "a positive number")
    return int(text)


def since(request: Request) -> datetime | None:
    """The If-Modified-Since header, which Zoho CRM takes as ISO text with an offset."""
    text = request.headers.get("if-modified-since")
    if text is None:
        return None
    at = instant(text)
    if at is None:
        raise invalid_data("If-Modified-Since", "yyyy-MM-ddTHH:mm:ss±HH:mm")
    return at


def info(rows: Sequence[Any], page: int, per_page: int, has_more: bool) -> dict[str, Any]:
    """The paging part of an answer."""
    return {"per_page": per_page, "count": len(rows), "page": page, "more_records": has_more}
