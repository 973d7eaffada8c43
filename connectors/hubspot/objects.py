"""A stream of CRM objects, read by list or by search: records with all their properties and associations.

Which of the two is due, and where a read goes on, is for `source`; the past of deals is read in `history`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

from connectors.hubspot.records import Found, Listed, Records, Result
from connectors.hubspot.side_by_side import side_by_side
from connectors.stream import Record, Stream

NAMES_IN_URL = 6_000
"""Characters of property names that a URL may hold; some portals have ten times as many, and HubSpot then refuses."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Records that were read together."""

    records: Sequence[Record]
    place: str | None
    """Where the next part begins: a cursor of the list, or the last id that the search showed."""
    newest: str
    """The latest stamp among them, in ISO form; empty if there is none."""
    hides_deletes: bool = False
    """Something is gone of which nothing more can be asked."""


class Reader(Protocol):
    """How one stream is read."""

    def listed(self, after: str | None) -> Iterator[Part]:
        """All live records by id, from a place on."""

    def changed(self, since: datetime, last_id: str | None) -> Iterator[Part]:
        """Live records changed since an instant, behind an id."""

    def archived(self, since: datetime) -> Iterator[Sequence[Record]]:
        """Records archived since an instant, as deleted; the archive itself knows no filter."""

    def keys(self) -> Iterator[Sequence[str]]:
        """Keys of all live records, from the list: it hides nothing, unlike the search."""


class ObjectReader:
    """Reads a CRM object with the given properties and associations (column to object)."""

    def __init__(
        self, records: Records, stream: Stream, properties: Sequence[str], associations: Mapping[str, str]
    ) -> None:
        self._records, self._object, self._cursor = records, stream.object, stream.cursor
        self._properties, self._associations = properties, associations
        self._declared = [name for name in properties if name in stream.fields]
        self._is_wide = len(quote(",".join(properties), safe="")) > NAMES_IN_URL

    def listed(self, after: str | None) -> Iterator[Part]:
        """All live records by id, from a place on; of many properties the list brings the ids alone."""
        properties = ["hs_object_id"] if self._is_wide else self._properties
        yield from side_by_side(self._completed, self._records.listed(self._object, properties, after=after))

    def changed(self, since: datetime, last_id: str | None) -> Iterator[Part]:
        """Live records changed since an instant, behind an id."""
        found = self._records.changed(self._object, self._properties, str(self._cursor), since, last_id)
        yield from side_by_side(self._part, found)

    def archived(self, since: datetime) -> Iterator[Sequence[Record]]:
        """Records archived since an instant, as deleted, with those that they had swallowed."""
        for page in self._records.listed(self._object, self._declared, archived=True):
            gone = [_flat(result, self._declared) for result in page.results if was_archived(result, since)]
            yield [*gone, *_merged_away(gone)]

    def keys(self) -> Iterator[Sequence[str]]:
        """Keys of all live records."""
        for page in self._records.listed(self._object, ["hs_object_id"]):
            yield [str(result["id"]) for result in page.results]

    def _completed(self, page: Listed) -> Part:
        if not self._is_wide:
            return self._part(page)
        ids = [str(result["id"]) for result in page.results]
        return self._part(Listed(self._records.read(self._object, ids, self._properties), page.place))

    def _part(self, page: Listed | Found) -> Part:
        """A page with what takes more calls, the associations; and, deleted, what its records have swallowed."""
        records: list[Record] = [_flat(result, self._properties) for result in page.results]
        ids = [str(result["id"]) for result in page.results]
        for column, target in self._associations.items():
            others = self._records.associated(self._object, target, ids) if ids else {}
            records = [{**record, column: others.get(record["hs_object_id"], [])} for record in records]
        return Part(
            records=[*records, *_merged_away(records)],
            place=page.place,
            newest=newest(page.results, self._cursor),
        )


def newest(results: Sequence[Result], cursor: str | None) -> str:
    """The latest stamp among records, in ISO form."""
    stamps = (result["properties"].get(cursor) for result in results)
    return max((instant(stamp).isoformat() for stamp in stamps if stamp), default="")


def instant(text: str) -> datetime:
    """Read an ISO instant or epoch milliseconds; HubSpot sends both."""
    if text.lstrip("-").isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return datetime.fromisoformat(text)


def was_archived(result: Result, since: datetime) -> bool:
    """Whether an archived record was archived late enough, or does not say when."""
    return not result.get("archivedAt") or instant(result["archivedAt"]) >= since


def merged_ids(properties: Mapping[str, Any]) -> list[str]:
    """Ids of the records that a survivor has swallowed; HubSpot lists them nowhere as deleted."""
    return [lost for lost in str(properties.get("hs_merged_object_ids") or "").split(";") if lost]


def _flat(result: Result, properties: Sequence[str]) -> dict[str, Any]:
    """Only what was asked for: HubSpot sends some properties to everybody."""
    sent = result["properties"]
    return {
        **{name: sent.get(name) for name in properties},
        "hs_object_id": str(result["id"]),
        "_deleted": bool(result.get("archived")),
    }


def _merged_away(records: Sequence[Record]) -> Iterator[Record]:
    for record in records:
        for lost in merged_ids(record):
            if lost != record["hs_object_id"]:
                yield {"hs_object_id": lost, "_deleted": True}
