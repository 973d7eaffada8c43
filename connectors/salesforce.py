"""Salesforce: what is read from it, and how.

simple-salesforce does session, describe and REST; Bulk API 2.0 results are streamed here, because the library decodes
whole result pages in memory, freezes the session and never checks the row count.
"""

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from io import TextIOWrapper
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from jwt.exceptions import PyJWTError
from more_itertools import batched
from simple_salesforce.api import Salesforce as Client
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceExpiredSession,
    SalesforceResourceNotFound,
)

from connectors.errors import ApiFailed, AuthenticationFailed, IncompleteRead, Refused
from connectors.session import Transport, polite_session
from connectors.stream import Checkpoint, Count, Page, Record, State, Stream, fields

API_VERSION = "64.0"
REST_ROWS = 2_000
"""Up to here one REST query costs fewer calls than a Bulk job."""
BULK_ROWS = 50_000
"""Rows of one bulk result page, which is fetched to disk as one piece."""
SLICE_ROWS = 250_000
"""A larger window is cut in two, so that a killed backfill loses at most one slice."""
OVERLAP = timedelta(minutes=10)
"""How far behind its watermark an incremental read starts: rows can show up minutes after the stamp they carry."""
FOUNDED = datetime(1999, 1, 1, tzinfo=UTC)
JOB_PATIENCE_SECONDS = 4 * 3600

