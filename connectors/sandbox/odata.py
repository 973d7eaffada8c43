"""OData `$filter` and `$orderby`, as far as Dataverse offers them, turned into SQL conditions.

Parsing and its error texts only: tables, paging and the look of records are for `dynamics`.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.store import Column, Kind, Table, Where, timestamp

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:''|[^'])*')"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|(?P<sign>[(),=\[\]]))"
)
SIGNS = {"eq": "=", "ne": "is not", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
PATTERNS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}
IN = "Microsoft.Dynamics.CRM.In"


class ODataError(Exception):
    """A query option Dataverse would refuse."""


def column_named(table: Table, name: str) -> Column:
    """The column, or the error Dataverse has for one that does not exist."""
    if name not in table.columns:
        entity = table.name.partition(".")[2]
        raise ODataError(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{entity}'.")
    return table.columns[name]


def order_by(table: Table, text: str) -> str:
    """`$orderby` as SQL."""
    terms = []
    for term in text.split(","):
        name, _, direction = term.strip().partition(" ")
        if direction.strip() not in ("", "asc", "desc"):
            raise ODataError(f"Syntax error at position {len(name)} in '{text}'.")
        terms.append(f"{column_named(table, name).sql} {direction.strip() or 'asc'}")
    return ", ".join(terms)


def filter(table: Table, text: str) -> Where:
    """`$filter` as a condition."""
    return _Parser(table, text).parse()


class _Parser:
    """Recursive descent: `or` binds weaker than `and`, `and` weaker than `not`."""

    def __init__(self, table: Table, text: str) -> None:
        self.table = table
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        position, end = 0, len(text.rstrip())
        while position < end:
            match = TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise ODataError(f"Syntax error at position {position} in '{text}'.")
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()

    def fail(self) -> ODataError:
        position = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        return ODataError(f"Syntax error at position {position} in '{self.text}'.")

    def accept(self, token: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at][1] == token and self.tokens[self.at][0] != "string":
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.fail()

    def take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self.fail()
        self.at += 1
        return self.tokens[self.at - 1][:2]

    def parse(self) -> Where:
        where = self.either()
        if self.at < len(self.tokens):
            raise self.fail()
        return where

    def either(self) -> Where:
        left = self.both()
        while self.accept("or"):
            right = self.both()
            left = Where(f"({left.sql} or {right.sql})", left.values + right.values)
        return left

    def both(self) -> Where:
        left = self.unary()
        while self.accept("and"):
            right = self.unary()
            left = Where(f"({left.sql} and {right.sql})", left.values + right.values)
        return left

    def unary(self) -> Where:
        if self.accept("not"):
            inner = self.unary()
            return Where(f"(not coalesce({inner.sql}, 0))", inner.values)
        if self.accept("("):
            inner = self.either()
            self.expect(")")
            return inner
        group, name = self.take()
        if group != "word":
            self.at -= 1
            raise self.fail()
        if self.accept("("):
            return self.function(name)
        return self.comparison(column_named(self.table, name))

    def comparison(self, column: Column) -> Where:
        _, operator = self.take()
        if operator not in SIGNS:
            self.at -= 1
            raise self.fail()
        value = self.literal(column)
        if value is None:
            if operator not in ("eq", "ne"):
                raise self.fail()
            return Where(f"({column.sql} is {'' if operator == 'eq' else 'not '}null)")
        return Where(f"({column.sql} {SIGNS[operator]} ?)", (value,))

    def function(self, name: str) -> Where:
        if name == IN:
            return self.membership()
        if name not in PATTERNS:
            raise ODataError(f"An unknown function with name '{name}' was found.")
        column = column_named(self.table, self.take()[1])
        self.expect(",")
        value = self.literal(column)
        self.expect(")")
        return Where(f"({column.sql} like ?)", (PATTERNS[name].format(value),))

    def membership(self) -> Where:
        self.expect("PropertyName")
        self.expect("=")
        column = column_named(self.table, self.take()[1].strip("'"))
        for token in (",", "PropertyValues", "=", "["):
            self.expect(token)
        values = [self.listed(column)]
        while self.accept(","):
            values.append(self.listed(column))
        self.expect("]")
        self.expect(")")
        marks = ", ".join("?" * len(values))
        return Where(f"({column.sql} in ({marks}))", tuple(values))

    def listed(self, column: Column) -> Any:
        """A value in a list: always in quotes, whatever the column's type."""
        text = self.take()[1].strip("'")
        return float(text) if column.kind in (Kind.INTEGER, Kind.NUMBER) else text

    def literal(self, column: Column) -> Any:
        group, token = self.take()
        if group == "word" and token == "null":
            return None
        value = _value(group, token, column.kind)
        if value is None:
            raise ODataError(
                "A binary operator with incompatible types was detected. Found operand types"
                f" 'Edm.{column.type}' and '{group}' for '{column.name}'."
            )
        return value


def _value(group: str, token: str, kind: Kind) -> Any:
    """The literal as the store compares it; None if it does not suit the column."""
    if group in ("guid", "string") and kind is Kind.KEY:
        return token.strip("'").lower()
    if group == "string" and kind is Kind.TEXT:
        return token[1:-1].replace("''", "'")
    if group == "datetime" and kind is Kind.TIMESTAMP:
        return timestamp(datetime.fromisoformat(token.replace("Z", "+00:00")))
    if group == "date" and kind is Kind.TIMESTAMP:
        return f"{token}T00:00:00.000Z"
    if group == "date" and kind is Kind.DATE:
        return token
    if group == "number" and kind in (Kind.NUMBER, Kind.INTEGER):
        return float(Decimal(token))
    if group == "word" and kind is Kind.BOOLEAN and token in ("true", "false"):
        return int(token == "true")
    return None
