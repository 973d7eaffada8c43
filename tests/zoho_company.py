"""Halden's smallest region moved to Zoho CRM, for tests that want to know how many records there are."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from connectors.sandbox.company import Company, CustomField
from connectors.sandbox.generate import generate

T = TypeVar("T", bound=Any)


@cache
def company(deals: int = 300, custom_fields: int = 0) -> Company:
    """So many deals, and so many custom fields on each; every tenth is a formula."""
    whole = generate()
    fields = tuple(
        CustomField(record="opportunity", name=f"extra_{number}", kind="number", is_formula=number % 10 == 9)
        for number in range(custom_fields)
    )
    filled = {field.name: Decimal(number) for number, field in enumerate(fields)}
    return replace(
        whole,
        crms=("zoho",),
        stages={"zoho": whole.stages["salesforce"]},
        reps=tuple(replace(rep, crms=("zoho",)) for rep in whole.reps if "dynamics" in rep.crms),
        accounts=_moved(whole.accounts),
        contacts=_moved(whole.contacts),
        leads=_moved(whole.leads),
        opportunities=tuple(replace(deal, custom=filled) for deal in _moved(whole.opportunities)[:deals]),
        custom_fields=fields,
    )


def _moved(records: Sequence[T]) -> tuple[T, ...]:
    return tuple(replace(record, crm="zoho") for record in records if record.crm == "dynamics")
