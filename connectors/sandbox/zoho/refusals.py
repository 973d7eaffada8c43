"""What Zoho CRM says when it does not serve a request: one exception, and the bodies it becomes.

When something is refused is decided where it is asked for.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from connectors.sandbox.wire import JsonResponse


class Refused(Exception):
    """A request Zoho CRM would not serve."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details or {}


def answer(refusal: Refused) -> Response:
    """A refusal as it is sent."""
    body = {"code": refusal.code, "details": refusal.details, "message": refusal.message, "status": "error"}
    return JsonResponse(body, status_code=refusal.status)


def too_many() -> Refused:
    """Too many calls at a time, or no credits left; Zoho does not say how long to wait."""
    return Refused(429, "TOO_MANY_REQUESTS", "You have made too many requests within a particular period")


def invalid_token() -> Refused:
    """The access token is unknown, or is no more."""
    return Refused(401, "INVALID_TOKEN", "invalid oauth token")


def no_permission(module: str) -> Refused:
    """The user may not read a module."""
    details = {"permissions": [f"Crm_Implied_View_{module}"]}
    return Refused(403, "NO_PERMISSION", "permission denied to read", details)


def scope_mismatch() -> Refused:
    """The token was not made for this."""
    return Refused(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")


def invalid_module(name: str) -> Refused:
    """There is no such module, or not in this API."""
    return Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", {"api_name": name})


def invalid_data(name: str, expected: str) -> Refused:
    """A parameter, header or field makes no sense."""
    return Refused(400, "INVALID_DATA", f"the {name} given seems to be invalid", {"param": name, "expected": expected})


def expired_page() -> Refused:
    """A page token that is too old, or was never given out."""
    return Refused(400, "EXPIRED_VALUE", "the page_token given seems to be expired", {"param_name": "page_token"})


def limit_exceeded(what: str, limit: int) -> Refused:
    """More of something than is allowed in one request."""
    return Refused(400, "LIMIT_EXCEEDED", f"the limit of {what} is exceeded", {"limit": limit, "param_name": what})
