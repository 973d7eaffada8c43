"""The part of COQL, Zoho CRM's query language, that a reader of records needs, turned into SQL conditions.

Parsing and its limits only: which modules there are, and how their records look, is for `api`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.sandbox.store import Column, Kind, Where
from connectors.sandbox.zoho.look import instant
from connectors.sandbox.zoho.refusals import Refused, limit_exceeded
from connectors.sandbox.zoho.tables import Module

MOST_ROWS = 2_000
DEFAULT_ROWS = 200
REACH = 100_000
MOST_COLUMNS = 500
MOST_VALUES = 100
MOST_ORDERS = 10
MOST_CRITERIA = 25
COUNT = "count(id)"

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:''|[^'])*')|(?P<number>[+-]?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|!=|[=<>(),]))"
)
SIGNS = {"=": "=", "!=": "is not", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A query that was understood."""

    module: Module
    names: tuple[str, ...]
    """Columns to show; only `count(id)` for a count."""
    where: Where
    order_by: str
    limit: int
    offset: int

    @property
    def is_count(self) -> bool:
        """Whether it asks how many there are."""
        return self.names == (COUNT,)


def parse(text: str, find: Callable[[str], tuple[Module, Mapping[str, Column]]]) -> Query:
    """Understand a query; `find` gives a module and the columns the user may see."""
    return _Parser(text, find).query()


class _Parser:
    """Recursive descent; more than two conditions in a row have to be in brackets, pair by pair."""

    def __init__(self, text: str, find: Callable[[str], tuple[Module, Mapping[str, Column]]]) -> None:
        self._find = find
        self._columns: Mapping[str, Column] = {}
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._criteria = 0
        position, end = 0, len(text.rstrip())
        while position < end:
            match = TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise _syntax(text[position : position + 20])
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def query(self) -> Query:
        self._expect("select")
        names = self._names()
        self._expect("from")
        module, self._columns = self._find(self._take("word"))
        if names != (COUNT,):
            self._check(names)
        if not self._accept("where"):
            raise Refused(400, "SYNTAX_ERROR", "missing clause", {"clause": "where"})
        where = self._conditions()
        if self._criteria > MOST_CRITERIA:
            raise limit_exceeded("criteria", MOST_CRITERIA)
        order_by = self._orders()
        limit, offset = self._limit()
        if self._at < len(self._tokens):
            raise _syntax(self._tokens[self._at][1])
        return Query(module=module, names=names, where=where, order_by=order_by, limit=limit, offset=offset)

    def _names(self) -> tuple[str, ...]:
        names = [self._name()]
        while self._accept(","):
            names.append(self._name())
        if len(names) > MOST_COLUMNS:
            raise limit_exceeded("select columns", MOST_COLUMNS)
        return tuple(names)

    def _name(self) -> str:
        name = self._take("word")
        if name.lower() == "count":
            self._expect("(")
            self._expect("id")
            self._expect(")")
            return COUNT
        return name

    def _check(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._column(name)
        if len(set(names)) < len(names):
            raise Refused(400, "DUPLICATE_DATA", "duplicate column", {"column_name": max(names, key=names.count)})

    def _column(self, name: str) -> Column:
        if name not in self._columns or self._columns[name].type == "subform":
            details = {"column_name": name, "reason": "column not found"}
            raise Refused(400, "INVALID_QUERY", "invalid query formed", details)
        return self._columns[name]

    def _conditions(self) -> Where:
        """One condition, or two joined by and or or; a third needs brackets."""
        first = self._operand()
        word = next((word for word in ("and", "or") if self._accept(word)), None)
        if word is None:
            return first
        second = self._operand()
        if self._peek().lower() in ("and", "or"):
            raise _syntax(self._peek())
        return Where(f"(({first.sql}) {word} ({second.sql}))", first.values + second.values)

    def _operand(self) -> Where:
        if self._accept("("):
            where = self._conditions()
            self._expect(")")
            return where
        return self._condition()

    def _condition(self) -> Where:
        self._criteria += 1
        column = self._column(self._take("word"))
        if column.type == "textarea":
            raise Refused(
                400, "INVALID_QUERY", "invalid query formed", {"column_name": column.name, "reason": "textarea"}
            )
        if self._accept("is"):
            word = "is not null" if self._accept("not") else "is null"
            self._expect("null")
            return Where(f"{column.sql} {word}")
        if self._accept("between"):
            low = self._value(column)
            self._expect("and")
            return Where(f"{column.sql} between ? and ?", (low, self._value(column)))
        is_negated = self._accept("not")
        if self._accept("in"):
            return self._in(column, "not in" if is_negated else "in")
        if self._accept("like"):
            return Where(f"{column.sql} {'not ' * is_negated}like ?", (self._value(column),))
        sign = self._take("sign")
        if sign not in SIGNS or is_negated:
            raise _syntax(sign)
        return Where(f"{column.sql} {SIGNS[sign]} ?", (self._value(column),))

    def _in(self, column: Column, word: str) -> Where:
        self._expect("(")
        values = [self._value(column)]
        while self._accept(","):
            values.append(self._value(column))
        self._expect(")")
        if len(values) > MOST_VALUES:
            raise limit_exceeded("values in the in clause", MOST_VALUES)
        return Where(f"{column.sql} {word} ({', '.join('?' * len(values))})", tuple(values))

    def _value(self, column: Column) -> Any:
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
        self._at += 1
        if kind == "string":
            text = text[1:-1].replace("''", "'")
        elif kind == "word" and text.lower() in ("true", "false") and column.kind is Kind.BOOLEAN:
            return text.lower() == "true"
        elif kind != "number":
            raise _syntax(text)
        if column.kind is Kind.TIMESTAMP:
            at = instant(text)
            if at is None:
                raise Refused(400, "INVALID_QUERY", "invalid query formed", {"column_name": column.name, "value": text})
            return at
        if column.kind in (Kind.NUMBER, Kind.INTEGER):
            return float(Decimal(text))
        return text

    def _orders(self) -> str:
        if not self._accept("order"):
            return '"id"'
        self._expect("by")
        terms = [self._order()]
        while self._accept(","):
            terms.append(self._order())
        if len(terms) > MOST_ORDERS:
            raise limit_exceeded("order by columns", MOST_ORDERS)
        return ", ".join(terms)

    def _order(self) -> str:
        column = self._column(self._take("word"))
        direction = next((word for word in ("asc", "desc") if self._accept(word)), "asc")
        return f"{column.sql} {direction}"

    def _limit(self) -> tuple[int, int]:
        limit, offset = DEFAULT_ROWS, 0
        if self._accept("limit"):
            limit = int(self._take("number"))
            if self._accept(","):
                limit, offset = int(self._take("number")), limit
        if self._accept("offset"):
            offset = int(self._take("number"))
        if limit > MOST_ROWS:
            raise limit_exceeded("limit", MOST_ROWS)
        if limit + offset > REACH:
            raise limit_exceeded("offset", REACH)
        return limit, offset

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _accept(self, word: str) -> bool:
        if self._peek().lower() == word and self._tokens[self._at][0] != "string":
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise _syntax(self._peek())

    def _take(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise _syntax(self._peek())
        self._at += 1
        return self._tokens[self._at - 1][1]


def _syntax(near: str) -> Refused:
    return Refused(400, "SYNTAX_ERROR", "error occurred while parsing the query", {"near": near})
