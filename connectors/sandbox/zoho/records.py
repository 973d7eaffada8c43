"""Zoho CRM's records: lists by page and by page token, single ones by id, related lists, what is deleted, queries.

Bulk files are in `bulk`, metadata in `settings`.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.store import DELETED_AT, GONE, LIVE, Column, Row, Where
from connectors.sandbox.wire import JsonResponse
from connectors.sandbox.zoho import coql
from connectors.sandbox.zoho.look import instant, moment, plain, queried
from connectors.sandbox.zoho.org import PER_PAGE, Org, info, number, parameters, since
from connectors.sandbox.zoho.refusals import (
    Refused,
    expired_page,
    invalid_data,
    invalid_module,
    limit_exceeded,
)
from connectors.sandbox.zoho.tables import Module

BASE = "/crm/v8"
MOST_FIELDS = 50
MOST_IDS = 100
DISCRETE_ROWS = 2_000
TOKEN_ROWS = 100_000
TOKEN_HOURS = 24
SORTS = ("id", "Created_Time", "Modified_Time")
CONVERTED = {"false": Where('"Converted__s" = 0'), "true": Where('"Converted__s" = 1'), "both": Where()}


@dataclass(frozen=True)
class _Relation:
    """How the records of a related list hang together with the record they are listed for."""

    other: str
    """The module that they are of."""
    links: str
    """The table that says which belong together."""
    ours: str
    theirs: str
    says: tuple[str, ...] = ()
    """What the link itself tells."""


RELATED = {
    ("Campaigns", "Leads"): _Relation("Leads", "Campaign_Members", "Campaign", "Member", ("Member_Status",)),
    ("Campaigns", "Contacts"): _Relation("Contacts", "Campaign_Members", "Campaign", "Member", ("Member_Status",)),
    ("Price_Books", "Products"): _Relation("Products", "Price_Book_Products", "Price_Book", "Product", ("list_price",)),
    ("Deals", "Stage_History"): _Relation("DealHistory", "DealHistory", "Potential_Name", "id"),
}


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """A list of records, as its parameters ask for it, and how far it has been read."""

    module: Module
    names: tuple[str, ...]
    where: Where
    since: datetime | None
    sort_by: str
    order: str
    per_page: int
    page: int = 1
    after: tuple[Any, str] | None = None
    """Where the page before ended."""
    sent: int = 0
    expires_at: datetime | None = None


class Records:
    """The APIs for records of one organisation."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = org.store
        self._listings: dict[str, _Listing] = {}
        self.without_coql: set[str] = set()
        """Modules that queries refuse, besides those that are declared so."""
        self.has_short_pages = False
        """Whether pages hold half of what was asked for, and every third one nothing."""

    def routes(self) -> list[Route]:
        """Everything these APIs answer."""
        module = BASE + "/{module}"
        return [
            Route(f"{BASE}/coql", self._query, methods=["POST"]),
            Route(f"{module}/deleted", self._deleted, methods=["GET"]),
            Route(f"{module}/actions/count", self._count, methods=["GET"]),
            Route(module + "/{id}/{related}", self._related, methods=["GET"]),
            Route(module + "/{id}", self._single, methods=["GET"]),
            Route(module, self._list, methods=["GET"]),
        ]

    def forget_tokens(self) -> None:
        """Let all page tokens expire."""
        self._listings.clear()

    # lists

    async def _list(self, request: Request) -> Response:
        given = parameters(
            request, "fields", "ids", "per_page", "page", "page_token", "sort_by", "sort_order", "converted", "cvid",
            "include_child",
        )  # fmt: skip
        module = self._org.module(request.path_params["module"])
        if "page_token" in given:
            return self._page(self._resumed(given))
        listing = self._listing(module, given, since(request))
        if "ids" in given:
            return self._by_ids(listing, given["ids"].split(","))
        if listing.page * listing.per_page > DISCRETE_ROWS:
            raise Refused(
                400,
                "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
                "You can only get the first 2000 records without using page_token param",
                {"limit": DISCRETE_ROWS},
            )
        return self._page(listing)

    def _listing(self, module: Module, given: Mapping[str, str], modified_since: datetime | None) -> _Listing:
        sort_by, order = given.get("sort_by", "id"), given.get("sort_order", "desc")
        if sort_by not in SORTS or order not in ("asc", "desc") or sort_by not in module.table.columns:
            raise invalid_data("sort_by", ", ".join(SORTS))
        if given.get("converted", "false") not in CONVERTED or ("converted" in given and module.name != "Leads"):
            raise invalid_data("converted", ", ".join(CONVERTED))
        where = LIVE
        if module.name == "Leads":
            where &= CONVERTED[given.get("converted", "false")]
        return _Listing(
            module=module,
            names=self._names(module, given),
            where=where,
            since=modified_since if module.is_dated else None,
            sort_by=sort_by,
            order=order,
            per_page=number(given, "per_page", PER_PAGE, PER_PAGE),
            page=number(given, "page", 1),
        )

    def _names(self, module: Module, given: Mapping[str, str]) -> tuple[str, ...]:
        """The fields asked for; those that the user may not see are left out without a word."""
        if not given.get("fields"):
            details = {"param_name": "fields"}
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", details)
        names = tuple(dict.fromkeys(given["fields"].split(",")))
        if len(names) > MOST_FIELDS:
            raise limit_exceeded("fields", MOST_FIELDS)
        for name in names:
            if name not in module.table.columns:
                raise invalid_data("fields", f"not {name}")
        seen = self._org.columns(module)
        is_list = "ids" not in given
        return tuple(n for n in names if n in seen and not (is_list and seen[n].type == "subform"))

    def _by_ids(self, listing: _Listing, ids: list[str]) -> Response:
        if len(ids) > MOST_IDS:
            raise limit_exceeded("ids", MOST_IDS)
        where = listing.where & Where(f'"id" in ({", ".join("?" * len(ids))})', tuple(ids))
        rows = self._store.find(listing.module.table.name, where, order_by='"id"')
        return self._answer(listing, rows, info(rows, 1, listing.per_page, False))

    def _resumed(self, given: Mapping[str, str]) -> _Listing:
        if "page" in given:
            details = {"ambiguity_due_to": [{"param_name": "page"}, {"param_name": "page_token"}]}
            raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "page and page_token cannot be used together", details)
        listing = self._listings.get(given["page_token"])
        if listing is None or listing.expires_at is None or listing.expires_at < self._store.clock():
            raise expired_page()
        if listing.sent >= TOKEN_ROWS:
            raise Refused(
                400,
                "PAGINATION_LIMIT_EXCEEDED",
                "You can only get the first 100000 records using page_token param",
                {"limit": TOKEN_ROWS},
            )
        asked = self._names(listing.module, given)
        if asked != listing.names:
            raise invalid_data("fields", "the same as with the first page")
        return listing

    def _page(self, listing: _Listing) -> Response:
        table, size = listing.module.table, self._size(listing)
        where = listing.where
        if listing.since is not None:
            where &= Where('"Modified_Time" >= ?', (listing.since,))
            if not self._store.count(table.name, where) and self._store.count(table.name, listing.where):
                return Response(status_code=304)
        if listing.after is not None:
            where &= _beyond(listing)
        rows = self._store.find(
            table.name,
            where,
            order_by=f'"{listing.sort_by}" {listing.order}, "id" {listing.order}',
            limit=size + 1,
            offset=0 if listing.after else (listing.page - 1) * listing.per_page,
        )
        has_more, rows = len(rows) > size, rows[:size]
        about = info(rows, listing.page, listing.per_page, has_more)
        about |= {"sort_by": listing.sort_by, "sort_order": listing.order, "previous_page_token": None}
        return self._answer(listing, rows, about | self._next(listing, rows, has_more))

    def _size(self, listing: _Listing) -> int:
        if not self.has_short_pages:
            return listing.per_page
        return 0 if listing.page % 3 == 0 else -(-listing.per_page // 2)

    def _next(self, listing: _Listing, rows: list[Row], has_more: bool) -> dict[str, Any]:
        if not has_more:
            return {"next_page_token": None, "page_token_expiry": None}
        token = secrets.token_hex(32)
        expires_at = self._store.clock() + timedelta(hours=TOKEN_HOURS)
        self._listings[token] = replace(
            listing,
            page=listing.page + 1,
            after=(rows[-1][listing.sort_by], rows[-1]["id"]) if rows else listing.after,
            sent=listing.sent + len(rows),
            expires_at=expires_at,
        )
        return {"next_page_token": token, "page_token_expiry": moment(expires_at.isoformat())}

    def _answer(self, listing: _Listing, rows: list[Row], about: Mapping[str, Any]) -> Response:
        if not rows and not about.get("next_page_token"):
            return Response(status_code=204)
        data = self._org.look.records(listing.module.table.columns, rows, listing.names)
        return JsonResponse({"data": data, "info": about})

    async def _single(self, request: Request) -> Response:
        given = parameters(request, "fields")
        module = self._org.module(request.path_params["module"])
        row = self._store.get(module.table.name, request.path_params["id"])
        if row is None:
            raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"param": "id"})
        seen = self._org.columns(module)
        names = [name for name in given["fields"].split(",") if name in seen] if "fields" in given else list(seen)
        return JsonResponse({"data": self._org.look.records(module.table.columns, [row], names)})

    async def _related(self, request: Request) -> Response:
        """What is linked to a record; records of the other side that are gone are left out."""
        given = parameters(request, "fields", "per_page", "page")
        module, related = self._org.module(request.path_params["module"]), request.path_params["related"]
        if (module.name, related) not in RELATED:
            raise Refused(400, "INVALID_DATA", "the relation name given seems to be invalid", {"param": related})
        relation = RELATED[(module.name, related)]
        other = self._org.module(relation.other)
        if not given.get("fields"):
            raise Refused(
                400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param": "fields"}
            )
        asked = given["fields"].split(",")
        for name in asked:
            if name not in (*other.table.columns, *relation.says):
                raise invalid_data("fields", f"not {name}")
        per_page, page = number(given, "per_page", PER_PAGE, PER_PAGE), number(given, "page", 1)
        where = LIVE & Where(
            f'"{relation.ours}" = ? and "{relation.theirs}" in'
            f' (select "id" from "{other.table.name}" where {LIVE.sql})',
            (request.path_params["id"],),
        )
        found = self._store.find(
            f"zoho.{relation.links}", where, order_by='"id"', limit=per_page + 1, offset=(page - 1) * per_page
        )
        links = found[:per_page]
        if not links:
            return Response(status_code=204)
        data = [self._linked(relation, other, link, asked) for link in links]
        return JsonResponse({"data": data, "info": info(links, page, per_page, len(found) > per_page)})

    def _linked(self, relation: _Relation, other: Module, link: Row, asked: list[str]) -> dict[str, Any]:
        row = self._store.get(other.table.name, link[relation.theirs])
        names = [name for name in asked if name not in relation.says]
        (record,) = self._org.look.records(other.table.columns, [row] if row else [], names)
        columns = self._store.tables[f"zoho.{relation.links}"].columns
        return record | {name: plain(columns[name], link[name]) for name in relation.says if name in asked}

    # what is gone, and how many there are

    async def _deleted(self, request: Request) -> Response:
        given = parameters(request, "type", "page", "per_page")
        module = self._org.module(request.path_params["module"])
        if not module.has_deleted:
            raise Refused(400, "NOT_SUPPORTED", "the module does not support this operation", {"module": module.name})
        if given.get("type", "all") not in ("all", "recycle", "permanent"):
            raise invalid_data("type", "all, recycle, permanent")
        per_page, page = number(given, "per_page", PER_PAGE, PER_PAGE), number(given, "page", 1)
        where = GONE
        at = since(request)
        if at is not None:
            where &= Where(f"{DELETED_AT} >= ?", (at,))
        rows = [
            row
            for row in self._store.find(module.table.name, where, order_by=f'{DELETED_AT} desc, "id"')
            if given.get("type", "all") in ("all", self._type(module, row))
        ]
        shown = rows[(page - 1) * per_page : page * per_page]
        if not shown:
            return Response(status_code=304 if at is not None and not rows else 204)
        data = [self._tombstone(module, row) for row in shown]
        return JsonResponse({"data": data, "info": info(shown, page, per_page, len(rows) > page * per_page)})

    def _type(self, module: Module, row: Row) -> str:
        return "permanent" if (module.table.name, row["id"]) in self._org.purged else "recycle"

    def _tombstone(self, module: Module, row: Row) -> dict[str, Any]:
        by = {"name": "Integration", "id": "4000000000000000001"}
        return {
            "deleted_by": by,
            "id": row["id"],
            "display_name": row[module.title],
            "type": self._type(module, row),
            "created_by": by,
            "deleted_time": moment(row[DELETED_AT]),
        }

    async def _count(self, request: Request) -> Response:
        parameters(request)
        module = self._org.module(request.path_params["module"])
        return JsonResponse({"count": self._store.count(module.table.name, _unconverted(module))})

    # queries

    async def _query(self, request: Request) -> Response:
        parameters(request)
        try:
            body = json.loads(await request.body())
            text = body["select_query"]
        except (ValueError, TypeError, KeyError):
            raise Refused(
                400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "select_query"}
            ) from None
        query = coql.parse(text, self._queried)
        where = query.where & _unconverted(query.module)
        table = query.module.table
        if query.is_count:
            count = self._store.count(table.name, where)
            return JsonResponse({"data": [{coql.COUNT: count}], "info": {"count": 1, "more_records": False}})
        rows = self._store.find(table.name, where, order_by=query.order_by, limit=query.limit + 1, offset=query.offset)
        has_more, rows = len(rows) > query.limit, rows[: query.limit]
        if not rows:
            return Response(status_code=204)
        columns = [table.columns[name] for name in dict.fromkeys([*query.names, "id"])]
        data = [{column.name: queried(column, row[column.name]) for column in columns} for row in rows]
        return JsonResponse({"data": data, "info": {"count": len(rows), "more_records": has_more}})

    def _queried(self, name: str) -> tuple[Module, Mapping[str, Column]]:
        module = self._org.module(name)
        if not module.has_coql or name in self.without_coql:
            raise invalid_module(name)
        return module, self._org.columns(module)


def credits_of(select_query: str) -> int:
    """What a query costs, by the rows it asks for."""
    words = select_query.lower().replace(",", " ").split()
    limit = int(words[-1]) if "limit" in words and words[-1].isdigit() else coql.DEFAULT_ROWS
    return 1 if limit <= 200 else 2 if limit <= 1_000 else 3


def _unconverted(module: Module) -> Where:
    """Converted leads are told by the list of records alone, and only if it is asked for them."""
    return LIVE & CONVERTED["false"] if module.name == "Leads" else LIVE


def _beyond(listing: _Listing) -> Where:
    value, id = listing.after or (None, "")
    sign = ">" if listing.order == "asc" else "<"
    if listing.sort_by == "id":
        return Where(f'"id" {sign} ?', (id,))
    stamp = instant(str(value))
    name = f'"{listing.sort_by}"'
    return Where(f'{name} {sign}= ? and ({name} {sign} ? or "id" {sign} ?)', (stamp, stamp, id))
