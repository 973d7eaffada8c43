"""What rows of all tables have in common: ids, stamps, owners, currencies, the company's own columns.

What is particular to one kind of record is in the module for that.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.company import Custom, Line, World
from connectors.sandbox.dynamics.choices import Choices
from connectors.sandbox.dynamics.tables import record_id

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Tables' names, each with one row."""


class Shape:
    """The company, as far as every row depends on it."""

    def __init__(self, world: World, choices: Choices) -> None:
        self.world = world
        self.choices = choices
        self.stages = {stage.key: stage for stage in world.stages["dynamics"]}
        self.founded = stamps(world.founded_at, world.founded_at)
        self._kinds = {(field.record, field.name): field.kind for field in world.custom_fields}

    def custom(self, entity: str, custom: Custom) -> dict[str, Any]:
        """The columns that the company added to a table."""
        return {f"new_{name}": self._value(entity, name, value) for name, value in custom.items()}

    def _value(self, entity: str, name: str, value: Any) -> Any:
        match self._kinds[(entity, name)]:
            case "choice":
                return self.choices.code(entity, f"new_{name}", value)
            case "number" | "money" if value is not None:
                return Decimal(value)
        return value


def optional_id(entity: str, key: str | None) -> str | None:
    """The id of a record, if there is one."""
    return None if key is None else record_id(entity, key)


def stamps(created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    """When a row came and changed, in whole seconds."""
    return {"createdon": created_at.replace(microsecond=0), "modifiedon": modified_at.replace(microsecond=0)}


def owner(email: str | None) -> dict[str, Any]:
    """Whose a row is."""
    return {"_ownerid_value": optional_id("systemuser", email), "owneridtype": email and "systemuser"}


def customer(account_key: str | None, column: str = "customerid") -> dict[str, Any]:
    """The account that a row is about, in a lookup that could hold a contact too."""
    return {f"_{column}_value": optional_id("account", account_key), f"{column}type": account_key and "account"}


def currency(code: str | None) -> dict[str, Any]:
    """What its money is in."""
    return {"_transactioncurrencyid_value": optional_id("transactioncurrency", code)}


def numbered(lines: tuple[Line, ...]) -> Iterator[tuple[int, Line]]:
    """Lines with what tells them apart for good."""
    for number, line in enumerate(lines):
        yield (number if line.ordinal is None else line.ordinal), line


def line_columns(line: Line, code: str | None, moments: Mapping[str, Any]) -> dict[str, Any]:
    """What lines of deals, orders and invoices have in common."""
    return {
        "productdescription": None,
        "quantity": Decimal(line.quantity),
        "priceperunit": line.unit_price,
        "extendedamount": line.amount,
        "_productid_value": record_id("product", line.product),
        **currency(code),
        **moments,
    }
