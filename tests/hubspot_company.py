"""Two companies on HubSpot that tests know by heart: a plain one, and one with a record of every kind."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from connectors.sandbox.company import (
    Activity,
    ActivityKind,
    Company,
    CustomField,
    DatedRate,
    Invoice,
    Line,
    Order,
    Payment,
    Quota,
    Split,
    Step,
    Survey,
    Training,
)

DEALS = 300


def plain(halden: Company) -> Company:
    """Halden with 300 deals on HubSpot that have no past, and nothing that came after the sale."""
    part = halden.within("hubspot")
    deals = [replace(deal, history=(), splits=(), custom={}) for deal in part.opportunities[:DEALS]]
    clean = [deal for deal in deals if not deal.is_dirty]
    more = [replace(clean[number], key=f"again {number}") for number in range(DEALS - len(deals))]
    return replace(
        part,
        reps=tuple(rep for rep in part.reps if rep.is_active),
        opportunities=(*deals, *more),
        custom_fields=(),
        dated_rates=(),
        **dict.fromkeys(("activities", "orders", "invoices", "quotas", "surveys", "trainings"), ()),
        **dict.fromkeys(("campaigns", "campaign_members", "price_books"), ()),
    )


def rich(halden: Company) -> Company:
    """The plain company with one record of every kind that HubSpot has a place for."""
    halden = plain(halden)
    deals = [deal for deal in halden.opportunities if deal.crm == "hubspot"]
    deal = next(deal for deal in deals if deal.account_key and deal.contact_key and deal.lines and deal.amount)
    at = {"created_at": deal.created_at, "modified_at": deal.modified_at}
    about = {"account_key": deal.account_key, "owner_email": deal.owner_email}
    first = Step(
        at=deal.created_at, stage="first", amount=Decimal("1.50"), close_date=None, owner_email=deal.owner_email
    )
    last = replace(first, at=deal.modified_at, stage=deal.stage, amount=deal.amount, close_date=deal.close_date)
    told = replace(
        deal,
        history=(first, last),
        splits=(Split(rep_email=deal.owner_email, percent=Decimal(100)),),
        custom={"term": 36, "weighted": Decimal("9.90"), "renewed_on": date(2026, 1, 31), "is_key": True, "note": "x"},
    )
    lines = (Line(product=halden.products[0].name, quantity=2, unit_price=Decimal("10.00"), ordinal=7),)
    order = Order(
        key="o1",
        crm="hubspot",
        number="O-1",
        opportunity_key=deal.key,
        status="Activated",
        ordered_on=date(2026, 3, 1),
        currency="EUR",
        lines=lines,
        **about,
        **at,
    )
    invoice = Invoice(
        key="i1",
        crm="hubspot",
        number="I-1",
        order_key="o1",
        opportunity_key=deal.key,
        status="Open",
        invoiced_on=date(2026, 3, 2),
        due_on=date(2026, 4, 1),
        amount=Decimal("20.00"),
        currency="EUR",
        payments=(Payment(key="p1", paid_on=date(2026, 3, 9), amount=Decimal("5.00")),),
        **about,
        **at,
    )
    activities = tuple(
        Activity(
            key=f"a-{kind}",
            crm="hubspot",
            kind=kind,
            subject="Talk",
            contact_key=deal.contact_key,
            lead_key=None,
            opportunity_key=deal.key,
            happens_at=deal.modified_at,
            minutes=30,
            is_done=True,
            **about,
            **at,
        )
        for kind in ActivityKind
    )
    quota = Quota(
        key="q1",
        crm="hubspot",
        rep_email=deal.owner_email,
        starts_on=date(2026, 7, 1),
        ends_on=date(2026, 9, 30),
        amount=Decimal("92000"),
        currency="EUR",
        **at,
    )
    survey = Survey(
        key="s1",
        crm="hubspot",
        kind="NPS",
        account_key=str(deal.account_key),
        contact_key=deal.contact_key,
        score=9,
        comment=None,
        answered_at=deal.modified_at,
        **at,
    )
    training = Training(
        key="t1",
        crm="hubspot",
        rep_email=deal.owner_email,
        course="Closing",
        hours=Decimal("1.5"),
        score=None,
        completed_on=None,
        **at,
    )
    fields = {"term": "number", "weighted": "money", "renewed_on": "date", "is_key": "boolean", "note": "long_text"}
    return replace(
        halden,
        opportunities=(told, *(other for other in halden.opportunities if other is not deal)),
        orders=(order,),
        invoices=(invoice,),
        activities=activities,
        quotas=(quota,),
        surveys=(survey,),
        trainings=(training,),
        rates={**halden.rates, "EUR": Decimal("0.92")},
        dated_rates=(
            DatedRate(currency="EUR", starts_on=date(2026, 1, 1), rate=Decimal("0.90")),
            DatedRate(currency="EUR", starts_on=date(2026, 8, 1), rate=Decimal("0.80")),
            DatedRate(currency="EUR", starts_on=date(2099, 1, 1), rate=Decimal("0.70")),
        ),
        custom_fields=tuple(
            CustomField(record="opportunity", name=name, kind=kind, is_formula=name == "weighted")
            for name, kind in fields.items()
        ),
    )
