"""Bulk API 2.0 query jobs: created, polled, their results fetched page by page, aborted, deleted.

Results are rendered once, to a file, as soon as a job is created; pages are pieces of that file.
"""

import asyncio
import base64
import secrets
from array import array
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any
from urllib.parse import quote
from weakref import finalize

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.salesforce.api import Paths, Refused, body, not_found, only, written
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.shape import record_id
from connectors.sandbox.salesforce.tables import NOT_IN_BULK
from connectors.sandbox.salesforce.values import csv_line, double_of
from connectors.sandbox.soql import Query, long_id, parse
from connectors.sandbox.store import ALL, LIVE, Store, timestamp
from connectors.sandbox.wire import JsonResponse, Number

DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
KNOWN = {"operation", "query", "contentType", "columnDelimiter", "lineEnding"}
POLL_SECONDS = 0.1
"""That an answer to a poll waits for a result, so that small ones take as few polls as they may."""
PAGES_AT_ONCE = 5
RESULTS_KEPT = 16
MARK = b"\xfb\xef\xff"
"""Begins every locator, so that it has the characters that clients forget to escape."""


class Result:
    """The rows of a query as CSV in a file without a name, and where in it each of them begins."""

    def __init__(self, store: Store, query: Query, operation: str, delimiter: str, ending: str) -> None:
        self._file: IO[bytes] = TemporaryFile()  # noqa: SIM115 - open as long as the result
        finalize(self, self._file.close)
        self._starts = array("Q", [0])
        self._lock = Lock()
        names = f'"{delimiter}"'.join(column.name for column in query.columns)
        self._add(f'"{names}"{ending}')
        pieces = csv_line(query.columns, delimiter, ending)
        numbers = [place for place, (_, is_number) in enumerate(pieces) if is_number]
        found = store.each(
            query.table.name,
            [expression for expression, _ in pieces],
            (ALL if operation == "queryAll" else LIVE) & query.where,
            order_by=query.order_by,
            limit=query.limit,
            offset=query.offset,
        )
        for row in found:
            cells = list(row)
            for place in numbers:
                cells[place] = double_of(cells[place]) if cells[place] is not None else ""
            self._add("".join(cells))

    def _add(self, line: str) -> None:
        encoded = line.encode()
        self._file.write(encoded)
        self._starts.append(self._starts[-1] + len(encoded))

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._starts) - 2  # the header's start, and the end

    def page(self, first: int, count: int) -> bytes:
        """The header and some of the rows."""
        begin, end = (self._starts[min(row, len(self)) + 1] for row in (first, first + count))
        with self._lock:
            self._file.seek(0)
            header = self._file.read(self._starts[1])
            self._file.seek(begin)
            return header + self._file.read(end - begin)


@dataclass
class Job:
    """A query job; its rows are those of the moment when it was created."""

    id: str
    operation: str
    object: str
    version: str
    created_at: datetime
    delimiter: str
    ending: str
    result: Future[Result]
    state: str = "UploadComplete"
    polls: int = 0
    error: str = ""


