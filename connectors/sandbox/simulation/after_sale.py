"""What follows when a deal is won: the order, its invoices and what is paid of them, and how content the customer is.

Nothing here changes the deal.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from connectors.sandbox.company import Invoice, Order, Payment, Survey
from connectors.sandbox.simulation.deals import OFFER_STEP, Deal
from connectors.sandbox.simulation.life import Edit, Life, lag, live
from connectors.sandbox.simulation.market import CENT
from connectors.sandbox.simulation.names import COMMENTS

CANCELLED = 0.03
IN_TWO_PARTS = 0.3
DUE = timedelta(days=30)
ASKED = 0.3


class AfterSale:
    """What follows the won deals of one CRM."""

    def __init__(self, seed: int, crm: str) -> None:
        self.seed, self.crm = seed, crm

    def of(self, deal: Deal) -> Iterator[Life]:
        """All that follows a deal."""
        yield from self.orders(deal)
        yield from self.invoices(deal)
        yield from self.surveys(deal)

    def orders(self, deal: Deal) -> Iterator[Life]:
        """The order of a won deal: drafted, activated within days, seldom cancelled."""
        if not deal.is_won:
            return
        random = Random(f"{self.seed}:{deal.key}:order")
        created_at, activated_at = self._ordered(deal)
        order = Order(
            key=self._order_key(deal),
            crm=self.crm,
            number=f"SO-{deal.number:07d}",
            opportunity_key=deal.key,
            account_key=deal.account_link.at(created_at) or deal.account.key,
            owner_email=deal.owners[-1][1].email,
            status="Draft",
            ordered_on=created_at.date(),
            currency=deal.account.currency,
            lines=deal.lines(OFFER_STEP),
            created_at=created_at,
            modified_at=created_at,
        )
        edits = [*deal.account_link.edits("account_key"), Edit(activated_at, {"status": "Activated"}, lag=lag(random))]
        if random.random() < CANCELLED:
            edits.append(Edit(activated_at + timedelta(days=random.randint(1, 60)), {"status": "Cancelled"}))
        yield live(self.crm, order, edits)

    def _order_key(self, deal: Deal) -> str:
        return f"{self.crm}:order:{deal.number}"

    def _ordered(self, deal: Deal) -> tuple[datetime, datetime]:
        random = Random(f"{self.seed}:{deal.key}:ordered")
        created_at = (deal.closed_at or deal.created_at) + timedelta(seconds=random.randint(3600, 5 * 86400))
        return created_at, created_at + timedelta(seconds=random.randint(86400, 10 * 86400))

    def invoices(self, deal: Deal) -> Iterator[Life]:
        """One invoice for an order, or two."""
        if not deal.is_won:
            return
        random = Random(f"{self.seed}:{deal.key}:invoices")
        _, activated_at = self._ordered(deal)
        amount = deal.amount(OFFER_STEP)
        amounts = [amount]
        if random.random() < IN_TWO_PARTS:
            half = (amount / 2).quantize(CENT)
            amounts = [half, amount - half]
        for number, part in enumerate(amounts):
            created_at = activated_at + timedelta(days=45 * number, seconds=random.randint(3600, 86400))
            yield self._invoice(random, deal, number, part, created_at)

    def _invoice(self, random: Random, deal: Deal, number: int, amount: Decimal, created_at: datetime) -> Life:
        key = f"{self.crm}:invoice:{deal.number}:{number}"
        invoice = Invoice(
            key=key,
            crm=self.crm,
            number=f"INV-{deal.number:07d}-{number + 1}",
            order_key=self._order_key(deal),
            opportunity_key=deal.key,
            account_key=deal.account_link.at(created_at) or deal.account.key,
            owner_email=deal.owners[-1][1].email,
            status="Open",
            invoiced_on=created_at.date(),
            due_on=(created_at + DUE).date(),
            amount=amount,
            currency=deal.account.currency,
            payments=(),
            created_at=created_at,
            modified_at=created_at,
        )
        edits = [*deal.account_link.edits("account_key"), *self._payments(random, invoice)]
        return live(self.crm, invoice, edits)

    def _payments(self, random: Random, invoice: Invoice) -> Iterator[Edit]:
        """Most pay in time, some late, some in parts, some only a part; some invoices are void."""
        due_at = invoice.created_at + DUE
        way = random.choices(("in time", "late", "in parts", "a part", "nothing", "void"), (55, 20, 10, 5, 6, 4))[0]
        if way == "void":
            yield Edit(invoice.created_at + timedelta(days=random.randint(1, 20)), {"status": "Void"})
            return
        half = (invoice.amount / 2).quantize(CENT)
        shares: list[tuple[int, Decimal]] = {
            "in time": [(-random.randint(0, 20), invoice.amount)],
            "late": [(random.randint(1, 60), invoice.amount)],
            "in parts": [(-random.randint(0, 5), half), (random.randint(10, 70), invoice.amount - half)],
            "a part": [(random.randint(0, 30), half)],
        }.get(way, [])
        payments: tuple[Payment, ...] = ()
        for number, (days, amount) in enumerate(shares):
            at = due_at + timedelta(days=days, seconds=random.randint(0, 3600))
            payments = (*payments, Payment(key=f"{invoice.key}:{number}", paid_on=at.date(), amount=amount))
            values: dict[str, Any] = {"payments": payments}
            if sum((payment.amount for payment in payments), Decimal(0)) == invoice.amount:
                values["status"] = "Paid"
            yield Edit(at, values, lag=lag(random))

    def surveys(self, deal: Deal) -> Iterator[Life]:
        """How content customers are with what they got; not all are asked."""
        random = Random(f"{self.seed}:{deal.key}:csat")
        if not deal.is_won or random.random() >= ASKED:
            return
        _, activated_at = self._ordered(deal)
        answered_at = activated_at + timedelta(seconds=random.randint(5 * 86400, 40 * 86400))
        contact = deal.contact_link
        survey = Survey(
            key=f"{self.crm}:survey:deal:{deal.number}",
            crm=self.crm,
            kind="CSAT",
            account_key=deal.account_link.at(answered_at) or deal.account.key,
            contact_key=contact.at(answered_at) if contact else None,
            score=random.choices((1, 2, 3, 4, 5), (4, 6, 15, 40, 35))[0],
            comment=random.choice(COMMENTS),
            answered_at=answered_at,
            created_at=answered_at,
            modified_at=answered_at,
        )
        edits = [*deal.account_link.edits("account_key"), *(contact.edits("contact_key") if contact else ())]
        yield live(self.crm, survey, edits)
