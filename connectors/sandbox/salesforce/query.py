"""SOQL over REST: query, queryAll, and the cursors of answers that do not fit one batch.

The SOQL itself is in `soql`, the Bulk API in `bulk`.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.salesforce.api import Paths, Refused, only, written
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.values import Json, double, json_of, sql
from connectors.sandbox.soql import AGGREGATES, Aggregate, Query, parse
from connectors.sandbox.store import ALL, LIVE, Kind, Where
from connectors.sandbox.wire import JsonResponse, Number

SMALLEST_BATCH = 200
WIDE_BATCH = 1_000
"""What Salesforce returns at a time once a long text is selected."""


@dataclass(frozen=True)
class Cursor:
    """A query whose answer did not fit one batch: the ids, fixed when it was asked."""

    query: Query
    ids: Sequence[str]


class Queries:
    """Answers queries. Attributes that are not private may be changed while it is served."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.batch = 2_000
        self.most_cursors = 10
        self._cursors: dict[str, Cursor] = {}

    def paths(self) -> Paths:
        """What it answers."""
        return [
            ("/query", "GET", self._query),
            ("/queryAll", "GET", self._query_all),
            ("/query/{locator}", "GET", self._query_more),
        ]

    def forget_cursors(self) -> None:
        """Let all cursors die."""
        self._cursors.clear()

    async def _query(self, request: Request) -> Response:
        return self._answer(request, LIVE)

    async def _query_all(self, request: Request) -> Response:
        return self._answer(request, ALL)

    def _answer(self, request: Request, scope: Where) -> Response:
        only(request, "q")
        text = request.query_params.get("q")
        if text is None:
            raise Refused(400, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
        query = parse(text, self._org.visible())
        if query.is_count or query.aggregates:
            return self._aggregate(query, scope)
        found = self._org.store.each(
            query.table.name,
            ['"Id"'],
            scope & query.where,
            order_by=query.order_by,
            limit=query.limit,
            offset=query.offset,
        )
        cursor = Cursor(query, [id for (id,) in found])
        return self._batch(request, cursor, 0, f"01g5e00000{secrets.token_hex(4)}AA")

    def _aggregate(self, query: Query, scope: Where) -> Response:
        if query.is_count:
            total = self._org.store.count(query.table.name, scope & query.where)
            return JsonResponse({"totalSize": total, "done": True, "records": []})
        expressions = [AGGREGATES[a.function].format(a.column.sql if a.column else "*") for a in query.aggregates]
        values = self._org.store.values(query.table.name, expressions, scope & query.where)
        record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for number, (aggregate, value) in enumerate(zip(query.aggregates, values, strict=True)):
            record[aggregate.alias or f"expr{number}"] = _aggregated(aggregate, value)
        return JsonResponse({"totalSize": 1, "done": True, "records": [record]})

    async def _query_more(self, request: Request) -> Response:
        locator, _, offset = request.path_params["locator"].rpartition("-")
        cursor = self._cursors.get(locator)
        if cursor is None or not offset.isdigit() or int(offset) >= len(cursor.ids):
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._batch(request, cursor, int(offset), locator)

    def _batch(self, request: Request, cursor: Cursor, start: int, locator: str) -> Response:
        end = start + self._batch_size(request.headers, cursor.query, start)
        base = f"/services/data/v{request.path_params['version']}"
        is_last = end >= len(cursor.ids)
        if is_last:
            self._cursors.pop(locator, None)
        else:
            self._cursors.setdefault(locator, cursor)
            if len(self._cursors) > self.most_cursors:
                del self._cursors[next(iter(self._cursors))]
        records = ",".join(self._records(cursor.query, cursor.ids[start:end], base))
        answer = {"totalSize": len(cursor.ids), "done": is_last}
        more = {} if is_last else {"nextRecordsUrl": f"{base}/query/{locator}-{end}"}
        return JsonResponse({**answer, **more, "records": Json(f"[{records}]")})

    def _records(self, query: Query, ids: Sequence[str], base: str) -> list[str]:
        """The records with some ids, as JSON, in that order; what was purged meanwhile is left out."""
        object = query.table.name.partition(".")[2]
        writers = [(f'"{column.name}":', json_of(column)) for column in query.columns]
        marks = ", ".join("?" * len(ids))
        found = self._org.store.each(
            query.table.name,
            ['"Id"', *(sql(column) for column in query.columns)],
            Where(f'"Id" in ({marks})', tuple(ids)),  # deleted ones as well
        )
        written_by_id = {}
        for id, *values in found:
            cells = [name + write(value) for (name, write), value in zip(writers, values, strict=True)]
            attributes = f'{{"attributes":{{"type":"{object}","url":"{base}/sobjects/{object}/{id}"}},'
            written_by_id[id] = attributes + ",".join(cells) + "}"
        return [written_by_id[id] for id in ids if id in written_by_id]

    def _batch_size(self, headers: Mapping[str, str], query: Query, start: int) -> int:
        """How many records go into a batch: fewer for long texts, and sometimes fewer for no visible reason."""
        asked = re.search(r"batchSize=(\d+)", headers.get("sforce-query-options", ""))
        size = min(self.batch, max(SMALLEST_BATCH, int(asked[1]))) if asked else self.batch
        if any(column.type == "textarea" for column in query.columns):
            size = min(size, WIDE_BATCH)
        return size if start // size % 3 < 2 else size - size // 4


def _aggregated(aggregate: Aggregate, value: Any) -> Any:
    if value is None or aggregate.column is None or aggregate.function.startswith("COUNT"):
        return value
    if aggregate.column.kind is Kind.TIMESTAMP:
        return written(value)
    if aggregate.column.kind is Kind.NUMBER:
        return Number(double(Decimal(str(value))))
    return value
