"""Calls to the Dataverse Web API: headers, tokens, URLs that are too long, and errors in plain words.

Plain requests, because Microsoft's own client knows no change tracking and can swallow page errors. What is asked
for, and why, is in `source`.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

from connectors.budget import Budget
from connectors.dynamics.entra import Credentials, Tokens
from connectors.dynamics.exact import ExactTransport
from connectors.errors import ApiFailed, AuthenticationFailed, PlaceLost, Refused
from connectors.session import PoliteSession

MOST_URL = 30_000
"""Longer ones go into the body of a batch, where 65,536 characters are allowed: the web server refuses over 32,768.

A table of 900 columns needs that. Reading all columns instead would bring the private ones too; reading some columns
at a time would need a delta link for each part, and the parts of one row would be of different moments.
"""
BOUNDARY = "batch_attain"


class WebApi:
    """One environment's API, with one session."""

    def __init__(self, credentials: Credentials, budget: Budget) -> None:
        self.root = f"{credentials.url.rstrip('/')}/api/data/v9.2/"
        self.transport = ExactTransport(
            vendor_domain="dynamics.com", base_url=credentials.url, ca_bundle=credentials.ca_bundle
        )
        self._tokens = Tokens(credentials, budget)
        self._session = PoliteSession(self.transport, budget)
        self._session.hooks["response"].append(_unwrap)
        # the limits hold for each web server: without its cookie, calls are spread over all there are
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def json(self, name: str, url: str, *prefer: str) -> Mapping[str, Any]:
        """Get what a URL leads to; `name` is what messages call it.

        Raises:
            Refused: the application user may not see it.
            PlaceLost: the URL is a link that Dataverse no longer knows.

        """
        content = self._get(name, url, prefer)
        try:
            answer: Mapping[str, Any] = json.loads(content, parse_float=Decimal)
        except ValueError as error:
            raise ApiFailed(f"Dynamics answered with something else than JSON on {name}: {error}") from error
        return answer

    def number(self, name: str, url: str) -> int:
        """Get a plain number, such as a count."""
        text = self._get(name, url).decode("utf-8-sig")
        try:
            return int(text)
        except ValueError:
            raise ApiFailed(f"Dynamics answered {text[:100]!r} for a number on {name}") from None

    def pages(self, name: str, url: str, *prefer: str) -> Iterator[Mapping[str, Any]]:
        """Follow links from page to page, exactly as they came; only the absence of a link ends it."""
        followed: set[int] = set()
        link: str | None = url
        while link:
            if hash(link) in followed:
                raise ApiFailed(f"Dynamics repeats the same page of {name}: stopped, not looping ({link[:300]})")
            followed.add(hash(link))
            answer = self.json(name, link, *prefer)
            yield answer
            link = answer.get("@odata.nextLink")

    def _get(self, name: str, url: str, prefer: tuple[str, ...] = ()) -> bytes:
        token = self._tokens.get()
        try:
            response = self._send(url, prefer, token)
            if response.status_code == 401:  # taken back before its time
                response = self._send(url, prefer, self._tokens.renew(token))
        except requests.RequestException as error:
            raise ApiFailed(f"Dynamics failed on {name}: {error}") from error
        if not response.ok:
            raise _error(name, url, response)
        return response.content

    def _send(self, url: str, prefer: tuple[str, ...], token: str) -> requests.Response:
        headers = {
            "Accept": "application/json",
            "OData-Version": "4.0",
            "OData-MaxVersion": "4.0",
            "If-None-Match": "null",
        }
        if prefer:
            headers["Prefer"] = ",".join(prefer)
        bearer = {"Authorization": f"Bearer {token}"}
        if len(url) > MOST_URL:
            batch = requests.Request("POST", f"{self.root}$batch", headers=bearer | BATCH, data=_batch(url, headers))
            return self._session.send(self._session.prepare_request(batch))
        prepared = self._session.prepare_request(requests.Request("GET", self.root, headers=bearer | headers))
        prepared.url = url  # links must go back exactly as they came; requests would quote them anew
        return self._session.send(prepared)


BATCH = {
    "Accept": "application/json",
    "OData-Version": "4.0",
    "OData-MaxVersion": "4.0",
    "Content-Type": f"multipart/mixed; boundary={BOUNDARY}",
}


def _batch(url: str, headers: Mapping[str, str]) -> bytes:
    """A batch of one request."""
    parts = urlsplit(url)
    lines = [
        f"--{BOUNDARY}",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"GET {parts.path}?{parts.query} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        f"--{BOUNDARY}--",
        "",
    ]
    return "\r\n".join(lines).encode()


def _unwrap(response: requests.Response, **options: Any) -> None:
    """Put the answer in a batch in the place of the batch, so that everybody after this sees what it really says."""
    kind = response.headers.get("Content-Type", "")
    if response.status_code != 200 or not kind.startswith("multipart/mixed"):
        return
    boundary = kind.partition("boundary=")[2].strip('"')
    _, head, body = response.content.split(b"\r\n\r\n", 2)
    status, *headers = head.decode().split("\r\n")
    response.status_code = int(status.split()[1])
    response.headers.update(dict(header.split(": ", 1) for header in headers))
    response._content = body[: body.rindex(f"--{boundary}".encode())]


def _error(name: str, url: str, response: requests.Response) -> Exception:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = response.text[:300]
    is_link = "$skiptoken=" in url or "$deltatoken=" in url
    match response.status_code:
        case 401:
            return AuthenticationFailed(
                f"Dynamics does not accept the token: {message}. Check that the app is an application user."
            )
        case 403 | 404:
            return Refused(
                f"Dynamics does not show {name}: {message}. Give the application user a role that may read it."
            )
        case 400 | 410 if is_link:
            return PlaceLost(f"Dynamics no longer knows where the last read of {name} ended: {message}")
        case status:
            return ApiFailed(f"Dynamics failed on {name}: {status} {message}")
