"""How Salesforce writes values, in JSON and in CSV, and which ones it takes.

The values come as the store keeps them, straight from SQL, so that a million records cost little.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from connectors.sandbox.salesforce.tables import ADDRESS
from connectors.sandbox.soql import long_id
from connectors.sandbox.store import Column, Kind
from connectors.sandbox.wire import Number


class Json(Number):
    """JSON text, to be written as it is."""

    __slots__ = ()


def double(value: Decimal) -> str:
    """A number as Salesforce writes it: like a Java double, so 15000.0 and 3.5E8, but with all digits kept."""
    if value == 0:
        return "0.0"
    # arithmetic, abs() included, would round to 28 digits
    text = f"{value.copy_abs():f}"
    sign = "-" if value < 0 else ""
    exponent = value.adjusted()
    if -3 <= exponent < 7:
        whole, _, fraction = text.partition(".")
        return f"{sign}{whole}.{fraction.rstrip('0') or '0'}"
    digits = text.replace(".", "").strip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


@lru_cache(1 << 16)
def double_of(text: str) -> str:
    """The same, of a number's text."""
    return double(Decimal(text))


def sql(column: Column) -> str:
    """The SQL for a column's value."""
    if column.type == "address":
        return f"json_array({', '.join(f'Billing{part}' for part in ADDRESS)})"
    return f'"{column.name}"'


def _address(value: str) -> str:
    parts = {part[0].lower() + part[1:]: text for part, text in zip(ADDRESS, json.loads(value), strict=True)}
    if not any(parts.values()):
        return "null"
    return json.dumps({**parts, "latitude": None, "longitude": None, "geocodeAccuracy": None})


_JSON: dict[Kind, Callable[[Any], str]] = {
    Kind.BOOLEAN: lambda value: "true" if value else "false",
    Kind.INTEGER: str,
    Kind.NUMBER: double_of,
    Kind.TIMESTAMP: lambda value: f'"{value[:-1]}+0000"',
}


def json_of(column: Column) -> Callable[[Any], str]:
    """What turns a column's values into JSON text."""
    write = _address if column.type == "address" else _JSON.get(column.kind, encode_basestring_ascii)
    return lambda value: "null" if value is None or value == "" else write(value)


def csv_line(columns: Sequence[Column], delimiter: str, ending: str) -> list[tuple[str, bool]]:
    """The SQL for the pieces that a CSV line is joined from, and which of them are numbers still to be formed.

    SQL does most of the work, since it is several times as fast as a CSV writer. Null is empty, all values are quoted.
    """
    pieces, piece = [], ["'\"'"]
    for place, column in enumerate(columns):
        if place:
            piece.append(f"""'"{delimiter}"'""")
        if column.kind is Kind.NUMBER:
            pieces += [(" || ".join(piece), False), (f'"{column.name}"', True)]
            piece = ["''"]
        else:
            piece.append(_CSV.get(column.kind, "coalesce(\"{0}\", '')").format(column.name))
        if len(piece) > LONGEST_EXPRESSION:
            pieces.append((" || ".join(piece), False))
            piece = ["''"]
    return [*pieces, (" || ".join([*piece, f"""'"{ending}'"""]), False)]


LONGEST_EXPRESSION = 200
"""Terms that are concatenated at once: SQLite allows 1,000."""
_CSV = {
    Kind.BOOLEAN: """case when "{0}" then 'true' else 'false' end""",
    Kind.TEXT: """coalesce(replace("{0}", '"', '""'), '')""",
}


def accepted(column: Column, value: Any) -> Any:
    """A value sent by a client, checked against the type of its field.

    Raises:
        ValueError: it is of another type.

    """
    if value is None or value == "":
        return None
    try:
        if column.kind is Kind.BOOLEAN and not isinstance(value, bool):
            raise ValueError(value)
        if column.kind is Kind.NUMBER:
            return Decimal(str(value))
        if column.kind is Kind.INTEGER:
            return int(value)
        if column.kind is Kind.DATE:
            return datetime.strptime(value, "%Y-%m-%d").date()
        if column.kind is Kind.TIMESTAMP:
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        if column.kind is Kind.KEY:
            return long_id(value)
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(value) from error
    return value
