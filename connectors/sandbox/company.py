"""What a company sells, to whom and how far it got, told without the words of any CRM, and how that changes in time.

Values only: `generate`, `folder` and the simulation make companies, the CRM modules put them into their vendor's shape.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol


class Outcome(StrEnum):
    """How a deal ended, if it did."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


class LeadStatus(StrEnum):
    """How far a lead got."""

    OPEN = "open"
    WORKING = "working"
    QUALIFIED = "qualified"
    UNQUALIFIED = "unqualified"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of the sales process, as one CRM names it."""

    key: str
    """What opportunities refer to."""
    id: str
    """Internal value, where the CRM keeps one beside the label."""
    label: str
    probability: int
    """Percent."""
    outcome: Outcome = Outcome.OPEN


@dataclass(frozen=True, kw_only=True)
class Rep:
    """Somebody who sells, or who leads those who do."""

    email: str
    first_name: str
    last_name: str
    title: str
    crms: tuple[str, ...]
    region: str | None
    team: str | None
    manager_email: str | None
    created_at: datetime
    modified_at: datetime
    is_active: bool = True
    territory: str | None = None
    """Key of the territory worked in."""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True, kw_only=True)
class Territory:
    """A part of the market; the ones without a parent are the regions."""

    key: str
    name: str
    parent_key: str | None
    manager_email: str | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Product:
    """Something sold; a name that only ever appeared in a deal has no price, number or family."""

    name: str
    sku: str | None
    family: str | None
    price: Decimal | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """A list of prices in one currency."""

    key: str
    crm: str
    name: str
    currency: str
    is_standard: bool
    prices: Mapping[str, Decimal]
    """Product name to list price."""
    created_at: datetime
    modified_at: datetime


Custom = Mapping[str, str | int | Decimal | bool | date | None]
"""Values of custom fields, by the field's name."""


@dataclass(frozen=True, kw_only=True)
class CustomField:
    """A field the company added to one kind of record; each CRM names it its own way."""

    record: str
    """Class of the record in lower case: `opportunity`, `account`, `contact`."""
    name: str
    """Words with underscores: `contract_term_months`."""
    kind: str
    """text, long_text, number, money, date, boolean or choice."""
    is_formula: bool = False
    """Worked out when read: its value changes without the record's stamp moving."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A customer."""

    key: str
    crm: str
    name: str
    industry: str | None
    country: str | None
    website: str | None
    employees: int | None
    revenue: Decimal | None
    parent_key: str | None
    owner_email: str | None
    currency: str
    created_at: datetime
    modified_at: datetime
    custom: Custom = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A person at a customer."""

    key: str
    crm: str
    account_key: str
    first_name: str
    last_name: str
    email: str
    phone: str
    title: str
    owner_email: str
    created_at: datetime
    modified_at: datetime
    custom: Custom = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lead:
    """Somebody who may become a customer; a qualified lead names what it became."""

    key: str
    crm: str
    first_name: str
    last_name: str
    company: str
    email: str
    source: str
    country: str
    owner_email: str
    status: LeadStatus | None
    """None: nobody has said."""
    opportunity_key: str | None
    account_key: str | None
    contact_key: str | None
    converted_on: date | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Line:
    """One product on a deal or an order; without a price as long as nobody has set one."""

    product: str
    quantity: int
    unit_price: Decimal | None
    ordinal: int | None = None
    """Tells the lines of a deal apart for good; None: its place in the list."""
    is_orphan: bool = False
    """It came with this deal and is no longer part of it: the deal that it names is not there."""

    @property
    def amount(self) -> Decimal | None:
        """Price times quantity."""
        return None if self.unit_price is None else self.unit_price * self.quantity


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a deal was, from one moment on: what the CRMs keep as its history."""

    at: datetime
    stage: str
    amount: Decimal | None
    close_date: date | None
    owner_email: str | None


@dataclass(frozen=True, kw_only=True)
class Split:
    """A part of a deal's credit that goes to one rep; overlay credit comes on top of the revenue's 100 percent."""

    rep_email: str
    percent: Decimal
    is_overlay: bool = False


