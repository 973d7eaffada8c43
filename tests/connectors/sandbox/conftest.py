from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from connectors.sandbox.company import Company
from connectors.sandbox.server import Server, running


class Down(HTTPAdapter):
    """Sends what a client insists on sending by https to the sandbox's http address."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = urlsplit(url)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(request.url)
        request.url = parts._replace(scheme=self.url.scheme, netloc=self.url.netloc).geturl()
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="session")
def shared(halden: Company) -> Iterator[Server]:
    """A sandbox that tests only read from."""
    with running(halden) as server:
        yield server


@pytest.fixture
def sandbox(halden: Company) -> Iterator[Server]:
    """A sandbox of the test's own."""
    with running(halden) as server:
        yield server


@pytest.fixture
def downgraded() -> Iterator[Callable[[Server], requests.Session]]:
    """A session whose https calls go to a server's http address."""
    sessions = []

    def make(server: Server) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", Down(server.url))
        sessions.append(session)
        return session

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def signed_in() -> Iterator[Callable[[Server, str], "Api"]]:
    """A session that is signed in to one CRM of a server, with paths relative to the CRM's root."""
    apis = []

    def make(server: Server, crm: str) -> "Api":
        api = Api(server, crm)
        apis.append(api)
        return api

    yield make
    for api in apis:
        api.session.close()


class Api:
    ROOTS = {"salesforce": "/services/data/v59.0", "hubspot": "/crm", "dynamics": "/api/data/v9.2"}

    def __init__(self, server: Server, crm: str) -> None:
        self.root = server.url + self.ROOTS[crm]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {getattr(self, crm)(server, server.environment())}"

    def salesforce(self, server: Server, env: dict[str, str]) -> str:
        fields = {
            "grant_type": "client_credentials",
            "client_id": env["SALESFORCE_CLIENT_ID"],
            "client_secret": env["SALESFORCE_CLIENT_SECRET"],
        }
        answer = self.session.post(f"{server.url}/services/oauth2/token", data=fields).json()
        assert answer["instance_url"] == server.url
        return str(answer["access_token"])

    def hubspot(self, server: Server, env: dict[str, str]) -> str:
        return env["HUBSPOT_ACCESS_TOKEN"]

    def dynamics(self, server: Server, env: dict[str, str]) -> str:
        fields = {
            "grant_type": "client_credentials",
            "client_id": env["DYNAMICS_CLIENT_ID"],
            "client_secret": env["DYNAMICS_CLIENT_SECRET"],
            "scope": f"{server.url}/.default",
        }
        url = f"{server.url}/{env['DYNAMICS_TENANT_ID']}/oauth2/v2.0/token"
        return str(self.session.post(url, data=fields).json()["access_token"])

    def __call__(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.session.request(method, path if path.startswith("http") else self.root + path, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Any:
        response = self("GET", path, **kwargs)
        assert response.ok, response.text
        return response.json()

    def post(self, path: str, json: Any) -> Any:
        response = self("POST", path, json=json)
        assert response.ok, response.text
        return response.json()
