"""Products, price books and exchange rates: what all deals of a CRM share.

List prices rise once a year; deals keep the prices of the year they were offered in.
"""

import math
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from random import Random

from connectors.sandbox.company import DatedRate, PriceBook, Product
from connectors.sandbox.simulation.life import Edit, Life, live
from connectors.sandbox.simulation.market import (
    BOOK_RATES,
    CATALOGUE,
    CURRENCY,
    LATE_CURRENCY,
    REGIONS,
    Item,
    Region,
    list_price,
)
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.tempo import at_work

LATE_SHARE = 0.6
MONTHLY_DRIFT = 0.012


def _rises(period: Period) -> list[int]:
    return list(range(period.founded_at.year + 1, period.ends_on.year + 1))


def products(crm: str, period: Period) -> Iterator[Life]:
    """The catalogue."""
    for number, item in enumerate(CATALOGUE):
        product = Product(
            name=item.name,
            sku=item.sku,
            family=item.family,
            price=list_price(item, CURRENCY, period.founded_at.year),
            created_at=period.founded_at,
            modified_at=period.founded_at,
        )
        edits = [
            Edit(at_work(date(year, 1, 2), 60 * number), {"price": list_price(item, CURRENCY, year)})
            for year in _rises(period)
        ]
        yield live(crm, product, edits)


def price_books(region: Region, period: Period) -> Iterator[Life]:
    """A standard one in the company's currency, and one for each currency the region sells in."""
    yield _price_book(region, period, "Standard Price Book", CURRENCY, is_standard=True)
    for currency in (*region.currencies, LATE_CURRENCY) if region is REGIONS[-1] else region.currencies:
        yield _price_book(region, period, f"{region.name} {currency}", currency, is_standard=False)


def price_book_key(region: Region, currency: str) -> str:
    """The key of the list that a region's prices in a currency come from."""
    return f"{region.crm}:pricebook:{region.name} {currency}"


def _price_book(region: Region, period: Period, name: str, currency: str, *, is_standard: bool) -> Life:
    def prices(year: int, items: tuple[Item, ...] = CATALOGUE) -> dict[str, Decimal]:
        return {item.name: list_price(item, currency, year) for item in items}

    book = PriceBook(
        key=f"{region.crm}:pricebook:{name}",
        crm=region.crm,
        name=name,
        currency=currency,
        is_standard=is_standard,
        prices=prices(period.founded_at.year),
        created_at=period.founded_at,
        modified_at=period.founded_at,
    )
    edits = [Edit(at_work(date(year, 1, 2), 3600), {"prices": prices(year)}) for year in _rises(period)]
    return live(region.crm, book, edits)


def dated_rates(seed: int, period: Period) -> tuple[DatedRate, ...]:
    """A rate for each currency and month: a random walk around the price books' rate."""
    rates = []
    for currency, anchor in BOOK_RATES.items():
        random, walk = Random(f"{seed}:rate:{currency}"), 0.0
        for month in _months(period):
            walk = 0.97 * walk + random.gauss(0, MONTHLY_DRIFT)
            if currency == LATE_CURRENCY and month < period.day(LATE_SHARE).date():
                continue
            moved = anchor * Decimal(math.exp(walk)) if currency != CURRENCY else anchor
            rates.append(DatedRate(currency=currency, starts_on=month, rate=moved.quantize(Decimal("0.000001"))))
    return tuple(rates)


def _months(period: Period) -> Iterator[date]:
    year, month = period.founded_at.year, period.founded_at.month
    while (first := date(year, month, 1)) <= period.ends_on:
        yield first
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
