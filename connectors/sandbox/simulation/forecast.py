"""What a region will book on average, worked out from the hazards and from how new business comes in.

Expectations only: nothing here looks at how a deal really goes on.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from statistics import fmean

from connectors.sandbox.simulation.hazards import Odds, finished, odds
from connectors.sandbox.simulation.market import (
    ADD_ON_COUNTS,
    ADD_ON_WEIGHTS,
    ADD_ONS,
    BOOK_RATES,
    DISCOUNTS,
    MAIN_ITEMS,
    QUANTITIES,
    SEGMENTS,
    YEARLY_RISE,
    Segment,
)
from connectors.sandbox.simulation.unit import Unit

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Span:
    """A month or quarter."""

    period: str
    start: datetime
    end: datetime

    @property
    def starts_on(self) -> object:
        """The first day."""
        return self.start.date()

    @property
    def ends_on(self) -> object:
        """The last day."""
        return (self.end - DAY).date()

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.start <= moment < self.end


def mean_left_after_discount() -> float:
    """The share of a list price that is paid on average."""
    return 1 - fmean(DISCOUNTS) / 100


def mean_add_ons() -> float:
    """List prices of the add-ons of a deal, on average."""
    quantity = sum(map(float.__mul__, map(float, QUANTITIES), map(float, ADD_ON_WEIGHTS))) / sum(ADD_ON_WEIGHTS)
    return fmean(ADD_ON_COUNTS) * fmean(item.price for item in ADD_ONS) * quantity


class Forecast:
    """One region's expectations as of a moment."""

    def __init__(self, unit: Unit, as_of: datetime, rates: Mapping[str, Decimal]) -> None:
        self.unit, self.as_of, self.rates, self.pace = unit, as_of, rates, unit.period.pace
        self._value, self._share_now = cache(self._mean_value), cache(self._share_from_now)

    def win_within(self, odds: Odds, step: int, span: Span) -> float:
        """The chance that a deal open in a stage now is won in a span."""
        return odds.win(step) * self._share_now(step, odds.speed, span)

    def _share_from_now(self, step: int, speed: float, span: Span) -> float:
        return self._share(step, speed, self.as_of, span)

    def _share(self, step: int, speed: float, since: datetime, span: Span) -> float:
        """Of the deals in a stage at a moment that are won: how many of them within a span."""
        begun, start, end = (self.pace.until(moment) for moment in (since, span.start, span.end))
        return finished(step, (end - begun) * speed) - finished(step, (start - begun) * speed)

    def not_yet_created(self, span: Span) -> float:
        """What deals that begin after now will book in a span, in the company's currency."""
        births, expected, day = self.unit.period.births, 0.0, self.as_of
        while day < span.end:
            following = min(span.end, (day + DAY).replace(hour=0, minute=0, second=0, microsecond=0))
            begun = (births.until(following) - births.until(day)) * self.unit.deals.count / births.total
            if begun:
                middle = day.replace(hour=12, minute=30) if day.hour < 12 else day
                rise = float(YEARLY_RISE) ** max(0, day.year - 2023)
                expected += (
                    begun
                    * rise
                    * sum(
                        weight
                        * self._value(segment, (day - self.as_of) // WEEK)
                        * self._share(0, segment.speed, middle, span)
                        for segment, weight in self._customers.items()
                    )
                )
            day = following
        return expected

    @cached_property
    def _customers(self) -> dict[Segment, float]:
        """Each segment's share of the customers, weighted by what their currencies are worth against the price book."""
        weights, customers = dict.fromkeys(SEGMENTS, 0.0), 0
        for number in range(self.unit.accounts.known_at(self.as_of)):
            plan = self.unit.accounts.plan(number)
            if not plan.is_stray:
                weights[plan.segment] += float(BOOK_RATES[plan.currency] / self.rates[plan.currency])
                customers += 1
        return {segment: weight / customers for segment, weight in weights.items()}

    def _mean_value(self, segment: Segment, week: int) -> float:
        """The mean of chance times amount of a deal begun in a week, at the prices of the first year."""
        moment = self.as_of + week * WEEK
        active = (career for career in self.unit.staff.careers if career.is_active(moment))
        skills = Counter(round(career.skill(moment), 2) for career in active)
        value = 0.0
        for quantity, weight in zip(QUANTITIES, segment.quantity_weights, strict=True):
            for item in MAIN_ITEMS:
                size = item.price * quantity
                chance = fmean((odds(skill, segment, size).win() for skill in skills), skills.values())
                share = weight / sum(segment.quantity_weights) / len(MAIN_ITEMS)
                value += share * chance * (size + mean_add_ons())
        return value * mean_left_after_discount()
