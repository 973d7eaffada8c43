"""Bulk API 2.0 queries: a job, its result pages fetched side by side, parsed into tables without touching a row.

simple-salesforce does not do this part: it decodes whole pages in memory, never checks how many rows came, knows
neither queryAll nor parallel pages, and leaves jobs behind.
"""

import csv
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile
from time import monotonic, sleep
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import requests
from more_itertools import spy
from simple_salesforce.api import Salesforce as Client
from simple_salesforce.exceptions import SalesforceResourceNotFound
from simple_salesforce.util import exception_handler
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from connectors import session
from connectors.errors import ApiFailed, ConnectorError, IncompleteRead
from connectors.salesforce.errors import meaning, named_errors
from connectors.stream import Stream

PAGE_ROWS = 25_000
PAGE_CELLS = 750_000
"""A result page of a wide object has fewer rows, so that pages stay small."""
PAGES_AHEAD = 1
"""Pages that are fetched while one is written."""
IN_MEMORY = 64 << 20
"""A page larger than this waits on disk."""
BLOCK = 1 << 20
"""Bytes that are parsed at a time."""
LARGE_BLOCK = 32 << 20
"""The same where a single record is larger; longer than any that Salesforce holds."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 10
SLOWDOWN = 3
"""Small jobs are done at once, and large ones should not cost many of the day's calls."""
JOB_PATIENCE_SECONDS = 4 * 3600
TERMINAL = ("JobComplete", "Failed", "Aborted")


@dataclass(frozen=True)
class _Page:
    tables: Iterable[pa.Table]
    following: str | None
    """Locator of the next page."""


