"""What the rows of all Salesforce objects share: ids, stamps, the company's own fields.

Which rows there are is told in `rows` and `deals`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from connectors.sandbox.company import Custom, Outcome
from connectors.sandbox.salesforce.tables import PREFIXES, custom_name
from connectors.sandbox.soql import long_id

Row = Mapping[str, Any]
Rows = Iterator[tuple[str, Row]]
"""Object and row; the first is the record's own, the others hang on it."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORECAST = {Outcome.WON: "Closed", Outcome.LOST: "Omitted"}
SPLIT_TYPES = {False: "Revenue", True: "Overlay"}


@lru_cache(1 << 17)
def record_id(object: str, key: str) -> str:
    """The 18-character id of a company's record: the same in every run, in no particular order."""
    number = int.from_bytes(hashlib.sha256(f"{object}:{key}".encode()).digest()[:10])
    digits = ""
    for _ in range(9):
        number, digit = divmod(number, len(ALPHABET))
        digits += ALPHABET[digit]
    return long_id(f"{PREFIXES[object]}5e0{digits}")


def optional_id(object: str, key: str | None) -> str | None:
    """The same for a record that may be missing."""
    return None if key is None else record_id(object, key)


def second(moment: datetime) -> datetime:
    """A moment as Salesforce keeps it."""
    return moment.replace(microsecond=0)


def stamps(created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    """The stamps of a record that is not deleted."""
    modified_at = second(modified_at)
    return {
        "CreatedDate": second(created_at),
        "LastModifiedDate": modified_at,
        "SystemModstamp": modified_at,
        "IsDeleted": False,
    }


def custom_values(values: Custom) -> dict[str, Any]:
    """The company's own fields under the names they have here."""
    return {custom_name(name): Decimal(value) if type(value) is int else value for name, value in values.items()}
