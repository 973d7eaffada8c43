"""How deals go through the pipeline: stages, expected close dates, owners, offers, notes, and what goes wrong.

What is settled about a deal beforehand is in `deals`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Any

from connectors.sandbox.company import ChangeKind, Line, Opportunity, Record, Split, Step
from connectors.sandbox.simulation.accounts import Plan
from connectors.sandbox.simulation.campaigns import Campaigns
from connectors.sandbox.simulation.catalogue import price_book_key
from connectors.sandbox.simulation.deals import OFFER_STEP, Deal, Deals
from connectors.sandbox.simulation.dirt import DEALS, PAY_PERIOD, Values, coming, flaw
from connectors.sandbox.simulation.life import Edit, Flaw, Life, fate, lag, live
from connectors.sandbox.simulation.market import CENT, OPEN_STEPS, PARTNERS, PROBABILITIES, STEPS
from connectors.sandbox.simulation.names import COMPETITORS, NOTES
from connectors.sandbox.simulation.tempo import at_work, quarter_end, weekday

REVIEWED = 0.75
"""Share of the open deals that a review marks, all of them at the same moment."""
COOLS_AFTER = timedelta(days=45)
COOLED = Decimal("0.8")
STALE_AFTER = timedelta(days=60)
BOOKED_AGAIN_AFTER = timedelta(days=1)
COPY_DELETED_AFTER = timedelta(days=60)
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
        edits = _with_cooling(deal, first, list(self._edits(random, deal, first)))
        life = live(self.crm, first, edits, finish=_finish, flaw=self._flaw(deal))
        yield life
        if deal.flaw == "duplicate_open_deal":
            yield self._copy(random, deal, life)

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
            price_book_key=price_book_key(self.deals.accounts.region, deal.account.currency),
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
        if not deal.closed_at or deal.is_won or deal.lead_at or random.random() >= 0.05:
            return []
        at = deal.closed_at + timedelta(seconds=random.randint(5 * 86400, 60 * 86400))
        return [Edit(at, kind=ChangeKind.PURGED)] if random.random() < 0.1 else fate(random, at)

    def _flaw(self, deal: Deal) -> Flaw | None:
        """What is wrong with the deal itself, and from when on."""
        if deal.flaw is None or deal.flaw == "duplicate_open_deal":
            return None
        dirt = next(dirt for dirt in DEALS if dirt.kind == deal.flaw)
        random = Random(f"{self.deals.seed}:{deal.key}:flaw")
        closed_at = deal.course[-1][0]
        match dirt.kind:
            case "stale_open_deal":
                return Flaw(dirt.kind, closed_at + STALE_AFTER, spoil=_marked(lambda record: {}))
            case "amount_differs_between_crms":
                other = PARTNERS[self.crm], Opportunity, _twin_key(deal)
                return Flaw(dirt.kind, closed_at + BOOKED_AGAIN_AFTER, spoil=_marked(lambda record: {}), other=other)
            case "edited_after_pay_period":
                since = closed_at + PAY_PERIOD
            case _ if dirt.is_at_close:
                since = closed_at
            case _:
                since = coming(random, deal.created_at, closed_at - deal.created_at)
        made = flaw(random, dirt, since, self._given_to_leaver(closed_at) if dirt.spoil is None else None)
        return made if dirt.record is not Opportunity or not made.spoil else replace(made, spoil=_marked(made.spoil))

    def _given_to_leaver(self, moment: datetime) -> Callable[[Any], Values]:
        leaver = self.deals.leaver(moment)
        return lambda deal: {"owner_email": leaver and leaver.email, "splits": ()}

    def _copy(self, random: Random, deal: Deal, original: Life) -> Life:
        """The same deal once more, made within weeks, never touched, deleted in the end."""
        at = deal.created_at + timedelta(seconds=random.randint(86400, 20 * 86400))
        model = original.at(at)
        assert isinstance(model, Opportunity)
        copy = replace(
            model,
            key=f"{model.key}:copy",
            stage=STEPS[0],
            splits=(),
            history=(),
            created_at=at,
            stage_changed_at=at,
            modified_at=at,
        )
        edits = deal.account_link.edits("account_key")
        edits += deal.contact_link.edits("contact_key") if deal.contact_link else []
        deleted_at = at + COPY_DELETED_AFTER
        differs_at = (change.at for change in original.changes if change.at > at and _differs(change.record, copy))
        until = min(deleted_at, next(differs_at, deleted_at))
        other = self.crm, Opportunity, deal.key
        doubled = Flaw("duplicate_open_deal", at, until, _marked(lambda record: {}), other)
        edits.append(Edit(deleted_at, kind=ChangeKind.DELETED))
        return live(self.crm, copy, edits, finish=_finish, flaw=doubled)

    def twin(self, deal: Deal, account: Plan) -> Life:
        """A deal won in the partner CRM, booked here as well with another amount."""
        assert deal.closed_at
        at = deal.closed_at + BOOKED_AGAIN_AFTER
        random = Random(f"{self.deals.seed}:{self.crm}:twin:{deal.key}")
        amount = (deal.amount(0) * Decimal("1.15")).quantize(CENT)
        twin = Opportunity(
            key=_twin_key(deal),
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
        original = deal.key.partition(":")[0], Opportunity, deal.key
        return live(self.crm, twin, finish=_finish, flaw=Flaw("amount_differs_between_crms", at, other=original))


def _twin_key(deal: Deal) -> str:
    """The key of the same deal in the partner CRM."""
    crm = deal.key.partition(":")[0]
    return f"{PARTNERS[crm]}:opportunity:{deal.key.replace(':opportunity:', '-')}"


def _marked(spoil: Callable[[Any], Values]) -> Callable[[Any], Values]:
    """The same, with the mark that a deal is wrong on purpose."""
    return lambda record: {**spoil(record), "is_dirty": True}


def _differs(record: Record, copy: Opportunity) -> bool:
    """Whether a deal and its copy are no longer two open ones that look alike."""
    assert isinstance(record, Opportunity)
    return record.stage not in OPEN_STEPS or (record.amount, record.account_key) != (copy.amount, copy.account_key)


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
    at, history = record.modified_at, before.history if before else ()
    step = Step(
        at=at,
        stage=record.stage,
        amount=record.amount,
        close_date=record.close_date,
        owner_email=record.owner_email,
    )
    if not history or replace(history[-1], at=at) != step:
        history = (*history, step)
    changed_at = at if before and before.stage != record.stage else (before or record).stage_changed_at
    return replace(record, custom=custom, history=history, stage_changed_at=changed_at)
