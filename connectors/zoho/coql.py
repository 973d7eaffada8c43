"""Reading records of Zoho CRM by queries: what changed, in the order it changed, however many share a moment.

The next page begins after the last row of the page before, never at an offset, of which there are 100,000 at most.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from connectors.errors import ApiFailed
from connectors.stream import Record
from connectors.zoho.api import Api
from connectors.zoho.records import about, rows_of
from connectors.zoho.values import instant

PAGE_ROWS = 2_000
MOST_COLUMNS = 500
MOST_IDS = 100
CURSOR = "Modified_Time"


def changes(api: Api, module: str, names: Sequence[str], since: datetime) -> Iterator[list[Record]]:
    """What changed at an instant or later, the oldest change first; `names` has the id and the cursor."""

    def after(row: Record) -> str:
        at = _quoted(instant(row[CURSOR]))
        return f"({CURSOR} >= {at} and ({CURSOR} > {at} or id > '{row['id']}'))"

    start = f"({CURSOR} >= {_quoted(since)})"
    yield from _pages(api, module, names, start, after, f"{CURSOR} asc, id asc")


def keys(api: Api, module: str) -> Iterator[list[Record]]:
    """The ids of all records."""
    yield from _pages(api, module, ["id"], "(id is not null)", lambda row: f"(id > '{row['id']}')", "id asc")


def by_ids(api: Api, module: str, names: Sequence[str], ids: Sequence[str]) -> list[Record]:
    """Some records, those that still exist."""
    listed = ", ".join(f"'{id}'" for id in ids)
    query = f"select {', '.join(names)} from {module} where (id in ({listed})) limit {len(ids)}"
    answer = api.post(module, "coql", {"select_query": query})
    return rows_of(module, answer, "data") if answer else []


def changed(api: Api, module: str, since: datetime) -> int:
    """How many records have changed since."""
    query = f"select count(id) from {module} where ({CURSOR} >= {_quoted(since)})"
    answer = api.post(module, "coql", {"select_query": query})
    rows = rows_of(module, answer, "data") if answer else []
    return int(next(iter(rows[0].values()))) if rows else 0


def probe(api: Api, module: str) -> None:
    """Ask for one id, to see whether queries know the module."""
    api.post(module, "coql", {"select_query": f"select id from {module} where (id is not null) limit 1"})


def _pages(
    api: Api, module: str, names: Sequence[str], start: str, after: Callable[[Record], str], order: str
) -> Iterator[list[Record]]:
    where = start
    while True:
        query = f"select {', '.join(names)} from {module} where {where} order by {order} limit {PAGE_ROWS}"
        answer = api.post(module, "coql", {"select_query": query})
        if answer is None:
            return
        rows = rows_of(module, answer, "data")
        yield rows
        if not about(answer).get("more_records"):
            return
        following = after(rows[-1]) if rows else where
        if following == where:
            raise ApiFailed(f"Zoho repeats the same page of {module}: it does not move on from {where}")
        where = following


def _quoted(at: datetime) -> str:
    return f"'{at.astimezone(UTC).isoformat(timespec='seconds')}'"