STREAMS = (
    Stream(
        name="users",
        object="User",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id Username Email Name ManagerId UserRoleId Department Division Title UserType",
            boolean="IsActive",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"ManagerId": "users"},
        required=("Name", "Email"),
    ),
    Stream(
        name="accounts",
        object="Account",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id Name Type ParentId OwnerId Industry BillingCountry Website MasterRecordId CurrencyIsoCode",
            decimal="AnnualRevenue NumberOfEmployees",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"ParentId": "accounts", "OwnerId": "users"},
        required=("Name",),
    ),
    Stream(
        name="contacts",
        object="Contact",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id AccountId OwnerId FirstName LastName Email Phone Title MasterRecordId",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OwnerId": "users"},
    ),
    Stream(
        name="leads",
        object="Lead",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id OwnerId FirstName LastName Company Email Status LeadSource Country"
            " ConvertedAccountId ConvertedContactId ConvertedOpportunityId MasterRecordId",
            date="ConvertedDate",
            boolean="IsConverted IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OwnerId": "users", "ConvertedOpportunityId": "opportunities"},
        required=("Status", "IsConverted"),
    ),
    Stream(
        name="opportunities",
        object="Opportunity",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id Name AccountId OwnerId StageName Type LeadSource ForecastCategoryName CurrencyIsoCode",
            decimal="Amount Probability",
            date="CloseDate",
            boolean="IsClosed IsWon IsDeleted",
            timestamp="LastStageChangeDate CreatedDate LastModifiedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OwnerId": "users"},
        required=("OwnerId", "StageName", "Amount", "CloseDate", "IsClosed", "IsWon"),
    ),
    Stream(
        name="opportunity_stages",
        object="OpportunityStage",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id MasterLabel ApiName ForecastCategoryName",
            decimal="SortOrder DefaultProbability",
            boolean="IsActive IsClosed IsWon",
            timestamp="SystemModstamp",
        ),
    ),
    Stream(
        name="products",
        object="Product2",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id Name ProductCode Family",
            boolean="IsActive IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        required=("Name",),
    ),
    Stream(
        name="opportunity_line_items",
        object="OpportunityLineItem",
        key="Id",
        cursor="SystemModstamp",
        fields=fields(
            text="Id OpportunityId Product2Id",
            decimal="Quantity UnitPrice TotalPrice",
            date="ServiceDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OpportunityId": "opportunities", "Product2Id": "products"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one org; the secret is for client credentials, user and key file for JWT bearer."""

    url: str
    client_id: str
    client_secret: str | None = None
    username: str | None = None
    private_key_file: str | None = None
    ca_bundle: str | None = None


class Salesforce:
    """One Salesforce org, ready to be read."""

    crm = "salesforce"

    def __init__(self, credentials: Credentials) -> None:
        self._transport = Transport(
            vendor_domain="salesforce.com", base_url=credentials.url, ca_bundle=credentials.ca_bundle
        )
        self._client = _log_in(credentials, polite_session(self._transport))
        self._field_names = cache(self._describe)

    def missing_fields(self, stream: Stream) -> Sequence[str]:
        """Declared fields that the org does not have or the integration user may not see."""
        return [name for name in stream.fields if name not in self._field_names(stream)]

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Ask the org how many live records there are, and how many records changed `since`."""
        everything, changed = Window(None, None, 0), Window(since, None, 0)
        return Count(
            rows=self._count(self._soql("COUNT()", stream, everything), stream, include_deleted=False),
            slack=self._count(self._soql("COUNT()", stream, changed), stream, include_deleted=True),
        )

    def server_time(self) -> datetime:
        """The org's clock at its last answer."""
        return self._transport.server_time()

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`, deleted records included, one time slice after the other.

        Within a slice rows come in no particular order, so the watermark moves only when the slice is whole.
        """
        now = self.server_time()
        since = datetime.fromisoformat(state["watermark"]) if state else None
        is_complete = state.get("backfilling", True)
        newest = since or FOUNDED
        for window in self._slices(stream, since - OVERLAP if since else None, now):
            for page in self._records(stream, window):
                newest = max([newest, *(_instant(row[str(stream.cursor)]) for row in page)])
                yield Page(page)
            watermark = min(newest, now) if window.end is None else window.end
            yield Checkpoint(
                state={
                    "watermark": watermark.isoformat(),
                    "backfilling": is_complete and window.end is not None,
                },
                is_last=window.end is None,
                is_complete=is_complete and window.end is None,
            )

    def _slices(self, stream: Stream, start: datetime | None, now: datetime) -> Iterator["Window"]:
        """Cut the time from `start` on into windows of at most SLICE_ROWS rows; the last has no end."""
        pending = [Window(start, None, 0)]
        while pending:
            window = pending.pop()
            rows = self._count(self._soql("COUNT()", stream, window), stream, include_deleted=True)
            middle = window.middle(now)
            if rows <= SLICE_ROWS or middle is None:
                yield Window(window.start, window.end, rows)
            else:
                pending += [Window(middle, window.end, 0), Window(window.start, middle, 0)]

    def _records(self, stream: Stream, window: "Window") -> Iterator[list[Record]]:
        names = [name for name in stream.fields if name in self._field_names(stream)]
        soql = self._soql(", ".join(names), stream, window)
        pages = self._rest(soql, stream) if window.rows <= REST_ROWS else self._bulk(soql, names, stream)
        for page in pages:
            yield [{**row, "_deleted": row.get("IsDeleted") in (True, "true")} for row in page]

    def _soql(self, what: str, stream: Stream, window: "Window") -> str:
        bounds = [
            f"{stream.cursor} {operator} {instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            for operator, instant in ((">=", window.start), ("<", window.end))
            if instant
        ]
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        return f"SELECT {what} FROM {stream.object}{where}"

    def _count(self, soql: str, stream: Stream, *, include_deleted: bool) -> int:
        with _named_errors(stream):
            return int(self._client.query(soql, include_deleted=include_deleted)["totalSize"])

    def _rest(self, soql: str, stream: Stream) -> Iterator[Sequence[Record]]:
        with _named_errors(stream):
            answer, link = self._client.query(soql, include_deleted=True), ""
            yield answer["records"]
            while not answer["done"]:
                _must_advance(stream, link, answer["nextRecordsUrl"])
                link = answer["nextRecordsUrl"]
                answer = self._client.query_more(link, identifier_is_url=True)
                yield answer["records"]

    def _describe(self, stream: Stream) -> frozenset[str]:
        with _named_errors(stream):
            description: Mapping[str, Any] = getattr(self._client, stream.object).describe()
        return frozenset(field["name"] for field in description["fields"])

    def _bulk(self, soql: str, names: Sequence[str], stream: Stream) -> Iterator[Sequence[Record]]:
        with _named_errors(stream):
            job = self._job("jobs/query", method="POST", json={"operation": "queryAll", "query": soql})
            path = f"jobs/query/{job['id']}"
            try:
                self._await_job(path, stream)
                locator = ""
                while locator != "null":
                    with TemporaryFile() as body:
                        headers = self._download(f"{path}/results", locator, body)
                        rows = _csv_rows(body, names, stream)
                        yield from _counted(batched(rows, REST_ROWS), headers["Sforce-NumberOfRecords"], stream)
                    following = headers.get("Sforce-Locator") or "null"
                    _must_advance(stream, locator, following)
                    locator = following
            finally:
                with suppress(requests.RequestException):  # Salesforce itself clears away what is left over
                    self._client.session.delete(self._client.base_url + path, headers=self._client.headers)

    def _job(self, path: str, **request: Any) -> Mapping[str, Any]:
        job: Mapping[str, Any] = self._client.restful(path, **request) or {}
        return job

    def _await_job(self, path: str, stream: Stream) -> None:
        pause, deadline = 0.2, monotonic() + JOB_PATIENCE_SECONDS
        while (job := self._job(path))["state"] != "JobComplete":
            if job["state"] in ("Failed", "Aborted") or monotonic() > deadline:
                reason = job.get("errorMessage") or job["state"]
                raise ApiFailed(f"Salesforce bulk query of {stream.object} did not complete: {reason}")
            sleep(pause)
            pause = min(pause * 2, 10)

    def _download(self, path: str, locator: str, body: IO[bytes]) -> Mapping[str, str]:
        """Fetch one result page to disk, as often as it takes to get it whole; a locator can be asked for again."""
        params = {"maxRecords": str(BULK_ROWS)} | ({"locator": locator} if locator else {})
        for attempt in range(5):
            body.seek(0)
            body.truncate()
            response = self._client.session.get(
                self._client.base_url + path,
                params=params,
                headers={**self._client.headers, "Accept": "text/csv"},
                stream=True,
            )
            with response:
                if response.status_code == 401:
                    self._client.limits()  # the library renews the session it finds expired
                    continue
                if not response.ok:
                    raise ApiFailed(f"Salesforce refused bulk results: {response.status_code} {response.text[:500]}")
                try:
                    for chunk in response.iter_content(1 << 20):
                        body.write(chunk)
                except requests.RequestException:
                    sleep(2**attempt / 4)
                    continue
            body.seek(0)
            return response.headers
        raise ApiFailed(f"Salesforce broke off the bulk results {path} five times")


@dataclass(frozen=True)
class Window:
    """Half-open span of cursor time and the rows in it; without an end it reaches to whatever is newest."""

    start: datetime | None
    end: datetime | None
    rows: int

    def middle(self, now: datetime) -> datetime | None:
        """Where to cut the window in two, on a whole second; None if it is too short to cut."""
        start, end = self.start or FOUNDED, self.end or now
        middle = (start + (end - start) / 2).replace(microsecond=0)
        return middle if start < middle < end else None


def _log_in(credentials: Credentials, session: requests.Session) -> Client:
    host = str(urlsplit(credentials.url).hostname)
    domain = host.removesuffix(".salesforce.com") if host.endswith(".salesforce.com") else "attain.my"
    login: dict[str, Any] = {"consumer_key": credentials.client_id}
    if credentials.client_secret:
        login |= {"consumer_secret": credentials.client_secret, "domain": domain}
    else:
        audience = "test" if ".sandbox." in host else "login"
        login |= {
            "username": credentials.username,
            "privatekey_file": credentials.private_key_file,
            "domain": audience,
            "instance_url": domain,
        }
    try:
        return Client(**login, session=session, version=API_VERSION, parse_float=Decimal)
    except SalesforceAuthenticationFailed as error:
        if isinstance(error.code, int):  # the status of an answer that is no JSON, and so not from the login
            raise ApiFailed(f"Salesforce at {credentials.url} cannot be reached: {error}") from error
        raise AuthenticationFailed(
            f"Salesforce at {credentials.url} does not accept the credentials: {error}. Check SALESFORCE_CLIENT_ID and "
            "SALESFORCE_CLIENT_SECRET (or SALESFORCE_USERNAME and the key), and that the app may use this flow."
        ) from error
    except requests.RequestException as error:
        raise ApiFailed(f"Salesforce at {credentials.url} cannot be reached: {error}") from error
    except (OSError, ValueError, PyJWTError) as error:
        raise AuthenticationFailed(
            f"The key file of Salesforce cannot be used: {error}. Check SALESFORCE_PRIVATE_KEY_FILE."
        ) from error


@contextmanager
def _named_errors(stream: Stream) -> Iterator[None]:
    """Turn the library's errors into ours, naming the object."""
    try:
        yield
    except (SalesforceAuthenticationFailed, SalesforceExpiredSession) as error:
        raise AuthenticationFailed(
            f"Salesforce ended the session and gives no other: {error}. Check SALESFORCE_CLIENT_ID and its app."
        ) from error
    except (SalesforceError, requests.RequestException, KeyError) as error:  # KeyError: not the answer it should be
        if isinstance(error, SalesforceResourceNotFound) or "INVALID_TYPE" in str(error):
            raise Refused(
                f"Salesforce does not show the object {stream.object}: grant the integration user read access ({error})"
            ) from error
        raise ApiFailed(f"Salesforce failed on {stream.object}: {error}") from error


def _csv_rows(body: IO[bytes], names: Sequence[str], stream: Stream) -> Iterator[Record]:
    csv.field_size_limit(sys.maxsize)
    with TextIOWrapper(body, encoding="utf-8", newline="") as text:
        lines = csv.reader(text, strict=True)
        try:
            for number, cells in enumerate(lines, start=1):
                if number == 1 and cells == list(names):
                    continue
                if len(cells) != len(names):
                    raise IncompleteRead(
                        f"Salesforce {stream.object}: row {number} of a bulk result (line {lines.line_num}) has"
                        f" {len(cells)} cells, {len(names)} were asked for"
                    )
                yield dict(zip(names, cells, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise IncompleteRead(
                f"Salesforce {stream.object}: line {lines.line_num} of a bulk result is broken: {error}"
            ) from error


def _counted(pages: Iterator[tuple[Record, ...]], announced: str, stream: Stream) -> Iterator[tuple[Record, ...]]:
    rows = 0
    for page in pages:
        rows += len(page)
        yield page
    if str(rows) != announced:
        raise IncompleteRead(f"Salesforce {stream.object}: a bulk result holds {rows} rows, {announced} were announced")


def _must_advance(stream: Stream, previous: str, following: str) -> None:
    if following == previous:
        raise ApiFailed(f"Salesforce repeats the same page of {stream.object}: stopped, not looping")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
