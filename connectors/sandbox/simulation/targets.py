"""What reps are to sell in each quarter, and the courses that are to help them.

The careers behind are in `people`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from connectors.sandbox.company import Quota, Training
from connectors.sandbox.simulation.dirt import KINDS, flaw
from connectors.sandbox.simulation.life import Edit, Flaw, Life, live
from connectors.sandbox.simulation.market import CURRENCY
from connectors.sandbox.simulation.people import Career
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.tempo import quarter_end, quarter_start

MONTHLY_QUOTAS = (55_000, 60_000, 65_000, 70_000, 75_000)
YEARLY_RISE = Decimal("1.06")
ANNOUNCED = timedelta(days=20)


def quotas(seed: int, period: Period, careers: Sequence[Career], dirt: float) -> Iterator[Life]:
    """The quota of every rep and quarter."""
    for career in careers:
        random = Random(f"{seed}:quota:{career.email}")
        monthly = random.choice(MONTHLY_QUOTAS)
        starts_on = quarter_start(max(period.starts_on, career.joined_at.date()))
        last = min(period.ends_on, career.left_at.date()) if career.left_at else period.ends_on
        while starts_on <= last:
            yield from _quarter(random, period, career, starts_on, monthly, dirt)
            starts_on = quarter_end(starts_on) + timedelta(days=1)


def _quarter(
    random: Random, period: Period, career: Career, starts_on: date, monthly: int, dirt: float
) -> Iterator[Life]:
    crm = career.region.crm
    announced_at = datetime.combine(starts_on, time(9), UTC) - ANNOUNCED
    created_at = max(announced_at, career.joined_at + timedelta(hours=2))
    is_new = career.learned_from >= period.founded_at and career.joined_at.date() >= starts_on - ANNOUNCED
    amount = (3 * monthly * YEARLY_RISE ** (starts_on.year - period.starts_on.year)).quantize(Decimal(1000))
    quota = Quota(
        key=f"{crm}:quota:{career.email}:{starts_on}",
        crm=crm,
        rep_email=career.email,
        starts_on=starts_on,
        ends_on=quarter_end(starts_on),
        amount=(amount / 2 if is_new else amount).quantize(Decimal("0.01")),
        currency=CURRENCY,
        created_at=created_at,
        modified_at=created_at,
    )
    is_spoilt, is_missing = random.random() < dirt, random.choice((True, False))
    revised_at = created_at + timedelta(days=random.uniform(5, 60))
    edits = [Edit(revised_at.replace(microsecond=0), {"amount": quota.amount + 5000})] if random.random() < 0.2 else []
    if is_spoilt and is_missing:
        yield _forgotten(quota)
        return
    yield live(crm, quota, edits)
    if is_spoilt:
        overlaps = Flaw("quota_overlaps", created_at, other=(crm, Quota, quota.key))
        yield live(crm, _overlapping(quota), flaw=overlaps)


def _forgotten(quota: Quota) -> Life:
    """A quota that nobody has entered, or only when its quarter was half over."""
    missing = flaw(Random(f"{quota.key}:flaw"), KINDS[Quota, "quota_missing"], quota.created_at)
    if missing.until is None:
        return Life(quota.key, (), missing)
    return live(quota.crm, replace(quota, created_at=missing.until, modified_at=missing.until), flaw=missing)


def _overlapping(quota: Quota) -> Quota:
    """A second quota that begins in the middle of the first."""
    half = timedelta(days=45)
    return replace(quota, key=f"{quota.key}:again", starts_on=quota.starts_on + half, ends_on=quota.ends_on + half)


def trainings(careers: Sequence[Career]) -> Iterator[Life]:
    """The courses that reps took."""
    for career in careers:
        crm = career.region.crm
        for number, course in enumerate(career.courses):
            training = Training(
                key=f"{crm}:training:{career.email}:{number}",
                crm=crm,
                rep_email=career.email,
                course=course.name,
                hours=Decimal(4 + 2 * (len(course.name) % 5)),
                score=None,
                completed_on=None,
                created_at=course.enrolled_at,
                modified_at=course.enrolled_at,
            )
            done = {"score": course.score, "completed_on": course.completed_at.date()}
            yield live(crm, training, [Edit(course.completed_at, done)])
