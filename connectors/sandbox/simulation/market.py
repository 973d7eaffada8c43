"""What Halden Robotics sells, where, to what kind of customer, and how its sales process goes.

Facts only; the people, customers and deals that come of them are made elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from connectors.sandbox.company import CustomField, DatedRate, Outcome, Stage

NAME = "Halden Robotics"
DOMAIN = "halden.example"
VICE_PRESIDENT = "Grace Okafor"
CURRENCY = "USD"
CENT = Decimal("0.01")

BOOK_RATES: Mapping[str, Decimal] = {
    "USD": Decimal("1"),
    "EUR": Decimal("0.92"),
    "GBP": Decimal("0.79"),
    "AUD": Decimal("1.52"),
    "SGD": Decimal("1.35"),
    "MXN": Decimal("18.50"),
    "CLP": Decimal("940"),
}
"""What the price books are worked out with; they are not the rates of any day."""
LATE_CURRENCY = "CLP"
"""Has rates only from the last year on."""

STEPS = ("first", "second", "third", "fourth", "won", "lost")
OPEN_STEPS = STEPS[:4]
PROBABILITIES = dict(zip(STEPS, (10, 25, 50, 75, 100, 0), strict=True))
OUTCOMES = {"won": Outcome.WON, "lost": Outcome.LOST}


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of the world with its own CRM."""

    name: str
    crm: str
    code: str
    manager: str
    reps: tuple[str, ...]
    currencies: tuple[str, ...]
    countries: tuple[str, ...]
    territories: tuple[str, ...]
    legal_forms: tuple[str, ...]
    stages: tuple[str, ...]
    """The labels."""
    stage_ids: tuple[str, ...] = ()
    """Where the CRM keeps something else than the labels."""


REGIONS = (
    Region(
        name="Americas",
        crm="salesforce",
        code="001",
        manager="Maya Collins",
        reps=("Aiden Brooks", "Sofia Ramirez", "Noah Whitfield", "Chloe Tanaka"),
        currencies=("USD",),
        countries=("United States", "Canada", "Mexico"),
        territories=("Americas East", "Americas West", "Americas Central"),
        legal_forms=("Inc.", "Corp.", "LLC"),
        stages=("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost"),
    ),
    Region(
        name="EMEA",
        crm="hubspot",
        code="044",
        manager="Jonas Lindqvist",
        reps=("Elif Demir", "Pierre Moreau", "Hannah Vogel", "Luca Bianchi"),
        currencies=("EUR", "GBP"),
        countries=("Germany", "France", "Italy", "United Kingdom", "Turkey"),
        territories=("EMEA North", "EMEA South", "EMEA Key Accounts"),
        legal_forms=("GmbH", "SAS", "Ltd"),
        stages=(
            "Appointment Scheduled",
            "Qualified To Buy",
            "Presentation Scheduled",
            "Contract Sent",
            "Closed Won",
            "Closed Lost",
        ),
        stage_ids=(
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "contractsent",
            "closedwon",
            "closedlost",
        ),
    ),
    Region(
        name="APAC",
        crm="dynamics",
        code="061",
        manager="Priya Nair",
        reps=("Kenji Sato", "Mei Chua", "Oliver Grant", "Ananya Rao"),
        currencies=("AUD", "SGD"),
        countries=("Australia", "Singapore", "Japan", "India"),
        territories=("Oceania", "South-East Asia", "Japan and India"),
        legal_forms=("Pty Ltd", "Pte. Ltd.", "K.K."),
        # a Dynamics deal keeps the last step it was in; that it is closed shows in its state
        stages=("1-Qualify", "2-Develop", "3-Propose", "4-Close", "4-Close", "4-Close"),
    ),
    Region(
        name="Iberia & LatAm",
        crm="zoho",
        code="034",
        manager="Ximena Duarte",
        reps=("Beatriz Carvalho", "Mateo Herrera", "Catalina Rojas", "Joaquim Ferreira"),
        currencies=("EUR", "MXN"),
        countries=("Spain", "Portugal", "Mexico", "Chile"),
        territories=("Iberia", "Mexico and Central America", "South America"),
        legal_forms=("S.L.", "Lda.", "S.A. de C.V."),
        stages=(
            "Qualification",
            "Needs Analysis",
            "Proposal/Price Quote",
            "Negotiation/Review",
            "Closed Won",
            "Closed Lost",
        ),
    ),
)
CRMS = tuple(region.crm for region in REGIONS)
PARTNERS = dict(zip(CRMS[::2], CRMS[1::2], strict=True))
"""CRM to the other one that knows some of its customers and people."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something in the catalogue, with its list price in the company's currency when it all began."""

    name: str
    sku: str
    family: str
    price: int


