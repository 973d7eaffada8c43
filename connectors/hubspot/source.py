"""One HubSpot portal, ready to be read: what is listed, what is searched for, and where a read goes on.

How records are read is in `objects` and `history`; calls, limits and errors are in `api`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from connectors.errors import PlaceLost, Refused
from connectors.hubspot.api import Api
from connectors.hubspot.auth import Credentials
from connectors.hubspot.history import HistoryReader
from connectors.hubspot.listings import LISTINGS
from connectors.hubspot.objects import ObjectReader, Reader, instant
from connectors.hubspot.records import LIST_PAGE, SEARCH_PAGE, Records
from connectors.hubspot.streams import STREAMS
from connectors.options import Options
from connectors.stream import Checkpoint, Count, Field, Limit, Page, Record, State, Stream

SEARCH_CAP = 10_000
"""A search that finds more may claim to have found just as many."""
PAGES_PER_COMMIT = 100
OVERLAP = timedelta(hours=1)
"""How far behind its watermark an incremental read starts: each read is also the delayed second look at what the one
before could not see yet, since a search shows changes late and out of order."""
FOUNDED = datetime(2006, 1, 1, tzinfo=UTC)
HISTORY = "deal_history"
NO_OPTIONS = Options()
TYPE_IDS: Mapping[str, str] = {"contacts": "0-1", "companies": "0-2", "deals": "0-3"}
"""Objects that every portal has."""
Listed = TypeVar("Listed")


class HubSpot:
    """One HubSpot portal."""

    crm = "hubspot"

    def __init__(self, credentials: Credentials, options: Options = NO_OPTIONS) -> None:
        self.page_rows = LIST_PAGE
        self._api = Api(credentials, options)
        self.budget = self._api.budget
        self._options = options
        self._records = Records(self._api)
        self._described: dict[str, Sequence[Field]] = {}
        self._shown: dict[str, bool] = dict.fromkeys(TYPE_IDS, True)

    def fields(self, stream: Stream) -> Sequence[Field]:
        """All properties of the object that nobody excluded; of what is no object, the declared fields."""
        if _is_object(stream):
            listing = self._api.get(stream.object, f"{self._api.paths.properties}/{stream.object}")["results"]
            found = [Field(it["name"], it.get("type", ""), bool(it.get("calculated"))) for it in listing]
        else:
            # the past of a purged deal goes unseen, like the new value of a formula, until the next whole read
            found = [Field(name, kind.value, name == "value") for name, kind in stream.fields.items()]
        self._described[stream.name] = [field for field in found if not self._is_excluded(stream, field.name)]
        return self._described[stream.name]

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`: search for the live, the archived listing for the deleted."""
        if stream.name in LISTINGS:
            yield Page(self._listing(stream))
            yield Checkpoint(state={}, is_last=True, is_complete=LISTINGS[stream.name].forgets)
        elif stream.cursor is None or "watermark" not in state:
            try:
                yield from self._read_all(stream, state)
            except PlaceLost:
                yield Checkpoint(state={})
                yield from self._read_all(stream, {})
        else:
            yield from self._read_changes(stream, state)

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        """Read again what changed since an instant; what is no object, or has no cursor, whole."""
        if stream.name in LISTINGS or stream.cursor is None:
            yield from (event for event in self.read(stream, {}) if isinstance(event, Page))
        else:
            reader = self._reader(stream)
            yield from (Page(part.records) for part in reader.changed(since, None))
            yield from _archived(reader, since)

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """Keys of all live records."""
        if stream.name in LISTINGS:
            yield [str(record[stream.key]) for record in self._listing(stream)]
        else:
            yield from self._reader(stream).keys()

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Ask search how many live records there are, and how many of them changed `since`."""
        if not _is_object(stream) or stream.cursor is None:
            return None
        total, latest = self._records.total(stream.object, stream.cursor, SEARCH_PAGE)
        stamps = (result["properties"].get(stream.cursor) for result in latest)
        slack = sum(instant(stamp) >= since for stamp in stamps if stamp)
        if slack == len(latest) < total:
            slack = self._records.total_since(stream.object, stream.cursor, since)
        return Count(total, is_exact=total != SEARCH_CAP, slack=slack)

    def server_time(self) -> datetime:
        """The portal's clock at its last answer."""
        return self._api.server_time()

    def limits(self) -> Sequence[Limit]:
        """What HubSpot tells of its limits with any answer."""
        self._api.get("account-info", self._api.paths.account)
        return self._api.limits()

    def _read_all(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        # The listing is ordered by id, so its end is the only moment at which the watermark may move.
        reader = self._reader(stream)
        started = state.get("started", self.server_time().isoformat())
        newest = state.get("newest", FOUNDED.isoformat())
        for number, part in enumerate(reader.listed(state.get("after")), start=1):
            newest = max(newest, part.newest)
            yield Page(part.records)
            if number % PAGES_PER_COMMIT == 0 and part.place:
                yield Checkpoint(state={"after": part.place, "started": started, "newest": newest})
        yield from _archived(reader, FOUNDED)
        end = {"watermark": min(newest, started)} if stream.cursor else {}
        yield Checkpoint(state=end, is_last=True, is_complete=True)

    def _read_changes(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        reader = self._reader(stream)
        watermark = state["watermark"]
        since = datetime.fromisoformat(watermark) - OVERLAP
        started = state.get("started", self.server_time().isoformat())
        newest, sees_deletes = state.get("newest", watermark), state.get("sees_deletes", True)
        for number, part in enumerate(reader.changed(since, state.get("last_id")), start=1):
            newest, sees_deletes = max(newest, part.newest), sees_deletes and not part.hides_deletes
            yield Page(part.records)
            if number % PAGES_PER_COMMIT == 0 and part.place:
                place = {"last_id": part.place, "started": started, "newest": newest, "sees_deletes": sees_deletes}
                yield Checkpoint(state={"watermark": watermark, **place})
        yield from _archived(reader, since)
        yield Checkpoint(state={"watermark": min(newest, started)}, is_last=True, sees_deletes=sees_deletes)

    def _reader(self, stream: Stream) -> Reader:
        if stream.name == HISTORY:
            return HistoryReader(self._records)
        names = [field.name for field in self._fields(stream)]
        return ObjectReader(self._records, stream, names, self._associations(stream))

    def _associations(self, stream: Stream) -> Mapping[str, str]:
        """What to ask for: not for objects that the portal does not show, or the whole stream would be refused."""
        possible = self._possible(stream)
        return {column: to for column, to in stream.associations.items() if to in possible and self._shows(to)}

    def _possible(self, stream: Stream) -> Collection[str]:
        """Objects that the stream's can be associated with; of the company's own, only its schema knows that."""
        targets = list(stream.associations.values())
        if stream in STREAMS:
            return targets
        for schema in self._api.get(stream.object, self._api.paths.schemas)["results"]:
            if stream.object in (schema["name"], schema["objectTypeId"], schema["fullyQualifiedName"]):
                ends = {end[side] for end in schema["associations"] for side in ("fromObjectTypeId", "toObjectTypeId")}
                return [to for to in targets if TYPE_IDS.get(to) in ends]
        return targets

    def _shows(self, object: str) -> bool:
        if object not in self._shown:
            try:
                self._api.get(object, f"{self._api.paths.properties}/{object}")
                self._shown[object] = True
            except Refused:
                self._shown[object] = False
        return self._shown[object]

    def _listing(self, stream: Stream) -> list[Record]:
        names = [field.name for field in self._fields(stream)]
        found = _at_second_try(partial(LISTINGS[stream.name].records, self._api))
        return [{name: record.get(name) for name in names} for record in found]

    def _fields(self, stream: Stream) -> Sequence[Field]:
        return self._described.get(stream.name) or self.fields(stream)

    def _is_excluded(self, stream: Stream, name: str) -> bool:
        return name != stream.key and self._options.excludes(self.crm, stream.object, name)


def _archived(reader: Reader, since: datetime) -> Iterator[Page]:
    yield from map(Page, _at_second_try(partial(reader.archived, since)))


def _at_second_try(listed: Callable[[], Iterator[Listed]]) -> Iterator[Listed]:
    """List from the beginning once more where HubSpot loses its place: for what may well come twice."""
    try:
        yield from listed()
    except PlaceLost:
        yield from listed()


def _is_object(stream: Stream) -> bool:
    return stream.name not in LISTINGS and stream.name != HISTORY
