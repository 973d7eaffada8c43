"""What a request to an entity set asks for: query options, preferences, annotations.

Understanding only; the rows are for `reading`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request

from connectors.sandbox import odata
from connectors.sandbox.dynamics.answers import bad
from connectors.sandbox.dynamics.tables import Entity

OPTIONS = ("$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken", "$deltatoken")


@dataclass(frozen=True)
class Preferences:
    """The `Prefer` header."""

    page_size: int | None
    is_tracking: bool
    annotations: tuple[str, ...]

    def wants(self, annotation: str) -> bool:
        """Whether the client asked for an annotation."""
        return any(
            pattern in ("*", annotation) or (pattern.endswith("*") and annotation.startswith(pattern[:-1]))
            for pattern in self.annotations
        )


def preferences(request: Request) -> Preferences:
    """What the client prefers."""
    header = request.headers.get("prefer", "")
    size = re.search(r"odata\.maxpagesize=(\d+)", header)
    if size and int(size[1]) < 1:
        raise bad("The value of odata.maxpagesize must be greater than zero.")
    annotations = re.search(r'odata\.include-annotations="([^"]*)"', header)
    return Preferences(
        page_size=int(size[1]) if size else None,
        is_tracking="odata.track-changes" in header,
        annotations=tuple(annotations[1].split(",")) if annotations else (),
    )


def options_of(query: str) -> dict[str, str]:
    """The query options, decoded; unknown ones are refused."""
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name = unquote(name)
        if name == "$skip":
            raise bad("Skip Clause is not supported in CRM")
        if name.startswith("$") and name not in OPTIONS or not name.startswith(("$", "@")):
            raise bad(f"The query parameter {name} is not supported.")
        if name in options:
            raise bad(f"Query option '{name}' was specified more than once, but it must be specified at most once.")
        # a plus is a space here, as it is for Dataverse
        options[name] = unquote(value.replace("+", " "))
    return options


def selected(entity: Entity, options: Mapping[str, str]) -> tuple[str, ...] | None:
    """The columns of `$select`; None: all."""
    if "$select" not in options:
        return None
    names = tuple(name.strip() for name in options["$select"].split(","))
    for name in names:
        odata.column_named(entity.table, name)
        if name not in entity.readable:
            raise bad(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{entity.name}'.")
    return names
