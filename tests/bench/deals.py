"""Halden with as many deals as a benchmark asks for, some of which change within a day.

Deals are made while they are read, so that their number costs no memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from connectors.sandbox.company import Change, ChangeKind, Company, Opportunity, Record

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
HISTORY = timedelta(days=3 * 365)


@dataclass(frozen=True, kw_only=True)
class ManyDeals(Company):
    """A company with many deals, all alike but for what tells them apart."""

    deals: int
    changed: int
    """How many change in the first day, evenly spread."""

    def records(self, crm: str) -> Iterator[Record]:
        """What others refer to, then the deals."""
        yield from super().records(crm)
        for number in range(self.deals):
            yield self.deal(crm, number)

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        """Amounts are corrected all day long."""
        for ordinal in range(self.changed):
            at = OPENED_AT + timedelta(days=1) * ((ordinal + 1) / (self.changed + 1))
            at = at.replace(microsecond=0)
            if after < at <= until:
                deal = self.deal(crm, ordinal * self.deals // self.changed)
                amount = (deal.amount or Decimal(0)) + 1
                yield Change(at=at, crm=crm, kind=ChangeKind.SAVED, record=replace(deal, amount=amount, modified_at=at))

    def deal(self, crm: str, number: int) -> Opportunity:
        """One of many."""
        model = self.opportunities[number % len(self.opportunities)]
        at = OPENED_AT - HISTORY + HISTORY * (number / (self.deals + 1))
        at = at.replace(microsecond=0)
        return replace(
            model,
            key=f"{crm} bench {number}",
            name=f"{model.name} {number}",
            created_at=at,
            stage_changed_at=at,
            modified_at=at,
        )


def many_deals(crm: str, deals: int, changed: int = 0) -> ManyDeals:
    """Halden's accounts and people, a hundred clean deals as models, and no more than that beside the many."""
    from connectors.sandbox.generate import generate

    halden = generate().within(crm)
    parts = {field.name: getattr(halden, field.name) for field in fields(Company)}
    alone = dict.fromkeys(("leads", "campaign_members", "activities", "orders", "invoices", "surveys"), ())
    models = [
        replace(deal, lines=(), splits=(), history=(), campaign_key=None)
        for deal in halden.opportunities
        if not deal.is_dirty
    ]
    return ManyDeals(**{**parts, **alone, "opportunities": tuple(models[:100])}, deals=deals, changed=changed)
