"""The fields of one module, got in as many passes as Zoho CRM's limits take, and put together by id.

Which records are read, and when, is decided in `dated` and `source`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
from more_itertools import chunked

from connectors.stream import Field, Record
from connectors.zoho import coql, records
from connectors.zoho.api import Api
from connectors.zoho.values import merged

ByIds = Callable[[Api, str, Sequence[str], Sequence[str]], Sequence[Record]]
KEY = "id"
CURSOR = "Modified_Time"
SUBFORM = "subform"
ROWS_AT_ONCE = 2_000


class Columns:
    """What is to be read of a module's records."""

    def __init__(self, api: Api, module: str, fields: Sequence[Field], *, has_coql: bool) -> None:
        names = [field.name for field in fields if field.type != SUBFORM]
        self._api, self._module = api, module
        self._has_coql = has_coql
        self._names = sorted(names, key=lambda name: (name != KEY, name != CURSOR))
        self._subforms = [field.name for field in fields if field.type == SUBFORM]

    def first(self, most: int) -> Sequence[str]:
        """As many fields as one pass can get, the id and the stamp among them."""
        return self._names[:most]

    def complete(self, rows: Sequence[Record], first: Sequence[str]) -> Sequence[Record]:
        """Records with the fields that the first pass did not get.

        A record that was there in the first pass and is not in a later one is read again, from the start; it is left
        out only if it is gone, which the list of what was deleted then tells.
        """
        lacking: list[str] = []
        for by_ids, names in self._passes(self._names[len(first) :]):
            rows, missing = merged(rows, self._by_ids(by_ids, names, [row[KEY] for row in rows]))
            lacking += missing
        return [*rows, *self._again(lacking)] if lacking else rows

    def complete_table(self, table: pa.Table, first: Sequence[str]) -> Iterator[pa.Table | Sequence[Record]]:
        """The same for rows of a file, which stay a table if nothing is lacking."""
        if len(first) == len(self._names) and not self._subforms:
            yield table
            return
        for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
            yield self.complete(batch.to_pylist(), first)

    def _again(self, ids: Sequence[str]) -> Sequence[Record]:
        rows: Sequence[Record] = [{KEY: id} for id in ids]
        for by_ids, names in self._passes(self._names[1:]):
            rows, _ = merged(rows, self._by_ids(by_ids, names, [row[KEY] for row in rows]))
        return rows

    def _passes(self, names: Sequence[str]) -> Iterator[tuple[ByIds, Sequence[str]]]:
        if self._has_coql:
            yield from ((coql.by_ids, part) for part in chunked(names, coql.MOST_COLUMNS - 1))
        else:
            yield from ((records.by_ids, part) for part in chunked(names, records.MOST_FIELDS - 1))
        yield from ((records.by_ids, part) for part in chunked(self._subforms, records.MOST_FIELDS - 1))

    def _by_ids(self, by_ids: ByIds, names: Sequence[str], ids: Sequence[str]) -> Mapping[str, Record]:
        parts = (by_ids(self._api, self._module, [KEY, *names], part) for part in chunked(ids, records.MOST_IDS))
        return {row[KEY]: row for part in parts for row in part}
