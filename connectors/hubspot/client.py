"""HubSpot's official client as it is used here: for any path, under its own pool of connections, for several threads.

What is sent, and what an answer means, is for `api`; when it is sent again, for `connectors.session`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from hubspot.crm.objects import ApiClient, ApiException, Configuration
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3 import Retry
from urllib3.util import make_headers

from connectors.hubspot.auth import Credentials

CONNECTIONS = 32
"""Kept open; more than there are threads."""


@dataclass(frozen=True)
class Answer:
    """What HubSpot answered, read to its end."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status_code < 300

    @property
    def text(self) -> str:
        """The beginning of the body, for people."""
        return self.body[:300].decode(errors="replace")


class Client(ApiClient):  # type: ignore[misc]  # it has no types
    """The client for one portal; its methods for single resources know neither dated paths nor exact numbers."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(_configuration(credentials))
        for name, value in make_headers(accept_encoding=True).items():
            self.set_default_header(name, value)

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        """Send once; an error is an answer too, whose body, unlike the client, nobody insists on being UTF-8."""
        try:
            response = super().request(*args, **kwargs)
        except ApiException as error:
            return Answer(error.status, error.headers, error.body)
        return Answer(response.status, response.headers, response.data)


def _configuration(credentials: Credentials) -> Configuration:
    """Proxies and authorities are those of the environment, as for every other CRM."""
    url = credentials.url.rstrip("/")
    environment = requests.Session().merge_environment_settings(url, {}, None, None, None)
    authorities = environment["verify"]
    configuration = Configuration(
        host=url,
        ssl_ca_cert=credentials.ca_bundle or (DEFAULT_CA_BUNDLE_PATH if authorities is True else authorities),
    )
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.retries = Retry(0, redirect=False)
    if proxy := select_proxy(url, environment["proxies"]):
        configuration.proxy, configuration.proxy_headers = proxy, HTTPAdapter().proxy_headers(proxy)
    return configuration
