"""What a company sells, to whom and how far it got, told without the words of any CRM.

Values only: `generate` and `folder` make a company, the CRM modules put it into their vendor's shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


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

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


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
    status: LeadStatus
    opportunity_key: str | None
    account_key: str | None
    contact_key: str | None
    converted_on: date | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Line:
    """One product on a deal; without a price as long as nobody has set one."""

    product: str
    quantity: int
    unit_price: Decimal | None

    @property
    def amount(self) -> Decimal | None:
        """Price times quantity."""
        return None if self.unit_price is None else self.unit_price * self.quantity


@dataclass(frozen=True, kw_only=True)
class Opportunity:
    """A deal. The close date of an open one is what its owner expects."""

    key: str
    crm: str
    name: str
    account_key: str | None
    contact_key: str | None
    owner_email: str
    stage: str
    amount: Decimal | None
    currency: str
    close_date: date | None
    type: str | None
    source: str | None
    lines: tuple[Line, ...]
    created_at: datetime
    stage_changed_at: datetime
    modified_at: datetime
    is_dirty: bool = False
    """Wrong on purpose, so that quality gates have something to find."""


@dataclass(frozen=True, kw_only=True)
class Company:
    """Everything the sandbox serves."""

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

    @property
    def dirty(self) -> tuple[Opportunity, ...]:
        """The deals that are wrong on purpose."""
        return tuple(deal for deal in self.opportunities if deal.is_dirty)

    def within(self, crm: str) -> "Company":
        """The part of the company that one CRM holds."""
        return replace(
            self,
            crms=(crm,),
            reps=tuple(rep for rep in self.reps if crm in rep.crms),
            accounts=tuple(account for account in self.accounts if account.crm == crm),
            contacts=tuple(contact for contact in self.contacts if contact.crm == crm),
            leads=tuple(lead for lead in self.leads if lead.crm == crm),
            opportunities=tuple(deal for deal in self.opportunities if deal.crm == crm),
        )

    def stage(self, deal: Opportunity) -> Stage:
        """The stage a deal is in."""
        return next(stage for stage in self.stages[deal.crm] if stage.key == deal.stage)
