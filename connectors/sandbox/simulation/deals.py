"""The deals of one CRM: what is settled about each of them before it happens, in the order in which they begin.

How a plan turns into a record that changes is told in `pipeline`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random

from connectors.sandbox.company import Line
from connectors.sandbox.simulation.accounts import Accounts, Plan
from connectors.sandbox.simulation.dirt import DEALS, is_spoilt
from connectors.sandbox.simulation.hazards import Odds, odds, walk
from connectors.sandbox.simulation.life import Link, remembered
from connectors.sandbox.simulation.market import (
    ADD_ON_COUNTS,
    ADD_ON_WEIGHTS,
    ADD_ONS,
    CENT,
    DISCOUNTS,
    MAIN_ITEMS,
    QUANTITIES,
    SOURCES,
    STEPS,
    Item,
    list_price,
)
from connectors.sandbox.simulation.people import Career
from connectors.sandbox.simulation.spelling import partner

AT_SCALE_1 = 5000
"""For each CRM, in three years."""
FROM_LEADS = 0.4
MISTAKEN = 0.03
LEAD_DAYS = 30
OFFER_STEP = 2
"""From the third stage on, discounts are agreed."""
AFTERLIFE = timedelta(days=300)
"""Nothing happens to a deal, or because of it, later than this after it was closed."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One product of a deal."""

    item: Item
    quantity: int
    discount: int
    """Percent, once it is agreed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Deal:
    """What is settled about a deal."""

    number: int
    key: str
    created_at: datetime
    account: Plan
    account_link: Link
    contact_link: Link | None
    owners: tuple[tuple[datetime, Career], ...]
    offers: tuple[Offer, ...]
    source: str
    lead_at: datetime | None
    """When the lead came that became the deal."""
    odds: Odds
    course: tuple[tuple[datetime, str], ...]
    """When each stage was reached; the first one when the deal begins."""
    mistake: tuple[datetime, datetime] | None
    """When the deal was closed as lost by mistake, and reopened."""
    flaw: str | None

    @property
    def lead_key(self) -> str:
        """The key of the lead it comes from, if it comes from one."""
        return self.key.replace(":opportunity:", ":lead:deal:")

    @property
    def closed_at(self) -> datetime | None:
        """When it is won or lost for good; never for one that was forgotten."""
        at, step = self.course[-1]
        return at if step in ("won", "lost") else None

    @property
    def is_won(self) -> bool:
        """Whether it is won in the end."""
        return self.course[-1][1] == "won"

    @property
    def over_at(self) -> datetime | None:
        """Nothing happens any more after this."""
        return self.closed_at + AFTERLIFE if self.closed_at else None

    def step(self, moment: datetime) -> int:
        """The number of the stage it is in, mistakes aside."""
        return STEPS.index([step for at, step in self.course if at <= moment][-1])

    def is_open(self, moment: datetime) -> bool:
        """Whether it is being worked on, mistakes aside."""
        return self.created_at <= moment and (self.closed_at is None or moment < self.closed_at)

    def lines(self, step: int) -> tuple[Line, ...]:
        """What is offered in a stage."""
        return tuple(
            Line(product=offer.item.name, quantity=offer.quantity, unit_price=self._price(offer, step), ordinal=place)
            for place, offer in enumerate(self.offers)
        )

    def amount(self, step: int) -> Decimal:
        """What the lines of a stage add up to."""
        return sum((line.amount or Decimal(0) for line in self.lines(step)), Decimal(0))

    def _price(self, offer: Offer, step: int) -> Decimal:
        price = list_price(offer.item, self.account.currency, self.created_at.year)
        return (price * (100 - offer.discount) / 100).quantize(CENT) if step >= OFFER_STEP else price


class Deals:
    """The deals of one CRM, by number."""

    def __init__(self, accounts: Accounts, scale: float, late_from: datetime) -> None:
        self.accounts, self.staff, self.period = accounts, accounts.staff, accounts.period
        self.seed, self.dirt, self.crm = accounts.seed, accounts.dirt, accounts.region.crm
        self.count = max(1, round(AT_SCALE_1 * scale * self.period.reference_share))
        self.partner: Accounts | None = None
        """The accounts of the CRM in which some deals are booked a second time."""
        self.original: Deals | None = None
        """The deals of which some are booked here a second time."""
        self.plan = lru_cache(remembered(self.count))(self._plan)
        self._late_from = late_from

    def begun_at(self, number: int, random: Random | None = None) -> datetime:
        """When a deal begins; later for every next one."""
        random = random or Random(f"{self.seed}:{self.crm}:deal:{number}")
        births = self.period.births
        return births.moment((number + random.random()) / self.count * births.total)

    def plans(self, until: datetime) -> Iterator[Deal]:
        """The deals that have begun by a moment, oldest first."""
        for number in range(self.count):
            deal = self.plan(number)
            if deal.created_at > until:
                return
            yield deal

    def is_spoilt(self, number: int) -> bool:
        """Whether something may be wrong with a deal."""
        return is_spoilt(self.seed, f"{self.crm}:opportunity:{number}", self.dirt)

    def _plan(self, number: int) -> Deal:
        random = Random(f"{self.seed}:{self.crm}:deal:{number}")
        created_at = self.begun_at(number, random)
        account = self.accounts.pick(random, created_at)
        career = self.staff.pick(random, created_at)
        offers = _offers(random, account)
        chances = odds(career.skill(created_at), account.segment, offers[0].item.price * offers[0].quantity)
        course = self._course(random, created_at, chances)
        lead_at = self._lead_at(random, created_at)
        account_link = account.link(random, created_at)
        contact = Link(f"{self.crm}:contact:deal:{number}") if lead_at else account.contact(random, created_at)
        source = random.choice(SOURCES)
        mistake = _mistake(random, course)
        flaw = self._flaw(number, account, course, mistake)
        if flaw == "stale_open_deal":
            course, mistake = course[: max(1, len(course) // 2)], None
        key = f"{self.crm}:opportunity:{number}"
        closed_at = course[-1][0] if course[-1][1] in ("won", "lost") else None
        return Deal(
            number=number,
            key=key,
            created_at=created_at,
            account=account,
            account_link=account_link,
            contact_link=contact,
            owners=tuple(self.staff.owners(career, key, created_at, closed_at)),
            offers=offers,
            source=source,
            lead_at=lead_at,
            odds=chances,
            course=course,
            mistake=mistake,
            flaw=flaw,
        )

    def _course(self, random: Random, created_at: datetime, chances: Odds) -> tuple[tuple[datetime, str], ...]:
        pace = self.period.pace
        left, is_won = walk(random, chances)
        begun = pace.until(created_at)
        moments = [max(created_at + timedelta(seconds=60), pace.moment(begun + days)) for days in left]
        return (
            (created_at, STEPS[0]),
            *zip(moments, STEPS[1:], strict=False),
        )[: len(moments)] + ((moments[-1], "won" if is_won else "lost"),)

    def _lead_at(self, random: Random, created_at: datetime) -> datetime | None:
        lead_at = created_at - timedelta(seconds=random.randint(86400, LEAD_DAYS * 86400))
        return lead_at if random.random() < FROM_LEADS and lead_at >= self.period.day(0) else None

    def _flaw(
        self, number: int, account: Plan, course: Sequence[tuple[datetime, str]], mistake: tuple[datetime, ...] | None
    ) -> str | None:
        if not self.is_spoilt(number):
            return None
        (created_at, _), (closed_at, outcome) = course[0], course[-1]
        kinds = {dirt.kind for dirt in DEALS if self.crm in dirt.crms and dirt.is_at_close == (outcome == "won")}
        if outcome == "won" and self._twin_account(account, closed_at) is not None:
            return "amount_differs_between_crms"
        inapplicable = {
            "amount_differs_between_crms": True,
            "currency_without_rate": closed_at >= self._late_from,
            "owner_inactive_at_close": self.leaver(closed_at) is None,
            "duplicate_open_deal": closed_at - created_at < timedelta(days=25) or mistake is not None,
        }
        possible = sorted(kind for kind in kinds if not inapplicable.get(kind))
        return Random(f"{self.seed}:{self.crm}:flaw:{number}").choice(possible)

    def leaver(self, moment: datetime) -> Career | None:
        """Somebody who has left by a moment."""
        return next((career for career in self.staff.careers if career.left_at and career.left_at < moment), None)

    def _twin_account(self, account: Plan, moment: datetime) -> Plan | None:
        """The same customer in the partner CRM, if it is known there."""
        if self.partner is None or partner(account.number, self.crm) is None:
            return None
        other = self.partner.plan(account.number)
        return None if other.is_stray or other.created_at > moment else other

    def twins(self, until: datetime) -> Iterator[tuple[Deal, Plan]]:
        """The deals of the partner CRM that are booked here as well, with the account here."""
        if self.original is None:
            return
        for number in range(self.original.count):
            if self.original.is_spoilt(number):
                deal = self.original.plan(number)
                if deal.created_at > until:
                    return
                if deal.flaw == "amount_differs_between_crms":
                    yield deal, self.accounts.plan(deal.account.number)


def _offers(random: Random, account: Plan) -> tuple[Offer, ...]:
    main = random.choice(MAIN_ITEMS)
    quantity = random.choices(QUANTITIES, account.segment.quantity_weights)[0]
    offers = [Offer(main, quantity, random.choice(DISCOUNTS))]
    for item in random.sample(ADD_ONS, random.choice(ADD_ON_COUNTS)):
        quantity = random.choices(QUANTITIES, ADD_ON_WEIGHTS)[0]
        offers.append(Offer(item, quantity, random.choice(DISCOUNTS)))
    return tuple(offers)


def _mistake(random: Random, course: tuple[tuple[datetime, str], ...]) -> tuple[datetime, datetime] | None:
    """A few days in the middle of the longest stage, if it is long enough."""
    if random.random() >= MISTAKEN:
        return None
    start, end = max(
        ((at, next_at) for (at, _), (next_at, _) in zip(course, course[1:], strict=False)),
        key=lambda stage: stage[1] - stage[0],
    )
    if end - start < timedelta(days=8):
        return None
    closed_at = start + (end - start) / 2
    return closed_at.replace(microsecond=0), closed_at.replace(microsecond=0) + timedelta(days=2, seconds=4000)