CATALOGUE = (
    Item(name="Atlas Arm", sku="ATL-100", family="Arms", price=24000),
    Item(name="Atlas Arm XL", sku="ATL-200", family="Arms", price=41000),
    Item(name="Scout Cart", sku="SCT-100", family="Carts", price=12500),
    Item(name="Scout Fleet", sku="SCT-500", family="Carts", price=58000),
    Item(name="Vision Kit", sku="VIS-100", family="Vision", price=6800),
    Item(name="Care Plan", sku="CAR-012", family="Services", price=3600),
)
MAIN_ITEMS = CATALOGUE[:4]
ADD_ONS = CATALOGUE[4:]
ADD_ON_COUNTS = (0, 0, 1, 1, 2)
QUANTITIES = (1, 2, 3, 5)
ADD_ON_WEIGHTS = (60, 25, 10, 5)
DISCOUNTS = (0, 0, 0, 5, 8, 10, 15)
"""Percent; agreed on when the offer is made."""
YEARLY_RISE = Decimal("1.03")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A kind of customer: how many there are, how much they buy, how fast and how gladly."""

    name: str
    share: float
    quantity_weights: tuple[int, ...]
    speed: float
    edge: float
    """Added to the log-odds of every step forward."""


SEGMENTS = (
    Segment(name="SMB", share=0.50, quantity_weights=(75, 20, 4, 1), speed=1.30, edge=0.05),
    Segment(name="Mid-Market", share=0.33, quantity_weights=(50, 30, 14, 6), speed=1.00, edge=0.00),
    Segment(name="Enterprise", share=0.17, quantity_weights=(20, 30, 30, 20), speed=0.75, edge=-0.05),
)
SOURCES = ("Web", "Partner", "Trade Show", "Referral", "Outbound")
# more new business is opened in spring and autumn than in August or over the turn of the year
SEASON = (0.8, 1.0, 1.2, 1.1, 1.1, 1.0, 0.8, 0.7, 1.2, 1.3, 1.1, 0.7)
YEARLY_GROWTH = 0.25

CUSTOM_FIELDS = (
    CustomField(record="opportunity", name="contract_term_months", kind="number"),
    CustomField(record="opportunity", name="competitor", kind="choice"),
    CustomField(record="opportunity", name="needs_review", kind="boolean"),
    CustomField(record="opportunity", name="renewal_date", kind="date"),
    CustomField(record="opportunity", name="weighted_value", kind="money", is_formula=True),
    CustomField(record="opportunity", name="notes", kind="long_text"),
    CustomField(record="account", name="segment", kind="choice"),
    CustomField(record="account", name="region_code", kind="text"),
    CustomField(record="account", name="health_score", kind="number", is_formula=True),
)


def email(name: str) -> str:
    """The address of somebody who works here."""
    return f"{name.lower().replace(' ', '.')}@{DOMAIN}"


def stages(region: Region) -> tuple[Stage, ...]:
    """The sales process as one CRM names it."""
    return tuple(
        Stage(key=key, id=id, label=label, probability=PROBABILITIES[key], outcome=OUTCOMES.get(key, Outcome.OPEN))
        for key, id, label in zip(STEPS, region.stage_ids or region.stages, region.stages, strict=True)
    )


def list_price(item: Item, currency: str, year: int) -> Decimal:
    """What the price book of a year asks."""
    rise: Decimal = YEARLY_RISE ** max(0, year - 2023)
    return (item.price * rise * BOOK_RATES[currency]).quantize(CENT)


def rate_on(rates: tuple[DatedRate, ...], currency: str, day: date) -> Decimal:
    """Units of a currency for one of the company's on a day; the price books' where no rate is known yet."""
    known = [rate for rate in rates if rate.currency == currency and rate.starts_on <= day]
    return max(known, key=lambda rate: rate.starts_on).rate if known else BOOK_RATES[currency]
