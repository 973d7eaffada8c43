"""Halden's region on Zoho CRM, cut to a size that tests can count on."""

from dataclasses import replace
from decimal import Decimal
from functools import cache

from connectors.sandbox.company import Company, CustomField
from connectors.sandbox.generate import generate

DEALS = 200


@cache
def company(deals: int = DEALS, custom_fields: int = 0) -> Company:
    """So many deals, and so many custom fields on each in place of the usual ones; every tenth is a formula."""
    region = replace(generate().within("zoho"), activities=(), surveys=(), trainings=(), quotas=(), invoices=())
    region = replace(region, opportunities=region.opportunities[:deals])
    if not custom_fields:
        return region
    fields = tuple(
        CustomField(record="opportunity", name=f"extra_{number}", kind="number", is_formula=number % 10 == 9)
        for number in range(custom_fields)
    )
    filled = {field.name: Decimal(number) for number, field in enumerate(fields)}
    wide = tuple(replace(deal, custom=filled, history=()) for deal in region.opportunities)
    return replace(region, opportunities=wide, custom_fields=fields)
