"""A company's records as rows of Zoho CRM's tables.

Pure: nothing is stored or sent here.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Contact,
    Custom,
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
from connectors.sandbox.wire import dumps
from connectors.sandbox.zoho.tables import custom_name

PIPELINE = "Standard (Standard)"
CHIEF = "CEO"
LEAD_STATUSES = {
    LeadStatus.OPEN: "Not Contacted",
    LeadStatus.WORKING: "Contacted",
    LeadStatus.QUALIFIED: "Pre-Qualified",
    LeadStatus.UNQUALIFIED: "Not Qualified",
}
FORECAST_TYPES = {Outcome.OPEN: "Open", Outcome.WON: "Closed Won", Outcome.LOST: "Closed Lost"}
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}

TableRow = tuple[str, dict[str, Any]]
"""A row, and the table it belongs to."""


def record_id(table: str, key: str) -> str:
    """The id of a company's record, 19 digits: the same in every run."""
    digest = hashlib.blake2b(f"{table}:{key}".encode(), digest_size=8).digest()
    return f"4{int.from_bytes(digest) % 10**18:018d}"


def optional_id(table: str, key: str | None) -> str | None:
    """The same, or nothing for nothing."""
    return None if key is None else record_id(table, key)


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


class Rows:
    """Renders records; what all of them need to know of the company is looked up once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stages = {stage.key: stage for stage in world.stages.get("zoho", ())}
        self._labels = {stage.label: stage for stage in self._stages.values()}
        self._renderers: dict[type, Callable[[Any], Iterator[TableRow]]] = {
            Rep: self._rep,
            Territory: self._territory,
            Product: self._product,
            PriceBook: self._price_book,
            Account: self._account,
            Contact: self._contact,
            Lead: self._lead,
            Opportunity: self._opportunity,
            Campaign: self._campaign,
            CampaignMember: self._campaign_member,
            Activity: self._activity,
            Quota: self._quota,
            Order: self._order,
            Invoice: self._invoice,
            Survey: self._survey,
            Training: self._training,
        }

    def of(self, record: Record) -> Iterator[TableRow]:
        """The rows of a record, its own first."""
        return self._renderers[type(record)](record)

    def of_company(self) -> Iterator[TableRow]:
        """What belongs to the company as such."""
        founded = _second(self._world.founded_at)
        yield "roles", {"id": record_id("roles", CHIEF), "name": CHIEF}
        for code, rate in self._world.rates.items():
            yield (
                "currencies",
                {
                    "id": record_id("currencies", code),
                    "name": f"{code} - {code}",
                    "iso_code": code,
                    "symbol": SYMBOLS.get(code, code),
                    "exchange_rate": f"{rate:.9f}",
                    "is_base": code == self._world.currency,
                    "is_active": True,
                    "created_time": founded,
                    "modified_time": founded,
                },
            )
        for number, stage in enumerate(self._labels.values(), 1):
            yield "pipeline", _stage(number, stage)

    def _rep(self, rep: Rep) -> Iterator[TableRow]:
        yield (
            "users",
            {
                "id": record_id("users", rep.email),
                "first_name": rep.first_name,
                "last_name": rep.last_name,
                "full_name": rep.name,
                "email": rep.email,
                "status": "active" if rep.is_active else "disabled",
                "time_zone": "Asia/Kolkata",
                "role": record_id("roles", rep.region or CHIEF),
                "profile": record_id("profiles", "Standard"),
                "Reporting_To": optional_id("users", rep.manager_email),
                "created_time": _second(rep.created_at),
                "Modified_Time": _second(rep.modified_at),
            },
        )
        if rep.region:
            role = {"id": record_id("roles", rep.region), "name": rep.region, "reporting_to": record_id("roles", CHIEF)}
            yield "roles", role

    def _territory(self, territory: Territory) -> Iterator[TableRow]:
        yield (
            "territories",
            {
                "id": record_id("territories", territory.key),
                "name": territory.name,
                "reporting_to": optional_id("territories", territory.parent_key),
                "manager": optional_id("users", territory.manager_email),
                "created_time": _second(territory.created_at),
                "modified_time": _second(territory.modified_at),
            },
        )

    def _product(self, product: Product) -> Iterator[TableRow]:
        yield (
            "Products",
            {
                "id": record_id("Products", product.name),
                "Product_Name": product.name,
                "Product_Code": product.sku,
                "Product_Category": product.family,
                "Unit_Price": product.price,
                "Product_Active": True,
                **_stamps(product),
            },
        )

    def _price_book(self, book: PriceBook) -> Iterator[TableRow]:
        id = record_id("Price_Books", book.key)
        yield (
            "Price_Books",
            {
                "id": id,
                "Price_Book_Name": book.name,
                "Pricing_Model": "Flat",
                "Currency": book.currency,
                "Active": True,
                **_stamps(book),
            },
        )
        for product, price in book.prices.items():
            target = record_id("Products", product)
            row = {"id": f"{id}-{target}", "Price_Book": id, "Product": target, "list_price": price}
            yield "Price_Book_Products", row

    def _account(self, account: Account) -> Iterator[TableRow]:
        yield (
            "Accounts",
            {
                "id": record_id("Accounts", account.key),
                "Account_Name": account.name,
                "Industry": account.industry,
                "Billing_Country": account.country,
                "Website": account.website,
                "Employees": account.employees,
                "Annual_Revenue": account.revenue,
                "Parent_Account": optional_id("Accounts", account.parent_key),
                "Owner": optional_id("users", account.owner_email),
                **self._money(account.currency),
                **_stamps(account),
                **_custom(account.custom),
            },
        )

    def _contact(self, contact: Contact) -> Iterator[TableRow]:
        yield (
            "Contacts",
            {
                "id": record_id("Contacts", contact.key),
                **_person(contact),
                "Email": contact.email,
                "Phone": contact.phone,
                "Title": contact.title,
                "Account_Name": record_id("Accounts", contact.account_key),
                "Owner": record_id("users", contact.owner_email),
                **_stamps(contact),
                **_custom(contact.custom),
            },
        )

    def _lead(self, lead: Lead) -> Iterator[TableRow]:
        converted_at = datetime.combine(lead.converted_on, time(12), UTC) if lead.converted_on else None
        yield (
            "Leads",
            {
                "id": record_id("Leads", lead.key),
                **_person(lead),
                "Company": lead.company,
                "Country": lead.country,
                "Email": lead.email,
                "Lead_Source": lead.source,
                "Lead_Status": lead.status and LEAD_STATUSES[lead.status],
                "Converted__s": lead.converted_on is not None or lead.opportunity_key is not None,
                "Converted_Date_Time": converted_at,
                "Converted_Account": optional_id("Accounts", lead.account_key),
                "Converted_Contact": optional_id("Contacts", lead.contact_key),
                "Converted_Deal": optional_id("Deals", lead.opportunity_key),
                "Owner": record_id("users", lead.owner_email),
                **_stamps(lead),
            },
        )

    def _opportunity(self, deal: Opportunity) -> Iterator[TableRow]:
        stage = self._stages[deal.stage]
        probability = stage.probability if deal.probability is None else deal.probability
        yield (
            "Deals",
            {
                "id": record_id("Deals", deal.key),
                "Deal_Name": deal.name,
                "Stage": stage.label,
                "Pipeline": PIPELINE,
                "Type": deal.type,
                "Lead_Source": deal.source,
                "Amount": deal.amount,
                "Probability": probability,
                "Expected_Revenue": _expected(deal.amount, probability),
                "Closing_Date": deal.close_date,
                "Stage_Modified_Time": _second(deal.stage_changed_at),
                "Account_Name": optional_id("Accounts", deal.account_key),
                "Contact_Name": optional_id("Contacts", deal.contact_key),
                "Campaign_Source": optional_id("Campaigns", deal.campaign_key),
                "Owner": optional_id("users", deal.owner_email),
                **self._money(deal.currency),
                **_stamps(deal),
                **_custom(deal.custom),
            },
        )
        yield from self._history(deal)

    def _history(self, deal: Opportunity) -> Iterator[TableRow]:
        """A row for each step, which is written again when the deal moves on."""
        for number, step in enumerate(deal.history):
            following = deal.history[number + 1] if number + 1 < len(deal.history) else None
            stage = self._stages[step.stage]
            yield (
                "DealHistory",
                {
                    "id": record_id("DealHistory", f"{deal.key}:{number}"),
                    "Potential_Name": record_id("Deals", deal.key),
                    "Stage": stage.label,
                    "Moved_To__s": self._stages[following.stage].label if following else None,
                    "Stage_Duration_Calendar_Days": (following.at.date() - step.at.date()).days if following else None,
                    "Amount": step.amount,
                    "Probability": stage.probability,
                    "Expected_Revenue": _expected(step.amount, stage.probability),
                    "Closing_Date": step.close_date,
                    "Modified_By": optional_id("users", step.owner_email),
                    "Created_Time": _second(step.at),
                    "Modified_Time": _second(following.at if following else step.at),
                },
            )

    def _campaign(self, campaign: Campaign) -> Iterator[TableRow]:
        yield (
            "Campaigns",
            {
                "id": record_id("Campaigns", campaign.key),
                "Campaign_Name": campaign.name,
                "Type": campaign.type,
                "Status": campaign.status,
                "Start_Date": campaign.starts_on,
                "End_Date": campaign.ends_on,
                "Budgeted_Cost": campaign.budget,
                "Actual_Cost": campaign.cost,
                "Currency": campaign.currency,
                "Owner": record_id("users", campaign.owner_email),
                **_stamps(campaign),
            },
        )

    def _campaign_member(self, member: CampaignMember) -> Iterator[TableRow]:
        kind, key = ("Leads", member.lead_key) if member.lead_key else ("Contacts", member.contact_key)
        campaign, person = record_id("Campaigns", member.campaign_key), optional_id(kind, key)
        yield (
            "Campaign_Members",
            {
                "id": f"{campaign}-{person}",
                "Campaign": campaign,
                "Member": person,
                "Member_Module": kind,
                "Member_Status": member.status,
            },
        )

    def _activity(self, activity: Activity) -> Iterator[TableRow]:
        table, values = _ACTIVITIES[activity.kind](activity)
        what = optional_id("Deals", activity.opportunity_key) or optional_id("Accounts", activity.account_key)
        yield (
            table,
            {
                "id": record_id(table, activity.key),
                **values,
                "Who_Id": optional_id("Contacts", activity.contact_key) or optional_id("Leads", activity.lead_key),
                "What_Id": what,
                "Owner": record_id("users", activity.owner_email),
                **_stamps(activity),
            },
        )

    def _quota(self, quota: Quota) -> Iterator[TableRow]:
        yield (
            "Forecast_Quotas",
            {
                "id": record_id("Forecast_Quotas", quota.key),
                "Name": f"{quota.rep_email} {quota.starts_on}",
                "User": record_id("users", quota.rep_email),
                "Start_Date": quota.starts_on,
                "End_Date": quota.ends_on,
                "Target": quota.amount,
                "Currency": quota.currency,
                "Created_Time": _second(quota.created_at),
            },
        )

    def _order(self, order: Order) -> Iterator[TableRow]:
        yield (
            "Sales_Orders",
            {
                "id": record_id("Sales_Orders", order.key),
                "Subject": f"Order {order.number}",
                "SO_Number": order.number,
                "Status": order.status,
                "Order_Date": order.ordered_on,
                "Grand_Total": order.amount,
                "Deal_Name": record_id("Deals", order.opportunity_key),
                "Account_Name": record_id("Accounts", order.account_key),
                "Owner": record_id("users", order.owner_email),
                "Currency": order.currency,
                "Ordered_Items": _items(order),
                **_stamps(order),
            },
        )

    def _invoice(self, invoice: Invoice) -> Iterator[TableRow]:
        item = {
            "id": record_id("Invoiced_Items", invoice.key),
            "Description": f"As invoiced, {invoice.number}",
            "Quantity": 1,
            "List_Price": invoice.amount,
            "Total": invoice.amount,
        }
        payments = [
            {"id": record_id("Payments", payment.key), "Paid_On": payment.paid_on.isoformat(), "Amount": payment.amount}
            for payment in invoice.payments
        ]
        yield (
            "Invoices",
            {
                "id": record_id("Invoices", invoice.key),
                "Subject": f"Invoice {invoice.number}",
                "Invoice_Number": invoice.number,
                "Status": invoice.status,
                "Invoice_Date": invoice.invoiced_on,
                "Due_Date": invoice.due_on,
                "Grand_Total": invoice.amount,
                "Sales_Order": record_id("Sales_Orders", invoice.order_key),
                "Deal_Name": record_id("Deals", invoice.opportunity_key),
                "Account_Name": record_id("Accounts", invoice.account_key),
                "Owner": record_id("users", invoice.owner_email),
                "Currency": invoice.currency,
                "Invoiced_Items": dumps([item]),
                "Payments": dumps(payments) if payments else None,
                **_stamps(invoice),
            },
        )

    def _survey(self, survey: Survey) -> Iterator[TableRow]:
        yield (
            "Survey_Responses",
            {
                "id": record_id("Survey_Responses", survey.key),
                "Name": f"{survey.kind} {survey.answered_at:%Y-%m-%d}",
                "Kind": survey.kind,
                "Score": survey.score,
                "Comment": survey.comment,
                "Answered_At": _second(survey.answered_at),
                "Account": record_id("Accounts", survey.account_key),
                "Contact": optional_id("Contacts", survey.contact_key),
                **_stamps(survey),
            },
        )

    def _training(self, training: Training) -> Iterator[TableRow]:
        yield (
            "Trainings",
            {
                "id": record_id("Trainings", training.key),
                "Name": training.course,
                "Score": training.score,
                "Hours": training.hours,
                "Completed_On": training.completed_on,
                "Participant": record_id("users", training.rep_email),
                **_stamps(training),
            },
        )

    def _money(self, currency: str | None) -> dict[str, Any]:
        return {"Currency": currency, "Exchange_Rate": self._world.rates.get(currency or "")}


def _stage(number: int, stage: Stage) -> dict[str, Any]:
    pipeline = record_id("pipeline", PIPELINE)
    return {
        "id": f"{pipeline}-{record_id('stage', stage.label)}",
        "pipeline_id": pipeline,
        "pipeline_name": PIPELINE,
        "display_value": stage.label,
        "actual_value": stage.label,
        "sequence_number": number,
        "forecast_type": FORECAST_TYPES[stage.outcome],
        "probability": stage.probability,
    }


def _stamps(record: Any) -> dict[str, Any]:
    return {"Created_Time": _second(record.created_at), "Modified_Time": _second(record.modified_at)}


def _person(person: Contact | Lead) -> dict[str, Any]:
    return {
        "First_Name": person.first_name,
        "Last_Name": person.last_name,
        "Full_Name": f"{person.first_name} {person.last_name}".strip(),
    }


def _custom(values: Custom) -> Mapping[str, Any]:
    # a bool is an int, too
    return {
        custom_name(name): Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in values.items()
    }


def _expected(amount: Decimal | None, probability: int) -> Decimal | None:
    return None if amount is None else (amount * probability / 100).quantize(Decimal("0.01"))


def _items(order: Order) -> str | None:
    rows = [_item(order, number, line) for number, line in enumerate(order.lines)]
    return dumps(rows) if rows else None


def _item(order: Order, number: int, line: Line) -> Mapping[str, Any]:
    ordinal = number if line.ordinal is None else line.ordinal
    return {
        "id": record_id("Ordered_Items", f"{order.key}:{ordinal}"),
        "Product_Name": record_id("Products", line.product),
        "Quantity": line.quantity,
        "List_Price": line.unit_price,
        "Total": line.amount,
    }


def _task(activity: Activity) -> TableRow:
    # sent mail has no module of its own that the record APIs would serve, so it is kept as the task that it was
    return "Tasks", {
        "Subject": activity.subject,
        "Status": "Completed" if activity.is_done else "Not Started",
        "Due_Date": activity.happens_at.date(),
        "Closed_Time": _second(activity.happens_at) if activity.is_done else None,
    }


def _call(activity: Activity) -> TableRow:
    return "Calls", {
        "Subject": activity.subject,
        "Call_Type": "Outbound",
        "Outgoing_Call_Status": "Completed" if activity.is_done else "Scheduled",
        "Call_Duration": f"{activity.minutes:02d}:00",
        "Call_Duration_in_seconds": activity.minutes * 60,
        "Call_Start_Time": _second(activity.happens_at),
    }


def _event(activity: Activity) -> TableRow:
    return "Events", {
        "Event_Title": activity.subject,
        "Start_DateTime": _second(activity.happens_at),
        "End_DateTime": _second(activity.happens_at + timedelta(minutes=activity.minutes)),
    }


_ACTIVITIES = {
    ActivityKind.TASK: _task,
    ActivityKind.EMAIL: _task,
    ActivityKind.CALL: _call,
    ActivityKind.MEETING: _event,
}
