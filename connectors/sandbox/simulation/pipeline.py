"""How deals go through the pipeline: stages, expected close dates, owners, offers, notes, and what goes wrong.

What is settled about a deal beforehand is in `deals`.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Any

from connectors.sandbox.company import ChangeKind, Line, Opportunity, Split, Step
from connectors.sandbox.simulation.accounts import Plan
from connectors.sandbox.simulation.campaigns import Campaigns
from connectors.sandbox.simulation.deals import OFFER_STEP, Deal, Deals
from connectors.sandbox.simulation.life import Edit, Flaw, Life, fate, lag, live
from connectors.sandbox.simulation.market import CENT, LATE_CURRENCY, OPEN_STEPS, PROBABILITIES, STEPS
from connectors.sandbox.simulation.names import COMPETITORS, NOTES
from connectors.sandbox.simulation.tempo import at_work, quarter_end, weekday

REVIEWED = 0.75
"""Share of the open deals that a review marks, all of them at the same moment."""
COOLS_AFTER = timedelta(days=45)
COOLED = Decimal("0.8")
SPLITS = ((50, 50), (60, 40), (70, 30), (80, 20))
TERMS = (12, 24, 36, 60, None)


class Pipeline:
    """The life of every deal of one CRM."""

    def __init__(self, deals: Deals, campaigns: Campaigns) -> None:
        self.deals, self.staff, self.crm, self.campaigns = deals, deals.staff, deals.crm, campaigns

    @cached_property
    def _reviews(self) -> list[datetime]:
        """Once a quarter somebody marks most open deals in one go."""
        day, reviews = self.deals.period.starts_on, list[datetime]()
        while (day := quarter_end(day) + timedelta(days=1)) <= self.deals.period.ends_on + timedelta(days=500):
            reviews.append(at_work(day + timedelta(days=40), 11 * 3600))
        return reviews

    def lives(self, deal: Deal) -> Iterator[Life]:
        """The deal, and the copy that somebody may have made of it."""
        random = Random(f"{self.deals.seed}:{deal.key}:life")
        first = self._first(random, deal)
        edits = list(self._edits(random, deal, first))
        flaw, is_doubled = None, deal.flaw == "duplicate_open_deal"
        if deal.flaw and not is_doubled:
            first, edits, since = self._spoilt(deal, first, edits)
            flaw = Flaw(deal.flaw, since)
        yield live(self.crm, first, _with_cooling(deal, first, edits), finish=_finish, flaw=flaw)
        if is_doubled:
            yield self._copy(random, deal, first)

    def _first(self, random: Random, deal: Deal) -> Opportunity:
        created_at = deal.created_at
        owner = deal.owners[0][1].email
        lines = deal.lines(0)
        return Opportunity(
            key=deal.key,
            crm=self.crm,
            name=f"{deal.account.customer.name} - {lines[0].product}",
            account_key=deal.account_link.at(created_at),
            contact_key=deal.contact_link.at(created_at) if deal.contact_link else None,
            owner_email=owner,
            stage=STEPS[0],
            amount=deal.amount(0),
            currency=deal.account.currency,
            close_date=_expected(random, created_at + timedelta(days=deal.odds.days_left(0) * 1.4)),
            type=random.choice(("New Business", "New Business", "Existing Business")),
            source=deal.source,
            lines=lines,
            created_at=created_at,
            stage_changed_at=created_at,
            modified_at=created_at,
            splits=self._splits(random, deal, owner),
            campaign_key=self.campaigns.of_lead(deal.lead_key, deal.lead_at) if deal.lead_at else None,
            custom={
                "contract_term_months": random.choice(TERMS),
                "competitor": random.choice(COMPETITORS),
                "needs_review": False,
                "renewal_date": None,
                "notes": random.choice(NOTES) if random.random() < 0.3 else None,
            },
        )

    def _splits(self, random: Random, deal: Deal, owner: str) -> tuple[Split, ...]:
        """A quarter of the deals share their credit, some of those with an overlay on top."""
        if random.random() >= 0.25:
            return ()
        other, overlay = (self.staff.pick(random, deal.created_at).email for _ in range(2))
        shares = random.choice(SPLITS)
        if owner == other:
            return ()
        splits = [
            Split(rep_email=owner, percent=Decimal(shares[0])),
            Split(rep_email=other, percent=Decimal(shares[1])),
        ]
        if random.random() < 0.3:
            splits.append(Split(rep_email=overlay, percent=Decimal(30), is_overlay=True))
        return tuple(splits)

    def _edits(self, random: Random, deal: Deal, first: Opportunity) -> Iterator[Edit]:
        yield from deal.account_link.edits("account_key")
        yield from deal.contact_link.edits("contact_key") if deal.contact_link else ()
        yield from self._stages(random, deal)
        expected, pushes = self._pushes(random, deal, first)
        yield from pushes
        if deal.mistake:
            (lost_at, reopened_at), step = deal.mistake, deal.step(deal.mistake[0])
            yield Edit(lost_at, {"stage": "lost", "close_date": lost_at.date()})
            yield Edit(reopened_at, {"stage": STEPS[step], "close_date": max(expected, reopened_at.date())})
        yield from self._handovers(deal, first)
        yield from self._notes(random, deal)
        yield from self._reviewed(random, deal)
        yield from self._farewell(random, deal)

    def _stages(self, random: Random, deal: Deal) -> Iterator[Edit]:
        for at, step in deal.course[1:]:
            values: dict[str, Any] = {"stage": step}
            if step == STEPS[OFFER_STEP]:
                values |= {"lines": deal.lines(OFFER_STEP), "amount": deal.amount(OFFER_STEP)}
            if step not in OPEN_STEPS:
                values["close_date"] = at.date()
            if step == "won":
                values["custom"] = {"renewal_date": at.date() + timedelta(days=365)}
            yield Edit(at, values, lag=lag(random))

    def _pushes(self, random: Random, deal: Deal, first: Opportunity) -> tuple[date, list[Edit]]:
        """Owners push an expected close date that has passed; the forgotten deal's does not."""
        expected = first.close_date or first.created_at.date()
        pushes: list[Edit] = []
        while deal.closed_at and expected < deal.closed_at.date():
            late = expected + timedelta(days=random.randint(1, 20))
            at = at_work(weekday(late + timedelta(days=3)), random.randrange(8 * 3600))
            if at >= deal.closed_at:
                break
            expected = _expected(random, at + timedelta(days=random.randint(15, 60)))
            if not deal.mistake or not deal.mistake[0] <= at <= deal.mistake[1]:
                pushes.append(Edit(at, {"close_date": expected}, lag=lag(random)))
        return expected, pushes

    def _handovers(self, deal: Deal, first: Opportunity) -> Iterator[Edit]:
        """Deals of somebody who leaves are given to others, all at the same moment."""
        splits = first.splits
        for at, career in deal.owners[1:]:
            if splits and career.email not in [split.rep_email for split in splits]:
                splits = (replace(splits[0], rep_email=career.email), *splits[1:])
            else:
                splits = ()
            yield Edit(at, {"owner_email": career.email, "splits": splits})

    def _notes(self, random: Random, deal: Deal) -> Iterator[Edit]:
        if deal.closed_at and random.random() < 0.4:
            at = deal.created_at + (deal.closed_at - deal.created_at) * random.random()
            yield Edit(at.replace(microsecond=0), {"custom": {"notes": random.choice(NOTES)}}, lag=lag(random))
        if deal.closed_at and random.random() < 0.3:
            at = deal.closed_at + timedelta(seconds=random.randint(600, 9 * 86400))
            yield Edit(at, {"custom": {"notes": random.choice(NOTES)}}, lag=lag(random))

    def _reviewed(self, random: Random, deal: Deal) -> Iterator[Edit]:
        for at in self._reviews[bisect_left(self._reviews, deal.created_at) :]:
            if not deal.closed_at or at >= deal.closed_at:
                return
            if random.random() < REVIEWED and not (deal.mistake and deal.mistake[0] <= at <= deal.mistake[1]):
                yield Edit(at, {"custom": {"needs_review": at.month % 2 == 0}})

    def _farewell(self, random: Random, deal: Deal) -> list[Edit]:
        """Some lost deals are deleted; only those that nothing but activities refers to."""
        if not deal.closed_at or deal.is_won or deal.lead_at or deal.flaw or random.random() >= 0.05:
            return []
        at = deal.closed_at + timedelta(seconds=random.randint(5 * 86400, 60 * 86400))
        return [Edit(at, kind=ChangeKind.PURGED)] if random.random() < 0.1 else fate(random, at)

    def _spoilt(self, deal: Deal, first: Opportunity, edits: list[Edit]) -> tuple[Opportunity, list[Edit], datetime]:
        """The same deal with its flaw, and when that came in."""
        closed_at, lines = deal.closed_at, deal.lines(OFFER_STEP)
        if deal.flaw == "edited_after_pay_period" and closed_at:
            at = closed_at + timedelta(days=80)
            raised = tuple(replace(line, unit_price=_raised(line.unit_price or Decimal(0))) for line in lines)
            amount = sum((line.amount or Decimal(0) for line in raised), Decimal(0))
            return first, [*edits, Edit(at, {"lines": raised, "amount": amount, "is_dirty": True})], at
        if closed_at and (wrong := self._wrong_at_close(deal, closed_at)) is not None:
            spoilt = [
                replace(edit, values={**edit.values, **wrong, "is_dirty": True})
                if edit.values.get("stage") == "won"
                else edit
                for edit in edits
            ]
            return first, spoilt, closed_at
        return (
            replace(first, is_dirty=True, **_wrong_at_first(deal, first)),
            _wrong_offers(deal, edits),
            deal.created_at,
        )

    def _wrong_at_close(self, deal: Deal, closed_at: datetime) -> dict[str, Any] | None:
        leaver = self.deals.leaver(closed_at)
        wrong: dict[str, dict[str, Any]] = {
            "won_without_amount": {"amount": None},
            "won_without_close_date": {"close_date": None},
            "closed_off_stage_change": {"close_date": closed_at.date() - timedelta(days=20)},
            "closed_before_created": {"close_date": deal.created_at.date() - timedelta(days=5)},
            "closed_in_future": {"close_date": closed_at.date() + timedelta(days=1100)},
            "currency_without_rate": {"currency": LATE_CURRENCY},
            "owner_inactive_at_close": {"owner_email": leaver.email if leaver else None, "splits": ()},
            "amount_differs_between_crms": {},
        }
        return wrong.get(deal.flaw or "")

    def _copy(self, random: Random, deal: Deal, first: Opportunity) -> Life:
        """The same deal once more, made within weeks, never touched, deleted in the end."""
        at = deal.created_at + timedelta(seconds=random.randint(86400, 20 * 86400))
        owner = [career for since, career in deal.owners if since <= at][-1]
        copy = replace(
            first,
            key=f"{first.key}:copy",
            account_key=deal.account_link.at(at),
            contact_key=deal.contact_link.at(at) if deal.contact_link else None,
            owner_email=owner.email,
            splits=(),
            created_at=at,
            stage_changed_at=at,
            modified_at=at,
            is_dirty=True,
        )
        edits = deal.account_link.edits("account_key")
        edits += deal.contact_link.edits("contact_key") if deal.contact_link else []
        edits.append(Edit(at + timedelta(days=60), kind=ChangeKind.DELETED))
        return live(self.crm, copy, edits, finish=_finish, flaw=Flaw(deal.flaw or "", at))

    def twin(self, deal: Deal, account: Plan) -> Life:
        """A deal won in the partner CRM, booked here as well with another amount."""
        assert deal.closed_at
        at = deal.closed_at + timedelta(days=1)
        random = Random(f"{self.deals.seed}:{self.crm}:twin:{deal.key}")
        amount = (deal.amount(0) * Decimal("1.15")).quantize(CENT)
        twin = Opportunity(
            key=f"{self.crm}:opportunity:{deal.key.replace(':opportunity:', '-')}",
            crm=self.crm,
            name=f"{deal.account.customer.name} - {deal.offers[0].item.name}",
            account_key=account.key,
            contact_key=None,
            owner_email=self.staff.pick(random, at).email,
            stage="won",
            amount=amount,
            currency=account.currency,
            close_date=deal.closed_at.date(),
            type="New Business",
            source=deal.source,
            lines=(Line(product=deal.offers[0].item.name, quantity=1, unit_price=amount, ordinal=0),),
            created_at=at,
            stage_changed_at=at,
            modified_at=at,
            is_dirty=True,
        )
        return live(self.crm, twin, finish=_finish, flaw=Flaw("amount_differs_between_crms", at))


