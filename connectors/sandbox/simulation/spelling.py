"""Customers as they really are, and the ways in which the CRMs spell their names.

Which CRM knows which customer follows from the customer's number alone; where accounts live is in `accounts`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from connectors.sandbox.simulation.market import REGIONS, Region
from connectors.sandbox.simulation.names import NAME_HEADS, NAME_TAILS, TOWNS

KNOWN_TO_ALL = 3
KNOWN_TO_TWO = 6
"""Last digit of the number that a customer has in each of the CRMs that know it."""


@dataclass(frozen=True)
class Customer:
    """Somebody who buys, whoever knows of it."""

    id: str
    name: str
    industry: str
    domain: str
    is_shared: bool


def customer(seed: int, number: int, region: int) -> Customer:
    """The customer behind a region's account of a number."""
    home = _home(number, region)
    rank = number * len(REGIONS) + home
    place = (rank * 483 + seed * 7) % (len(NAME_HEADS) * len(NAME_TAILS))
    head = NAME_HEADS[place % len(NAME_HEADS)]
    tail, industry = NAME_TAILS[place // len(NAME_HEADS)]
    name = f"{head} {tail}{_suffix(rank // (len(NAME_HEADS) * len(NAME_TAILS)))}"
    domain = name.lower().replace(" ", "-") + ".example"
    return Customer(f"customer:{rank}", name, industry, domain, number % 10 in (KNOWN_TO_ALL, KNOWN_TO_TWO))


def partner(number: int, crm: str) -> str | None:
    """The other CRM that knows a customer of the first or third one by the same number."""
    index = [region.crm for region in REGIONS].index(crm)
    return REGIONS[index + 1].crm if index % 2 == 0 and number % 10 in (KNOWN_TO_ALL, KNOWN_TO_TWO) else None


def _home(number: int, region: int) -> int:
    if number % 10 == KNOWN_TO_ALL:
        return 0
    return region // 2 * 2 if number % 10 == KNOWN_TO_TWO else region


def _suffix(round_: int) -> str:
    if round_ == 0:
        return ""
    again, town = divmod(round_ - 1, len(TOWNS))
    return f" {TOWNS[town]}" + (f" {again + 1}" if again else "")


def _typo(random: Random, name: str, region: Region) -> str:
    place = random.randrange(1, len(name) - 1)
    return name[:place] + name[place + 1 :]


SPELLINGS: tuple[Callable[[Random, str, Region], str], ...] = (
    lambda random, name, region: f"{name} {random.choice(region.legal_forms)}",
    lambda random, name, region: f"{name}, {random.choice(region.legal_forms)}",
    lambda random, name, region: name.upper(),
    lambda random, name, region: f"{name} ({region.name})",
    lambda random, name, region: f"The {name} Company",
    _typo,
)


def spelt(random: Random, name: str, region: Region, *, own: bool) -> str:
    """A customer's name as somebody in a region typed it; its own name where no other CRM knows it."""
    return name if own else random.choice(SPELLINGS)(random, name, region)
