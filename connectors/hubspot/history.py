"""What deals used to be: a record for each deal, property and change, from the past that HubSpot sends with a deal.

The deals themselves are read in `objects`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from connectors.hubspot.objects import Part, merged_ids, newest, was_archived
from connectors.hubspot.records import Found, Listed, Records, Result
from connectors.hubspot.side_by_side import side_by_side
from connectors.hubspot.streams import HISTORY_PROPERTIES
from connectors.stream import Record

DEALS = "deals"
CURSOR = "hs_lastmodifieddate"
"""Of the deals: their past grows when they change."""
PROPERTIES = ("hs_merged_object_ids", CURSOR)


class HistoryReader:
    """Reads the past of deals."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def listed(self, after: str | None) -> Iterator[Part]:
        """The past of all live deals, by id of the deal, from a place on."""
        pages = self._records.listed(DEALS, PROPERTIES, after=after, past=HISTORY_PROPERTIES)
        yield from side_by_side(_part, pages)

    def changed(self, since: datetime, last_id: str | None) -> Iterator[Part]:
        """The whole past of live deals changed since an instant; a search shows no past, so it takes another call."""

        def completed(page: Found) -> Part:
            ids = [str(result["id"]) for result in page.results]
            return _part(Found(self._records.read(DEALS, ids, PROPERTIES, past=HISTORY_PROPERTIES), page.place))

        yield from side_by_side(completed, self._records.changed(DEALS, PROPERTIES, CURSOR, since, last_id))

    def archived(self, since: datetime) -> Iterator[Sequence[Record]]:
        """The past of deals archived since an instant, as deleted."""
        for page in self._records.listed(DEALS, PROPERTIES, archived=True):
            ids = [str(result["id"]) for result in page.results if was_archived(result, since)]
            past = self._records.read(DEALS, ids, PROPERTIES, archived=True, past=HISTORY_PROPERTIES)
            yield [{"id": entry["id"], "_deleted": True} for entry in _entries(past)]

    def keys(self) -> Iterator[Sequence[str]]:
        """Keys of the past of all live deals."""
        for part in self.listed(None):
            yield [record["id"] for record in part.records]


def _part(page: Listed | Found) -> Part:
    return Part(
        records=_entries(page.results),
        place=page.place,
        newest=newest(page.results, CURSOR),
        hides_deletes=any(merged_ids(result["properties"]) for result in page.results),
    )


def _entries(results: Sequence[Result]) -> list[Record]:
    """One record for each change; of two at the same moment, the later one. A deal may well have no past."""
    entries: dict[str, dict[str, Any]] = {}
    for result in results:
        for name, past in (result.get("propertiesWithHistory") or {}).items():
            for entry in reversed(past):  # newest first
                id = f"{result['id']}:{name}:{entry['timestamp']}"
                entries[id] = {**entry, "id": id, "deal_id": str(result["id"]), "property": name}
    return list(entries.values())
