"""Zoho CRM's values as they land: the same text for a value, whichever API it came from.

A lookup lands as its id, because bulk files and queries give no more; the name that the records API adds is dropped,
and is in the record referred to. Everything else lands as it was given.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.stream import Record


def parsed(content: bytes) -> Any:
    """JSON whose numbers keep their digits."""
    return json.loads(content, parse_float=Decimal)


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record with ids for lookups, and without what Zoho CRM adds for its own screens."""
    return {name: _flat(value) for name, value in row.items() if not name.startswith("$")}


def _flat(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get("id", value)
    if isinstance(value, list):
        if not value or isinstance(value[0], Mapping):
            return [flat(item) for item in value] or None
        return ";".join(map(str, value))  # as a bulk file has it
    return value


def instant(text: str) -> datetime:
    """A timestamp, whatever its offset."""
    return datetime.fromisoformat(text)


def latest(stamps: Iterable[str | None], so_far: datetime | None = None) -> datetime | None:
    """The last of some timestamps, and of those before."""
    found = [instant(stamp) for stamp in stamps if stamp]
    return max(found if so_far is None else [*found, so_far], default=None)


def merged(rows: Sequence[Record], more: Mapping[str, Record]) -> tuple[list[Record], list[str]]:
    """Records with the fields that came separately, and the ids of those for which none came."""
    complete: list[Record] = [{**row, **more[row["id"]]} for row in rows if row["id"] in more]
    return complete, [row["id"] for row in rows if row["id"] not in more]
