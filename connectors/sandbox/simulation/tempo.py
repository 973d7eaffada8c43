"""Time that runs unevenly: in the office by day and not at night, fast at the end of a quarter and slow in August.

Only how moments turn into amounts of such time and back; what happens in it is told elsewhere.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate

from connectors.sandbox.simulation.market import SEASON, YEARLY_GROWTH

OPENING = time(8)
OFFICE_SECONDS = 9 * 3600


class Tempo:
    """Days that count more or less, from a first one on; all of a day's weight lies in its office hours."""

    def __init__(self, first: date, last: date, weight: Callable[[date], float]) -> None:
        self.first = first
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        self._sums = list(accumulate(map(weight, days), initial=0.0))
        self._opening = datetime.combine(first, OPENING, UTC)

    @property
    def total(self) -> float:
        """All there is of it."""
        return self._sums[-1]

    def until(self, moment: datetime) -> float:
        """How much has passed by a moment."""
        seconds = (moment - self._opening).total_seconds()
        day = int(seconds // 86400)
        if day < 0:
            return 0.0
        if day + 1 >= len(self._sums):
            return self.total
        share = min(1.0, (seconds - day * 86400) / OFFICE_SECONDS)
        return self._sums[day] + share * (self._sums[day + 1] - self._sums[day])

    def moment(self, amount: float) -> datetime:
        """When an amount has passed, to the second."""
        day = min(bisect_right(self._sums, amount), len(self._sums) - 1) - 1
        weight = self._sums[day + 1] - self._sums[day]
        share = min(1.0, (amount - self._sums[day]) / weight) if weight else 0.0
        return self._opening + timedelta(days=day, seconds=int(share * OFFICE_SECONDS))


def business_pace(day: date) -> float:
    """How much deals move on a day, as a share of what they do on an ordinary one."""
    if day.weekday() > 4 or (day.month, day.day) in ((1, 1), (12, 24), (12, 25), (12, 31)):
        return 0.0
    if quarter_end(day) - day < timedelta(days=10):
        return 1.6
    return 0.7 if day.month == 8 else 1.0


def new_business(first: date) -> Callable[[date], float]:
    """How much new business comes in on a day: by season, and more every year."""

    def weight(day: date) -> float:
        if day.weekday() > 4:
            return 0.0
        return SEASON[day.month - 1] * (1 + YEARLY_GROWTH * (day - first).days / 365)

    return weight


def quarter_start(day: date) -> date:
    """The first day of a day's quarter."""
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def quarter_end(day: date) -> date:
    """The last day of a day's quarter."""
    return quarter_start(quarter_start(day) + timedelta(days=95)) - timedelta(days=1)


def weekday(day: date) -> date:
    """The day itself, or the Friday before."""
    return day - timedelta(days=max(0, day.weekday() - 4))


def at_work(day: date, seconds: float = 0) -> datetime:
    """A moment in the office hours of a day."""
    return datetime.combine(day, OPENING, UTC) + timedelta(seconds=int(seconds))
