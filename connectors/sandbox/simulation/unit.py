"""One business unit: a region's people, customers and deals in its CRM, and the lives of all its records by class.

The classes come in the order in which records refer to each other; what happens in each is in the class's own module.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from connectors.sandbox.simulation.accounts import Accounts
from connectors.sandbox.simulation.activities import Activities
from connectors.sandbox.simulation.after_sale import AfterSale
from connectors.sandbox.simulation.campaigns import Campaigns
from connectors.sandbox.simulation.catalogue import LATE_SHARE, price_books, products
from connectors.sandbox.simulation.deals import Deal, Deals
from connectors.sandbox.simulation.leads import Leads
from connectors.sandbox.simulation.life import Life, Link
from connectors.sandbox.simulation.market import Region
from connectors.sandbox.simulation.people import Staff, territories
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.pipeline import Pipeline
from connectors.sandbox.simulation.targets import quotas, trainings

LEAD_TIME = timedelta(days=31)
"""A lead comes at most this long before its deal."""

Lives = Callable[["Unit", datetime, datetime], Iterator[Life]]
"""Those that begin not later than `until` and may still change later than `since`."""


class Unit:
    """One region."""

    def __init__(self, seed: int, region: Region, period: Period, scale: float, dirt: float) -> None:
        self.seed, self.region, self.period, self.crm, self.dirt = seed, region, period, region.crm, dirt
        self.staff = Staff(seed, region, period, scale, dirt)
        self.accounts = Accounts(seed, self.staff, period, scale, dirt)
        self.campaigns = Campaigns(seed, region, period, scale)
        self.deals = Deals(self.accounts, scale, period.day(LATE_SHARE))
        self.leads = Leads(self.deals, scale)
        self.pipeline = Pipeline(self.deals, self.campaigns)
        self.activities = Activities(seed, self.crm, dirt)
        self.after_sale = AfterSale(seed, self.crm)

    def lives(self, since: datetime, until: datetime) -> Iterator[Life]:
        """All records that exist by a moment and may change after another, what others refer to first."""
        for kind in LIVES:
            yield from kind(self, since, until)

    def moving_deals(self, since: datetime, until: datetime) -> Iterator[Deal]:
        """The deals begun by a moment of which not all is over by another."""
        return (deal for deal in self.deals.plans(until) if deal.over_at is None or deal.over_at > since)

    def _staff(self, since: datetime, until: datetime) -> Iterator[Life]:
        yield from territories(self.crm, self.period)
        yield from self.staff.reps()
        yield from products(self.crm, self.period)
        yield from price_books(self.region, self.period)
        yield from self.campaigns.campaigns()

    def _accounts(self, since: datetime, until: datetime) -> Iterator[Life]:
        for plan in self.accounts.plans(until):
            yield from self.accounts.accounts(plan)

    def _contacts(self, since: datetime, until: datetime) -> Iterator[Life]:
        for plan in self.accounts.plans(until):
            yield from self.accounts.contacts(plan)
        for deal in self.moving_deals(since, until):
            yield from self.leads.contacts(deal)

    def _deals(self, since: datetime, until: datetime) -> Iterator[Life]:
        for deal in self.moving_deals(since, until):
            yield from self.pipeline.lives(deal)
        for deal, account in self.deals.twins(until):
            yield self.pipeline.twin(deal, account)

    def _leads(self, since: datetime, until: datetime) -> Iterator[Life]:
        for prospect in self.leads.plans(until):
            if prospect.over_at > since:
                yield from self.leads.prospects(prospect)
        for deal in self.moving_deals(since, until + LEAD_TIME):
            yield from self.leads.converted(deal)

    def _members(self, since: datetime, until: datetime) -> Iterator[Life]:
        for prospect in self.leads.plans(until):
            if prospect.over_at > since:
                link, moment = Link(prospect.key), prospect.created_at
                yield from self.campaigns.lead_members(link, moment, prospect.farewell)
        for deal in self.moving_deals(since, until + LEAD_TIME):
            if deal.lead_at:
                yield from self.campaigns.lead_members(Link(deal.lead_key), deal.lead_at)
        for plan in self.accounts.plans(until):
            yield from self.campaigns.contact_members(plan)

    def _activities(self, since: datetime, until: datetime) -> Iterator[Life]:
        for deal in self.moving_deals(since, until):
            yield from self.activities.of_deal(deal, next(self.pipeline.lives(deal)))
        for prospect in self.leads.plans(until):
            if prospect.over_at > since:
                yield from self.activities.of_lead(prospect)

    def _targets(self, since: datetime, until: datetime) -> Iterator[Life]:
        yield from quotas(self.seed, self.period, self.staff.careers, self.dirt)

    def _orders(self, since: datetime, until: datetime) -> Iterator[Life]:
        for deal in self.moving_deals(since, until):
            yield from self.after_sale.orders(deal)

    def _invoices(self, since: datetime, until: datetime) -> Iterator[Life]:
        for deal in self.moving_deals(since, until):
            yield from self.after_sale.invoices(deal)

    def _surveys(self, since: datetime, until: datetime) -> Iterator[Life]:
        for plan in self.accounts.plans(until):
            yield from self.accounts.surveys(plan)
        for deal in self.moving_deals(since, until):
            yield from self.after_sale.surveys(deal)

    def _trainings(self, since: datetime, until: datetime) -> Iterator[Life]:
        yield from trainings(self.staff.careers)


LIVES: tuple[Lives, ...] = (
    Unit._staff,
    Unit._accounts,
    Unit._contacts,
    Unit._deals,
    Unit._leads,
    Unit._members,
    Unit._activities,
    Unit._targets,
    Unit._orders,
    Unit._invoices,
    Unit._surveys,
    Unit._trainings,
)
