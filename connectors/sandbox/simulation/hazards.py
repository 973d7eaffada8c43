"""How deals move: the chance of every step forward, how long it takes, and what follows for deals still open.

Formulas only. In each stage a deal waits an exponential number of business days and then goes on or is lost, so that
what is to come depends on the stage alone, and every truth about it has a closed form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from connectors.sandbox.simulation.market import OPEN_STEPS, Segment

PACE = (15.0, 20.0, 26.0, 18.0)
"""Mean business days in each open stage; no two alike, which `finished` relies on."""
ADVANCE = (0.72, 0.78, 0.80, 0.82)
SIZE_DRAG = 0.15
USUAL_SIZE = 40_000
LONGEST = 800.0
"""Business days a deal may take; the chance of more is below one in a million."""


@dataclass(frozen=True)
class Odds:
    """What decides how a deal goes."""

    advance: tuple[float, ...]
    """The chance of each step forward, by open stage."""
    speed: float

    def win(self, step: int = 0) -> float:
        """The chance that a deal in an open stage is won in the end."""
        return math.prod(self.advance[step:])

    def days_left(self, step: int) -> float:
        """Business days until a deal in a stage is won, on average, if it is."""
        return sum(PACE[step:]) / self.speed


def odds(skill: float, segment: Segment, size: float) -> Odds:
    """The odds of a deal by who begins it, with whom, and what its main product costs."""
    shift = skill + segment.edge - SIZE_DRAG * math.log(size / USUAL_SIZE)
    advance = tuple(1 / (1 + math.exp(-math.log(chance / (1 - chance)) - shift)) for chance in ADVANCE)
    return Odds(advance, segment.speed)


def finished(step: int, business_days: float) -> float:
    """The share of the deals won from a stage on that are won within a number of business days, at speed 1."""
    if business_days <= 0:
        return 0.0
    rates = [1 / pace for pace in PACE[step:]]
    late = sum(
        math.exp(-rate * business_days) * math.prod(other / (other - rate) for other in rates if other != rate)
        for rate in rates
    )
    return min(1.0, max(0.0, 1.0 - late))


def walk(random: Random, odds: Odds) -> tuple[Sequence[float], bool]:
    """Business days after which a deal leaves each stage it gets to, and whether it is won."""
    passed, left = 0.0, []
    for step in range(len(OPEN_STEPS)):
        passed = min(LONGEST, passed + random.expovariate(odds.speed / PACE[step]))
        left.append(passed)
        if random.random() >= odds.advance[step]:
            return left, False
    return left, True
