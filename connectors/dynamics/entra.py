"""Tokens for Dataverse from Entra ID, by msal: one for all threads, renewed once when it is refused.

What is done with them is for `web_api`.
"""

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from msal import ConfidentialClientApplication
from msal.exceptions import MsalError

from connectors.budget import Budget
from connectors.errors import ApiFailed, AuthenticationFailed
from connectors.session import PoliteSession, Transport

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one environment: an app registration that is also an application user."""

    url: str
    tenant_id: str
    client_id: str
    client_secret: str
    authority_url: str = PUBLIC_AUTHORITY
    ca_bundle: str | None = None


class Tokens:
    """The token that opens one environment."""

    def __init__(self, credentials: Credentials, budget: Budget) -> None:
        self._application = _application(credentials, budget)
        self._scope = f"{credentials.url.rstrip('/')}/.default"
        self._lock = threading.Lock()

    def get(self) -> str:
        """Give the token, a new one when the last is about to expire.

        Raises:
            AuthenticationFailed: Entra does not accept the credentials.

        """
        with self._lock:
            return self._acquire()

    def renew(self, refused: str) -> str:
        """Give another token than the one that Dataverse refuses; if another thread has got one already, that."""
        with self._lock:
            if self._acquire() == refused:
                self._application.remove_tokens_for_client()
            return self._acquire()

    def _acquire(self) -> str:
        try:
            answer = self._application.acquire_token_for_client([self._scope])
        except (requests.RequestException, ValueError, MsalError) as error:
            raise ApiFailed(f"Entra gives no token for Dynamics: {error}") from error
        if "access_token" not in answer:
            raise AuthenticationFailed(
                f"Entra does not accept the credentials for Dynamics: {answer.get('error_description', answer)}. "
                "Check DYNAMICS_TENANT_ID, DYNAMICS_CLIENT_ID and DYNAMICS_CLIENT_SECRET."
            )
        return str(answer["access_token"])


def _application(credentials: Credentials, budget: Budget) -> ConfidentialClientApplication:
    """Log in through Microsoft's public host name, whatever host the authority really has.

    msal takes https only and asks Microsoft about hosts it does not know; the transport leads to the configured one.
    """
    transport = Transport(
        vendor_domain="microsoftonline.com",
        base_url=credentials.authority_url,
        ca_bundle=credentials.ca_bundle,
    )
    session = PoliteSession(transport, budget)
    session.hooks["response"].append(_https_endpoints)
    try:
        return ConfidentialClientApplication(
            credentials.client_id,
            client_credential=credentials.client_secret,
            authority=f"{PUBLIC_AUTHORITY}/{credentials.tenant_id}",
            http_client=session,
        )
    except (requests.RequestException, ValueError, MsalError) as error:
        raise AuthenticationFailed(
            f"The Entra tenant of Dynamics cannot be reached at {credentials.authority_url}: {error}. "
            "Check DYNAMICS_TENANT_ID and DYNAMICS_AUTHORITY_URL."
        ) from error


def _https_endpoints(response: requests.Response, **_: Any) -> None:
    """Name a plain-http authority's endpoints with https, as msal demands; the transport undoes it."""
    if response.url.endswith("openid-configuration") and response.ok:
        host = urlsplit(str(response.request.url)).netloc
        response._content = response.content.replace(f"http://{host}".encode(), f"https://{host}".encode())
