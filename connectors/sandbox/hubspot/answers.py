"""How HubSpot words its answers and refusals, and how it reads what it is asked.

Nothing here knows a portal's records.
"""

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from connectors.sandbox.hubspot.tables import ALIASES
from connectors.sandbox.store import Column, Kind, timestamp
from connectors.sandbox.wire import JsonResponse

RATE_LIMITS = {
    "TEN_SECONDLY_ROLLING": "You have reached your ten_secondly_rolling limit.",
    "SECONDLY": "You have reached your secondly limit.",
    "DAILY": "You have reached your daily limit.",
}


class Refused(Exception):
    """A request HubSpot would not serve."""

    def __init__(self, status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.category, self.more = status, message, category, more


def error(status: int, message: str, category: str, **more: Any) -> Response:
    """A refusal in HubSpot's words; tests inject these too."""
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return JsonResponse(body | more, status_code=status)


def rate_limited(policy: str = "TEN_SECONDLY_ROLLING", retry_after: int | None = None) -> Response:
    """A 429 as HubSpot words it."""
    body = {
        "status": "error",
        "message": RATE_LIMITS[policy],
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "groupName": "publicapi:private-apps:sandbox",
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JsonResponse(body, status_code=429, headers=headers)


def page(status: int, title: str) -> Response:
    """What HubSpot's edge says, which speaks no JSON."""
    return HTMLResponse(f"<html><head><title>{status} {title}</title></head><body></body></html>", status_code=status)


def known(name: str) -> str:
    """The object that a path means."""
    if name not in ALIASES:
        raise Refused(400, f"Unable to infer object type from: {name}")
    return ALIASES[name]


def column_of(columns: Mapping[str, Column], name: Any) -> Column:
    """A property that a search names."""
    if name not in columns:
        raise Refused(
            400,
            "There was a problem with the request.",
            errors=[{"message": f"Unknown property: {name}", "code": "UNKNOWN_PROPERTY"}],
        )
    return columns[name]


def parsed(column: Column, text: str) -> Any:
    """A property's text as the store keeps it; raises ValueError or ArithmeticError if it is not of its type."""
    if column.kind is Kind.NUMBER:
        return Decimal(text.replace(",", ""))
    if column.kind is Kind.BOOLEAN:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if column.kind is Kind.TIMESTAMP:
        if text.lstrip("-").isdigit():
            return timestamp(datetime.fromtimestamp(int(text) / 1000, UTC))
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return text


def only(request: Request, *names: str) -> None:
    """Refuse parameters that HubSpot does not know there."""
    unknown = set(request.query_params) - set(names)
    if unknown:
        raise Refused(400, f"Unknown query parameter: {min(unknown)}")


def names_in(request: Request, parameter: str) -> list[str]:
    """A list given as `a,b`, or as the same parameter several times."""
    return [name for value in request.query_params.getlist(parameter) for name in value.split(",") if name]


def limit_of(request: Request, *, default: int, most: int = 100) -> int:
    """How many records a page is to hold."""
    text = request.query_params.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refused(400, f"Invalid limit {text}: it must be between 1 and {most}")
    return int(text)


def wants_archived(request: Request) -> bool:
    """Whether the archive is asked for."""
    text = request.query_params.get("archived", "false").lower()
    if text not in ("true", "false"):
        raise Refused(400, f"Invalid boolean {text} for archived")
    return text == "true"


def cursor(position: str) -> str:
    """A position as an opaque cursor."""
    return base64.b64encode(f"{position}\n".encode()).decode()


def position(after: str | None) -> int | None:
    """The position in an opaque cursor."""
    if not after:
        return None
    try:
        return int(base64.b64decode(after, validate=True))
    except ValueError:
        raise lost(after) from None


def lost(after: str) -> Refused:
    """A paging cursor that HubSpot does not know (any more)."""
    return Refused(400, f"Invalid paging cursor {after}")


def offset(after: Any) -> int:
    """A cursor that is a number."""
    if after in (None, ""):
        return 0
    if not str(after).isdigit():
        raise Refused(400, f"Invalid input JSON: after must be a number, not {after}")
    return int(after)


def paging(request: Request, after: str) -> dict[str, Any]:
    """Where the next page begins."""
    link = f"https://api.hubapi.com{request.url.path}?after={after.replace('=', '%3D')}"
    return {"next": {"after": after, "link": link}}


async def body_of(request: Request, *names: str) -> dict[str, Any]:
    """The JSON that was sent, with no other names than these."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Refused(400, "Invalid input JSON on line 1, column 1") from None
    if not isinstance(body, dict) or set(body) - set(names):
        unknown = min(set(body) - set(names)) if isinstance(body, dict) else "root"
        raise Refused(400, f'Invalid input JSON: Unrecognized field "{unknown}"')
    return body


def inputs_of(body: Mapping[str, Any], most: int = 100) -> list[str]:
    """The ids that a batch asks for."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(entry, dict) and "id" in entry for entry in inputs):
        raise Refused(400, "Invalid input JSON: inputs must be a list of objects with an id")
    if len(inputs) > most:
        raise Refused(
            400,
            f"The maximum number of inputs supported in a batch request is {most}. Received {len(inputs)}.",
        )
    return list(dict.fromkeys(str(entry["id"]) for entry in inputs))


def batch(now: datetime, results: list[Any], errors: list[Any], count: int) -> Response:
    """What a batch found, and what it did not."""
    at = timestamp(now)
    answer: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}
    if errors:
        answer |= {"numErrors": count, "errors": errors}
    return JsonResponse(answer, status_code=207 if errors else 200)
