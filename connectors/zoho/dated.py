"""Reading a module of Zoho CRM whose records tell when they changed: all of them once, and then what changed.

What has no stamps, and which API knows a module, is in `source`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import ApiFailed, PlaceLost, Refused
from connectors.stream import Checkpoint, Page, Record, State
from connectors.zoho import bulk, coql, records
from connectors.zoho.api import Api, Unsupported
from connectors.zoho.columns import CURSOR, KEY, Columns
from connectors.zoho.values import instant, latest

OVERLAP = timedelta(minutes=10)
"""How far behind its watermark an incremental read starts: a long transaction shows its rows late."""
PAGES_PER_COMMIT = 20
LOST_PAGES = 3
"""So often a page token may be lost before anything newer has come."""
REMEMBERED = timedelta(days=55)
"""Zoho CRM forgets what left its recycle bin, where records stay for 60 days."""


class Dated:
    """One read of one module."""

    def __init__(self, api: Api, module: str, columns: Columns, *, has_coql: bool) -> None:
        self._api = api
        self._module = module
        self._columns = columns
        self._has_coql = has_coql
        self._newest: datetime | None = None
        """The last stamp of all rows so far."""

    def all(self, state: State, *, is_big: bool) -> Iterator[Page | Checkpoint]:
        """Read every record: by jobs where there are many, else by lists.

        A change made meanwhile may be missed by what was read before, so the next read starts where this one did.
        """
        began = instant(state["began"]) if "began" in state else self._api.server_time()
        self._newest = instant(state["newest"]) if state.get("newest") else None
        at = state.get("at")
        try:
            if state.get("way", "jobs" if is_big else "lists") == "lists":
                yield from self._by_lists(began, at)
            else:
                yield from self._by_jobs(began, at)
        except (Unsupported, Refused):
            yield from self._by_lists(began, None)
        yield from self._finish(min(self._newest or began, began), began - OVERLAP, began, is_complete=True)

    def changes(self, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed, oldest first, and then what was deleted since the read before."""
        began, watermark = self._api.server_time(), instant(state["watermark"])
        deletes = instant(state["deletes"])
        self._newest = watermark
        for number, rows in enumerate(self.since(watermark - OVERLAP), 1):
            yield Page(rows)
            if number % PAGES_PER_COMMIT == 0:
                reached = min(self._newest, began).isoformat()
                yield Checkpoint(state={"watermark": reached, "deletes": deletes.isoformat()})
        yield from self._finish(min(self._newest, began), deletes - OVERLAP, began)

    def since(self, since: datetime) -> Iterator[Sequence[Record]]:
        """What changed at an instant or later: by queries where they know the module, else by lists."""
        if not self._has_coql:
            yield from self._lists(since)
            return
        first = self._columns.first(coql.MOST_COLUMNS)
        for rows in coql.changes(self._api, self._module, first, since):
            self._note(row[CURSOR] for row in rows)
            yield self._columns.complete(rows, first)

    def _by_lists(self, began: datetime, at: str | None) -> Iterator[Page | Checkpoint]:
        for number, rows in enumerate(self._lists(instant(at) if at else None), 1):
            yield Page(rows)
            if number % PAGES_PER_COMMIT == 0 and self._newest:
                newest = self._newest.isoformat()
                yield Checkpoint(state={"way": "lists", "began": began.isoformat(), "at": newest, "newest": newest})

    def _lists(self, since: datetime | None) -> Iterator[Sequence[Record]]:
        """Records in the order they changed: where a page token ends, the list begins anew at the last stamp."""
        first = self._columns.first(records.MOST_FIELDS)
        stuck = 0
        while True:
            try:
                for rows in records.pages(self._api, self._module, first, sort_by=CURSOR, since=since):
                    self._note(row[CURSOR] for row in rows)
                    yield self._columns.complete(rows, first)
                return
            except PlaceLost as error:
                stuck = stuck + 1 if self._newest == since else 0
                since = self._newest
                if stuck == LOST_PAGES:
                    raise ApiFailed(f"{error}: {CURSOR} does not move on from {since}. Rerun later.") from error

    def _by_jobs(self, began: datetime, at: str | None) -> Iterator[Page | Checkpoint]:
        try:
            yield from self._jobs(began, at)
        except PlaceLost:
            yield Checkpoint(state={})
            yield from self._jobs(began, None)

    def _jobs(self, began: datetime, token: str | None) -> Iterator[Page | Checkpoint]:
        first = self._columns.first(bulk.MOST_FIELDS)
        while True:
            job = bulk.run(self._api, self._module, first, token)
            for table in bulk.tables(self._api, job):
                self._note(_stamps(table))
                yield from map(Page, self._columns.complete_table(table, first))
            if job.following is None:
                return
            if job.following == token:
                raise ApiFailed(f"Zoho repeats the same page of {self._module}: stopped, not looping")
            token = job.following
            newest = self._newest.isoformat() if self._newest else None
            yield Checkpoint(state={"way": "jobs", "began": began.isoformat(), "at": token, "newest": newest})

    def _finish(
        self, watermark: datetime, since: datetime, began: datetime, *, is_complete: bool = False
    ) -> Iterator[Page | Checkpoint]:
        """Read what was deleted; last, so that a record restored in between is not taken for gone."""
        sees_deletes = began - since < REMEMBERED
        try:
            for ids in records.deleted(self._api, self._module, since) if sees_deletes else ():
                yield Page([{KEY: id, "_deleted": True} for id in ids])
        except (Unsupported, Refused, PlaceLost):
            sees_deletes = False
        yield Checkpoint(
            state={"watermark": watermark.isoformat(), "deletes": began.isoformat()},
            is_last=True,
            sees_deletes=sees_deletes,
            is_complete=is_complete,
        )

    def _note(self, stamps: Iterable[str | None]) -> None:
        self._newest = latest(stamps, self._newest)


def _stamps(table: pa.Table) -> list[str | None]:
    found: list[str | None] = pc.unique(table[CURSOR]).to_pylist()
    return found