def _raised(price: Decimal) -> Decimal:
    return (price * Decimal("1.2")).quantize(CENT)


def _wrong_at_first(deal: Deal, first: Opportunity) -> dict[str, Any]:
    amount = first.amount or Decimal(0)
    match deal.flaw:
        case "amount_outlier":
            return {"lines": _hundredfold(first.lines), "amount": amount * 100}
        case "lines_do_not_add_up":
            return {"amount": amount + 1000}
        case "splits_not_100":
            return {"splits": (Split(rep_email=first.owner_email, percent=Decimal(90)),)}
    return {}


def _wrong_offers(deal: Deal, edits: list[Edit]) -> list[Edit]:
    """The edits, with an amount that stays as wrong as it was from the start."""
    spoilt = []
    for edit in edits:
        if "amount" in edit.values and deal.flaw == "amount_outlier":
            lines = _hundredfold(edit.values["lines"])
            edit = replace(edit, values={**edit.values, "lines": lines, "amount": edit.values["amount"] * 100})
        if "amount" in edit.values and deal.flaw == "lines_do_not_add_up":
            edit = replace(edit, values={**edit.values, "amount": edit.values["amount"] + 1000})
        if "splits" in edit.values and deal.flaw == "splits_not_100":
            splits = (Split(rep_email=edit.values["owner_email"], percent=Decimal(90)),)
            edit = replace(edit, values={**edit.values, "splits": splits})
        spoilt.append(edit)
    return spoilt


