"""Reading entity sets: pages with their links, change tracking with its tombstones, counts.

What the options mean is in `queries`; conditions and orders are in `odata`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from connectors.sandbox import odata
from connectors.sandbox.dynamics.answers import ANNOTATED, EXPIRED, FORMATTED, LOST_PAGE, bad, sent
from connectors.sandbox.dynamics.organisation import Organisation
from connectors.sandbox.dynamics.queries import Preferences, options_of, preferences, selected
from connectors.sandbox.dynamics.tables import POLYMORPHIC, Entity, lookup_name
from connectors.sandbox.store import ALL, DELETED, LIVE, VERSION, Column, Row, Where
from connectors.sandbox.wire import JsonResponse

BASE = "/api/data/v9.2"
MOST_ROWS = 5000
TOKEN_DAYS = 7
DELETED_LAST = 1 << 40
"""Added to the version of what is deleted, so that it comes after everything else."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """A query of a table, as its options and headers ask for it."""

    entity: Entity
    names: tuple[str, ...] | None
    """Of `$select`; None for all columns."""
    where: Where = LIVE
    order_by: str = ""
    top: int | None = None
    is_counted: bool = False
    is_tracking: bool = False
    since: int | None = None
    """For a delta: the version after which changes are wanted."""
    version: int = 0
    """For tracking: the version at which the first page was read."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a nextLink stands for."""

    read: Read
    page: int = 1
    last: tuple[int, str] | None = None
    """Where the page before ended: version and key."""
    offset: int = 0


