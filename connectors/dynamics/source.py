"""Reads one Dataverse environment: change tracking where a table has it, else by its stamp or whole.

Streams are declared in `streams`, calls are made in `web_api`, tables described in `metadata`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from connectors.budget import Budget
from connectors.dynamics.entra import Credentials
from connectors.dynamics.metadata import Column, Metadata, is_labels
from connectors.dynamics.streams import STREAMS
from connectors.dynamics.web_api import WebApi
from connectors.errors import ApiFailed, PlaceLost, Refused
from connectors.options import Options
from connectors.stream import Checkpoint, Count, Field, Limit, Page, Record, State, Stream

PAGE_ROWS = 5_000
PAGE_VALUES = 500_000
"""A table with many columns is read in smaller pages, or a page would take hundreds of MiB of memory."""
PAGES_PER_COMMIT = 10
OVERLAP = timedelta(minutes=10)
"""How far behind its watermark an incremental read starts: a long transaction shows its rows late."""
MOST_COUNTED = 5_000
"""Dataverse counts exactly no further."""
CALLS, SECONDS = 6_000, 300
"""What service protection lets one user ask of one web server."""
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
TRACK = "odata.track-changes"
ANNOTATE = f'odata.include-annotations="{LOOKUP_TABLE}"'
"""Nothing else is asked for: what people see in place of a value is localised, and no data."""


DEFAULTS = Options()


class Dynamics:
    """One Dataverse environment, ready to be read."""

    crm = "dynamics"
    page_rows = PAGE_ROWS

    def __init__(self, credentials: Credentials, options: Options = DEFAULTS) -> None:
        self.budget = Budget("Dynamics", calls=CALLS, seconds=SECONDS, reserve=options.reserve)
        self._api = WebApi(credentials, self.budget)
        self._metadata = Metadata(self._api, options)

    def fields(self, stream: Stream) -> Sequence[Field]:
        """All columns that may be read; a lookup into several tables has a second one for which of them it is."""
        if is_labels(stream):
            return [Field(name, "StringType") for name in stream.fields]
        return [field for column in self._metadata.columns(stream) for field in _fields(column)]

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Count exactly up to 5,000; beyond, Dataverse only has a snapshot up to a day old."""
        if is_labels(stream):
            return None
        try:
            rows = self._counted(stream, self._live(stream))
            if rows < MOST_COUNTED:
                return Count(rows, slack=self._changed(stream, since))
            function = f"RetrieveTotalRecordCount(EntityNames=['{stream.object}'])"
            answer = self._api.json(stream.object, self._api.root + function)
            return Count(int(answer["EntityRecordCountCollection"]["Values"][0]), is_exact=False)
        except (ApiFailed, Refused, LookupError):
            return None

    def server_time(self) -> datetime:
        """The environment's clock at its last answer."""
        return self._api.transport.server_time()

    def limits(self) -> Sequence[Limit]:
        """Nothing: Dataverse tells what is left to one web server, which means little, and nothing of the day's."""
        return ()

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`: by change tracking where the table has it, else by the cursor or whole."""
        if is_labels(stream):
            yield from self._labels()
            return
        method = self._method(stream)
        try:
            if state and any(state.get(name) != value for name, value in self._origin(stream).items()):
                raise PlaceLost  # a delta link answers with the columns, and at the address, that it was made for
            yield from method(stream, state)
        except PlaceLost:
            yield Checkpoint(state={})
            yield from method(stream, {})

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        """Read what has a stamp from an instant on, deletes aside; without a stamp, everything."""
        if is_labels(stream):
            yield from (event for event in self._labels() if isinstance(event, Page))
            return
        for answer in self._pages(stream, self._query(stream, since=since)):
            yield self._page(stream, answer)

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """List the keys of all records, the merged ones aside."""
        names = [stream.key, *(["merged"] if self._knows_merges(stream) else [])]
        url = self._url(stream, f"?$select={','.join(names)}")
        for answer in self._api.pages(stream.object, url, f"odata.maxpagesize={PAGE_ROWS}"):
            yield [row[stream.key] for row in answer["value"] if row.get("merged") is not True]

    # ways to read

    def _method(self, stream: Stream) -> Callable[[Stream, State], Iterator[Page | Checkpoint]]:
        if self._metadata.table(stream).is_tracked:
            return self._tracked
        return self._dated if self._cursor(stream) else self._whole

    def _tracked(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Follow links as received; the last page of a round carries the link to the next round."""
        origin, is_complete = self._origin(stream), state.get("is_complete", True)
        link = state.get("next_link") or state.get("delta_link") or self._query(stream)
        answer: Mapping[str, Any] = {}
        for number, answer in enumerate(self._pages(stream, link, TRACK), 1):
            yield self._page(stream, answer)
            following = answer.get("@odata.nextLink")
            if following and number % PAGES_PER_COMMIT == 0:
                yield Checkpoint(state={**origin, "next_link": following, "is_complete": is_complete})
        delta = answer.get("@odata.deltaLink")
        if not delta:
            raise ApiFailed(
                f"Dynamics ended the changes of {stream.object} without a delta link: nothing was lost, rerun"
            )
        if "next_link" in state:  # what was read by an earlier run may be gone by now
            end = {**origin, "delta_link": delta, "is_complete": is_complete}
            yield Checkpoint(state=end)
            yield from self._tracked(stream, end)
        else:
            end = {**origin, "delta_link": delta, "is_complete": False}
            yield Checkpoint(state=end, is_last=True, is_complete=is_complete)

    def _dated(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read in the order of the stamp, from a while before the newest seen; this shows no deletes."""
        now, cursor, origin = self.server_time(), str(self._cursor(stream)), self._origin(stream)
        newest = datetime.fromisoformat(state["watermark"]) if "watermark" in state else None
        url = self._query(stream, since=newest - OVERLAP if newest else None, order=(cursor, stream.key))
        for number, answer in enumerate(self._pages(stream, url), 1):
            yield self._page(stream, answer)
            stamps = [datetime.fromisoformat(row[cursor]) for row in answer["value"] if row[cursor]]
            newest = max([*stamps, *([newest] if newest else [])], default=None)
            if newest and number % PAGES_PER_COMMIT == 0:
                yield Checkpoint(state={**origin, "watermark": min(newest, now).isoformat()})
        end = {**origin, "watermark": min(newest, now).isoformat()} if newest else origin
        yield Checkpoint(state=end, is_last=True, is_complete="watermark" not in state, sees_deletes=False)

    def _whole(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read everything, each time; what is not there any more is gone."""
        for answer in self._pages(stream, self._query(stream)):
            yield self._page(stream, answer)
        yield Checkpoint(state=self._origin(stream), is_last=True, is_complete=True)

    def _labels(self) -> Iterator[Page | Checkpoint]:
        """Read the labels of all choices; one that is no longer offered stays, since old records still have it."""
        for stream in STREAMS:
            if not is_labels(stream):
                try:
                    yield Page(list(self._metadata.labels(stream)))
                except Refused:
                    continue  # the table's own stream tells of it
        yield Checkpoint(state={"url": self._api.root}, is_last=True)

    # requests

    def _pages(self, stream: Stream, url: str, *prefer: str) -> Iterator[Mapping[str, Any]]:
        rows = max(1, min(PAGE_ROWS, PAGE_VALUES // len(self._metadata.columns(stream))))
        return self._api.pages(stream.object, url, f"odata.maxpagesize={rows}", ANNOTATE, *prefer)

    def _query(self, stream: Stream, *, since: datetime | None = None, order: Sequence[str] = ()) -> str:
        query = f"?$select={','.join(self._selected(stream))}"
        if since and (cursor := self._cursor(stream)):
            query += f"&$filter={cursor} ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if order:
            query += f"&$orderby={','.join(order)}"
        return self._url(stream, query)

    def _url(self, stream: Stream, query: str) -> str:
        return self._api.root + self._metadata.table(stream).entity_set + quote(query, safe="?$=&,:/")

    def _counted(self, stream: Stream, condition: str | None) -> int:
        query = f"/$count?$filter={condition}" if condition else "/$count"
        return self._api.number(stream.object, self._url(stream, query))

    def _changed(self, stream: Stream, since: datetime) -> int:
        """How many records changed while we were looking."""
        cursor = self._cursor(stream)
        return self._counted(stream, f"{cursor} ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}") if cursor else 0

    # records

    def _page(self, stream: Stream, answer: Mapping[str, Any]) -> Page:
        polymorphic = [column.name for column in self._metadata.columns(stream) if column.is_polymorphic]
        return Page([_record(stream, row, polymorphic) for row in answer["value"]])

    def _selected(self, stream: Stream) -> Sequence[str]:
        return list(dict.fromkeys([stream.key, *(column.name for column in self._metadata.columns(stream))]))

    def _origin(self, stream: Stream) -> State:
        columns = sha256(",".join(self._selected(stream)).encode()).hexdigest()
        return {"url": self._api.root, "columns": columns}

    def _cursor(self, stream: Stream) -> str | None:
        return stream.cursor if stream.cursor in self._selected(stream) else None

    def _knows_merges(self, stream: Stream) -> bool:
        return "merged" in self._selected(stream)

    def _live(self, stream: Stream) -> str | None:
        return "merged eq false or merged eq null" if self._knows_merges(stream) else None


def _fields(column: Column) -> Iterator[Field]:
    yield Field(column.name, column.type, column.is_calculated)
    if column.is_polymorphic:
        yield Field(f"{column.name}_type", "EntityNameType")


def _record(stream: Stream, row: Mapping[str, Any], polymorphic: Sequence[str]) -> Record:
    if str(row.get("@odata.context", "")).endswith("/$deletedEntity"):
        return {stream.key: row["id"], "_deleted": True}
    tables = {f"{name}_type": row.get(f"{name}@{LOOKUP_TABLE}") for name in polymorphic}
    return {**row, **tables, "_deleted": row.get("merged") is True}
