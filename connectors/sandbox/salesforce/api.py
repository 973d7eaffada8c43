"""What all of Salesforce's API has in common: refusals in its words, bodies, versions, the count of calls.

What there is to ask for is in the modules beside this one.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.store import Table
from connectors.sandbox.wire import JsonResponse

VERSIONS = tuple(f"{number}.0" for number in range(20, 68))

Handler = Callable[[Request], Any]
Paths = list[tuple[str, str, Handler]]
"""Path below the versioned root, method, and what answers."""


class Refused(Exception):
    """A request Salesforce would not serve: HTTP status, code, text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal in Salesforce's words; tests inject these too."""
    return JsonResponse([{"message": message, "errorCode": code}], status_code=status, headers=headers)


def not_found() -> Refused:
    """What Salesforce says of what it does not know."""
    return Refused(404, "NOT_FOUND", "The requested resource does not exist")


def object_of(request: Request, visible: Mapping[str, Table]) -> tuple[str, Table]:
    """The object that the path names."""
    table = visible.get(request.path_params["object"].lower())
    if table is None:
        raise not_found()
    return table.name.partition(".")[2], table


async def body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent."""
    try:
        sent = json.loads(await request.body(), parse_float=Decimal)
    except ValueError as problem:
        raise Refused(400, "JSON_PARSER_ERROR", str(problem)) from None
    if not isinstance(sent, dict):
        raise Refused(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
    return sent


def only(request: Request, *known: str) -> None:
    """Refuse parameters that are none of the known ones."""
    if unknown := set(request.query_params) - set(known):
        raise Refused(400, "INVALID_PARAMETER", f"Unrecognized parameter: {min(unknown)}")


def instant(text: str) -> datetime:
    """A date with a time and a zone, or ValueError."""
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError(text)
    return found.astimezone(UTC)


def written(moment: str) -> str:
    """A stored moment as JSON has it."""
    return moment.replace("Z", "+0000")
