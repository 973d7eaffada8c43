"""A deal in Salesforce's shape: the opportunity, its lines, its history, and who shares in it.

Pure; other records are in `rows`.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from connectors.sandbox.company import Line, Opportunity, Outcome, Stage, Step, World
from connectors.sandbox.salesforce.shape import (
    FORECAST,
    SPLIT_TYPES,
    Row,
    Rows,
    custom_values,
    optional_id,
    record_id,
    second,
    stamps,
)

TRACKED = {"StageName": "Text", "Amount": "Currency", "CloseDate": "Date", "Owner": "Text"}
"""Fields whose changes the org keeps, and how it types their values."""
CENT = Decimal("0.01")
OFFERING = (2, 3)
"""The stages in which a customer has an offer, by their place in the process."""
QUOTE_HOLDS = timedelta(days=60)
QUOTE_STATUSES = {Outcome.OPEN: "Presented", Outcome.WON: "Accepted", Outcome.LOST: "Denied"}


def deal_rows(record: Opportunity, world: World) -> Rows:
    """A deal with what hangs on it."""
    yield "Opportunity", _deal(record, world)
    yield from (("OpportunityLineItem", row) for row in _lines(record))
    yield from (("OpportunityHistory", row) for row in _history(record, world))
    yield from (("OpportunityFieldHistory", row) for row in _field_history(record, world))
    yield from _splits(record)
    yield from _quotes(record, world)


def _stage_of(world: World, key: str) -> Stage:
    return next(stage for stage in world.stages["salesforce"] if stage.key == key)


def _expected(amount: Decimal | None, probability: int) -> Decimal | None:
    return None if amount is None else (amount * probability / 100).quantize(CENT)


def _deal(deal: Opportunity, world: World) -> Row:
    stage, day = _stage_of(world, deal.stage), deal.close_date
    quarter = (day.month + 2) // 3 if day else None
    probability = stage.probability if deal.probability is None else deal.probability
    return {
        "Id": record_id("Opportunity", deal.key),
        "AccountId": optional_id("Account", deal.account_key),
        "ContactId": optional_id("Contact", deal.contact_key),
        "OwnerId": optional_id("User", deal.owner_email),
        "Pricebook2Id": optional_id("Pricebook2", deal.price_book_key),
        "CampaignId": optional_id("Campaign", deal.campaign_key),
        "Name": deal.name,
        "Type": deal.type,
        "LeadSource": deal.source,
        "CurrencyIsoCode": deal.currency,
        "Amount": deal.amount,
        "ExpectedRevenue": _expected(deal.amount, probability),
        "TotalOpportunityQuantity": Decimal(sum(line.quantity for line in deal.lines)) if deal.lines else None,
        "HasOpportunityLineItem": bool(deal.lines),
        "CloseDate": day,
        "Fiscal": f"{day.year} {quarter}" if day else None,
        "FiscalQuarter": quarter,
        "FiscalYear": day.year if day else None,
        "StageName": stage.label,
        "ForecastCategory": FORECAST.get(stage.outcome, "Pipeline"),
        "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
        "Probability": Decimal(probability),
        "IsClosed": stage.outcome is not Outcome.OPEN,
        "IsWon": stage.outcome is Outcome.WON,
        "LastStageChangeDate": second(deal.stage_changed_at),
        **custom_values(deal.custom),
        **stamps(deal.created_at, deal.modified_at),
    }


def _lines(deal: Opportunity) -> Iterator[Row]:
    for number, line in enumerate(deal.lines):
        ordinal = number if line.ordinal is None else line.ordinal
        yield {
            "Id": record_id("OpportunityLineItem", f"{deal.key}:{ordinal}"),
            "OpportunityId": record_id("Opportunity", deal.key),
            "Product2Id": record_id("Product2", line.product),
            "PricebookEntryId": _price(deal, line),
            "Name": f"{deal.name} {line.product}",
            "Quantity": Decimal(line.quantity),
            "UnitPrice": line.unit_price,
            "ListPrice": line.unit_price,
            "TotalPrice": line.amount,
            **stamps(deal.created_at, deal.modified_at),
        }


def _price(deal: Opportunity, line: Line) -> str | None:
    """The entry of the price book that a line was taken from."""
    return deal.price_book_key and record_id("PricebookEntry", f"{deal.price_book_key}:{line.product}")


def _quotes(deal: Opportunity, world: World) -> Rows:
    """What was offered: a quote with the deal's lines, from the stage on in which offers are made."""
    stages = [stage.key for stage in world.stages["salesforce"]]
    offered = [step for step in deal.history if stages.index(step.stage) in OFFERING]
    if not offered:
        return
    quote_id, outcome = record_id("Quote", deal.key), _stage_of(world, deal.stage).outcome
    common = stamps(max(deal.created_at, offered[0].at), deal.modified_at)
    yield (
        "Quote",
        {
            "Id": quote_id,
            "OpportunityId": record_id("Opportunity", deal.key),
            "AccountId": optional_id("Account", deal.account_key),
            "ContactId": optional_id("Contact", deal.contact_key),
            "OwnerId": optional_id("User", deal.owner_email),
            "Pricebook2Id": optional_id("Pricebook2", deal.price_book_key),
            "QuoteNumber": f"Q-{deal.key.rpartition(':')[2]}",
            "Name": f"Quote for {deal.name}",
            "Status": QUOTE_STATUSES[outcome],
            "CurrencyIsoCode": deal.currency,
            "GrandTotal": sum((line.amount or Decimal(0) for line in deal.lines), Decimal(0)),
            "ExpirationDate": offered[0].at.date() + QUOTE_HOLDS,
            "IsSyncing": outcome is Outcome.OPEN,
            **common,
        },
    )
    for number, line in enumerate(deal.lines):
        ordinal = number if line.ordinal is None else line.ordinal
        yield (
            "QuoteLineItem",
            {
                "Id": record_id("QuoteLineItem", f"{deal.key}:{ordinal}"),
                "QuoteId": quote_id,
                "OpportunityLineItemId": record_id("OpportunityLineItem", f"{deal.key}:{ordinal}"),
                "Product2Id": record_id("Product2", line.product),
                "PricebookEntryId": _price(deal, line),
                "Quantity": Decimal(line.quantity),
                "UnitPrice": line.unit_price,
                "ListPrice": line.unit_price,
                "TotalPrice": line.amount,
                **common,
            },
        )


