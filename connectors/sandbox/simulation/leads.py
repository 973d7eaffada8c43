"""Leads: those that become deals, with the contact each brings along, and those that do not.

The deals are in `deals`; whom campaigns reached is in `campaigns`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from connectors.sandbox.company import ChangeKind, Contact, Lead, LeadStatus
from connectors.sandbox.simulation.deals import Deal, Deals
from connectors.sandbox.simulation.dirt import is_spoilt, some_flaw
from connectors.sandbox.simulation.life import Edit, Flaw, Life, Link, fate, lag, live, remembered
from connectors.sandbox.simulation.market import SOURCES
from connectors.sandbox.simulation.names import FIRST_NAMES, LAST_NAMES, NAME_HEADS, NAME_TAILS, TITLES
from connectors.sandbox.simulation.people import Career

AT_SCALE_1 = 3000
"""For each CRM, in three years: leads that become nothing."""
WORKED = timedelta(days=120)
"""After this nobody cares who owns a lead."""
AFTERLIFE = timedelta(days=300)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prospect:
    """What is settled about a lead that becomes nothing."""

    key: str
    created_at: datetime
    owner: Career
    farewell: tuple[Edit, ...]
    """When it is deleted, and whether it comes back."""
    doubled_at: datetime | None
    merged_at: datetime | None

    @property
    def over_at(self) -> datetime:
        """Nothing happens any more after this."""
        return self.created_at + AFTERLIFE

    def links(self) -> Iterator[tuple[Link, datetime]]:
        """The lead and its double, and since when each is there."""
        yield Link(self.key), self.created_at
        if self.doubled_at:
            yield Link(f"{self.key}:double", self.merged_at, self.key), self.doubled_at


class Leads:
    """The leads of one CRM."""

    def __init__(self, deals: Deals, scale: float) -> None:
        self.deals, self.staff, self.period = deals, deals.staff, deals.period
        self.seed, self.crm, self.region = deals.seed, deals.crm, deals.accounts.region
        self.count = max(1, round(AT_SCALE_1 * scale * self.period.reference_share))
        self.plan = lru_cache(remembered(self.count))(self._plan)

    def _plan(self, number: int) -> Prospect:
        random = Random(f"{self.seed}:{self.crm}:lead:{number}")
        births = self.period.births
        created_at = births.moment((number + random.random()) / self.count * births.total)
        farewell: list[Edit] = []
        doubled_at = merged_at = None
        if random.random() < 0.05:
            farewell = fate(random, created_at + timedelta(seconds=random.randint(10 * 86400, 90 * 86400)))
        elif random.random() < 0.04:
            doubled_at = created_at + timedelta(seconds=random.randint(86400, 10 * 86400))
            merged_at = doubled_at + timedelta(seconds=random.randint(5 * 86400, 60 * 86400))
        return Prospect(
            key=f"{self.crm}:lead:{number}",
            created_at=created_at,
            owner=self.staff.pick(random, created_at),
            farewell=tuple(farewell),
            doubled_at=doubled_at,
            merged_at=merged_at,
        )

    def plans(self, until: datetime) -> Iterator[Prospect]:
        """The leads that have come by a moment and become nothing, oldest first."""
        for number in range(self.count):
            prospect = self.plan(number)
            if prospect.created_at > until:
                return
            yield prospect

    def prospects(self, prospect: Prospect) -> Iterator[Life]:
        """A lead that becomes nothing, and its double for as long as there is one."""
        random = Random(f"{self.seed}:{prospect.key}:life")
        head, (tail, _) = random.choice(NAME_HEADS), random.choice(NAME_TAILS)
        first = self._lead(random, prospect.key, f"{head} {tail} Group", prospect.created_at, prospect.owner)
        edits = list(prospect.farewell)
        worked_at = prospect.created_at + timedelta(seconds=random.randint(3600, 20 * 86400))
        if random.random() < 0.6:
            edits.append(Edit(worked_at, {"status": LeadStatus.WORKING}, lag=lag(random)))
        if random.random() < 0.75:
            at = worked_at + timedelta(seconds=random.randint(3600, 60 * 86400))
            edits.append(Edit(at, {"status": LeadStatus.UNQUALIFIED}, lag=lag(random)))
        owners = self.staff.owners(prospect.owner, prospect.key, prospect.created_at, prospect.created_at + WORKED)
        edits += [Edit(at, {"owner_email": career.email}) for at, career in owners[1:]]
        flaw = some_flaw(self.seed, first, self.crm) if is_spoilt(self.seed, first.key, self.deals.dirt) else None
        if not prospect.doubled_at or not prospect.merged_at:
            yield live(self.crm, first, edits, flaw=flaw)
            return
        edits.append(Edit(prospect.merged_at, {"source": random.choice(SOURCES)}))
        life = live(self.crm, first, edits, flaw=flaw)
        yield life
        double = replace(
            first,
            key=f"{prospect.key}:double",
            company=first.company.upper(),
            email=f"double.{first.email}",
            created_at=prospect.doubled_at,
            modified_at=prospect.doubled_at,
        )
        merge = Edit(prospect.merged_at, kind=ChangeKind.MERGED, into=life.at(prospect.merged_at))
        doubled = Flaw("duplicate_lead", prospect.doubled_at, prospect.merged_at, other=(self.crm, Lead, first.key))
        yield live(self.crm, double, [merge], flaw=doubled)

    def converted(self, deal: Deal) -> Iterator[Life]:
        """The lead that became a deal."""
        if not deal.lead_at:
            return
        random = Random(f"{self.seed}:{deal.key}:lead")
        owner = deal.owners[0][1]
        if not owner.is_active(deal.lead_at):
            owner = self.staff.pick(random, deal.lead_at)
        contact = self._contact(deal)
        first = replace(
            self._lead(random, deal.lead_key, deal.account.customer.name, deal.lead_at, owner),
            first_name=contact.first_name,
            last_name=contact.last_name,
            email=contact.email,
            source=deal.source,
            country=deal.account.country,
        )
        worked_at = deal.lead_at + (deal.created_at - deal.lead_at) * random.random()
        conversion = {
            "status": LeadStatus.QUALIFIED,
            "opportunity_key": deal.key,
            "account_key": deal.account_link.at(deal.created_at),
            "contact_key": contact.key,
            "converted_on": deal.created_at.date(),
            "owner_email": deal.owners[0][1].email,
        }
        edits = [
            Edit(worked_at.replace(microsecond=0), {"status": LeadStatus.WORKING}, lag=lag(random)),
            Edit(deal.created_at, conversion),
            *deal.account_link.edits("account_key"),
        ]
        yield live(self.crm, first, edits)

    def contacts(self, deal: Deal) -> Iterator[Life]:
        """The person who was the lead, from the conversion on."""
        if deal.lead_at:
            yield live(self.crm, self._contact(deal), deal.account_link.edits("account_key"))

    def _contact(self, deal: Deal) -> Contact:
        random = Random(f"{self.seed}:{deal.key}:contact")
        first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        local = f"{first}.{last}.{self.region.code.lstrip('0')}-d{deal.number}".lower()
        return Contact(
            key=f"{self.crm}:contact:deal:{deal.number}",
            crm=self.crm,
            account_key=deal.account_link.at(deal.created_at) or deal.account.key,
            first_name=first,
            last_name=last,
            email=f"{local}@{deal.account.customer.domain}",
            phone=f"+1 555 {deal.number % 10000:04d} 9",
            title=random.choice(TITLES),
            owner_email=deal.owners[0][1].email,
            created_at=deal.created_at,
            modified_at=deal.created_at,
        )

    def _lead(self, random: Random, key: str, company: str, created_at: datetime, owner: Career) -> Lead:
        first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        number = key.rpartition(":")[2]
        domain = company.lower().replace(" ", "-") + ".example"
        return Lead(
            key=key,
            crm=self.crm,
            first_name=first,
            last_name=last,
            company=company,
            email=f"{first}.{last}.{self.region.code.lstrip('0')}-l{number}@{domain}".lower(),
            source=random.choice(SOURCES),
            country=random.choice(self.region.countries),
            owner_email=owner.email,
            status=LeadStatus.OPEN,
            opportunity_key=None,
            account_key=None,
            contact_key=None,
            converted_on=None,
            created_at=created_at,
            modified_at=created_at,
        )
