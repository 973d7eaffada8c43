"""Reads a Salesforce org, one stream at a time: by REST or Bulk, in time slices that are safe to commit one by one.

What is read is in `streams`; how it is asked for, in `rest` and `bulk`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from math import ceil
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from more_itertools import peekable

from connectors.budget import Budget
from connectors.errors import PlaceLost
from connectors.options import Options
from connectors.salesforce import rest
from connectors.salesforce.bulk import PAGE_ROWS, Job
from connectors.salesforce.errors import NotInBulk, WindowTooLarge, named_errors
from connectors.salesforce.org import Credentials, connect
from connectors.salesforce.soql import Window
from connectors.session import Transport
from connectors.stream import Checkpoint, Count, Field, Limit, Page, Record, State, Stream

REST_ROWS = 2_000
"""Up to here a counted window is read by REST: a Bulk job takes more calls, and longer."""
REST_BATCHES = 3
"""So many more batches cost no more calls than a Bulk job."""
SLICE_ROWS = 250_000
"""A larger window is cut, so that a killed backfill loses at most one slice."""
OVERLAP = timedelta(minutes=10)
"""How far behind its watermark an incremental read starts: rows can show up minutes after the stamp they carry."""
FOUNDED = datetime(1999, 1, 1, tzinfo=UTC)
RESTARTS = 5
"""How often a window is read from its beginning because the org forgot the result."""
NO_OPTIONS = Options()
CURSORS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
"""Not every object has the first; the others move less often."""
NOT_TEXT = frozenset({"address", "location", "base64"})
"""Types that Bulk queries refuse. The parts of the first two are fields of their own."""
Records = Sequence[Record] | pa.Table
LIMITS = ("DailyApiRequests", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB")


class Salesforce:
    """One Salesforce org, ready to be read."""

    crm = "salesforce"
    page_rows = PAGE_ROWS

    def __init__(self, credentials: Credentials, options: Options = NO_OPTIONS) -> None:
        self.budget = Budget("Salesforce", reserve=options.reserve)
        self._options = options
        self._transport = Transport(
            vendor_domain="salesforce.com", base_url=credentials.url, ca_bundle=credentials.ca_bundle
        )
        self._client = connect(credentials, self._transport, self.budget)
        self._not_in_bulk: set[str] = set()
        self._described = cache(self._describe)

    def fields(self, stream: Stream) -> Sequence[Field]:
        """All fields that the integration user sees, compound and binary ones and excluded ones excepted."""
        return self._described(stream)

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Ask the org how many live records there are, and how many records changed `since`."""
        cursor = self._cursor(stream)
        changed = self._count(stream, Window(cursor=cursor, start=since), include_deleted=True) if cursor else 0
        return Count(rows=self._count(stream, Window(), include_deleted=False), slack=changed)

    def server_time(self) -> datetime:
        """The org's clock at its last answer."""
        return self._transport.server_time()

    def limits(self) -> Sequence[Limit]:
        """The org's daily limits that reading counts against."""
        with named_errors(Stream(name="limits", object="limits", key="", fields={})):
            found: Any = self._client.restful("limits")
        return [
            Limit(name=name, used=found[name]["Max"] - found[name]["Remaining"], allowed=found[name]["Max"])
            for name in LIMITS
            if name in found
        ]

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`, deleted records included, one time slice after the other.

        Within a slice rows come in no particular order, so the watermark moves only when the slice is whole.
        """
        cursor, now = self._cursor(stream), self.server_time()
        if cursor is None:
            yield from map(Page, self._pages(stream, Window()))
            yield Checkpoint(state={}, is_last=True, is_complete=True)
            return
        since = datetime.fromisoformat(state["watermark"]) if state else None
        is_backfill = bool(state.get("backfilling", True))
        newest = since or FOUNDED
        window = Window(cursor=cursor, start=since - OVERLAP if since else None)
        pending = peekable(self._slices(stream, window) if is_backfill else [window])
        for window, page in self._in_turn(stream, pending, now):
            if page is not None:
                newest = max(newest, _newest(page, cursor))
                yield Page(page)
                continue
            is_last = not pending
            yield Checkpoint(
                state={
                    "watermark": (min(newest, now) if is_last else window.end or now).isoformat(),
                    "backfilling": is_backfill and not is_last,
                },
                is_last=is_last,
                is_complete=is_backfill and is_last,
            )

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        """Read again what changed since an instant; all of an object without a cursor."""
        cursor = self._cursor(stream)
        pending = peekable(self._slices(stream, Window(cursor=cursor, start=since)) if cursor else [Window()])
        for _, page in self._in_turn(stream, pending, self.server_time()):
            if page is not None:
                yield Page(page)

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """Ids of all live records."""
        for page in self._pages(stream, Window(), ["Id"], include_deleted=False):
            ids = page["Id"].to_pylist() if isinstance(page, pa.Table) else [record["Id"] for record in page]
            yield [str(id) for id in ids]

    # what the org has

    def _describe(self, stream: Stream) -> Sequence[Field]:
        with named_errors(stream):
            described: Mapping[str, Any] = getattr(self._client, stream.object).describe()
            return [
                Field(field["name"], field.get("type", ""), is_calculated=bool(field.get("calculated")))
                for field in described["fields"]
                if field.get("type") not in NOT_TEXT
                and (field["name"] == "Id" or not self._options.excludes(self.crm, stream.object, field["name"]))
            ]

    def _names(self, stream: Stream) -> Sequence[str]:
        return [field.name for field in self._described(stream)]

    def _cursor(self, stream: Stream) -> str | None:
        names = self._names(stream)
        return next((name for name in CURSORS if name in names), None)

    def _count(self, stream: Stream, window: Window, *, include_deleted: bool) -> int:
        with named_errors(stream):
            answer = self._client.query(window.soql("COUNT()", stream.object), include_deleted=include_deleted)
            return int(answer["totalSize"])

    def _slices(self, stream: Stream, window: Window) -> Iterator[Window]:
        """Cut a window by the time its records take, until no part has more than SLICE_ROWS; counted one by one."""
        what = f"COUNT(Id) rows, MIN({window.cursor}) oldest, MAX({window.cursor}) newest"
        with named_errors(stream):
            (extent,) = self._client.query(window.soql(what, stream.object), include_deleted=True)["records"]
            rows, oldest, newest = (extent[name] for name in ("rows", "oldest", "newest"))
        parts: Sequence[Window] = []
        if rows > SLICE_ROWS:
            oldest, newest = datetime.fromisoformat(oldest), datetime.fromisoformat(newest)
            parts = window.parts(ceil(rows / SLICE_ROWS), oldest, newest)
        if len(parts) > 1:
            for part in parts:
                yield from self._slices(stream, part)
        elif rows or window.end is None:
            yield replace(window, rows=rows)

    # pages

    def _in_turn(
        self, stream: Stream, pending: "peekable[Window]", now: datetime
    ) -> Iterator[tuple[Window, Records | None]]:
        """The pages of each window, and None at its end; the org works on the next window while this one is read.

        A window that is too large for the org is cut, one whose result it forgot is read again: a record may then come
        twice, and its later version counts.
        """
        ahead: Job | None = None
        restarts = 0
        try:
            for window in pending:
                job, ahead = ahead or self._job(stream, window), None
                if job and pending:
                    ahead = self._job(stream, pending.peek())
                try:
                    for page in self._pages(stream, window, job=job):
                        yield window, page
                    yield window, None
                    continue
                except WindowTooLarge:
                    parts = window.parts(2, window.start or FOUNDED, (window.end or now) - timedelta(seconds=1))
                    if window.cursor is None or len(parts) == 1:
                        raise
                    pending.prepend(*parts)
                except PlaceLost:
                    restarts += 1
                    if restarts > RESTARTS:
                        raise
                    pending.prepend(window)
                if ahead:
                    ahead.discard()
                    ahead = None
        finally:
            if ahead:
                ahead.discard()

    def _pages(
        self,
        stream: Stream,
        window: Window,
        names: Sequence[str] = (),
        *,
        include_deleted: bool = True,
        job: Job | None = None,
    ) -> Iterator[Records]:
        """All records of a window, by REST or Bulk, or by Bulk after a first batch that told how many there are."""
        ask = partial(self._job, stream, names=names, include_deleted=include_deleted)
        if job := job or ask(window):
            yield from _tables(job)
            return
        names = names or self._names(stream)
        for batch in rest.batches(self._client, stream, window, names, include_deleted=include_deleted):
            yield batch.records
            if batch.records and batch.left > REST_BATCHES * len(batch.records):
                others = replace(window, above=str(batch.records[-1]["Id"]), rows=batch.left)
                if job := ask(others):
                    yield from _tables(job)
                    return

    def _job(
        self, stream: Stream, window: Window, names: Sequence[str] = (), *, include_deleted: bool = True
    ) -> Job | None:
        """Have the org work on a window by Bulk; None if REST is the way to read it."""
        names = names or self._names(stream)
        soql = window.soql(", ".join(names), stream.object)
        is_small = window.rows is None or window.rows <= REST_ROWS
        if stream.object in self._not_in_bulk or (is_small and rest.fits(soql)):
            return None
        try:
            return Job(self._client, stream, soql, names, include_deleted=include_deleted)
        except NotInBulk:
            self._not_in_bulk.add(stream.object)
            return None


def _tables(job: Job) -> Iterator[pa.Table]:
    try:
        yield from job.tables()
    finally:
        job.discard()


def _newest(page: Records, cursor: str) -> datetime:
    if isinstance(page, pa.Table):
        stamp = pc.max(page[cursor]).as_py()  # bulk results write all of them alike
        return datetime.fromisoformat(stamp) if stamp else FOUNDED
    return max((datetime.fromisoformat(record[cursor]) for record in page), default=FOUNDED)
