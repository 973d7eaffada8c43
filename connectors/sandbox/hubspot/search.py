"""What a search asks for, as conditions and orders of the store.

Pure translation; the search itself is in `objects`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.sandbox.hubspot.answers import Refused, column_of, parsed
from connectors.sandbox.hubspot.tables import BY_ID, BY_NUMBER
from connectors.sandbox.store import ALL, Column, Kind, Where

SIGNS = {"EQ": "=", "NEQ": "is not", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


class Language:
    """The filters and sorts of one object's searches."""

    def __init__(self, columns: Mapping[str, Column], *, ids_are_text: bool) -> None:
        self._columns = columns
        self._ids_are_text = ids_are_text

    def sort(self, sorts: list[Any]) -> tuple[str, Column | None]:
        """The order in SQL, and the property that it is by."""
        if len(sorts) > 1:
            raise Refused(400, "There was a problem with the request: only one sort is allowed")
        for sort in sorts:
            if isinstance(sort, str):
                sort = {"propertyName": sort.removeprefix("-"), "direction": "DESCENDING" if sort[0] == "-" else ""}
            column = column_of(self._columns, sort.get("propertyName"))
            direction = "desc" if sort.get("direction") == "DESCENDING" else "asc"
            return f"{self._sql(column)} {direction}, {BY_ID}", column
        return BY_ID, None

    def filter(self, groups: list[Any]) -> Where:
        """Any of the groups, all filters in a group."""
        sizes = [len(group.get("filters") or ()) for group in groups]
        if len(groups) > 5 or any(size > 6 for size in sizes) or sum(sizes) > 18:
            raise Refused(400, "There was a problem with the request: too many filters (5 groups, 6 each, 18 in all)")
        alternatives = []
        for group in groups:
            condition = ALL
            for filter in group.get("filters") or ():
                condition &= self._condition(filter)
            alternatives.append(condition)
        if not alternatives:
            return ALL
        return Where(" or ".join(f"({a.sql})" for a in alternatives), tuple(v for a in alternatives for v in a.values))

    def _condition(self, filter: Mapping[str, Any]) -> Where:
        unknown = set(filter) - {"propertyName", "operator", "value", "values", "highValue"}
        if unknown:
            raise Refused(400, f'Invalid input JSON: Unrecognized field "{min(unknown)}"')
        column = column_of(self._columns, filter.get("propertyName"))
        operator = filter.get("operator")
        sql = self._sql(column)
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            return Where(f"{column.sql} is {'not ' if operator == 'HAS_PROPERTY' else ''}null")
        if operator in ("IN", "NOT_IN"):
            values = [self._comparable(column, value) for value in filter.get("values") or ()]
            if not values:
                raise Refused(400, f"There was a problem with the request: operator {operator} requires values")
            marks = ", ".join("?" * len(values))
            return Where(f"{sql} {'not ' if operator == 'NOT_IN' else ''}in ({marks})", tuple(values))
        value = self._comparable(column, filter.get("value"))
        if operator == "BETWEEN":
            return Where(f"{sql} between ? and ?", (value, self._comparable(column, filter.get("highValue"))))
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            negation = "not " if operator.startswith("NOT") else ""
            return Where(f"{sql} {negation}like ?", (f"%{str(value).strip('*')}%",))
        if operator not in SIGNS:
            raise Refused(400, f"Invalid input JSON: Cannot deserialize value of type `FilterOperator` from {operator}")
        return Where(f"{sql} {SIGNS[operator]} ?", (value,))

    def _sql(self, column: Column) -> str:
        if column.name != "hs_object_id":
            return column.sql
        return column.sql if self._ids_are_text else BY_NUMBER

    def _comparable(self, column: Column, value: Any) -> Any:
        """A filter value as the store compares it."""
        if value is None or value == "":
            raise Refused(400, f"There was a problem with the request: no value for {column.name}")
        try:
            if column.name == "hs_object_id":
                return str(value) if self._ids_are_text else int(value)
            if column.kind is Kind.NUMBER:
                return float(Decimal(str(value)))
            return parsed(column, str(value))
        except (ValueError, ArithmeticError):
            raise Refused(400, f"There was a problem with the request: {value} is not a {column.type}") from None
