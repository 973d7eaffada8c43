"""OAuth of the Salesforce org: client credentials and JWT bearer, and the sessions they give.

Who may see what is for `org`.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.store import ALL
from connectors.sandbox.wire import JsonResponse, form

CLIENT_ID = "sandbox-salesforce"
CLIENT_SECRET = "sandbox-salesforce-secret"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


class Login:
    """Gives sessions, and knows those that live."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.tokens: set[str] = set()
        self.logins = 0

    def admits(self, request: Request) -> bool:
        """Whether a request carries a live session."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme in ("Bearer", "OAuth") and token in self.tokens

    async def token(self, request: Request) -> Response:
        """Answer `/services/oauth2/token`."""
        fields = await form(request)
        url = str(request.base_url).rstrip("/")
        if problem := self._problem(request, fields, url):
            return JsonResponse({"error": problem[0], "error_description": problem[1]}, status_code=400)
        token = f"00D5e000000sandbox!{secrets.token_urlsafe(48)}"
        self.tokens.add(token)
        self.logins += 1
        return JsonResponse(
            {
                "access_token": token,
                "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
                "scope": "api",
                "instance_url": url,
                "id": f"{url}/id/00D5e000000sandboxE/0055e000000sandbox",
                "token_type": "Bearer",
                "issued_at": str(int(self._org.store.clock().timestamp() * 1000)),
            }
        )

    def _problem(self, request: Request, fields: Mapping[str, str], url: str) -> tuple[str, str] | None:
        match fields.get("grant_type"):
            case "client_credentials":
                return _client_problem(request, fields)
            case grant if grant == JWT_BEARER:
                return self._assertion_problem(fields.get("assertion", ""), url)
        return "unsupported_grant_type", "grant type not supported"

    def _assertion_problem(self, assertion: str, url: str) -> tuple[str, str] | None:
        """What is wrong with a JWT: its shape and claims are looked at, the signature is not."""
        try:
            head, claims = (json.loads(_unpadded(part)) for part in assertion.split(".")[:2])
            signature = _unpadded(assertion.split(".")[2])
        except (ValueError, IndexError):
            return "invalid_grant", "invalid assertion"
        now = datetime.now(UTC).timestamp()
        if head.get("alg") != "RS256" or len(signature) < 128:
            return "invalid_grant", "invalid assertion"
        if claims.get("iss") != CLIENT_ID:
            return "invalid_client_id", "client identifier invalid"
        if claims.get("aud") not in (*AUDIENCES, url):
            return "invalid_grant", "audience is invalid"
        if not now - 5 < float(claims.get("exp") or 0) < now + 310:
            return "invalid_grant", "expired authorization code"
        users = self._org.store.find(self._org.tables["User"].name, ALL)
        if claims.get("sub") not in {user["Username"] for user in users}:
            return "invalid_grant", "user hasn't approved this consumer"
        return None


def _client_problem(request: Request, fields: Mapping[str, str]) -> tuple[str, str] | None:
    given = (fields.get("client_id"), fields.get("client_secret"))
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        given = (user, password)
    if given[0] != CLIENT_ID:
        return "invalid_client_id", "client identifier invalid"
    if given[1] != CLIENT_SECRET:
        return "invalid_client", "invalid client credentials"
    return None


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
