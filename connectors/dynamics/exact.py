"""Sends URLs byte for byte as they are given.

Dataverse's links are not to be changed, and urllib3 writes the escapes of every URL in upper case: `%2f` becomes
`%2F`. What is sent, and how often, is decided elsewhere.
"""

from typing import Any

from requests import PreparedRequest
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from connectors.session import Transport

TARGET = "X-Attain-Target"
"""Carries the target from the adapter to the connection, past urllib3; it never leaves this process."""


class _Verbatim(HTTPConnection):
    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **kwargs: Any) -> None:
        rest = dict(headers or {})
        super().request(method, rest.pop(TARGET, url), body, rest, **kwargs)


class _SecureVerbatim(_Verbatim, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Verbatim


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureVerbatim


class ExactTransport(Transport):
    """A transport that leaves URLs alone."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections that know about the target."""
        super().init_poolmanager(*args, **kwargs)
        _teach(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make such connections through a proxy too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        _teach(manager)
        return manager

    def add_headers(self, request: PreparedRequest, **kwargs: Any) -> None:
        """Hand the target on."""
        request.headers[TARGET] = self.request_url(request, kwargs["proxies"])


def _teach(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
