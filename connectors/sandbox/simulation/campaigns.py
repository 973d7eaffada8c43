"""Campaigns of one CRM, what they cost in time, and whom they reached.

One campaign follows the other; whoever comes in belongs to the latest, or to none.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from connectors.sandbox.company import Campaign, CampaignMember, ChangeKind
from connectors.sandbox.simulation.accounts import Plan
from connectors.sandbox.simulation.life import Edit, Life, Link, lag, live
from connectors.sandbox.simulation.market import CURRENCY, Region, email
from connectors.sandbox.simulation.names import CAMPAIGN_TYPES
from connectors.sandbox.simulation.period import Period

AT_SCALE_1 = 60
FEWEST = 8
LEADS_REACHED = 0.5
CONTACTS_REACHED = 0.35
ANNOUNCED = timedelta(days=10)


class Campaigns:
    """The campaigns of one CRM, by number."""

    def __init__(self, seed: int, region: Region, period: Period, scale: float) -> None:
        self.seed, self.region, self.period, self.crm = seed, region, period, region.crm
        self.count = max(FEWEST, round(AT_SCALE_1 * scale))

    def _starts_at(self, number: int) -> datetime:
        return self.period.day(number / self.count)

    def _key(self, number: int) -> str:
        return f"{self.crm}:campaign:{number}"

    def latest(self, moment: datetime) -> str | None:
        """The campaign that has started last."""
        share = (moment - self.period.day(0)) / (self.period.day(1) - self.period.day(0))
        number = min(self.count - 1, int(share * self.count))
        while number >= 0 and self._starts_at(number) > moment:
            number -= 1
        return self._key(number) if number >= 0 and share >= 0 else None

    def of_lead(self, key: str, moment: datetime) -> str | None:
        """The campaign that brought a lead."""
        is_reached = Random(f"{self.seed}:{key}:campaign").random() < LEADS_REACHED
        return self.latest(moment) if is_reached else None

    def campaigns(self) -> Iterator[Life]:
        """The campaigns, oldest first."""
        for number in range(self.count):
            random = Random(f"{self.seed}:{self._key(number)}")
            starts_at = self._starts_at(number)
            ends_at = starts_at + timedelta(days=random.randint(20, 90))
            created_at = max(self.period.founded_at, starts_at - ANNOUNCED)
            kind, budget = random.choice(CAMPAIGN_TYPES), Decimal(random.randint(8, 60) * 1000)
            cost = (budget * Decimal(random.randint(70, 125)) / 100).quantize(Decimal("0.01"))
            campaign = Campaign(
                key=self._key(number),
                crm=self.crm,
                name=f"{kind} {starts_at:%Y-%m} {self.region.name}",
                type=kind,
                status="Planned",
                starts_on=starts_at.date(),
                ends_on=ends_at.date(),
                budget=budget,
                cost=Decimal("0.00"),
                currency=CURRENCY,
                owner_email=email(self.region.manager),
                created_at=created_at,
                modified_at=created_at,
            )
            half = (cost * Decimal("0.6")).quantize(Decimal("0.01"))
            edits = [
                Edit(starts_at, {"status": "In Progress"}),
                Edit(starts_at + (ends_at - starts_at) / 2, {"cost": half}),
                Edit(ends_at, {"status": "Completed", "cost": cost}),
            ]
            yield live(self.crm, campaign, edits)

    def lead_members(self, lead: Link, moment: datetime, farewell: Sequence[Edit] = ()) -> Iterator[Life]:
        """The membership of a lead that a campaign brought; it goes where the lead goes."""
        if campaign := self.of_lead(lead.key, moment):
            random = Random(f"{self.seed}:{lead.key}:member")
            edits = [*lead.edits("lead_key"), *farewell]
            yield self._member(random, campaign, moment, edits, lead_key=lead.key)

    def contact_members(self, plan: Plan) -> Iterator[Life]:
        """The membership of a customer's first contact, whom some campaign may reach."""
        random = Random(f"{self.seed}:{plan.key}:member")
        if not plan.people or random.random() >= CONTACTS_REACHED:
            return
        person = plan.people[0]
        moment = person.created_at + timedelta(seconds=random.randint(86400, 400 * 86400))
        if moment < self.period.day(1) and (campaign := self.latest(moment)):
            edits = []
            if random.random() < 0.1:
                at = moment + timedelta(seconds=random.randint(86400, 90 * 86400))
                edits.append(Edit(at, kind=ChangeKind.PURGED))
            yield self._member(random, campaign, moment, edits, contact_key=plan.contact_key(person))

    def _member(
        self,
        random: Random,
        campaign: str,
        moment: datetime,
        edits: Sequence[Edit],
        *,
        lead_key: str | None = None,
        contact_key: str | None = None,
    ) -> Life:
        member = CampaignMember(
            key=f"{lead_key or contact_key}:member",
            crm=self.crm,
            campaign_key=campaign,
            lead_key=lead_key,
            contact_key=contact_key,
            status="Sent",
            responded_on=None,
            created_at=moment,
            modified_at=moment,
        )
        if random.random() < 0.6:
            at = moment + timedelta(seconds=random.randint(600, 20 * 86400))
            edits = [*edits, Edit(at, {"status": "Responded", "responded_on": at.date()}, lag=lag(random))]
        return live(self.crm, member, edits)
