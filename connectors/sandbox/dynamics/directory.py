"""Entra ID, as far as an app registration needs it: discovery, and tokens for the client credentials flow.

What a token opens is for the organisation.
"""

import secrets
import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.wire import JsonResponse, form

TENANT_ID = "5a6d0b0c-0000-4000-8000-73616e64626f"
CLIENT_ID = "5a6d0b0c-0000-4000-8000-636c69656e74"
CLIENT_SECRET = "sandbox-dynamics-secret"


class Directory:
    """The tenant that the organisation belongs to."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        """Those that are good."""

    def routes(self) -> list[Route]:
        """What it answers."""
        tenant = "/{tenant}"
        return [
            Route("/common/discovery/instance", self._discover, methods=["GET"]),
            Route(tenant + "/v2.0/.well-known/openid-configuration", self._openid, methods=["GET"]),
            Route(tenant + "/oauth2/v2.0/token", self._token, methods=["POST"]),
        ]

    async def _discover(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        host = "login.microsoftonline.com"
        return JsonResponse(
            {
                "tenant_discovery_endpoint": f"{url}/{TENANT_ID}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def _openid(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if tenant != TENANT_ID:
            return _error(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.", 90002)
        # msal takes nothing but https; a client of the plain http sandbox turns the scheme back on the way out
        url = f"https://{request.url.netloc}/{tenant}"
        return JsonResponse(
            {
                "token_endpoint": f"{url}/oauth2/v2.0/token",
                "authorization_endpoint": f"{url}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{url}/oauth2/v2.0/devicecode",
                "issuer": f"{url}/v2.0",
                "jwks_uri": f"{url}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": "microsoftonline.com",
            }
        )

    async def _token(self, request: Request) -> Response:
        fields = await form(request)
        if request.path_params["tenant"] != TENANT_ID:
            return _error(400, "invalid_request", "AADSTS90002: Tenant not found.", 90002)
        if fields.get("grant_type") != "client_credentials":
            return _error(400, "unsupported_grant_type", "AADSTS70003: unsupported grant type.", 70003)
        if fields.get("client_id") != CLIENT_ID:
            message = f"AADSTS700016: Application with identifier '{fields.get('client_id')}' was not found."
            return _error(400, "unauthorized_client", message, 700016)
        if fields.get("client_secret") != CLIENT_SECRET:
            return _error(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.", 7000215)
        scope = str(fields.get("scope", ""))
        if not scope.endswith("/.default") or scope.endswith("//.default"):
            message = f"AADSTS1002012: The provided value for scope {scope} is not valid."
            return _error(400, "invalid_scope", message, 1002012)
        token = f"eyJ{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}"
        self.tokens.add(token)
        return JsonResponse({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})


def _error(status: int, code: str, description: str, number: int) -> Response:
    body = {
        "error": code,
        "error_description": f"{description} Trace ID: {uuid.uuid4()}",
        "error_codes": [number],
        "correlation_id": str(uuid.uuid4()),
    }
    return JsonResponse(body, status_code=status)
