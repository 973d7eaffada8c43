"""A company's records in Salesforce's shape: a record becomes rows of one object or of several.

Pure; loading and changing them is for `org`.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import singledispatch
from itertools import groupby

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Contact,
    Invoice,
    Lead,
    LeadStatus,
    Line,
    Opportunity,
    Order,
    Outcome,
    PriceBook,
    Product,
    Quota,
    Record,
    Rep,
    Stage,
    Survey,
    Territory,
    Training,
    World,
)
from connectors.sandbox.salesforce.deals import deal_rows
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

LEAD_STATUSES = {
    LeadStatus.OPEN: "Open",
    LeadStatus.WORKING: "Working",
    LeadStatus.QUALIFIED: "Qualified",
    LeadStatus.UNQUALIFIED: "Unqualified",
}
USAGE = timedelta(days=5 * 365)
"""How long things are used."""
SUBTYPES = {ActivityKind.TASK: "Task", ActivityKind.CALL: "Call", ActivityKind.EMAIL: "Email"}


def references(world: World) -> Rows:
    """What an org has before it has records: stages, split types, a territory model, currencies and their rates."""
    founded = stamps(world.founded_at, world.founded_at)
    for number, stage in enumerate(world.stages["salesforce"], 1):
        yield "OpportunityStage", {**_stage(stage, number), **founded}
    for is_overlay, label in SPLIT_TYPES.items():
        row = {"MasterLabel": label, "DeveloperName": label, "IsActive": True, "IsTotalValidated": not is_overlay}
        yield "OpportunitySplitType", {"Id": record_id("OpportunitySplitType", label), **row, **founded}
    model = {"Name": "Current", "DeveloperName": "Current", "State": "Active"}
    yield "Territory2Model", {"Id": record_id("Territory2Model", "current"), **model, **founded}
    if len(world.rates) > 1:
        yield from (("CurrencyType", {**_currency(world, code), **founded}) for code in world.rates)
        yield from (("DatedConversionRate", {**row, **founded}) for row in _dated_rates(world))


def _stage(stage: Stage, number: int) -> Row:
    return {
        "Id": record_id("OpportunityStage", stage.key),
        "MasterLabel": stage.label,
        "ApiName": stage.label,
        "ForecastCategoryName": FORECAST.get(stage.outcome, "Pipeline"),
        "SortOrder": number,
        "DefaultProbability": Decimal(stage.probability),
        "IsActive": True,
        "IsClosed": stage.outcome is not Outcome.OPEN,
        "IsWon": stage.outcome is Outcome.WON,
    }


def _currency(world: World, code: str) -> Row:
    return {
        "Id": record_id("CurrencyType", code),
        "IsoCode": code,
        "ConversionRate": world.rates[code],
        "DecimalPlaces": 2,
        "IsActive": True,
        "IsCorporate": code == world.currency,
    }


def _dated_rates(world: World) -> Iterator[Row]:
    in_order = sorted(world.dated_rates, key=lambda rate: (rate.currency, rate.starts_on))
    for code, rates in groupby(in_order, key=lambda rate: rate.currency):
        dated = list(rates)
        ends = [*(rate.starts_on for rate in dated[1:]), date(9999, 12, 31)]
        for rate, end in zip(dated, ends, strict=True):
            yield {
                "Id": record_id("DatedConversionRate", f"{code}:{rate.starts_on}"),
                "IsoCode": code,
                "ConversionRate": rate.rate,
                "StartDate": rate.starts_on,
                "NextStartDate": end,
            }


@singledispatch
def rows(record: Record, world: World) -> Rows:
    """The rows of a record."""
    raise TypeError(f"Salesforce has no place for {type(record).__name__}")


rows.register(Opportunity, deal_rows)


@rows.register
def _(record: Rep, world: World) -> Rows:
    user_id = record_id("User", record.email)
    common = stamps(record.created_at, record.modified_at)
    yield (
        "User",
        {
            "Id": user_id,
            "Username": record.email,
            "FirstName": record.first_name,
            "LastName": record.last_name,
            "Name": record.name,
            "Email": record.email,
            "ManagerId": optional_id("User", record.manager_email),
            "UserRoleId": record_id("UserRole", record.title),
            "Department": record.team,
            "Division": record.region,
            "Title": record.title,
            "TimeZoneSidKey": "Etc/UTC",
            "DefaultCurrencyIsoCode": world.currency,
            "UserType": "Standard",
            "IsActive": record.is_active,
            **common,
        },
    )
    role = {"Name": record.title, "DeveloperName": record.title.replace(" ", "_")}
    founded = stamps(world.founded_at, world.founded_at)
    yield "UserRole", {"Id": record_id("UserRole", record.title), **role, **founded}
    if record.territory:
        yield (
            "UserTerritory2Association",
            {
                "Id": record_id("UserTerritory2Association", f"{record.email}:{record.territory}"),
                "UserId": user_id,
                "Territory2Id": record_id("Territory2", record.territory),
                "RoleInTerritory2": record.title,
                "IsActive": record.is_active,
                **common,
            },
        )


@rows.register
def _(record: Territory, world: World) -> Rows:
    yield (
        "Territory2",
        {
            "Id": record_id("Territory2", record.key),
            "Name": record.name,
            "DeveloperName": record.name.replace(" ", "_"),
            "ParentTerritory2Id": optional_id("Territory2", record.parent_key),
            "Territory2ModelId": record_id("Territory2Model", "current"),
            "ForecastUserId": optional_id("User", record.manager_email),
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Product, world: World) -> Rows:
    yield (
        "Product2",
        {
            "Id": record_id("Product2", record.name),
            "Name": record.name,
            "ProductCode": record.sku,
            "Family": record.family,
            "IsActive": True,
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: PriceBook, world: World) -> Rows:
    book_id = record_id("Pricebook2", record.key)
    common = {"IsActive": True, **stamps(record.created_at, record.modified_at)}
    yield "Pricebook2", {"Id": book_id, "Name": record.name, "IsStandard": record.is_standard, **common}
    for product, price in record.prices.items():
        yield (
            "PricebookEntry",
            {
                "Id": record_id("PricebookEntry", f"{record.key}:{product}"),
                "Pricebook2Id": book_id,
                "Product2Id": record_id("Product2", product),
                "Name": product,
                "UnitPrice": price,
                "CurrencyIsoCode": record.currency,
                **common,
            },
        )


@rows.register
def _(record: Account, world: World) -> Rows:
    yield (
        "Account",
        {
            "Id": record_id("Account", record.key),
            "Name": record.name,
            "Type": "Customer - Direct",
            "ParentId": optional_id("Account", record.parent_key),
            "OwnerId": optional_id("User", record.owner_email),
            "Industry": record.industry,
            "BillingCountry": record.country,
            "Website": record.website,
            "AnnualRevenue": record.revenue,
            "NumberOfEmployees": record.employees,
            "CurrencyIsoCode": record.currency,
            **custom_values(record.custom),
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Contact, world: World) -> Rows:
    yield (
        "Contact",
        {
            "Id": record_id("Contact", record.key),
            "AccountId": record_id("Account", record.account_key),
            "OwnerId": record_id("User", record.owner_email),
            "FirstName": record.first_name,
            "LastName": record.last_name,
            "Name": f"{record.first_name} {record.last_name}",
            "Title": record.title,
            "Email": record.email,
            "Phone": record.phone,
            **custom_values(record.custom),
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Lead, world: World) -> Rows:
    yield (
        "Lead",
        {
            "Id": record_id("Lead", record.key),
            "OwnerId": record_id("User", record.owner_email),
            "FirstName": record.first_name,
            "LastName": record.last_name,
            "Name": f"{record.first_name} {record.last_name}",
            "Company": record.company,
            "Email": record.email,
            "Country": record.country,
            "Status": record.status and LEAD_STATUSES[record.status],
            "LeadSource": record.source,
            "IsConverted": record.opportunity_key is not None,
            "ConvertedDate": record.converted_on,
            "ConvertedAccountId": optional_id("Account", record.account_key),
            "ConvertedContactId": optional_id("Contact", record.contact_key),
            "ConvertedOpportunityId": optional_id("Opportunity", record.opportunity_key),
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Campaign, world: World) -> Rows:
    yield (
        "Campaign",
        {
            "Id": record_id("Campaign", record.key),
            "OwnerId": record_id("User", record.owner_email),
            "Name": record.name,
            "Type": record.type,
            "Status": record.status,
            "CurrencyIsoCode": record.currency,
            "BudgetedCost": record.budget,
            "ActualCost": record.cost,
            "StartDate": record.starts_on,
            "EndDate": record.ends_on,
            "IsActive": True,
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: CampaignMember, world: World) -> Rows:
    yield (
        "CampaignMember",
        {
            "Id": record_id("CampaignMember", record.key),
            "CampaignId": record_id("Campaign", record.campaign_key),
            "LeadId": optional_id("Lead", record.lead_key),
            "ContactId": optional_id("Contact", record.contact_key),
            "Status": record.status,
            "HasResponded": record.responded_on is not None,
            "FirstRespondedDate": record.responded_on,
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Activity, world: World) -> Rows:
    common = {
        "OwnerId": record_id("User", record.owner_email),
        "WhoId": optional_id("Contact", record.contact_key) or optional_id("Lead", record.lead_key),
        "WhatId": optional_id("Opportunity", record.opportunity_key) or optional_id("Account", record.account_key),
        "AccountId": optional_id("Account", record.account_key),
        "Subject": record.subject,
        "ActivityDate": record.happens_at.date(),
        **stamps(record.created_at, record.modified_at),
    }
    if record.kind is ActivityKind.MEETING:
        yield "Event", {"Id": record_id("Event", record.key), **_meeting(record), **common}
    else:
        yield "Task", {"Id": record_id("Task", record.key), **_task(record), **common}


def _meeting(activity: Activity) -> Row:
    return {
        "StartDateTime": second(activity.happens_at),
        "EndDateTime": second(activity.happens_at + timedelta(minutes=activity.minutes)),
        "DurationInMinutes": activity.minutes,
    }


def _task(activity: Activity) -> Row:
    return {
        "TaskSubtype": SUBTYPES[activity.kind],
        "Status": "Completed" if activity.is_done else "Not Started",
        "Priority": "Normal",
        "CallDurationInSeconds": activity.minutes * 60 if activity.kind is ActivityKind.CALL else None,
        "IsClosed": activity.is_done,
        "CompletedDateTime": second(activity.happens_at) if activity.is_done else None,
    }


@rows.register
def _(record: Quota, world: World) -> Rows:
    start, end = record.starts_on, record.ends_on
    months = (end.year - start.year) * 12 + end.month - start.month + 1
    period_id = record_id("Period", f"{start}:{end}")
    yield (
        "ForecastingQuota",
        {
            "Id": record_id("ForecastingQuota", record.key),
            "QuotaOwnerId": record_id("User", record.rep_email),
            "PeriodId": period_id,
            "QuotaAmount": record.amount,
            "IsAmount": True,
            "IsQuantity": False,
            "StartDate": start,
            "CurrencyIsoCode": record.currency,
            **stamps(record.created_at, record.modified_at),
        },
    )
    yield (
        "Period",
        {
            "Id": period_id,
            "Type": {1: "Month", 12: "Year"}.get(months, "Quarter"),
            "FullyQualifiedLabel": f"{start} to {end}",
            "Number": (start.month - 1) // months + 1,
            "StartDate": start,
            "EndDate": end,
            "IsForecastPeriod": True,
            **stamps(world.founded_at, world.founded_at),
        },
    )


@rows.register
def _(record: Order, world: World) -> Rows:
    order_id = record_id("Order", record.key)
    common = stamps(record.created_at, record.modified_at)
    yield (
        "Order",
        {
            "Id": order_id,
            "AccountId": record_id("Account", record.account_key),
            "OpportunityId": record_id("Opportunity", record.opportunity_key),
            "OwnerId": record_id("User", record.owner_email),
            "OrderNumber": record.number,
            "Status": record.status,
            "StatusCode": record.status,
            "CurrencyIsoCode": record.currency,
            "TotalAmount": record.amount,
            "EffectiveDate": record.ordered_on,
            **common,
        },
    )
    for number, line in enumerate(record.lines):
        ordinal = number if line.ordinal is None else line.ordinal
        yield (
            "OrderItem",
            {
                "Id": record_id("OrderItem", f"{record.key}:{ordinal}"),
                "OrderId": order_id,
                "Product2Id": record_id("Product2", line.product),
                "Quantity": Decimal(line.quantity),
                "UnitPrice": line.unit_price,
                "TotalPrice": line.amount,
                **common,
            },
        )
        if record.status != "Draft":
            yield "Asset", {"Id": record_id("Asset", f"{record.key}:{ordinal}"), **_asset(record, line), **common}


def _asset(order: Order, line: Line) -> Row:
    """What a customer has of us, once it is ordered for good."""
    return {
        "AccountId": record_id("Account", order.account_key),
        "OwnerId": record_id("User", order.owner_email),
        "Product2Id": record_id("Product2", line.product),
        "Name": f"{line.product} {order.number}",
        "Status": "Obsolete" if order.status == "Cancelled" else "Installed",
        "CurrencyIsoCode": order.currency,
        "Quantity": Decimal(line.quantity),
        "Price": line.unit_price,
        "PurchaseDate": order.ordered_on,
        "UsageEndDate": order.ordered_on + USAGE,
    }


@rows.register
def _(record: Invoice, world: World) -> Rows:
    invoice_id, account_id = record_id("Invoice", record.key), record_id("Account", record.account_key)
    common = {"CurrencyIsoCode": record.currency, **stamps(record.created_at, record.modified_at)}
    yield (
        "Invoice",
        {
            "Id": invoice_id,
            "BillingAccountId": account_id,
            "ReferenceEntityId": record_id("Order", record.order_key),
            "OwnerId": record_id("User", record.owner_email),
            "DocumentNumber": record.number,
            "Status": record.status,
            "TotalAmount": record.amount,
            "Balance": record.amount - sum((payment.amount for payment in record.payments), Decimal(0)),
            "InvoiceDate": record.invoiced_on,
            "DueDate": record.due_on,
            **common,
        },
    )
    for payment in record.payments:
        yield (
            "PaymentLineInvoice",
            {
                "Id": record_id("PaymentLineInvoice", f"{record.key}:{payment.key}"),
                "InvoiceId": invoice_id,
                "AssociatedAccountId": account_id,
                "Amount": payment.amount,
                "Type": "Applied",
                "EffectiveDate": payment.paid_on,
                **common,
            },
        )


@rows.register
def _(record: Survey, world: World) -> Rows:
    yield (
        "Survey_Response__c",
        {
            "Id": record_id("Survey_Response__c", record.key),
            "Account__c": record_id("Account", record.account_key),
            "Contact__c": optional_id("Contact", record.contact_key),
            "Name": f"{record.kind} {record.key}",
            "Kind__c": record.kind,
            "Score__c": Decimal(record.score),
            "Comment__c": record.comment,
            "Answered_At__c": second(record.answered_at),
            **stamps(record.created_at, record.modified_at),
        },
    )


@rows.register
def _(record: Training, world: World) -> Rows:
    yield (
        "Training__c",
        {
            "Id": record_id("Training__c", record.key),
            "Rep__c": record_id("User", record.rep_email),
            "Name": f"{record.course} {record.key}",
            "Course__c": record.course,
            "Hours__c": record.hours,
            "Score__c": None if record.score is None else Decimal(record.score),
            "Completed_On__c": record.completed_on,
            **stamps(record.created_at, record.modified_at),
        },
    )