@dataclass(frozen=True, kw_only=True)
class Opportunity:
    """A deal. The close date of an open one is what its owner expects."""

    key: str
    crm: str
    name: str
    account_key: str | None
    contact_key: str | None
    owner_email: str | None
    stage: str
    amount: Decimal | None
    currency: str | None
    close_date: date | None
    type: str | None
    source: str | None
    lines: tuple[Line, ...]
    created_at: datetime
    stage_changed_at: datetime
    modified_at: datetime
    is_dirty: bool = False
    """Wrong on purpose, so that quality gates have something to find."""
    history: tuple[Step, ...] = ()
    """Oldest first; the last one is what the deal is now. Empty: nothing is known of its past."""
    splits: tuple[Split, ...] = ()
    campaign_key: str | None = None
    price_book_key: str | None = None
    """The list that the prices of its lines come from."""
    probability: int | None = None
    """Percent, as somebody typed it; None: the stage's."""
    custom: Custom = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Something marketing spends money on."""

    key: str
    crm: str
    name: str
    type: str
    status: str
    starts_on: date
    ends_on: date
    budget: Decimal
    cost: Decimal
    currency: str
    owner_email: str
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class CampaignMember:
    """A lead or contact that a campaign reached."""

    key: str
    crm: str
    campaign_key: str
    lead_key: str | None
    contact_key: str | None
    status: str
    """Sent or Responded."""
    responded_on: date | None
    created_at: datetime
    modified_at: datetime


class ActivityKind(StrEnum):
    """What was done."""

    TASK = "task"
    CALL = "call"
    MEETING = "meeting"
    EMAIL = "email"


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Something a rep did, or is to do, about a deal or a lead."""

    key: str
    crm: str
    kind: ActivityKind
    subject: str
    owner_email: str
    account_key: str | None
    contact_key: str | None
    lead_key: str | None
    opportunity_key: str | None
    happens_at: datetime
    minutes: int
    is_done: bool
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a rep is to sell in a period."""

    key: str
    crm: str
    rep_email: str
    starts_on: date
    ends_on: date
    """The last day of the period."""
    amount: Decimal
    currency: str
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a customer ordered when a deal was won."""

    key: str
    crm: str
    number: str
    opportunity_key: str
    account_key: str
    owner_email: str
    status: str
    """Draft, Activated or Cancelled."""
    ordered_on: date
    currency: str
    lines: tuple[Line, ...]
    created_at: datetime
    modified_at: datetime

    @property
    def amount(self) -> Decimal:
        """Sum of its lines."""
        return sum((line.amount or Decimal(0) for line in self.lines), Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Payment:
    """Money a customer paid on an invoice."""

    key: str
    paid_on: date
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Invoice:
    """What a customer was billed for an order, and what has been paid of it."""

    key: str
    crm: str
    number: str
    order_key: str
    opportunity_key: str
    account_key: str
    owner_email: str
    status: str
    """Open, Paid or Void."""
    invoiced_on: date
    due_on: date
    amount: Decimal
    currency: str
    payments: tuple[Payment, ...]
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A customer's answer to a satisfaction survey; the CRMs keep it in a custom object."""

    key: str
    crm: str
    kind: str
    """CSAT (1 to 5) or NPS (0 to 10)."""
    account_key: str
    contact_key: str | None
    score: int
    comment: str | None
    answered_at: datetime
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Training:
    """A course a rep took; the CRMs keep it in a custom object."""

    key: str
    crm: str
    rep_email: str
    course: str
    hours: Decimal
    score: int | None
    """Percent; None as long as it is not completed."""
    completed_on: date | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class DatedRate:
    """Units of a currency for one unit of the company's, from a day on."""

    currency: str
    starts_on: date
    rate: Decimal


Record = (
    Rep
    | Territory
    | Product
    | PriceBook
    | Account
    | Contact
    | Lead
    | Opportunity
    | Campaign
    | CampaignMember
    | Activity
    | Quota
    | Order
    | Invoice
    | Survey
    | Training
)


class ChangeKind(StrEnum):
    """What can happen to a record."""

    SAVED = "saved"
    DELETED = "deleted"
    RESTORED = "restored"
    PURGED = "purged"
    """Gone without a trace, as after the recycle bin was emptied."""
    MERGED = "merged"
    FORMULA = "formula"
    """A formula field has another value now, though nobody touched the record: no stamp moves."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that happened to one record of one CRM."""

    at: datetime
    """When others can see it; the stamp a record then carries is its `modified_at`, which may be older."""
    crm: str
    kind: ChangeKind
    record: Record
    """As it is from then on (as it was, for one that is deleted, purged or merged away)."""
    into: Record | None = None
    """The winner of a merge, as it is from then on."""


PARTS = (
    "price_books",
    "campaigns",
    "accounts",
    "contacts",
    "opportunities",
    "leads",
    "campaign_members",
    "activities",
    "quotas",
    "orders",
    "invoices",
    "surveys",
    "trainings",
)
"""What belongs to one CRM, by the name of the company's attribute; what others refer to comes before them."""


class World(Protocol):
    """A company through time, as big as it likes: what the CRM modules of the sandbox serve."""

    @property
    def name(self) -> str:
        """Of the company."""

    @property
    def currency(self) -> str:
        """Of the company; accounts and deals have their own."""

    @property
    def rates(self) -> Mapping[str, Decimal]:
        """Units of a currency for one unit of the company's, today."""

    @property
    def dated_rates(self) -> tuple[DatedRate, ...]:
        """The same through time."""

    @property
    def crms(self) -> tuple[str, ...]:
        """The CRMs it uses."""

    @property
    def stages(self) -> Mapping[str, tuple[Stage, ...]]:
        """The sales process of each CRM, in order."""

    @property
    def custom_fields(self) -> tuple[CustomField, ...]:
        """Fields it added."""

    @property
    def founded_at(self) -> datetime:
        """When its CRMs were set up: the stamp of stages, currencies and business units."""

    def records(self, crm: str) -> Iterator[Record]:
        """Every live record that one CRM holds when the sandbox opens; what others refer to comes before them."""

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        """What happens in one CRM later than `after` and not later than `until`, in order."""


@dataclass(frozen=True, kw_only=True)
class Company:
    """A company that fits into memory, as of one moment: nothing happens to it any more."""

    name: str
    currency: str
    """Of the company; accounts and deals have their own."""
    rates: Mapping[str, Decimal]
    """Units of a currency for one unit of the company's."""
    crms: tuple[str, ...]
    stages: Mapping[str, tuple[Stage, ...]]
    """The sales process of each CRM, in order."""
    reps: tuple[Rep, ...]
    products: tuple[Product, ...]
    accounts: tuple[Account, ...]
    contacts: tuple[Contact, ...]
    leads: tuple[Lead, ...]
    opportunities: tuple[Opportunity, ...]
    founded_at: datetime
    """When its CRMs were set up: the stamp of stages, currencies and business units."""
    territories: tuple[Territory, ...] = ()
    price_books: tuple[PriceBook, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    campaign_members: tuple[CampaignMember, ...] = ()
    activities: tuple[Activity, ...] = ()
    quotas: tuple[Quota, ...] = ()
    orders: tuple[Order, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    surveys: tuple[Survey, ...] = ()
    trainings: tuple[Training, ...] = ()
    dated_rates: tuple[DatedRate, ...] = ()
    custom_fields: tuple[CustomField, ...] = ()

    def records(self, crm: str) -> Iterator[Record]:
        """Every record that one CRM holds; what others refer to comes before them."""
        part = self.within(crm)
        yield from part.territories
        yield from part.reps
        yield from part.products
        for name in PARTS:
            yield from getattr(part, name)

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        """Nothing."""
        yield from ()

    @property
    def dirty(self) -> tuple[Opportunity, ...]:
        """The deals that are wrong on purpose."""
        return tuple(deal for deal in self.opportunities if deal.is_dirty)

    def within(self, crm: str) -> "Company":
        """The part of the company that one CRM holds."""
        parts: dict[str, Any] = {
            name: tuple(record for record in getattr(self, name) if record.crm == crm) for name in PARTS
        }
        return replace(self, crms=(crm,), reps=tuple(rep for rep in self.reps if crm in rep.crms), **parts)

    def stage(self, deal: Opportunity) -> Stage:
        """The stage a deal is in."""
        return next(stage for stage in self.stages[deal.crm] if stage.key == deal.stage)
