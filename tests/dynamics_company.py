"""A company so small that a test knows each of its records, with one of every kind for Dynamics 365."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Company,
    Contact,
    CustomField,
    Invoice,
    Lead,
    LeadStatus,
    Line,
    Opportunity,
    Order,
    Outcome,
    Payment,
    PriceBook,
    Product,
    Quota,
    Rep,
    Split,
    Stage,
    Step,
    Survey,
    Territory,
    Training,
)

THEN = datetime(2026, 3, 1, 9, tzinfo=UTC)
LATER = datetime(2026, 4, 1, 9, tzinfo=UTC)
STAMPS = {"created_at": THEN, "modified_at": THEN}
OURS = {"crm": "dynamics", **STAMPS}
BOSS, REP = "priya.nair@halden.example", "mei.chua@halden.example"

DEAL = Opportunity(
    key="D1",
    name="Atlas for Acme",
    account_key="A1",
    contact_key="C1",
    owner_email=REP,
    stage="won",
    amount=Decimal("120.50"),
    currency="AUD",
    close_date=date(2026, 4, 1),
    type="New Business",
    source="Web",
    lines=(
        Line(product="Atlas Arm", quantity=2, unit_price=Decimal("50.25"), ordinal=1),
        Line(product="Care Plan", quantity=1, unit_price=Decimal("20"), ordinal=2),
    ),
    stage_changed_at=LATER,
    history=(
        Step(at=THEN, stage="first", amount=Decimal("100"), close_date=date(2026, 5, 1), owner_email=REP),
        Step(at=LATER, stage="won", amount=Decimal("120.50"), close_date=date(2026, 4, 1), owner_email=REP),
    ),
    splits=(Split(rep_email=REP, percent=Decimal(60)), Split(rep_email=BOSS, percent=Decimal(40))),
    campaign_key="K1",
    custom={"competitor": "Acme", "contract_term_months": 24, "weighted_value": Decimal("120.50")},
    crm="dynamics",
    created_at=THEN,
    modified_at=LATER,
)
ACCOUNTS = tuple(
    Account(
        key=key,
        name=f"{key} Ltd",
        industry="retail",
        country="Australia",
        website=None,
        employees=12,
        revenue=Decimal("1000000.10"),
        parent_key=None,
        owner_email=REP,
        currency="AUD",
        **OURS,
    )
    for key in ("A1", "A2", "A3")
)
CONTACT = Contact(
    key="C1",
    account_key="A1",
    first_name="Zoë",
    last_name="Null",
    email="zoe@acme.example",
    phone="+61",
    title="CEO",
    owner_email=REP,
    **OURS,
)
LEAD = Lead(
    key="L1",
    first_name="Zoë",
    last_name="Null",
    company="Acme",
    email="zoe@acme.example",
    source="Web",
    country="Australia",
    owner_email=REP,
    status=LeadStatus.QUALIFIED,
    opportunity_key="D1",
    account_key="A1",
    contact_key="C1",
    converted_on=date(2026, 3, 1),
    **OURS,
)


def activity(kind: ActivityKind) -> Activity:
    """Something done about the deal, or, if it is a task, about the lead."""
    is_task = kind is ActivityKind.TASK
    return Activity(
        key=f"X-{kind}",
        kind=kind,
        subject=f"A {kind}",
        owner_email=REP,
        account_key="A1",
        contact_key=None,
        lead_key="L1" if is_task else None,
        opportunity_key=None if is_task else "D1",
        happens_at=THEN,
        minutes=30,
        is_done=True,
        **OURS,
    )


def person(email: str, manager: str | None) -> Rep:
    """Somebody who sells."""
    first, last = email.split("@")[0].title().split(".")
    return Rep(
        email=email,
        first_name=first,
        last_name=last,
        title="Seller",
        crms=("dynamics",),
        region="APAC",
        team="Team Nair",
        manager_email=manager,
        territory="T1",
        **STAMPS,
    )


def tiny(**changes: object) -> Company:
    """One of everything."""
    company = Company(
        name="Tiny",
        currency="USD",
        rates={"USD": Decimal(1), "AUD": Decimal("1.52")},
        crms=("dynamics",),
        stages={
            "dynamics": (
                Stage(key="first", id="1", label="1-Qualify", probability=10),
                Stage(key="won", id="2", label="4-Close", probability=100, outcome=Outcome.WON),
                Stage(key="lost", id="3", label="4-Close", probability=0, outcome=Outcome.LOST),
            )
        },
        founded_at=THEN,
        territories=(Territory(key="T1", name="Down Under", parent_key=None, manager_email=BOSS, **STAMPS),),
        reps=(person(BOSS, None), person(REP, BOSS)),
        products=(
            Product(name="Atlas Arm", sku="ATL", family=None, price=Decimal("50.25"), **STAMPS),
            Product(name="Care Plan", sku="CAR", family=None, price=Decimal("20"), **STAMPS),
        ),
        price_books=(
            PriceBook(
                key="P1",
                name="Standard AUD",
                currency="AUD",
                is_standard=True,
                prices={"Atlas Arm": Decimal("50.25")},
                **OURS,
            ),
        ),
        accounts=ACCOUNTS,
        contacts=(CONTACT,),
        leads=(LEAD,),
        opportunities=(DEAL,),
        campaigns=(
            Campaign(
                key="K1",
                name="Fair",
                type="Event",
                status="Completed",
                starts_on=date(2026, 1, 1),
                ends_on=date(2026, 2, 1),
                budget=Decimal(10),
                cost=Decimal(9),
                currency="AUD",
                owner_email=REP,
                **OURS,
            ),
        ),
        campaign_members=(
            CampaignMember(
                key="M1",
                campaign_key="K1",
                lead_key="L1",
                contact_key=None,
                status="Responded",
                responded_on=date(2026, 1, 2),
                **OURS,
            ),
        ),
        activities=tuple(activity(kind) for kind in ActivityKind),
        quotas=(
            Quota(
                key="Q1",
                rep_email=REP,
                starts_on=date(2026, 4, 1),
                ends_on=date(2026, 6, 30),
                amount=Decimal(90000),
                currency="AUD",
                **OURS,
            ),
        ),
        orders=(
            Order(
                key="O1",
                number="SO-1",
                opportunity_key="D1",
                account_key="A1",
                owner_email=REP,
                status="Activated",
                ordered_on=date(2026, 4, 2),
                currency="AUD",
                lines=DEAL.lines,
                **OURS,
            ),
        ),
        invoices=(
            Invoice(
                key="I1",
                number="IN-1",
                order_key="O1",
                opportunity_key="D1",
                account_key="A1",
                owner_email=REP,
                status="Paid",
                invoiced_on=date(2026, 4, 3),
                due_on=date(2026, 5, 3),
                amount=Decimal("120.50"),
                currency="AUD",
                payments=(Payment(key="Y1", paid_on=date(2026, 4, 30), amount=Decimal("120.50")),),
                **OURS,
            ),
        ),
        surveys=(
            Survey(
                key="S1",
                kind="NPS",
                account_key="A1",
                contact_key="C1",
                score=9,
                comment="NA",
                answered_at=THEN,
                **OURS,
            ),
        ),
        trainings=(
            Training(
                key="G1",
                rep_email=REP,
                course="Closing",
                hours=Decimal("1.5"),
                score=None,
                completed_on=None,
                **OURS,
            ),
        ),
        custom_fields=(
            CustomField(record="opportunity", name="competitor", kind="choice"),
            CustomField(record="opportunity", name="contract_term_months", kind="number"),
            CustomField(record="opportunity", name="weighted_value", kind="money", is_formula=True),
        ),
    )
    return replace(company, **changes)  # type: ignore[arg-type]
