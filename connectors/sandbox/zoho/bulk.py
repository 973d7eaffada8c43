"""Zoho CRM's bulk read: jobs that write up to 200,000 rows of a module into a zipped CSV file.

Single records and queries are in `records`.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.store import LIVE, Column, Row, Where
from connectors.sandbox.wire import JsonResponse
from connectors.sandbox.zoho.look import csv_row, instant, moment
from connectors.sandbox.zoho.org import Org, parameters
from connectors.sandbox.zoho.records import CONVERTED
from connectors.sandbox.zoho.refusals import Refused, expired_page, invalid_data
from connectors.sandbox.zoho.rows import record_id
from connectors.sandbox.zoho.tables import Module

BASE = "/crm/bulk/v8/read"
CREDITS = 50
ROWS_AT_ONCE = 5_000
COMPARATORS = {
    "equal": "=",
    "not_equal": "is not",
    "greater_than": ">",
    "greater_equal": ">=",
    "less_than": "<",
    "less_equal": "<=",
}


@dataclass(kw_only=True)
class _Job:
    """A job, and how often somebody has asked for it."""

    id: str
    module: Module
    columns: list[Column]
    where: Where
    page: int
    created_at: datetime
    polls: int = 0
    page_token: str | None = None
    result: Mapping[str, Any] | None = None
    file: bytes = b""


class Bulk:
    """The bulk API of one organisation."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = org.store
        self._jobs: dict[str, _Job] = {}
        self._tokens: dict[str, str] = {}
        """Page token to the id after which the page begins."""
        self.page_rows = 200_000
        self.polls = 1
        """How often a job is found unfinished before it is completed."""
        self.is_failing = False
        """Whether jobs end in a failure."""

    def routes(self) -> list[Route]:
        """Everything it answers."""
        return [
            Route(BASE, self._create, methods=["POST"]),
            Route(BASE + "/{id}", self._status, methods=["GET"]),
            Route(BASE + "/{id}/result", self._result, methods=["GET"]),
        ]

    def forget_tokens(self) -> None:
        """Let all page tokens expire."""
        self._tokens.clear()

    async def _create(self, request: Request) -> Response:
        parameters(request)
        job = self._job(await _query(request))
        self._jobs[job.id] = job
        details = {
            "id": job.id,
            "operation": "read",
            "state": "ADDED",
            "created_by": {"id": "4000000000000000001", "name": "Integration"},
            "created_time": moment(job.created_at.isoformat()),
        }
        added = {
            "status": "success",
            "code": "ADDED_SUCCESSFULLY",
            "message": "Added successfully.",
            "details": details,
        }
        return JsonResponse({"data": [added], "info": {}}, status_code=201)

    def _job(self, query: Mapping[str, Any]) -> _Job:
        unknown = set(query) - {"module", "fields", "criteria", "page", "page_token", "cvid"}
        if unknown or not isinstance(query.get("module"), dict) or "api_name" not in query["module"]:
            raise invalid_data("query", "module as an object, fields, criteria, page or page_token")
        if "page" in query and "page_token" in query:
            raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "page and page_token cannot be used together")
        token = query.get("page_token")
        if token is not None and token not in self._tokens:
            raise expired_page()
        module = self._org.module(query["module"]["api_name"])
        if not module.has_bulk:
            raise Refused(400, "MODULE_NOT_SUPPORTED", "The module is not supported", {"module": module.name})
        seen = self._org.columns(module)
        names = query.get("fields") or [name for name in seen if seen[name].type != "subform"]
        for name in names:
            if name not in seen or seen[name].type == "subform":
                raise invalid_data("fields", f"not {name}")
        where = LIVE & CONVERTED["false"] if module.name == "Leads" else LIVE
        if "criteria" in query:
            where &= _criteria(seen, query["criteria"])
        return _Job(
            id=record_id("bulk", str(len(self._jobs))),
            module=module,
            columns=[seen[name] for name in dict.fromkeys(names)],
            where=where,
            page=query.get("page", 1),
            page_token=token,
            created_at=self._store.clock(),
        )

    async def _status(self, request: Request) -> Response:
        parameters(request)
        job = self._found(request)
        job.polls += 1
        is_done = job.polls > self.polls
        state = ("FAILURE" if self.is_failing else "COMPLETED") if is_done else "IN PROGRESS"
        if state == "COMPLETED" and job.result is None:
            self._run(job)
        shown: dict[str, Any] = {
            "id": job.id,
            "operation": "read",
            "state": state,
            "query": {"module": {"api_name": job.module.name}, "page": job.page},
            "file_type": "csv",
        }
        if state == "COMPLETED":
            shown["result"] = job.result
        if state == "FAILURE":
            shown["result"] = {"error_message": {"code": "INTERNAL_ERROR", "message": "Internal server error"}}
        return JsonResponse({"data": [shown], "info": {}})

    async def _result(self, request: Request) -> Response:
        parameters(request)
        job = self._found(request)
        if job.result is None:
            raise Refused(400, "INVALID_DATA", "the job is not completed", {"id": job.id})
        headers = {"Content-Disposition": f"attachment; filename={job.id}.zip"}
        return Response(job.file, media_type="application/x-download", headers=headers)

    def _found(self, request: Request) -> _Job:
        try:
            return self._jobs[request.path_params["id"]]
        except KeyError:
            raise Refused(404, "RESOURCE_NOT_FOUND", "The requested resource doesn't exist.") from None

    def _run(self, job: _Job) -> None:
        table = job.module.table.name
        after = self._tokens[job.page_token] if job.page_token else self._first(job)
        rest = job.where & Where('"id" > ?', (after,))
        total = self._store.count(table, rest)
        rows = min(total, self.page_rows)
        job.file, last = self._zip(job, rest, rows)
        token = None
        if total > rows:
            token = f"{job.id}{last}"
            self._tokens[token] = last
        job.result = {
            "page": job.page,
            "count": rows,
            "download_url": f"{BASE}/{job.id}/result",
            "per_page": self.page_rows,
            "more_records": total > rows,
            "next_page_token": token,
        }

    def _first(self, job: _Job) -> str:
        """The id before a page that is asked for by its number."""
        skipped = (job.page - 1) * self.page_rows
        if not skipped:
            return ""
        rows = self._store.find(job.module.table.name, job.where, order_by='"id"', limit=1, offset=skipped - 1)
        return rows[0]["id"] if rows else "~"

    def _zip(self, job: _Job, where: Where, count: int) -> tuple[bytes, str]:
        last, file = "", io.BytesIO()
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(f"{job.id}.csv", "w", force_zip64=True) as entry,
        ):
            text = io.TextIOWrapper(entry, encoding="utf-8", newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow([column.name for column in job.columns])
            for row in self._rows(job.module.table.name, where, count):
                writer.writerow(csv_row(job.columns, row))
                last = row["id"]
            text.flush()
            text.detach()
        return file.getvalue(), last

    def _rows(self, table: str, where: Where, count: int) -> Iterator[Row]:
        last = ""
        while count > 0:
            rows = self._store.find(
                table, where & Where('"id" > ?', (last,)), order_by='"id"', limit=min(count, ROWS_AT_ONCE)
            )
            yield from rows
            count -= len(rows) or count
            last = rows[-1]["id"] if rows else last


async def _query(request: Request) -> Mapping[str, Any]:
    try:
        query = json.loads(await request.body())["query"]
    except (ValueError, TypeError, KeyError):
        raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "query"}) from None
    if not isinstance(query, dict):
        raise invalid_data("query", "jsonobject")
    return query


def _criteria(columns: Mapping[str, Column], given: Mapping[str, Any]) -> Where:
    if "group" in given:
        wheres = [_criteria(columns, part) for part in given["group"]]
        word = f" {given.get('group_operator', 'and')} "
        return Where(word.join(f"({w.sql})" for w in wheres), tuple(v for w in wheres for v in w.values))
    name = given.get("field", {}).get("api_name", "")
    if name not in columns or given.get("comparator") not in COMPARATORS:
        raise invalid_data("criteria", "field, comparator and value")
    value = given.get("value")
    return Where(f"{columns[name].sql} {COMPARATORS[given['comparator']]} ?", (instant(str(value)) or value,))
