"""Halden Robotics as a world: what its four CRMs hold at a moment, and what happens in them after that.

Everything is a function of the seed and of a record's number, so that nothing has to be kept: a company of any size
streams. What happens in one region is in `unit`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.sandbox.company import PARTS, Change, Company, CustomField, DatedRate, Record, Stage
from connectors.sandbox.simulation import market
from connectors.sandbox.simulation.catalogue import dated_rates
from connectors.sandbox.simulation.journal import Journal
from connectors.sandbox.simulation.life import CLASSES, Life, record_key
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.unit import Unit

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
STARTS_ON = date(2023, 8, 14)
ENDS_ON = date(2027, 8, 14)
EVER = datetime.min.replace(tzinfo=UTC)
MONTH = timedelta(days=30)


class Simulation:
    """The company as it is when its sandbox opens, and from then on.

    `scale` 1 has about 2,000 accounts and 20,000 deals after three years, `dirt` is the share of records that are wrong
    on purpose. Business begins on `starts_on`; the last new deal, lead or account comes on `ends_on`.
    """

    def __init__(
        self,
        seed: int = 1,
        scale: float = 1.0,
        *,
        opened_at: datetime = OPENED_AT,
        dirt: float = 0.01,
        starts_on: date = STARTS_ON,
        ends_on: date = ENDS_ON,
    ) -> None:
        self.seed, self.scale, self.opened_at, self.dirt = seed, scale, opened_at, dirt
        self.period = Period(starts_on, ends_on)
        self.units = {region.crm: Unit(seed, region, self.period, scale, dirt) for region in market.REGIONS}
        for crm, partner in market.PARTNERS.items():
            self.units[partner].know(self.units[crm])
        self.dated_rates: tuple[DatedRate, ...] = dated_rates(seed, self.period)
        self._journals: dict[str, tuple[Journal, set[int]]] = {}

    @property
    def name(self) -> str:
        """Of the company."""
        return market.NAME

    @property
    def currency(self) -> str:
        """Of the company; accounts and deals have their own."""
        return market.CURRENCY

    @property
    def crms(self) -> tuple[str, ...]:
        """One for each region."""
        return market.CRMS

    @property
    def stages(self) -> Mapping[str, tuple[Stage, ...]]:
        """The sales process of each CRM, in order."""
        return {region.crm: market.stages(region) for region in market.REGIONS}

    @property
    def custom_fields(self) -> tuple[CustomField, ...]:
        """Fields it added."""
        return market.CUSTOM_FIELDS

    @property
    def founded_at(self) -> datetime:
        """When its CRMs were set up."""
        return self.period.founded_at

    @property
    def rates(self) -> Mapping[str, Decimal]:
        """Units of a currency for one unit of the company's, when the sandbox opens."""
        return self.rates_on(self.opened_at.date())

    def rates_on(self, day: date) -> dict[str, Decimal]:
        """Units of a currency for one unit of the company's on a day."""
        return {code: market.rate_on(self.dated_rates, code, day) for code in market.BOOK_RATES}

    def lives(self, crm: str, since: datetime, until: datetime) -> Iterator[Life]:
        """The records of a CRM that exist by a moment and may change after another, what others refer to first."""
        return self.units[crm].lives(since, until)

    def records(self, crm: str) -> Iterator[Record]:
        """Every live record that one CRM holds when the sandbox opens; what others refer to comes before them."""
        return self.state(crm, self.opened_at)

    def state(self, crm: str, moment: datetime) -> Iterator[Record]:
        """The same at any other moment."""
        for life in self.lives(crm, EVER, moment):
            if (record := life.at(moment)) is not None:
                yield record

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        """What happens in one CRM later than `after` and not later than `until`, in order."""
        if until <= after:
            return
        journal, known = self._journals.setdefault(crm, (Journal(), set()))
        first, last = self._month(after), self._month(until)
        for month in range(first, last + 1):
            if month not in known:
                journal.add(self._happening(crm, self.founded_at + month * MONTH))
                known.add(month)
        yield from journal.read(after, until)

    def _month(self, moment: datetime) -> int:
        return (moment - self.founded_at) // MONTH

    def _happening(self, crm: str, start: datetime) -> Iterator[Change]:
        """What happens from a moment on for a month, in no order."""
        end = start + MONTH
        for life in self.lives(crm, start, end):
            yield from (change for change in life.changes if start <= change.at < end)

    def company(self, at: datetime | None = None) -> Company:
        """The company in memory as of a moment: when the sandbox opens, if no other is asked for."""
        at = at or self.opened_at
        parts: dict[str, Any] = {name: [] for name in (*PARTS, "territories", "reps", "products")}
        seen: set[tuple[type, str]] = set()
        for crm in self.crms:
            for record in self.state(crm, at):
                known = (type(record), record_key(record))
                if known not in seen:
                    seen.add(known)
                    parts[PART_OF[type(record)]].append(record)
        return Company(
            name=self.name,
            currency=self.currency,
            rates=self.rates_on(at.date()),
            crms=self.crms,
            stages=self.stages,
            founded_at=self.founded_at,
            dated_rates=self.dated_rates,
            custom_fields=self.custom_fields,
            **{name: tuple(records) for name, records in parts.items()},
        )


PART_OF = dict(
    zip(
        CLASSES,
        (
            "territories",
            "reps",
            "products",
            "price_books",
            "campaigns",
            "accounts",
            "contacts",
            "opportunities",
            "leads",
            "campaign_members",
            "activities",
            "quotas",
            "orders",
            "invoices",
            "surveys",
            "trainings",
        ),
        strict=True,
    )
)
"""The name of the company's attribute that holds the records of a class."""