class Reading:
    """Answers queries of one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        self._store = organisation.store
        self.links: dict[str, Link] = {}
        """What each nextLink given out stands for; it has to come back byte for byte."""

    async def read(self, request: Request) -> Response:
        """Answer a query of an entity set, or follow one of its links."""
        entity = self._organisation.behind(request.path_params["set"])
        query, prefers = request.url.query, preferences(request)
        options = options_of(query)
        if "$skiptoken" in options:
            link = self.links.get(f"{entity.set}?{query}")
            if link is None:
                raise LOST_PAGE
            return self._page(request, link, prefers)
        read = self._delta(entity, options) if "$deltatoken" in options else self.query(entity, options, prefers)
        return self._page(request, Link(read=read), prefers)

    async def count(self, request: Request) -> Response:
        """Answer `/$count`: text with a byte order mark, and never more than 5,000."""
        entity = self._organisation.behind(request.path_params["set"])
        options = options_of(request.url.query)
        if set(options) - {"$filter"}:
            raise bad("Only $filter is supported with $count.")
        where = LIVE & odata.filter(entity.table, options["$filter"]) if "$filter" in options else LIVE
        return PlainTextResponse(f"\ufeff{min(self._store.count(entity.table.name, where), MOST_ROWS)}")

    def query(self, entity: Entity, options: Mapping[str, str], prefers: Preferences) -> Read:
        """Understand a query that starts anew."""
        for name in ("$filter", "$orderby", "$expand", "$top"):
            if prefers.is_tracking and name in options:
                raise bad(f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.')
        if prefers.is_tracking and not entity.is_tracked:
            raise bad(f"Change tracking is not enabled for entity '{entity.name}'.")
        if "$expand" in options:
            raise bad("$expand is not offered by the sandbox.")
        top = options.get("$top")
        if top is not None and not (top.isdigit() and int(top) > 0):
            raise bad(f"Invalid value '{top}' for $top query option found.")
        table = entity.table
        return Read(
            entity=entity,
            names=selected(entity, options),
            where=LIVE & odata.filter(table, options["$filter"]) if "$filter" in options else LIVE,
            order_by=odata.order_by(table, options["$orderby"]) if options.get("$orderby") else "",
            top=int(top) if top and prefers.page_size is None else None,  # with a page size, $top is ignored
            is_counted=options.get("$count") == "true",
            is_tracking=prefers.is_tracking,
            version=self._store.version,
        )

    def _delta(self, entity: Entity, options: Mapping[str, str]) -> Read:
        number, _, stamp = options["$deltatoken"].partition("!")
        if not number.isdigit() or not entity.is_tracked:
            raise bad("The delta token is malformed.")
        try:
            age = self._store.clock() - datetime.strptime(stamp, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            raise bad("The delta token is malformed.") from None
        since = int(number)
        is_known = self._organisation.oldest_delta <= since <= self._store.version
        if not is_known or age > timedelta(days=TOKEN_DAYS):
            raise EXPIRED
        return Read(
            entity=entity,
            names=selected(entity, options),
            where=Where(f"{VERSION} > ?", (since,)),
            is_tracking=True,
            since=since,
            version=self._store.version,
        )

    def _page(self, request: Request, link: Link, prefers: Preferences) -> Response:
        read, size = link.read, prefers.page_size
        limit = min(size or MOST_ROWS, MOST_ROWS, read.top or MOST_ROWS)
        rows = self._rows(link, limit + 1)
        has_more = len(rows) > limit and read.top is None
        answer = {"@odata.context": _context(request, read), **self._totals(read, prefers)}
        answer["value"] = [
            _tombstone(request, read.entity, row) if row[DELETED] else self.record(read, row, prefers)
            for row in rows[:limit]
        ]
        if has_more:
            answer["@odata.nextLink"] = self._next_link(request, link, rows[limit - 1], limit)
        elif read.is_tracking:
            answer["@odata.deltaLink"] = self._delta_link(request, read)
        response = JsonResponse(answer)
        applied = [f"odata.maxpagesize={limit}"] if size else []
        applied += ["odata.track-changes"] if read.is_tracking else []
        if applied:
            response.headers["Preference-Applied"] = ",".join(applied)
        return response

    def _totals(self, read: Read, prefers: Preferences) -> dict[str, Any]:
        """Counts, as far as asked for; they go no further than 5,000."""
        total = self._store.count(read.entity.table.name, read.where) if read.is_counted else -1
        totals: dict[str, Any] = {"@odata.count": min(total, MOST_ROWS)} if read.is_counted else {}
        if "*" in prefers.annotations:
            totals |= {
                f"@{ANNOTATED}.totalrecordcount": min(total, MOST_ROWS),
                f"@{ANNOTATED}.totalrecordcountlimitexceeded": total > MOST_ROWS,
                f"@{ANNOTATED}.globalmetadataversion": "9210713",
            }
        return totals

    def _rows(self, link: Link, limit: int) -> list[Row]:
        read, key = link.read, link.read.entity.key
        table = read.entity.table.name
        if read.order_by:
            # rows that tie come in a different order on each page, so only a unique order is safe
            tie = "asc" if link.page % 2 else "desc"
            order_by = f'{read.order_by}, "{key}" {tie}'
            return self._store.find(table, read.where, order_by=order_by, limit=limit, offset=link.offset)
        if read.since is None:
            where = read.where & Where(f'"{key}" > ?', (link.last[1] if link.last else "",))
            return self._store.find(table, where, order_by=f'"{key}"', limit=limit)
        # changes in the order they happened, then what is gone
        where = read.where & Where(f"{VERSION} <= ?", (read.version,))
        if link.last:
            where &= Where(f"({DELETED} * {DELETED_LAST} + {VERSION}) > ?", (link.last[0],))
        return self._store.find(table, where, order_by=f"{DELETED}, {VERSION}", limit=limit)

    def record(self, read: Read, row: Row, prefers: Preferences) -> dict[str, Any]:
        """A row on the wire."""
        entity = read.entity
        columns = entity.table.columns
        names = list(entity.readable if read.names is None else read.names)
        if any(columns[name].type == "Money" for name in names) and "_transactioncurrencyid_value" in columns:
            names.append("_transactioncurrencyid_value")  # money brings its currency along, asked or not
        record: dict[str, Any] = {"@odata.etag": f'W/"{row[VERSION]}"'}
        for name in dict.fromkeys([*names, entity.key]):
            value = row[VERSION] if name == "versionnumber" else None if name in entity.secured else row[name]
            if value is not None and prefers.annotations:
                record |= self._annotated(entity, columns[name], row, value, prefers)
            record[name] = sent(columns[name], value)
        return record

    def _annotated(self, entity: Entity, column: Column, row: Row, value: Any, prefers: Preferences) -> dict[str, str]:
        """The annotations of one value, as far as the client asked for them."""
        found: dict[str, str] = {}
        target = target_of(column, row)
        if target:
            found[f"{ANNOTATED}.associatednavigationproperty"] = lookup_name(column)
            found[f"{ANNOTATED}.lookuplogicalname"] = target
        if prefers.wants(FORMATTED) and (text := self._formatted(entity, column, target, value)):
            found[FORMATTED] = text
        return {f"{column.name}@{name}": text for name, text in found.items() if prefers.wants(name)}

    def _formatted(self, entity: Entity, column: Column, target: str | None, value: Any) -> str | None:
        """What people see instead of a value, in the caller's language."""
        if target:
            other = self._organisation.entities[target]
            row = self._store.get(other.table.name, value, ALL)
            return str(row[other.primary_name]) if row else None
        if column.type == "Money":
            return f"${value:,.2f}"
        return self._organisation.choices.label(entity.name, column.name, value) if column.type in CHOICES else None

    def _next_link(self, request: Request, link: Link, last: Row, limit: int) -> str:
        entity = link.read.entity
        inner = f'<cookie page="{link.page}"><{entity.key} last="{{{last[entity.key].upper()}}}" /></cookie>'
        twice = quote(_lower_escapes(quote(inner, safe="")), safe="")
        cookie = (
            f"%3Ccookie%20pagenumber=%22{link.page + 1}%22%20pagingcookie=%22{twice}%22"
            f"%20istracking=%22{link.read.is_tracking}%22%20/%3E"
        )
        query = re.sub(r"&?\$skiptoken=[^&]*", "", request.url.query)
        path = f"{entity.set}?{query}{'&' if query else ''}$skiptoken={cookie}"
        position = (DELETED_LAST if last[DELETED] else 0) + last[VERSION], last[entity.key]
        self.links[path] = Link(read=link.read, page=link.page + 1, last=position, offset=link.offset + limit)
        return f"{root(request)}/{path}"

    def _delta_link(self, request: Request, read: Read) -> str:
        stamp = self._store.clock().strftime("%m/%d/%Y %H:%M:%S")
        token = _lower_escapes(quote(f"{read.version}!{stamp}", safe=""))
        select = f"$select={','.join(read.names)}&" if read.names is not None else ""
        return f"{root(request)}/{read.entity.set}?{select}$deltatoken={token}"


CHOICES = ("Picklist", "State", "Status")


def target_of(column: Column, row: Row) -> str | None:
    """The table that a lookup's value is from."""
    companion = POLYMORPHIC.get(lookup_name(column))
    return (row.get(companion[0]) if companion else None) or column.target


def root(request: Request) -> str:
    """The address of the Web API."""
    return f"{str(request.base_url).rstrip('/')}{BASE}"


def _context(request: Request, read: Read) -> str:
    columns = f"({','.join(read.names)})" if read.names is not None else ""
    delta = "/$delta" if read.since is not None else ""
    return f"{root(request)}/$metadata#{read.entity.set}{columns}{delta}"


def single_context(request: Request, read: Read) -> str:
    """The context of one record by itself."""
    return f"{_context(request, read)}/$entity"


def _tombstone(request: Request, entity: Entity, row: Row) -> dict[str, Any]:
    context = f"{root(request)}/$metadata#{entity.set}/$deletedEntity"
    return {"@odata.context": context, "id": row[entity.key], "reason": "deleted"}


def _lower_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)
