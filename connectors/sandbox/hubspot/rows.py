"""A company's records in HubSpot's shape: rows of its objects, associations between them, and what deals used to be.

Pure functions; where the rows go, and what is done to them there, is in `portal`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Contact,
    Invoice,
    Lead,
    LeadStatus,
    Line,
    Opportunity,
    Order,
    Outcome,
    Product,
    Quota,
    Record,
    Rep,
    Stage,
    Survey,
    Training,
    World,
)
from connectors.sandbox.hubspot.tables import CUSTOMISED, LEAD_PIPELINE, OBJECTS, OWNER, PIPELINE, TRACKED
from connectors.sandbox.store import Column, Kind, stored, timestamp

Link = tuple[str, str, str, str]
"""Object and id of a record, object and id of the one that it names."""
CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What HubSpot keeps of one record of the company; its own row comes before those of its parts."""

    rows: tuple[tuple[str, dict[str, Any]], ...] = ()
    links: tuple[Link, ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    owner: dict[str, Any] | None = None
    """The user, as one who can own a record."""
    is_owner_gone: bool = False


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the company agreed on, and records refer to."""

    currency: str
    rates: Mapping[str, Decimal]
    stages: Mapping[str, Stage] = field(default_factory=dict)
    """By key."""

    @staticmethod
    def of(world: World) -> "Terms":
        """The terms of a company."""
        stages = world.stages.get("hubspot", ())
        return Terms(currency=world.currency, rates=world.rates, stages={stage.key: stage for stage in stages})


def record_id(object: str, key: str) -> str:
    """The numeric id of a company's record: the same in every run, in no particular order, not all of one length."""
    number = int.from_bytes(hashlib.sha256(f"{object}:{key}".encode()).digest()[:8])
    smallest, range = (10**7, 9 * 10**7) if object in ("owners", "user ids") else (10**9, 10**12 - 10**9)
    return str(smallest + number % range)


def shape(record: Record, terms: Terms) -> Shape:
    """A record as HubSpot keeps it; empty for what HubSpot has no place for (price books, territories, campaigns)."""
    make = _SHAPES.get(type(record))
    return make(record, terms) if make else Shape()


def records(world: World) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row that lives in HubSpot, with the object it belongs to."""
    terms = Terms.of(world)
    for record in world.records("hubspot"):
        yield from shape(record, terms).rows


def _row(object: str, key: str, record: Any, **values: Any) -> tuple[str, dict[str, Any]]:
    """A row with its id and stamps, and with the custom fields of the record."""
    stamps = {OBJECTS[object].created: record.created_at, OBJECTS[object].modified: record.modified_at}
    own = object in CUSTOMISED.values()  # the parts of a deal have none of its custom fields
    custom = {name: _plain(value) for name, value in record.custom.items()} if own else {}
    return object, {"hs_object_id": record_id(object, key), **values, **custom, **stamps}


def _plain(value: Any) -> Any:
    return Decimal(value) if type(value) is int else value


def _optional_id(object: str, key: str | None) -> str | None:
    return None if key is None else record_id(object, key)


def _number(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _links(object: str, key: str, **keys_by_object: str | None) -> tuple[Link, ...]:
    id = record_id(object, key)
    return tuple((object, id, other, record_id(other, to)) for other, to in keys_by_object.items() if to)


def _rep(rep: Rep, terms: Terms) -> Shape:
    teams = [{"id": record_id("owners", rep.team), "name": rep.team, "primary": True}] if rep.team else []
    user = _row(
        "users",
        rep.email,
        rep,
        hs_email=rep.email,
        hs_given_name=rep.first_name,
        hs_family_name=rep.last_name,
        hs_job_title=rep.title,
        manager_email=rep.manager_email,
        region=rep.region,
    )
    owner = {
        "id": record_id("owners", rep.email),
        "email": rep.email,
        "firstName": rep.first_name,
        "lastName": rep.last_name,
        "userId": record_id("user ids", rep.email),
        "type": "PERSON",
        "teams": json.dumps(teams),
        "createdAt": rep.created_at,
        "updatedAt": rep.modified_at,
    }
    return Shape(rows=(user,), owner=owner, is_owner_gone=not rep.is_active)


def _product(product: Product, terms: Terms) -> Shape:
    row = _row(
        "products",
        product.name,
        product,
        name=product.name,
        hs_sku=product.sku,
        hs_product_type="service" if product.family == "Services" else "inventory",
        price=product.price,
    )
    return Shape(rows=(row,))


def _company(account: Account, terms: Terms) -> Shape:
    row = _row(
        "companies",
        account.key,
        account,
        name=account.name,
        domain=account.website.removeprefix("https://") if account.website else None,
        website=account.website,
        industry=account.industry,
        country=account.country,
        annualrevenue=account.revenue,
        numberofemployees=_number(account.employees),
        hs_parent_company_id=_optional_id("companies", account.parent_key),
        hubspot_owner_id=_optional_id("owners", account.owner_email),
    )
    return Shape(rows=(row,))


def _contact(contact: Contact, terms: Terms) -> Shape:
    row = _row(
        "contacts",
        contact.key,
        contact,
        email=contact.email,
        firstname=contact.first_name,
        lastname=contact.last_name,
        phone=contact.phone,
        jobtitle=contact.title,
        lifecyclestage="opportunity",
        associatedcompanyid=Decimal(record_id("companies", contact.account_key)),
        hubspot_owner_id=record_id("owners", contact.owner_email),
    )
    return Shape(rows=(row,), links=_links("contacts", contact.key, companies=contact.account_key))


def _lead(lead: Lead, terms: Terms) -> Shape:
    stages: dict[LeadStatus | None, str] = {
        LeadStatus.OPEN: "new-stage-id",
        LeadStatus.WORKING: "connected-stage-id" if lead.key.endswith("0") else "attempting-stage-id",
        LeadStatus.QUALIFIED: "qualified-stage-id",
        LeadStatus.UNQUALIFIED: "unqualified-stage-id",
    }
    row = _row(
        "leads",
        lead.key,
        lead,
        hs_lead_name=f"{lead.first_name} {lead.last_name} ({lead.company})",
        hs_lead_source=lead.source,
        hs_lead_type="NEW_BUSINESS",
        hs_pipeline=LEAD_PIPELINE[0],
        hs_pipeline_stage=stages.get(lead.status),
        hubspot_owner_id=record_id("owners", lead.owner_email),
    )
    return Shape(rows=(row,), links=_links("leads", lead.key, deals=lead.opportunity_key, contacts=lead.contact_key))


def noon(day: date | None) -> datetime | None:
    """The instant for a day that somebody picked: noon UTC is that day from Honolulu to Tokyo."""
    return datetime.combine(day, time(12), UTC) if day else None


def _deal(deal: Opportunity, terms: Terms) -> Shape:
    types = {"New Business": "newbusiness", "Existing Business": "existingbusiness"}
    key, id = deal.key, record_id("deals", deal.key)
    row = _row(
        "deals",
        key,
        deal,
        dealname=deal.name,
        pipeline=PIPELINE[0],
        dealtype=types.get(deal.type or ""),
        deal_currency_code=deal.currency,
        amount=deal.amount,
        closedate=noon(deal.close_date),
        hubspot_owner_id=_optional_id("owners", deal.owner_email),
        **in_stage(terms.stages[deal.stage]),
        **_entered(deal, terms),
    )
    lines = [_line(f"{key}:{_ordinal(line, place)}", line, deal) for place, line in enumerate(deal.lines)]
    # HubSpot shares the revenue of a deal; credit on top of it has no place there
    splits = [
        _row(
            "deal_split",
            f"{key}:{split.rep_email}",
            deal,
            hs_deal_id=id,
            hubspot_owner_id=record_id("owners", split.rep_email),
            hs_deal_split_amount=None if deal.amount is None else (deal.amount * split.percent / 100).quantize(CENT),
            hs_deal_split_percentage=split.percent / 100,
        )
        for split in deal.splits
        if not split.is_overlay
    ]
    links = _links("deals", key, companies=deal.account_key, contacts=deal.contact_key)
    own_lines = [row for row, line in zip(lines, deal.lines, strict=True) if not line.is_orphan]
    parts = tuple((object, part["hs_object_id"], "deals", id) for object, part in (*own_lines, *splits))
    return Shape(rows=(row, *lines, *splits), links=links + parts, history=tuple(_history(deal, terms)))


def in_stage(stage: Stage) -> dict[str, Any]:
    """What HubSpot derives from the stage of a deal."""
    return {
        "dealstage": stage.id,
        "hs_deal_stage_probability": Decimal(stage.probability) / 100,
        "hs_is_closed": stage.outcome is not Outcome.OPEN,
        "hs_is_closed_won": stage.outcome is Outcome.WON,
    }


def _entered(deal: Opportunity, terms: Terms) -> dict[str, datetime]:
    """When the deal entered each stage, for the last time."""
    moments: dict[str, datetime] = {}
    previous = None
    for step in deal.history:
        if step.stage != previous:
            id = terms.stages[step.stage].id
            moments |= {f"hs_date_entered_{id}": step.at, f"hs_v2_date_entered_{id}": step.at}
        previous = step.stage
    return moments


def _history(deal: Opportunity, terms: Terms) -> Iterator[dict[str, Any]]:
    """Every value that a tracked property of the deal had, each from the moment it was set."""
    id = record_id("deals", deal.key)
    known: dict[str, str | None] = {}
    for step in deal.history:
        owner = _optional_id("owners", step.owner_email)
        for name, value in zip(
            TRACKED, (terms.stages[step.stage].id, step.amount, noon(step.close_date), owner), strict=True
        ):
            text = sent(HISTORY_COLUMNS[name], stored(value))
            if name not in known or known[name] != text:
                known[name] = text
                yield history_row("deals", id, name, text, step.at)


def history_row(object: str, id: str, property: str, value: str | None, at: datetime) -> dict[str, Any]:
    """One entry of a property's history."""
    return {
        "id": f"{object}:{id}:{property}:{timestamp(at)}",
        "object": object,
        "record_id": id,
        "property": property,
        "value": value,
        "timestamp": at,
    }


def sent(column: Column, value: Any) -> str | None:
    """A property's value as HubSpot sends it: text or null."""
    if value is None:
        return None
    if column.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if column.kind is Kind.NUMBER:
        text = f"{Decimal(value):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if column.kind is Kind.TIMESTAMP:
        return str(value).replace(".000Z", "Z")
    return str(value)


HISTORY_COLUMNS: Mapping[str, Column] = {
    "dealstage": Column(name="dealstage", kind=Kind.TEXT, type="enumeration"),
    "amount": Column(name="amount", kind=Kind.NUMBER, type="number"),
    "closedate": Column(name="closedate", kind=Kind.TIMESTAMP, type="datetime"),
    OWNER: Column(name=OWNER, kind=Kind.KEY, type="enumeration"),
}


def _ordinal(line: Line, place: int) -> int:
    return place if line.ordinal is None else line.ordinal


def _line(key: str, line: Line, owner: Opportunity | Order) -> tuple[str, dict[str, Any]]:
    stamps = {"createdate": owner.created_at, "hs_lastmodifieddate": owner.modified_at}
    return "line_items", {
        "hs_object_id": record_id("line_items", key),
        "name": line.product,
        "hs_product_id": record_id("products", line.product),
        "hs_line_item_currency_code": owner.currency,
        "quantity": Decimal(line.quantity),
        "price": line.unit_price,
        "amount": line.amount,
        **stamps,
    }


def _order(order: Order, terms: Terms) -> Shape:
    id = record_id("orders", order.key)
    row = _row(
        "orders",
        order.key,
        order,
        hs_order_name=f"Order {order.number}",
        hs_external_order_id=order.number,
        hs_external_order_status=order.status,
        hs_total_price=order.amount,
        hs_currency_code=order.currency,
        hs_external_created_date=noon(order.ordered_on),
        hubspot_owner_id=record_id("owners", order.owner_email),
    )
    lines = [_line(f"order:{order.key}:{_ordinal(line, place)}", line, order) for place, line in enumerate(order.lines)]
    links = _links("orders", order.key, deals=order.opportunity_key, companies=order.account_key)
    parts = tuple((object, line["hs_object_id"], "orders", id) for object, line in lines)
    return Shape(rows=(row, *lines), links=links + parts)


INVOICE_STATUS = {"Open": "open", "Paid": "paid", "Void": "voided"}


def _invoice(invoice: Invoice, terms: Terms) -> Shape:
    id = record_id("invoices", invoice.key)
    paid = sum((payment.amount for payment in invoice.payments), Decimal(0))
    row = _row(
        "invoices",
        invoice.key,
        invoice,
        hs_number=invoice.number,
        hs_invoice_status=INVOICE_STATUS[invoice.status],
        hs_amount_billed=invoice.amount,
        hs_amount_paid=paid,
        hs_balance_due=Decimal(0) if invoice.status == "Void" else invoice.amount - paid,
        hs_currency=invoice.currency,
        hs_invoice_date=noon(invoice.invoiced_on),
        hs_due_date=noon(invoice.due_on),
        hubspot_owner_id=record_id("owners", invoice.owner_email),
    )
    payments = [
        _row(
            "commerce_payments",
            payment.key,
            invoice,
            hs_initial_amount=payment.amount,
            hs_initiated_date=noon(payment.paid_on),
            hs_latest_status="succeeded",
            hs_currency_code=invoice.currency,
        )
        for payment in invoice.payments
    ]
    links = _links(
        "invoices",
        invoice.key,
        orders=invoice.order_key,
        deals=invoice.opportunity_key,
        companies=invoice.account_key,
    )
    company = record_id("companies", invoice.account_key)
    ends = (("invoices", id), ("companies", company))
    parts = tuple((object, payment["hs_object_id"], *end) for object, payment in payments for end in ends)
    return Shape(rows=(row, *payments), links=links + parts)


def _quota(quota: Quota, terms: Terms) -> Shape:
    # goals are in the company's currency, whatever the rep sells in
    rate = Decimal(1) if quota.currency == terms.currency else terms.rates[quota.currency]
    row = _row(
        "goal_targets",
        quota.key,
        quota,
        hs_goal_name=f"Revenue {quota.starts_on} to {quota.ends_on}",
        hs_target_amount=(quota.amount / rate).quantize(CENT),
        hs_assignee_user_id=record_id("user ids", quota.rep_email),
        hs_start_datetime=datetime.combine(quota.starts_on, time(), UTC),
        hs_end_datetime=datetime.combine(quota.ends_on + timedelta(days=1), time(), UTC) - timedelta(milliseconds=1),
    )
    return Shape(rows=(row,))


def _activity(activity: Activity, terms: Terms) -> Shape:
    object, values = _engagement(activity)
    owned = {"hs_timestamp": activity.happens_at, OWNER: record_id("owners", activity.owner_email)}
    links = _links(
        object,
        activity.key,
        companies=activity.account_key,
        contacts=activity.contact_key,
        deals=activity.opportunity_key,
        leads=activity.lead_key,
    )
    return Shape(rows=(_row(object, activity.key, activity, **values, **owned),), links=links)


def _engagement(activity: Activity) -> tuple[str, dict[str, Any]]:
    """The object that an activity becomes, and the properties that only this object has."""
    subject, at = activity.subject, activity.happens_at
    done, due = ("COMPLETED", "SENT") if activity.is_done else ("", "SCHEDULED")
    match activity.kind:
        case ActivityKind.TASK:
            status = done or "NOT_STARTED"
            return "tasks", {"hs_task_subject": subject, "hs_task_type": "TODO", "hs_task_status": status}
        case ActivityKind.CALL:
            length = Decimal(activity.minutes * 60_000)
            return "calls", {"hs_call_title": subject, "hs_call_duration": length, "hs_call_status": done or "QUEUED"}
        case ActivityKind.MEETING:
            return "meetings", {
                "hs_meeting_title": subject,
                "hs_meeting_start_time": at,
                "hs_meeting_end_time": at + timedelta(minutes=activity.minutes),
                "hs_meeting_outcome": done or "SCHEDULED",
            }
        case ActivityKind.EMAIL:
            return "emails", {"hs_email_subject": subject, "hs_email_direction": "EMAIL", "hs_email_status": due}


def _survey(survey: Survey, terms: Terms) -> Shape:
    row = _row(
        "survey",
        survey.key,
        survey,
        kind=survey.kind,
        score=Decimal(survey.score),
        comment=survey.comment,
        answered_at=survey.answered_at,
    )
    return Shape(
        rows=(row,), links=_links("survey", survey.key, companies=survey.account_key, contacts=survey.contact_key)
    )


def _training(training: Training, terms: Terms) -> Shape:
    row = _row(
        "training",
        training.key,
        training,
        course=training.course,
        hours=training.hours,
        score=_number(training.score),
        completed_on=training.completed_on,
        hubspot_owner_id=record_id("owners", training.rep_email),
    )
    return Shape(rows=(row,))


_SHAPES: Mapping[type, Callable[[Any, Terms], Shape]] = {
    Rep: _rep,
    Product: _product,
    Account: _company,
    Contact: _contact,
    Lead: _lead,
    Opportunity: _deal,
    Order: _order,
    Invoice: _invoice,
    Quota: _quota,
    Activity: _activity,
    Survey: _survey,
    Training: _training,
}