def _hundredfold(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(replace(line, unit_price=(line.unit_price or Decimal(0)) * 100) for line in lines)


def _expected(random: Random, moment: datetime) -> date:
    """The day on which an owner expects a deal to close: often the end of a quarter, or shortly before."""
    day = weekday((moment + timedelta(days=random.randint(-20, 30))).date())
    day = max(day, moment.date())
    return weekday(quarter_end(day) - timedelta(days=random.randrange(6))) if random.random() < 0.3 else day


def _with_cooling(deal: Deal, first: Opportunity, edits: list[Edit]) -> list[Edit]:
    """Nobody touches a deal for weeks: its weighted value falls, and nothing else of it moves."""
    edits = sorted((edit for edit in edits if edit.at > first.created_at), key=lambda edit: edit.at)
    touched = [first.created_at, *(edit.at for edit in edits)]
    end = deal.closed_at or touched[-1] + 2 * COOLS_AFTER
    for at, next_at in zip(touched, [*touched[1:], end], strict=True):
        if next_at - at > COOLS_AFTER and at + COOLS_AFTER < end:
            edits.append(Edit(at + COOLS_AFTER, kind=ChangeKind.FORMULA))
    return edits


def _finish(before: Opportunity | None, record: Opportunity, edit: Edit) -> Opportunity:
    """What a CRM works out itself: history, the stamp of the stage, formulas."""
    weighted = None
    if record.amount is not None:
        weighted = record.amount * PROBABILITIES[record.stage] / 100
        weighted = (weighted * COOLED if edit.kind is ChangeKind.FORMULA else weighted).quantize(CENT)
    custom = {**record.custom, "weighted_value": weighted}
    at = record.modified_at
    step = Step(
        at=at,
        stage=record.stage,
        amount=record.amount,
        close_date=record.close_date,
        owner_email=record.owner_email,
    )
    history = record.history
    if not history or replace(history[-1], at=at) != step:
        history = (*history, step)
    changed_at = at if before and before.stage != record.stage else record.stage_changed_at
    return replace(record, custom=custom, history=history, stage_changed_at=changed_at)
