"""One polite HTTP session for all CRMs: timeouts, retries that obey Retry-After, base URLs that SDKs will not take.

No CRM's paths, tokens or error bodies are known here.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

CONNECT_AND_READ_SECONDS = (10, 120)
BACKOFF_SECONDS = 0.5
"""The first retry is at once; this, doubled each time, is the pause before the others, unless the CRM names one."""


def retries() -> Retry:
    """Retry what is transient, POST included: every call of the connectors is a read."""
    return Retry(
        total=6,
        backoff_factor=BACKOFF_SECONDS,
        backoff_jitter=BACKOFF_SECONDS,
        status_forcelist=(420, 429, 500, 502, 503, 504),
        allowed_methods=None,
        respect_retry_after_header=True,
        raise_on_status=False,
    )


class Transport(HTTPAdapter):
    """Sends requests meant for `vendor_domain` to `base_url`, and keeps the server's clock.

    Vendor SDKs insist on https and on the vendor's host names, while a base URL may be a proxy or a loopback server
    speaking plain http or TLS with a private CA.
    """

    def __init__(self, *, vendor_domain: str, base_url: str, ca_bundle: str | None) -> None:
        self._vendor_domain = vendor_domain
        self._base = urlsplit(base_url)
        self._ca_bundle = ca_bundle
        self._clock: datetime | None = None
        super().__init__(max_retries=retries())

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send to the configured host, with a timeout even where the SDK sets none."""
        request.url = self._rehosted(str(request.url))
        kwargs["timeout"] = kwargs.get("timeout") or CONNECT_AND_READ_SECONDS
        kwargs["verify"] = self._ca_bundle or kwargs.get("verify", True)  # else REQUESTS_CA_BUNDLE would win
        response = super().send(request, *args, **kwargs)
        if sent := response.headers.get("Date"):
            self._clock = parsedate_to_datetime(sent)
        return response

    def server_time(self) -> datetime:
        """The server's clock at its last answer; ours before the first."""
        return self._clock or datetime.now(UTC)

    def _rehosted(self, url: str) -> str:
        parts = urlsplit(url)
        if self._is_vendor(parts.hostname) and not self._is_vendor(self._base.hostname):
            return urlunsplit(parts._replace(scheme=self._base.scheme, netloc=self._base.netloc))
        if parts.netloc == self._base.netloc:
            return urlunsplit(parts._replace(scheme=self._base.scheme))
        return url

    def _is_vendor(self, host: str | None) -> bool:
        return host is not None and (host == self._vendor_domain or host.endswith(f".{self._vendor_domain}"))


def polite_session(transport: Transport) -> requests.Session:
    """Open a session all of whose requests go through `transport`."""
    session = requests.Session()
    session.mount("https://", transport)
    session.mount("http://", transport)
    return session
