"""The part of SOQL that a reader of records needs, turned into SQL conditions.

Parsing and its error texts only: which objects exist, paging and the look of results are for `salesforce`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.store import ALL, Column, Kind, Table, Where, timestamp

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:\\.|[^'\\])*')"
    r"|(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)
AGGREGATES = {
    "COUNT": "count({})",
    "COUNT_DISTINCT": "count(distinct {})",
    "MIN": "min({})",
    "MAX": "max({})",
}
LONGEST = 100_000
"""Characters of a statement."""
RESERVED = {
    "WHERE",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "FROM",
    "SELECT",
    "GROUP",
    "USING",
}
WORDS_FOR_KINDS = {
    Kind.TIMESTAMP: "dateTime",
    Kind.DATE: "date",
    Kind.NUMBER: "double",
    Kind.INTEGER: "int",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "string",
    Kind.KEY: "id",
}


class SoqlError(Exception):
    """A query Salesforce would refuse, with its code and text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Aggregate:
    """`COUNT(Id) total` in the list of what to select."""

    function: str
    column: Column | None
    alias: str | None


@dataclass(frozen=True, kw_only=True)
class Query:
    """A parsed query against a known object."""

    table: Table
    columns: tuple[Column, ...]
    aggregates: tuple[Aggregate, ...]
    is_count: bool
    """`SELECT COUNT()`, whose answer is `totalSize`."""
    where: Where
    order_by: str
    limit: int | None
    offset: int


def parse(text: str, tables: Mapping[str, Table]) -> Query:
    """The query, or SoqlError. `tables` maps object names, in lower case, to tables."""
    return _Parser(text, tables).query()


