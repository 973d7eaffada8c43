"""Queries over REST: batch after batch, going on by id when the org forgets its cursor.

Which queries go this way is for `source`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from simple_salesforce.api import Salesforce as Client

from connectors.errors import ApiFailed, IncompleteRead, PlaceLost
from connectors.salesforce.errors import named_errors
from connectors.salesforce.soql import Window
from connectors.stream import Record, Stream

LONGEST_QUERY = 14_000
"""Characters of an encoded query: with path and headers, Salesforce takes 16,384."""


@dataclass(frozen=True)
class Batch:
    """Some records, by id, and how many the org has beyond them."""

    records: Sequence[Record]
    left: int


def fits(soql: str) -> bool:
    """Whether a query can be asked over REST, where it is part of the URL."""
    return len(quote_plus(soql)) <= LONGEST_QUERY


def batches(
    client: Client, stream: Stream, window: Window, names: Sequence[str], *, include_deleted: bool = True
) -> Iterator[Batch]:
    """Read a window; however short a batch is, only the lack of a link to the next ends it."""
    link, left = "", 0

    def ask(window: Window) -> Any:
        soql = window.soql(", ".join(names), stream.object, in_order=True)
        with named_errors(stream):
            return client.query(soql, include_deleted=include_deleted)

    answer = ask(window)
    while True:
        with named_errors(stream):
            records, following = answer["records"], answer.get("nextRecordsUrl")
            left = (left or answer["totalSize"]) - len(records)
            if not following and not answer["done"]:
                raise IncompleteRead(f"Salesforce {stream.object}: a batch is not the last, but does not link to more")
        yield Batch([_plain(record) for record in records], left)
        if not following:
            return
        if following == link:
            raise ApiFailed(f"Salesforce repeats the same page of {stream.object}: stopped, not looping")
        link = following
        if records:
            window = replace(window, above=records[-1]["Id"])
        try:
            with named_errors(stream):
                answer = client.query_more(link, identifier_is_url=True)
        except PlaceLost:  # cursors die when they idle, or when others open their own
            answer, link, left = ask(window), "", 0


def _plain(record: dict[str, Any]) -> Record:
    del record["attributes"]
    return record | {"_deleted": record.get("IsDeleted") is True}