class Job:
    """A query that the org works on from the moment this is made; `discard` it when it is no longer needed."""

    def __init__(
        self, client: Client, stream: Stream, soql: str, names: Sequence[str], *, include_deleted: bool = True
    ) -> None:
        self._client, self._stream, self._names = client, stream, names
        self._info: Any
        self._page_rows = min(PAGE_ROWS, PAGE_CELLS // len(names))
        query = {"operation": "queryAll" if include_deleted else "query", "query": soql}
        with named_errors(stream):
            self._info = client.restful("jobs/query", method="POST", json=query)
            self._path = f"jobs/query/{self._info['id']}"

    def tables(self) -> Iterator[pa.Table]:
        """All rows, once the org has them; fewer than it announced are an error, and then none of them count."""
        with named_errors(self._stream):
            announced, arrived = self._await(), 0
            if not announced:
                return
            with ThreadPoolExecutor(PAGES_AHEAD, "bulk") as pool:
                try:
                    for page in self._pages(pool, announced):
                        for table in page.tables:
                            arrived += table.num_rows
                            yield table
                finally:
                    pool.shutdown(cancel_futures=True)
        if arrived != announced:
            raise IncompleteRead(
                f"Salesforce {self._stream.object}: a bulk query brought {arrived} rows, {announced} were announced"
            )

    def discard(self) -> None:
        """Delete the job; what is left over, Salesforce itself clears away."""
        with suppress(requests.RequestException, ConnectorError):
            if self._info["state"] not in TERMINAL:
                self._send("PATCH", json={"state": "Aborted"})
            self._send("DELETE")

    def _send(self, method: str, **request: Any) -> None:
        self._client.session.request(method, self._client.base_url + self._path, **request)

    def _await(self) -> int:
        """The number of rows that the job found."""
        pause, deadline = FIRST_PAUSE_SECONDS, monotonic() + JOB_PATIENCE_SECONDS
        while True:
            self._info = self._client.restful(self._path)
            state = self._info["state"]
            if state == "JobComplete":
                return int(self._info["numberRecordsProcessed"])
            if state in TERMINAL or monotonic() > deadline:
                raise meaning(
                    self._stream, f"its bulk query did not complete: {self._info.get('errorMessage') or state}"
                )
            sleep(pause)
            pause = min(pause * SLOWDOWN, LONGEST_PAUSE_SECONDS)

    # pages

    def _pages(self, pool: ThreadPoolExecutor, rows: int) -> Iterator[_Page]:
        links = self._links() if rows > self._page_rows else None
        if links is None:
            yield from self._chained(pool)
            return
        waiting: deque[Future[_Page]] = deque()
        for link in links:
            waiting.append(pool.submit(self._page, link))
            if len(waiting) > PAGES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _links(self) -> Iterator[str] | None:
        """Links to all pages, so that they can be fetched side by side; None from an org that does not give them."""
        try:
            answer: Any = self._client.restful(f"{self._path}/resultPages")
        except SalesforceResourceNotFound:
            return None
        return self._all_links(answer)

    def _all_links(self, answer: Any) -> Iterator[str]:
        known = set()
        while True:
            for entry in answer["resultPages"]:
                yield self._absolute(entry.get("resultUrl") or entry["resultLink"])
            following = answer.get("nextRecordsUrl") or answer.get("nextRecordUrl")
            if not following:
                return
            if following in known:
                raise ApiFailed(f"Salesforce repeats the same page of {self._stream.object}: stopped, not looping")
            known.add(following)
            answer = self._client.restful(self._absolute(following).removeprefix(self._client.base_url))

    def _absolute(self, link: str) -> str:
        """A link, which may be a path from the root or one below the API's version."""
        _, found, path = link.rpartition("/jobs/query/")
        return f"{self._client.base_url}jobs/query/{path}" if found else self._client.base_url + link.lstrip("/")

    def _chained(self, pool: ThreadPoolExecutor) -> Iterator[_Page]:
        """Pages whose locators are only known from the page before; the next comes while one is being used."""
        url, locator, most = f"{self._client.base_url}{self._path}/results", None, str(self._page_rows)
        coming: Future[_Page] | None = pool.submit(self._page, url, maxRecords=most)
        while coming:
            page, coming = coming.result(), None
            if page.following:
                if page.following == locator:
                    raise ApiFailed(f"Salesforce repeats the same page of {self._stream.object}: stopped, not looping")
                locator = page.following
                coming = pool.submit(self._page, url, maxRecords=most, locator=locator)
            yield page

    def _page(self, url: str, **params: str) -> _Page:
        """Fetch a page, as often as it takes to get it whole: a locator can be asked for again."""
        body, headers = Retrying(
            retry=retry_if_exception_type(session.LINE_BROKEN),
            wait=wait_exponential(session.BACKOFF_SECONDS),
            stop=stop_after_attempt(session.ATTEMPTS),
            reraise=True,
        )(self._download, url, params)
        locator = headers.get("Sforce-Locator", "null")
        tables = self._checked(body, headers.get("Sforce-NumberOfRecords", "not said how many"))
        following = None if locator == "null" else locator
        if _size(body) > IN_MEMORY:
            return _Page(spy(tables)[1], following)  # begun, so that it closes the file also if nobody goes on
        return _Page(list(tables), following)

    def _download(self, url: str, params: dict[str, str]) -> tuple[IO[bytes], Any]:
        body: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed when it has been parsed
        headers = {"Accept": "text/csv"}
        try:
            with self._client.session.get(url, params=params, headers=headers, stream=True) as response:
                if not response.ok:
                    exception_handler(response, self._path)
                for chunk in response.iter_content(BLOCK):
                    body.write(chunk)
        except BaseException:
            body.close()
            raise
        return body, response.headers

    def _checked(self, body: IO[bytes], announced: str) -> Iterator[pa.Table]:
        rows = 0
        with body:
            for table in _parsed(body, self._names, self._stream):
                rows += table.num_rows
                yield table
        if str(rows) != announced:
            raise IncompleteRead(
                f"Salesforce {self._stream.object}: a bulk result holds {rows} rows, {announced} were announced"
            )


def _size(body: IO[bytes]) -> int:
    return body.seek(0, 2)


def _parsed(body: IO[bytes], names: Sequence[str], stream: Stream) -> Iterator[pa.Table]:
    """The rows of a result: all columns text, nothing guessed, null only where nothing is between the quotes."""
    size = _size(body)
    body.seek(0)
    header = body.readline()
    columns = header.decode(errors="replace").strip().replace('"', "").split(",")
    if sorted(columns) != sorted(names):  # some answers begin with the first record
        columns, header = list(names), b""
    if size == len(header):
        return
    try:
        yield from _tables(body, len(header), columns, BLOCK if size <= IN_MEMORY else LARGE_BLOCK)
    except pa.ArrowInvalid as error:
        raise IncompleteRead(f"Salesforce {stream.object}: {_problem(body, columns) or error}") from error
    body.seek(size - 2)
    if not body.read().endswith(b"\n"):
        raise IncompleteRead(f"Salesforce {stream.object}: a bulk result is broken: its last row does not end")


def _tables(body: IO[bytes], start: int, columns: Sequence[str], block: int) -> Iterator[pa.Table]:
    body.seek(start)
    tables = _blocks(body, columns, block)
    if block == LARGE_BLOCK:
        yield from tables
        return
    try:
        whole = pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
        yield from _tables(body, start, columns, LARGE_BLOCK)
    else:
        yield whole


def _blocks(body: IO[bytes], columns: Sequence[str], block: int) -> Iterator[pa.Table]:
    reader = pyarrow.csv.open_csv(
        body,
        read_options=pyarrow.csv.ReadOptions(column_names=list(columns), block_size=block),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    for batch in reader:
        table = pa.Table.from_batches([batch])
        yield table.append_column("_deleted", table["IsDeleted"]) if "IsDeleted" in columns else table


def _problem(body: IO[bytes], columns: Sequence[str]) -> str | None:
    """Where a result that cannot be parsed breaks off, for people."""
    csv.field_size_limit(sys.maxsize)
    body.seek(0)
    lines = csv.reader(TextIOWrapper(body, encoding="utf-8", newline=""), strict=True)
    try:
        for number, cells in enumerate(lines, start=1):
            if len(cells) != len(columns):
                return (
                    f"row {number} of a bulk result (line {lines.line_num}) has {len(cells)} cells,"
                    f" {len(columns)} were asked for"
                )
    except (csv.Error, UnicodeDecodeError) as error:
        return f"line {lines.line_num} of a bulk result is broken: {error}"
    return None