class _Parser:
    """Recursive descent over the tokens, one method for each thing in the grammar."""

    def __init__(self, text: str, tables: Mapping[str, Table]) -> None:
        if len(text) > LONGEST:
            raise SoqlError("QUERY_TOO_COMPLICATED", f"SOQL statements cannot be longer than {LONGEST} characters.")
        self.text = text
        self.tables = tables
        self.tokens = list(self._tokens())
        self.at = 0
        self.columns: dict[str, Column] = {}

    def _tokens(self) -> Any:
        position = 0
        end = len(self.text.rstrip())
        while position < end:
            match = TOKEN.match(self.text, position)
            if not match or match.lastgroup is None:
                raise self._unexpected(self.text[position:].split()[0], position)
            yield match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)
            position = match.end()

    def _unexpected(self, token: str, position: int) -> SoqlError:
        near = self.text[max(0, position - 20) : position + 20]
        return SoqlError(
            "MALFORMED_QUERY",
            f"\n{near}\n{' ' * min(20, position)}^\nERROR at Row:1:Column:{position + 1}\nunexpected token: '{token}'",
        )

    def _fail(self) -> SoqlError:
        if self.at >= len(self.tokens):
            return self._unexpected("<EOF>", len(self.text))
        _, token, position = self.tokens[self.at]
        return self._unexpected(token, position)

    def peek(self, *words: str) -> bool:
        if self.at >= len(self.tokens):
            return False
        group, token, _ = self.tokens[self.at]
        return group in ("word", "sign") and token.upper() in words

    def accept(self, *words: str) -> bool:
        if self.peek(*words):
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self._fail()

    def take(self, group: str) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != group:
            raise self._fail()
        self.at += 1
        return str(self.tokens[self.at - 1][1])

    def name(self) -> str:
        if self.peek(*RESERVED):
            raise self._fail()
        return self.take("word")

    def query(self) -> Query:
        self.expect("SELECT")
        selected = [self.selected()]
        while self.accept(","):
            selected.append(self.selected())
        self.expect("FROM")
        table = self.table()
        where = ALL
        if self.accept("WHERE"):
            where = self.condition(table)
        order_by = self.order(table) if self.accept("ORDER") else ""
        limit = int(self.take("number")) if self.accept("LIMIT") else None
        offset = int(self.take("number")) if self.accept("OFFSET") else 0
        if self.at < len(self.tokens):
            raise self._fail()
        return self._resolved(table, selected, where, order_by, limit, offset)

    def selected(self) -> tuple[str, str | None, str | None]:
        """Function, field, alias."""
        name = self.name()
        if not self.accept("("):
            return "", name, None
        if name.upper() not in AGGREGATES:
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{name}'")
        field = None if self.peek(")") else self.name()
        self.expect(")")
        has_alias = self.at < len(self.tokens) and self.tokens[self.at][0] == "word" and not self.peek("FROM")
        return name.upper(), field, self.name() if has_alias else None

    def table(self) -> Table:
        position = self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)
        # an object may be called like a word of the language: Order is
        is_known = position < len(self.text) and self.tokens[self.at][1].lower() in self.tables
        name = self.take("word") if is_known else self.name()
        if name.lower() not in self.tables:
            near = self.text[max(0, position - 20) : position + len(name)]
            raise SoqlError(
                "INVALID_TYPE",
                f"\n{near}\n{' ' * min(20, position)}^\nERROR at Row:1:Column:{position + 1}\nsObject type '{name}' is"
                " not supported. If you are attempting to use a custom object, be sure to append the '__c' after the"
                " custom object name. Please reference your WSDL or the describe call for the appropriate names.",
            )
        table = self.tables[name.lower()]
        self.columns = {column.name.lower(): column for column in table.columns.values()}
        return table

    def column(self, table: Table, name: str) -> Column:
        if column := self.columns.get(name.lower()):
            return column
        entity = table.name.partition(".")[2]
        if "." in name:
            raise SoqlError(
                "INVALID_FIELD",
                f"Didn't understand relationship '{name.partition('.')[0]}' in field path. If you are attempting to"
                " use a custom relationship, be sure to append the '__r' after the custom relationship name.",
            )
        raise SoqlError(
            "INVALID_FIELD",
            f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to"
            " append the '__c' after the custom field name. Please reference your WSDL or the describe call for the"
            " appropriate names.",
        )

    def condition(self, table: Table) -> Where:
        left = self.unary(table)
        joint = next((word for word in ("AND", "OR") if self.peek(word)), None)
        while joint and self.accept(joint):
            right = self.unary(table)
            left = Where(f"({left.sql} {joint} {right.sql})", left.values + right.values)
        # SOQL wants parentheses where AND and OR meet
        if self.peek("AND", "OR"):
            raise self._fail()
        return left

    def unary(self, table: Table) -> Where:
        if self.accept("NOT"):
            inner = self.unary(table)
            return Where(f"(not coalesce({inner.sql}, 0))", inner.values)
        if self.accept("("):
            inner = self.condition(table)
            self.expect(")")
            return inner
        return self.comparison(table)

    def comparison(self, table: Table) -> Where:
        column = self.column(table, self.name())
        if column.type in ("address", "textarea"):
            raise SoqlError("INVALID_FIELD", f"field '{column.name}' can not be filtered in a query call")
        negated = self.accept("NOT")
        if self.accept("IN"):
            return self.membership(column, negated)
        if self.accept("LIKE"):
            return Where(f"{column.sql} like ?", (self.literal(column),))
        for sign in ("=", "!=", "<>", "<=", ">=", "<", ">"):
            if not negated and self.accept(sign):
                return self.compared(column, sign, self.literal(column))
        raise self._fail()

    def membership(self, column: Column, negated: bool) -> Where:
        self.expect("(")
        values = [self.literal(column)]
        while self.accept(","):
            values.append(self.literal(column))
        self.expect(")")
        marks = ", ".join("?" * len(values))
        sql = f"{column.sql} in ({marks})"
        return Where(f"(not coalesce({sql}, 0))" if negated else f"({sql})", tuple(values))

    def compared(self, column: Column, sign: str, value: Any) -> Where:
        if value is None or value == "":
            if sign not in ("=", "!=", "<>"):
                raise SoqlError("MALFORMED_QUERY", f"operator {sign} cannot be used with null on '{column.name}'")
            return Where(f"{column.sql} is {'' if sign == '=' else 'not '}null")
        if sign in ("!=", "<>"):  # null differs from every value
            return Where(f"{column.sql} is not ?", (value,))
        return Where(f"{column.sql} {sign} ?", (value,))

    def literal(self, column: Column) -> Any:
        if self.at >= len(self.tokens):
            raise self._fail()
        group, token, _ = self.tokens[self.at]
        if group == "word" and token.upper() == "NULL":
            self.at += 1
            return None
        value = _value(group, token, column.kind)
        if value is None:
            raise self._mistyped(column, group, token)
        self.at += 1
        return value

    def _mistyped(self, column: Column, group: str, token: str) -> SoqlError:
        if group == "sign" or (group == "word" and token.upper() not in ("TRUE", "FALSE")):
            return self._fail()
        enclosed = "should not" if group == "string" else "should"
        quotes = (
            f" and {enclosed} be enclosed in quotes"
            if (group == "string") != (column.kind in (Kind.TEXT, Kind.KEY))
            else ""
        )
        return SoqlError(
            "INVALID_FIELD",
            f"value of filter criterion for field '{column.name}' must be of type"
            f" {WORDS_FOR_KINDS[column.kind]}{quotes}",
        )

    def order(self, table: Table) -> str:
        self.expect("BY")
        terms = [self.order_term(table)]
        while self.accept(","):
            terms.append(self.order_term(table))
        return ", ".join(terms)

    def order_term(self, table: Table) -> str:
        column = self.column(table, self.name())
        direction = "desc" if self.accept("DESC") else "asc"
        self.accept("ASC")
        nulls = "first"
        if self.accept("NULLS"):
            nulls = "last" if self.accept("LAST") else "first"
            self.accept("FIRST")
        # the plus keeps SQLite from walking the whole table in this order where a condition has an index
        return f"+{column.sql} {direction} nulls {nulls}"

    def _resolved(
        self,
        table: Table,
        selected: list[tuple[str, str | None, str | None]],
        where: Where,
        order_by: str,
        limit: int | None,
        offset: int,
    ) -> Query:
        is_count = selected == [("COUNT", None, None)]
        columns = tuple(self.column(table, field) for function, field, _ in selected if not function and field)
        aggregates = tuple(
            Aggregate(function, self.column(table, field) if field else None, alias)
            for function, field, alias in selected
            if function
        )
        if not is_count:
            _check(columns, aggregates)
        return Query(
            table=table,
            columns=columns,
            aggregates=() if is_count else aggregates,
            is_count=is_count,
            where=where,
            order_by=order_by,
            limit=limit,
            offset=offset,
        )


