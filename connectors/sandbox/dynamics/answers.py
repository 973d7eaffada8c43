"""How Dataverse words what it answers: values, refusals, limits.

Which request gets which answer is decided elsewhere.
"""

from typing import Any

from starlette.responses import HTMLResponse, Response

from connectors.sandbox.store import Column, Kind
from connectors.sandbox.wire import JsonResponse, Number

ANNOTATED = "Microsoft.Dynamics.CRM"
FORMATTED = "OData.Community.Display.V1.FormattedValue"


class Refused(Exception):
    """A request Dataverse would not serve."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


EXPIRED = Refused(
    400,
    "0x80044352",
    "Version stamp associated with the client has expired. Please perform a full sync.",
)
LOST_PAGE = Refused(400, "0x80048d0a", "The paging cookie is malformed or was changed.")

TOO_MANY_REQUESTS = (
    "0x80072322",
    "Number of requests exceeded the limit of {} over time window of {} seconds.",
)
TOO_MUCH_TIME = (
    "0x80072321",
    "Combined execution time of incoming requests exceeded limit of {:,} milliseconds over time window of {} seconds. "
    "Decrease number of concurrent requests or reduce the duration of requests and try again later.",
)
TOO_MANY_AT_ONCE = ("0x80072326", "Number of concurrent requests exceeded the limit of {}.")


def bad(message: str) -> Refused:
    """A query that makes no sense."""
    return Refused(400, "0x80060888", message)


def error(status: int, code: str, message: str) -> Response:
    """A refusal in Dataverse's words; tests inject these too."""
    return JsonResponse({"error": {"code": code, "message": message}}, status_code=status)


def throttled(retry_after: int | None = 1, code: str | None = None, message: str | None = None) -> Response:
    """A service protection error as Dataverse words it, for tests to inject."""
    response = error(429, code or TOO_MANY_REQUESTS[0], message or TOO_MANY_REQUESTS[1].format(6000, 300))
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def too_long() -> Response:
    """What the web server in front says of a URL that is too long; Dataverse never sees it."""
    page = "<!DOCTYPE HTML><html><head><title>Request URL Too Long</title></head><body><h2>Request URL Too Long</h2>"
    return HTMLResponse(f"{page}<p>HTTP Error 414. The request URL is too long.</p></body></html>", status_code=414)


def sent(column: Column, value: Any) -> Any:
    """A value as Dataverse sends it."""
    if value is None:
        return None
    if column.type == "Money":
        return Number(f"{value:.4f}")
    if column.type == "Decimal":
        return Number(f"{value:.10f}")
    if column.kind is Kind.TIMESTAMP:
        return f"{value[:19]}Z"
    return value
