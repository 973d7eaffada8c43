"""Zoho CRM, put together: its accounts server and APIs behind one door, and what happens to its records.

The door counts credits and calls at a time; what is behind it is in the modules that carry the APIs' names.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from more_itertools import chunked
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.company import Change, ChangeKind, Record, World
from connectors.sandbox.faults import Fault
from connectors.sandbox.store import DELETED, DELETED_AT, LIVE, Store, Where
from connectors.sandbox.zoho import bulk
from connectors.sandbox.zoho.accounts import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, Accounts
from connectors.sandbox.zoho.bulk import Bulk
from connectors.sandbox.zoho.look import moment
from connectors.sandbox.zoho.org import Org
from connectors.sandbox.zoho.records import Records, credits_of
from connectors.sandbox.zoho.refusals import Refused, answer, expired_page, invalid_token, too_many
from connectors.sandbox.zoho.rows import Rows, TableRow
from connectors.sandbox.zoho.settings import Settings
from connectors.sandbox.zoho.tables import LISTS, modules

ROWS_AT_ONCE = 1_000
SHARED = frozenset({"zoho.roles"})
"""Rows that several records of the company have in common."""
CHILDREN = {"Deals": ("DealHistory", "Potential_Name"), "Price_Books": ("Price_Book_Products", "Price_Book")}
"""Table to the table of the rows that are part of its records, and the column that says of which."""
LINKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Campaign_Members": {"Campaign": ("Campaigns",), "Member": ("Leads", "Contacts")},
    "Price_Book_Products": {"Price_Book": ("Price_Books",), "Product": ("Products",)},
}
"""Table of links to its columns for both ends and where these are; a link to what is gone is gone."""
USERS = 50
LICENSE = {"paid": True, "paid_type": "enterprise", "users_license_purchased": USERS}
CALLS_AT_A_TIME = 20
HEAVY_CALLS_AT_A_TIME = 10
"""Queries and bulk reads."""


class Zoho:
    """One organisation of Zoho CRM, in one data centre."""

    crm = "zoho"

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self.store = store
        self._rows = Rows(world)
        self.org = Org(world, store, modules(world.custom_fields))
        self.accounts = Accounts(store)
        self.records = Records(self.org)
        self.bulk = Bulk(self.org)
        self.settings = Settings(self.org, LICENSE)
        self.allowance = 50_000 + 1_000 * USERS
        """Credits in 24 hours."""
        self.spent = 0
        self._running = 0
        for table in (*(module.table for module in self.org.modules.values()), *LISTS.values()):
            store.create(table)
        self._load(self._rows.of_company())
        for batch in chunked(world.records("zoho"), ROWS_AT_ONCE):
            self._load(row for record in batch for row in self._rows.of(record))
        for name, ends in LINKS.items():
            for link in store.find(f"zoho.{name}", _is_loose(ends)):
                store.update(f"zoho.{name}", link["id"], {DELETED: True})

    def _load(self, rows: Iterable[TableRow]) -> None:
        for name, found in groupby(sorted(rows, key=lambda row: row[0]), key=lambda row: row[0]):
            table = f"zoho.{name}"
            write = self.store.save if table in SHARED else self.store.insert
            write(table, [row for _, row in found])

    def environment(self, url: str) -> dict[str, str]:
        """What a client has to know."""
        return {
            "ZOHO_CLIENT_ID": CLIENT_ID,
            "ZOHO_CLIENT_SECRET": CLIENT_SECRET,
            "ZOHO_REFRESH_TOKEN": REFRESH_TOKEN,
            "ZOHO_ACCOUNTS_URL": url,
        }

    @property
    def tokens(self) -> Mapping[str, datetime]:
        """Live access tokens."""
        return self.accounts.tokens

    def expire_sessions(self) -> None:
        """Make every token given out so far invalid."""
        self.accounts.tokens.clear()

    # the door

    def routes(self) -> list[Route]:
        """Everything this organisation and its accounts server answer."""
        inner = [*self.settings.routes(), *self.bulk.routes(), *self.records.routes()]
        return [*self.accounts.routes(), *map(self._guarded, inner)]

    def _guarded(self, route: Route) -> Route:
        handler: Callable[[Request], Any] = route.endpoint

        async def guarded(request: Request) -> Response:
            expires_at = self.accounts.expiry(request.headers.get("authorization", ""))
            if expires_at is None:
                return answer(invalid_token())
            self._running += 1
            try:
                response = await self._served(handler, request)
            except Refused as refusal:
                response = answer(refusal)
            finally:
                self._running -= 1
            response.headers["X-ACCESSTOKEN-RESET"] = moment(expires_at.isoformat())
            if self.spent * 2 >= self.allowance:
                response.headers["X-API-CREDITS-REMAINING"] = str(max(0, self.allowance - self.spent))
            return response

        return Route(route.path, guarded, methods=list(route.methods or ()))

    async def _served(self, handler: Callable[[Request], Any], request: Request) -> Response:
        is_heavy = request.method == "POST"
        if self._running > (HEAVY_CALLS_AT_A_TIME if is_heavy else CALLS_AT_A_TIME):
            raise too_many()
        cost = await _cost(request)
        if self.spent + cost > self.allowance:
            self.spent = self.allowance
            raise too_many()
        self.spent += cost
        response: Response = await handler(request)
        return response

    def fault(self, kind: Fault, request: Request) -> Response | None:
        """What goes wrong, in Zoho's words."""
        is_token = request.url.path.startswith("/oauth/")
        match kind:
            case Fault.TOO_MANY:
                response = answer(too_many())
                response.headers["Retry-After"] = "0"
                return response
            case Fault.TOO_MANY_BARE:
                return answer(too_many())
            case Fault.SERVER_ERROR:
                message = "unable to process your request at this time"
                return answer(Refused(503, "INTERNAL_ERROR", message))
            case Fault.DAILY_LIMIT if not is_token:
                response = answer(too_many())
                response.headers["X-API-CREDITS-REMAINING"] = "0"
                return response
            case Fault.EXPIRED:
                self.expire_sessions()
            case Fault.LOST_CURSOR if "page_token" in request.query_params:
                return answer(expired_page())
        return None

    # what happens to records

    def apply(self, change: Change) -> None:
        """Let something happen to a record of the company."""
        match change.kind:
            case ChangeKind.SAVED | ChangeKind.FORMULA:
                self._save(change.record)
            case ChangeKind.RESTORED:
                for name, row in self._rows.of(change.record):
                    self.restore(name, row["id"])
                self._save(change.record)
            case ChangeKind.DELETED:
                for name, row in self._rows.of(change.record):
                    self.delete(name, row["id"], at=change.at)
            case ChangeKind.PURGED:
                for name, row in self._rows.of(change.record):
                    self.purge(name, row["id"], at=change.at)
            case ChangeKind.MERGED:
                assert change.into is not None
                (name, loser), *_ = self._rows.of(change.record)
                (_, winner), *_ = self._rows.of(change.into)
                self.merge(name, winner["id"], loser["id"], at=change.at)
                self._save(change.into)

    def _save(self, record: Record) -> None:
        rows = list(self._rows.of(record))
        for name, row in rows:
            self.store.save(f"zoho.{name}", [row])
        name, first = rows[0]
        if name in CHILDREN:
            child, parent = CHILDREN[name]
            kept = {row["id"] for name, row in rows if name == child}
            for row in self.store.find(f"zoho.{child}", Where(f'"{parent}" = ?', (first["id"],))):
                if row["id"] not in kept:
                    self.store.purge(f"zoho.{child}", row["id"])

    def change(self, name: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: its stamp moves."""
        table = self.store.tables[f"zoho.{name}"]
        is_dated = "Modified_Time" in table.columns
        stamps = {"Modified_Time": self.store.clock().replace(microsecond=0)} if is_dated else {}
        self.store.update(table.name, id, {**stamps, **changes})

    def delete(self, name: str, id: str, *, at: datetime | None = None) -> None:
        """Put a record into the recycle bin."""
        changes = {DELETED: True, DELETED_AT: (at or self.store.clock()).replace(microsecond=0)}
        self.store.update(f"zoho.{name}", id, changes)
        self._relink(id)

    def restore(self, name: str, id: str) -> None:
        """Take a record out of the recycle bin; its stamp stays."""
        self.store.restore(f"zoho.{name}", id)
        self._relink(id)
        self.org.purged.discard((f"zoho.{name}", id))

    def _relink(self, id: str) -> None:
        """Hide the links of a record that is gone, and show those of one that is back."""
        for name, ends in LINKS.items():
            either = Where(" or ".join(f'"{end}" = ?' for end in ends), (id,) * len(ends))
            loose = {link["id"] for link in self.store.find(f"zoho.{name}", either & _is_loose(ends))}
            for link in self.store.find(f"zoho.{name}", either):
                self.store.update(f"zoho.{name}", link["id"], {DELETED: link["id"] in loose})

    def purge(self, name: str, id: str, *, at: datetime | None = None) -> None:
        """Delete a record for good: only a list of what is gone still names it."""
        table = f"zoho.{name}"
        if self.store.count(table, LIVE & Where('"id" = ?', (id,))):
            self.delete(name, id, at=at)
        self.org.purged.add((table, id))

    def merge(self, name: str, winner: str, loser: str, *, at: datetime | None = None) -> None:
        """Merge two records as a user would: the loser is deleted, and what referred to it refers to the winner."""
        at = (at or self.store.clock()).replace(microsecond=0)
        self.delete(name, loser, at=at)
        self.store.update(f"zoho.{name}", winner, {"Modified_Time": at})
        for module in self.org.modules.values():
            for column in (column for column in module.table.columns.values() if column.target == name):
                for row in self.store.find(module.table.name, Where(f'"{column.name}" = ?', (loser,))):
                    stamps = {"Modified_Time": at} if module.is_dated and not row[DELETED] else {}
                    self.store.update(module.table.name, row["id"], {column.name: winner, **stamps})


async def _cost(request: Request) -> int:
    """The credits of a request."""
    path = request.url.path
    if request.method == "POST" and path == bulk.BASE:
        return bulk.CREDITS
    if request.method == "POST":
        try:
            return credits_of(str(json.loads(await request.body())["select_query"]))
        except (ValueError, TypeError, KeyError):
            return 1
    return 2 if path.endswith("/deleted") else 1


def _is_loose(ends: Mapping[str, tuple[str, ...]]) -> Where:
    """Links of which an end is gone, or never was."""
    live = {
        end: " union ".join(f'select "id" from "zoho.{name}" where {LIVE.sql}' for name in names)
        for end, names in ends.items()
    }
    return Where(" or ".join(f'"{end}" not in ({ids})' for end, ids in live.items()))
