"""One Salesforce org to talk to: logged in for all threads at once, within the budget, its answers inspected.

simple-salesforce logs in, describes and queries. It gets a session that renews itself, because the library's own
renewal runs once in every thread, drops headers, and does not happen in Bulk; nothing is read here.
"""

import re
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests
from jwt.exceptions import PyJWTError
from simple_salesforce.api import Salesforce as Client
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from connectors.budget import Budget
from connectors.errors import ApiFailed, AuthenticationFailed
from connectors.session import PoliteSession, Transport

API_VERSION = "64.0"
RENEWALS = 3
"""Sessions that one call may use up, since one can end at any moment."""
CROWD_PAUSE_SECONDS = 5
"""Until the next try, when the org's other users keep it busy."""
USAGE = re.compile(r"api-usage=(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one org; the secret is for client credentials, user and key file for JWT bearer."""

    url: str
    client_id: str
    client_secret: str | None = None
    username: str | None = None
    private_key_file: str | None = None
    ca_bundle: str | None = None


def connect(credentials: Credentials, transport: Transport, budget: Budget) -> Client:
    """Log in.

    Raises:
        AuthenticationFailed: the org does not accept the credentials.
        ApiFailed: the org cannot be reached.

    """
    login = Login(credentials, PoliteSession(transport, budget))
    return Client(
        session_id="see Login",
        instance=login.instance,
        session=RenewingSession(transport, budget, login),
        version=API_VERSION,
        parse_float=Decimal,
    )


class Login:
    """The org's session, the same for all threads; whoever finds it ended renews it for all."""

    def __init__(self, credentials: Credentials, session: requests.Session) -> None:
        self._credentials = credentials
        self._session = session
        self._lock = threading.Lock()
        self.token, self.instance = self._log_in()

    def renew(self, ended: str) -> None:
        """Log in again, unless another thread already has since the session that ended."""
        with self._lock:
            if self.token == ended:
                self.token, self.instance = self._log_in()

    def _log_in(self) -> tuple[str, str]:
        url = self._credentials.url
        try:
            token, instance = SalesforceLogin(**_flow(self._credentials), session=self._session)
        except SalesforceAuthenticationFailed as error:
            if isinstance(error.code, int):  # the status of an answer that is no JSON, and so not from the login
                raise ApiFailed(f"Salesforce at {url} cannot be reached: {error}") from error
            raise AuthenticationFailed(
                f"Salesforce at {url} does not accept the credentials: {error}. Check SALESFORCE_CLIENT_ID and "
                "SALESFORCE_CLIENT_SECRET (or SALESFORCE_USERNAME and the key), and that the app may use this flow."
            ) from error
        except requests.RequestException as error:
            raise ApiFailed(f"Salesforce at {url} cannot be reached: {error}") from error
        except (OSError, ValueError, PyJWTError) as error:
            raise AuthenticationFailed(
                f"The key file of Salesforce cannot be used: {error}. Check SALESFORCE_PRIVATE_KEY_FILE."
            ) from error
        return token, instance


def _flow(credentials: Credentials) -> dict[str, Any]:
    host = str(urlsplit(credentials.url).hostname)
    domain = host.removesuffix(".salesforce.com") if host.endswith(".salesforce.com") else "attain.my"
    if credentials.client_secret:
        return {
            "consumer_key": credentials.client_id,
            "consumer_secret": credentials.client_secret,
            "domain": domain,
        }
    return {
        "consumer_key": credentials.client_id,
        "username": credentials.username,
        "privatekey_file": credentials.private_key_file,
        "domain": "test" if ".sandbox." in host else "login",
        "instance_url": domain,
    }


class RenewingSession(PoliteSession):
    """Sends every request with the session of the moment, and once more with a new one when that has ended."""

    def __init__(self, transport: Transport, budget: Budget, login: Login) -> None:
        super().__init__(transport, budget, self._inspect_answer)
        self._org_budget = budget
        self._login = login

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send; the caller's own Authorization is replaced."""
        for _ in range(RENEWALS):
            token = self._login.token
            request.headers["Authorization"] = f"Bearer {token}"
            response = super().send(request, **kwargs)
            if response.status_code == 401:
                self._login.renew(token)
            elif response.status_code == 403 and "ConcurrentRequests" in response.text:
                self._org_budget.pause(CROWD_PAUSE_SECONDS)
            else:
                break
        return response

    def _inspect_answer(self, response: requests.Response) -> None:
        if usage := USAGE.search(response.headers.get("Sforce-Limit-Info", "")):
            self._org_budget.note_daily(used=int(usage[1]), allowed=int(usage[2]))
        if response.status_code == 403 and "TotalRequests Limit" in response.text:
            self._org_budget.spend("the org's API calls of the day are used up")
            self._org_budget.take()  # raises