class BulkQueries:
    """Answers `jobs/query`. Attributes that are not private may be changed while it is served."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.polls = 2
        """Until a job is complete."""
        self.page = 50_000
        """Rows of a result when the client does not say."""
        self.links = "resultUrl"
        """What a link to a page is called in the answer of `resultPages`."""
        self.has_result_pages = True
        self.failure = ""
        """What the next job fails of."""
        self.jobs: dict[str, Job] = {}
        self.created = 0
        self._results: OrderedDict[tuple[str, ...], Future[Result]] = OrderedDict()
        self._renderer = ThreadPoolExecutor(1, "bulk")

    def paths(self) -> Paths:
        """What it answers."""
        jobs = "/jobs/query"
        return [
            (jobs, "POST", self._create),
            (jobs, "GET", self._list),
            (f"{jobs}/{{id}}", "GET", self._poll),
            (f"{jobs}/{{id}}", "PATCH", self._abort),
            (f"{jobs}/{{id}}", "DELETE", self._delete),
            (f"{jobs}/{{id}}/results", "GET", self._page_of_results),
            (f"{jobs}/{{id}}/resultPages", "GET", self._result_pages),
        ]

    async def _create(self, request: Request) -> Response:
        sent = await body(request)
        query = self._checked(sent)
        operation, text = sent["operation"], sent["query"]
        delimiter, ending = sent.get("columnDelimiter", "COMMA"), sent.get("lineEnding", "LF")
        self.created += 1
        job = Job(
            id=long_id(f"7505e{secrets.token_hex(5)}"),
            operation=operation,
            object=query.table.name.partition(".")[2],
            version=request.path_params["version"],
            created_at=self._org.store.clock(),
            delimiter=delimiter,
            ending=ending,
            result=self._rendered(query, operation, text, delimiter, ending),
            error=self.failure,
        )
        self.failure = ""
        self.jobs[job.id] = job
        return JsonResponse(self._info(job))

    def _checked(self, sent: dict[str, Any]) -> Query:
        if unknown := set(sent) - KNOWN:
            raise Refused(400, "JSON_PARSER_ERROR", f'Unrecognized field "{min(unknown)}"')
        if sent.get("operation") not in ("query", "queryAll"):
            raise Refused(400, "INVALIDENTITY", f"Unsupported operation: {sent.get('operation')}")
        if sent.get("contentType", "CSV") != "CSV" or sent.get("columnDelimiter", "COMMA") not in DELIMITERS:
            raise Refused(400, "INVALIDENTITY", "Unsupported contentType or columnDelimiter")
        if sent.get("lineEnding", "LF") not in LINE_ENDINGS:
            raise Refused(400, "INVALIDENTITY", f"Unsupported lineEnding: {sent['lineEnding']}")
        query = parse(str(sent.get("query") or ""), self._org.visible())
        if query.is_count or query.aggregates:
            raise Refused(400, "FUNCTIONALITY_NOT_ENABLED", "Aggregate Relationships not supported in Bulk Query")
        if any(column.type == "address" for column in query.columns):
            raise Refused(400, "FUNCTIONALITY_NOT_ENABLED", "Selecting compound data not supported in Bulk Query")
        object = query.table.name.partition(".")[2]
        if object in NOT_IN_BULK:
            raise Refused(400, "INVALIDENTITY", f"Entity '{object}' is not supported by the Bulk API.")
        return query

    def _rendered(self, query: Query, operation: str, text: str, delimiter: str, ending: str) -> Future[Result]:
        """The result of a query, rendered once as long as nothing is written to the store."""
        store = self._org.store
        key = (text, operation, delimiter, ending, str(store.version))
        if key not in self._results:
            self._results[key] = self._renderer.submit(
                Result, store, query, operation, DELIMITERS[delimiter], LINE_ENDINGS[ending]
            )
            if len(self._results) > RESULTS_KEPT:
                self._results.popitem(last=False)
        return self._results[key]

    def _job(self, request: Request) -> Job:
        job = self.jobs.get(long_id(request.path_params["id"]))
        if job is None:
            raise not_found()
        return job

    def _info(self, job: Job) -> dict[str, Any]:
        created = written(timestamp(job.created_at.replace(microsecond=0)))
        info: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": record_id("User", "integration"),
            "createdDate": created,
            "systemModstamp": created,
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": Number(job.version),
            "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
        }
        if job.polls:
            info |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": len(job.result.result()) if job.state == "JobComplete" else 0,
                "retries": 0,
                "totalProcessingTime": 100 * job.polls,
            }
        return info | ({"errorMessage": job.error} if job.state == "Failed" else {})

    async def _list(self, request: Request) -> Response:
        jobs = [self._info(job) for job in self.jobs.values()]
        return JsonResponse({"done": True, "records": jobs, "nextRecordsUrl": None})

    async def _poll(self, request: Request) -> Response:
        job = self._job(request)
        job.polls += 1
        if job.state in ("UploadComplete", "InProgress"):
            job.state = "InProgress"
            await asyncio.wait([asyncio.wrap_future(job.result)], timeout=POLL_SECONDS)
            if job.polls >= self.polls and job.result.done():
                job.state = "Failed" if job.error else "JobComplete"
        return JsonResponse(self._info(job))

    async def _abort(self, request: Request) -> Response:
        job = self._job(request)
        if await body(request) != {"state": "Aborted"}:
            raise Refused(400, "INVALIDJOBSTATE", "Only state Aborted is allowed")
        if job.state not in ("UploadComplete", "InProgress"):
            raise Refused(400, "INVALIDJOBSTATE", f"Aborting already {job.state} Job not allowed")
        job.state = "Aborted"
        return JsonResponse(self._info(job))

    async def _delete(self, request: Request) -> Response:
        job = self._job(request)
        if job.state in ("UploadComplete", "InProgress"):
            raise Refused(400, "INVALIDJOBSTATE", f"Deleting {job.state} Job not allowed")
        del self.jobs[job.id]
        return Response(status_code=204)

    async def _page_of_results(self, request: Request) -> Response:
        only(request, "locator", "maxRecords")
        job, start = self._complete(request)
        most = request.query_params.get("maxRecords", str(self.page))
        rows = job.result.result()
        if start > len(rows) or not most.isdigit() or int(most) < 1:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator or maxRecords")
        end = min(start + int(most), len(rows))
        return Response(
            rows.page(start, int(most)),
            media_type="text/csv",
            headers={
                "Sforce-NumberOfRecords": str(end - start),
                "Sforce-Locator": _locator(end) if end < len(rows) else "null",
            },
        )

    async def _result_pages(self, request: Request) -> Response:
        if not self.has_result_pages:
            raise not_found()
        only(request, "locator")
        job, start = self._complete(request)
        base = f"/services/data/v{job.version}/jobs/query/{job.id}"
        starts = list(range(start, max(len(job.result.result()), 1), self.page))
        links = [f"{base}/results" + (f"?locator={_quoted(page)}" if page else "") for page in starts[:PAGES_AT_ONCE]]
        rest = starts[PAGES_AT_ONCE:]
        return JsonResponse(
            {
                "resultPages": [{self.links: link} for link in links],
                "nextRecordsUrl": f"{base}/resultPages?locator={_quoted(rest[0])}" if rest else None,
                "done": not rest,
            }
        )

    def _complete(self, request: Request) -> tuple[Job, int]:
        """A job whose results can be had, and the row that its locator points at."""
        job = self._job(request)
        if request.path_params["version"] != job.version:
            raise Refused(409, "API_VERSION_MISMATCH", f"The job was created with API version {job.version}")
        if job.state != "JobComplete":
            raise Refused(400, "INVALIDJOBSTATE", f"Job results are not available in state {job.state}")
        start = _located(request.query_params.get("locator"))
        if start is None:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return job, start


def _locator(row: int) -> str:
    return base64.b64encode(MARK + str(row).encode() + b" ").decode()


def _quoted(row: int) -> str:
    return quote(_locator(row), safe="")


def _located(locator: str | None) -> int | None:
    """The row that a locator points at: 0 without one, None if it is not one of ours."""
    if locator is None:
        return 0
    try:
        text = base64.b64decode(locator, validate=True)
        return int(text.removeprefix(MARK)) if text.startswith(MARK) else None
    except ValueError:
        return None