def _history(deal: Opportunity, world: World) -> Iterator[Row]:
    for number, (before, step) in enumerate(zip((None, *deal.history), deal.history, strict=False)):
        stage = _stage_of(world, step.stage)
        yield {
            "Id": record_id("OpportunityHistory", f"{deal.key}:{number}"),
            "OpportunityId": record_id("Opportunity", deal.key),
            "StageName": stage.label,
            "ForecastCategory": FORECAST.get(stage.outcome, "Pipeline"),
            "Amount": step.amount,
            "ExpectedRevenue": _expected(step.amount, stage.probability),
            "PrevAmount": before and before.amount,
            "Probability": Decimal(stage.probability),
            "CloseDate": step.close_date,
            "PrevCloseDate": before and before.close_date,
            "CurrencyIsoCode": deal.currency,
            "CreatedDate": second(step.at),
            "IsDeleted": False,
        }


def _field_history(deal: Opportunity, world: World) -> Iterator[Row]:
    for number, (before, step) in enumerate(zip(deal.history, deal.history[1:], strict=False), 1):
        old, new = _tracked(before, world), _tracked(step, world)
        for name, type in TRACKED.items():
            if old[name] != new[name]:
                yield {
                    "Id": record_id("OpportunityFieldHistory", f"{deal.key}:{number}:{name}"),
                    "OpportunityId": record_id("Opportunity", deal.key),
                    "Field": name,
                    "DataType": type,
                    "OldValue": old[name],
                    "NewValue": new[name],
                    "CreatedDate": second(step.at),
                    "IsDeleted": False,
                }


def _tracked(step: Step, world: World) -> Mapping[str, str | None]:
    return {
        "StageName": _stage_of(world, step.stage).label,
        "Amount": None if step.amount is None else f"{step.amount:f}",
        "CloseDate": step.close_date.isoformat() if step.close_date else None,
        "Owner": optional_id("User", step.owner_email),
    }


def _splits(deal: Opportunity) -> Rows:
    common = {
        "OpportunityId": record_id("Opportunity", deal.key),
        **stamps(deal.created_at, deal.modified_at),
    }
    for split in deal.splits:
        key = f"{deal.key}:{split.rep_email}:{split.is_overlay}"
        yield (
            "OpportunitySplit",
            {
                "Id": record_id("OpportunitySplit", key),
                "SplitOwnerId": record_id("User", split.rep_email),
                "SplitTypeId": record_id("OpportunitySplitType", SPLIT_TYPES[split.is_overlay]),
                "SplitPercentage": split.percent,
                "SplitAmount": None if deal.amount is None else (deal.amount * split.percent / 100).quantize(CENT),
                "CurrencyIsoCode": deal.currency,
                **common,
            },
        )
        yield (
            "OpportunityTeamMember",
            {
                "Id": record_id("OpportunityTeamMember", key),
                "UserId": record_id("User", split.rep_email),
                "TeamMemberRole": "Sales Engineer" if split.is_overlay else "Account Manager",
                **common,
            },
        )
