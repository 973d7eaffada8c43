"""One business unit: a region's people, customers and deals in its CRM, and the lives of all its records by class.

The classes come in the order in which records refer to each other; what happens in each is in the class's own module.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

from connectors.sandbox.simulation.accounts import Accounts
from connectors.sandbox.simulation.activities import Activities
from connectors.sandbox.simulation.after_sale import AfterSale
from connectors.sandbox.simulation.campaigns import Campaigns
from connectors.sandbox.simulation.catalogue import LATE_SHARE, price_books, products
from connectors.sandbox.simulation.deals import Deal, Deals
from connectors.sandbox.simulation.leads import Leads, Prospect
from connectors.sandbox.simulation.life import Life, Link
from connectors.sandbox.simulation.market import Region
from connectors.sandbox.simulation.people import Staff, territories
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.pipeline import Pipeline
from connectors.sandbox.simulation.targets import quotas, trainings

LEAD_TIME = timedelta(days=31)
"""A lead comes at most this long before its deal."""


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

    def know(self, other: "Unit") -> None:
        """Share with another unit what the two have in common: deals booked twice, people who are users of both."""
        other.deals.partner, self.deals.original = self.accounts, other.deals
        self.staff.guests = [rep for rep in other.staff.careers if rep.flaw and rep.flaw.kind == "manager_overlap"]

    def lives(self, since: datetime, until: datetime) -> Iterator[Life]:
        """All records that exist by a moment and may change after another, what others refer to first.

        A plan is made once and gives all its records, since making plans is most of the work; some records of deals
        that begin shortly after the moment come along.
        """
        yield from self._settled()
        for plan in self.accounts.plans(until):
            yield from chain(self.accounts.accounts(plan), self.accounts.contacts(plan), self.accounts.surveys(plan))
        for prospect in self._moving_prospects(since, until):
            yield from self.leads.prospects(prospect)
            yield from self.campaigns.lead_members(Link(prospect.key), prospect.created_at, prospect.farewell)
        for deal in self._moving_deals(since, until + LEAD_TIME):
            yield from self._around(deal)
        for deal, account in self.deals.twins(until):
            yield self.pipeline.twin(deal, account)
        for plan in self.accounts.plans(until):
            yield from self.campaigns.contact_members(plan)
        for prospect in self._moving_prospects(since, until):
            yield from self.activities.of_lead(prospect)

    def _settled(self) -> Iterator[Life]:
        """What does not depend on how business goes."""
        yield from territories(self.crm, self.period)
        yield from self.staff.reps()
        yield from products(self.crm, self.period)
        yield from price_books(self.region, self.period)
        yield from self.campaigns.campaigns()
        yield from quotas(self.seed, self.period, self.staff.careers, self.dirt)
        yield from trainings(self.staff.careers)

    def _moving_prospects(self, since: datetime, until: datetime) -> Iterator[Prospect]:
        return (prospect for prospect in self.leads.plans(until) if prospect.over_at > since)

    def _moving_deals(self, since: datetime, until: datetime) -> Iterator[Deal]:
        """The deals begun by a moment of which not all is over by another."""
        return (deal for deal in self.deals.plans(until) if deal.over_at is None or deal.over_at > since)

    def _around(self, deal: Deal) -> Iterator[Life]:
        """A deal and all that comes of it."""
        yield from self.leads.contacts(deal)
        lives = list(self.pipeline.lives(deal))
        yield from lives
        yield from self.leads.converted(deal)
        if deal.lead_at:
            yield from self.campaigns.lead_members(Link(deal.lead_key), deal.lead_at)
        yield from self.activities.of_deal(deal, lives[0])
        yield from self.after_sale.of(deal)