def _check(columns: Sequence[Column], aggregates: Sequence[Aggregate]) -> None:
    """Refuse what cannot be selected together."""
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SoqlError("MALFORMED_QUERY", f"duplicate field selected: {twice}")
    if aggregates and columns:
        raise SoqlError("MALFORMED_QUERY", f"Field must be grouped or aggregated: {names[0]}")
    if any(aggregate.column is None for aggregate in aggregates):
        raise SoqlError("MALFORMED_QUERY", "unexpected token: ')'")


def _value(group: str, token: str, kind: Kind) -> Any:
    """The literal as the store compares it; None if it does not suit the column."""
    if group == "string" and kind in (Kind.TEXT, Kind.KEY):
        text = re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1]), token[1:-1])
        return long_id(text) if kind is Kind.KEY else text
    if group == "datetime" and kind is Kind.TIMESTAMP:
        return timestamp(datetime.fromisoformat(token.replace("Z", "+00:00")).astimezone(UTC))
    if group == "date" and kind is Kind.DATE:
        return token
    if group == "number" and kind in (Kind.NUMBER, Kind.INTEGER):
        return float(Decimal(token))
    if group == "word" and kind is Kind.BOOLEAN and token.upper() in ("TRUE", "FALSE"):
        return int(token.upper() == "TRUE")
    return None


ID_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def long_id(text: str) -> str:
    """The 18 characters for an id of 15 (the last three say which letters are capitals)."""
    if len(text) != 15:
        return text
    return text + "".join(
        ID_SUFFIX[sum(1 << n for n, char in enumerate(text[start : start + 5]) if char.isupper())]
        for start in (0, 5, 10)
    )
