"""The years a company is simulated for: when it was set up, how its business comes in, how fast its deals move.

Shared by all that happens in them; nothing here depends on chance.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from connectors.sandbox.simulation.tempo import Tempo, business_pace, new_business

FOUNDING_DAYS = 17
FOUNDING_SHARE = 0.45
"""Of the accounts: brought along when the CRMs were set up."""
SLOWEST_DEAL = timedelta(days=1500)
REFERENCE_YEARS = 3


@dataclass(frozen=True)
class Period:
    """From the first day of business to the last day on which something new begins."""

    starts_on: date
    ends_on: date

    @cached_property
    def founded_at(self) -> datetime:
        """When the CRMs were set up."""
        return datetime.combine(self.starts_on - timedelta(days=FOUNDING_DAYS), time(9), UTC)

    @cached_property
    def pace(self) -> Tempo:
        """Business days, as deals feel them."""
        return Tempo(self.founded_at.date(), self.ends_on + SLOWEST_DEAL, business_pace)

    @cached_property
    def births(self) -> Tempo:
        """How new business comes in."""
        return Tempo(self.starts_on, self.ends_on, new_business(self.starts_on))

    @cached_property
    def arrivals(self) -> Tempo:
        """How accounts come in: many at first, then steadily."""
        days = (self.ends_on - self.starts_on).days + 1
        steady = (1 - FOUNDING_SHARE) / days
        first = self.founded_at.date() + timedelta(days=1)

        def weight(day: date) -> float:
            return steady if day >= self.starts_on else FOUNDING_SHARE / (FOUNDING_DAYS - 1)

        return Tempo(first, self.ends_on, weight)

    @cached_property
    def reference_share(self) -> float:
        """All the new business there is, in units of the first three years'."""
        end = self.starts_on.replace(year=self.starts_on.year + REFERENCE_YEARS)
        return self.births.total / Tempo(self.starts_on, end, new_business(self.starts_on)).total

    def day(self, share: float) -> datetime:
        """A moment of the period, by its share of it."""
        start = datetime.combine(self.starts_on, time(9), UTC)
        return start + timedelta(seconds=int(share * (self.ends_on - self.starts_on).total_seconds()))
