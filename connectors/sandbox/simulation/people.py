"""Who works for Halden Robotics: reps who join, learn, move and leave, and those who lead them.

What they sell is in `deals`; their quotas and trainings are in `targets`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from random import Random

from connectors.sandbox.company import Rep, Territory
from connectors.sandbox.simulation.life import Edit, Flaw, Life, live
from connectors.sandbox.simulation.market import CRMS, PARTNERS, REGIONS, VICE_PRESIDENT, Region, email
from connectors.sandbox.simulation.names import COURSES, FIRST_NAMES, LAST_NAMES
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.tempo import at_work, weekday

REPS_AT_SCALE_1 = 40
REPS_IN_A_TEAM = 10
RAMP_DAYS = 180
GUESSES = 24
"""Where most people have left, guessing who has not takes longer than looking it up."""
DAYS_REMEMBERED = 4_096
OVERLAP_SHARE = 0.5
"""Of the period: when those who are users of two CRMs become users of the second."""
TRAINING_LIFT = 0.08
MOST_LIFTS = 3


@dataclass(frozen=True, kw_only=True)
class Course:
    """A training somebody took."""

    name: str
    enrolled_at: datetime
    completed_at: datetime
    score: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Career:
    """A rep's way through the company."""

    name: str
    region: Region
    joined_at: datetime
    """First day in the CRM."""
    learned_from: datetime
    """First day on the job."""
    left_at: datetime | None
    talent: float
    """Added to the log-odds of every step forward of a deal."""
    courses: tuple[Course, ...]
    territories: tuple[tuple[datetime, str], ...]
    managers: tuple[tuple[datetime, str | None], ...]
    flaw: Flaw | None = None

    @cached_property
    def email(self) -> str:
        """By which all CRMs know the rep."""
        return email(self.name)

    def is_active(self, moment: datetime) -> bool:
        """Whether the rep works here."""
        return self.joined_at <= moment and (self.left_at is None or moment < self.left_at)

    def skill(self, moment: datetime) -> float:
        """What the rep adds to the log-odds of every step of a deal begun at a moment: talent, routine, training."""
        routine = min(1.0, (moment - self.learned_from) / timedelta(days=RAMP_DAYS))
        lifts = sum(course.completed_at <= moment for course in self.courses)
        return self.talent - 0.4 * (1 - routine) + TRAINING_LIFT * min(MOST_LIFTS, lifts)


def territory_key(name: str) -> str:
    """The key of a territory or region."""
    return f"territory:{name}"


class Staff:
    """The people of one region."""

    def __init__(self, seed: int, region: Region, period: Period, scale: float, dirt: float) -> None:
        self.region, self.period = region, period
        self._seed, self._index = seed, REGIONS.index(region)
        extras = max(2, round(REPS_AT_SCALE_1 * scale) - len(region.reps))
        count = len(region.reps) + extras
        self.leads = [self._name(extras + number) for number in range(count // REPS_IN_A_TEAM)]
        """Names of those who lead a team below the region's manager."""
        self.careers: Sequence[Career] = [self._career(number, dirt) for number in range(count)]
        self.guests: Sequence[Career] = ()
        """Those of another region who are users of this one's CRM as well."""
        self._all_day = lru_cache(DAYS_REMEMBERED)(self._employed)

    def _name(self, number: int) -> str:
        """A name that nobody else has."""
        names = len(FIRST_NAMES) * len(LAST_NAMES)
        round_, place = divmod(number * len(REGIONS) + self._index, names)
        first, last = divmod(place * 1009 % names, len(LAST_NAMES))
        return f"{FIRST_NAMES[first]} {LAST_NAMES[last]}" + (f"-{round_ + 1}" if round_ else "")

    def _career(self, number: int, dirt: float) -> Career:
        random = Random(f"{self._seed}:{self.region.crm}:rep:{number}")
        founders = len(self.region.reps)
        is_founder = number < founders
        starts_at, ends_at = self.period.day(0), self.period.day(1)
        if is_founder or number % 2 == 0:
            joined_at, learned_from = self.period.founded_at, self.period.founded_at - timedelta(days=700)
        else:
            joined_at = learned_from = self._workday(starts_at, random.uniform(0.05, 0.7) * (ends_at - starts_at))
        left_at = None
        if not is_founder:
            left_at = self._workday(joined_at, timedelta(days=random.uniform(300, 1500)))
        return Career(
            name=self.region.reps[number] if is_founder else self._name(number - founders),
            region=self.region,
            joined_at=joined_at,
            learned_from=learned_from,
            left_at=left_at,
            talent=random.uniform(-0.45, 0.45),
            courses=self._courses(random, joined_at, left_at or ends_at),
            territories=self._territories(random, joined_at),
            managers=self._managers(random, number, joined_at, dirt),
            flaw=self._flaw(number, joined_at, dirt),
        )

    def _workday(self, start: datetime, after: timedelta) -> datetime:
        return at_work(weekday((start + after).date()), 3600)

    def _courses(self, random: Random, joined_at: datetime, until: datetime) -> tuple[Course, ...]:
        courses = []
        for name in random.sample(COURSES, random.randint(1, len(COURSES) - 1)):
            enrolled_at = self._workday(joined_at, random.uniform(0.02, 0.9) * (until - joined_at))
            completed_at = self._workday(enrolled_at, timedelta(days=random.uniform(7, 60)))
            if joined_at < enrolled_at < completed_at <= until:
                score = random.randint(60, 100)
                courses.append(Course(name=name, enrolled_at=enrolled_at, completed_at=completed_at, score=score))
        return tuple(sorted(courses, key=lambda course: course.enrolled_at))

    def _territories(self, random: Random, joined_at: datetime) -> tuple[tuple[datetime, str], ...]:
        first, second = (territory_key(name) for name in random.sample(self.region.territories, 2))
        if random.random() < 0.5:
            return ((joined_at, first),)
        return ((joined_at, first), (self._workday(joined_at, timedelta(days=random.uniform(60, 1000))), second))

    def _managers(
        self, random: Random, number: int, joined_at: datetime, dirt: float
    ) -> tuple[tuple[datetime, str | None], ...]:
        managers: list[tuple[datetime, str | None]] = [(joined_at, email(self.region.manager))]
        for _ in self.leads[:2]:
            moved_at = self._workday(managers[-1][0], timedelta(days=random.uniform(60, 600)))
            managers.append((moved_at, email(random.choice(self.leads))))
        flaw = self._flaw(number, joined_at, dirt)
        match flaw and flaw.kind:
            case "manager_gap":
                return ((joined_at, None),)
            case "manager_cycle":
                assert flaw and flaw.other
                return ((joined_at, email(self.region.manager)), (flaw.since, flaw.other[2]))
        return tuple(managers)

    def _flaw(self, number: int, joined_at: datetime, dirt: float) -> Flaw | None:
        """Reps are few: one of them has no manager, two manage each other, one is a user of another CRM as well."""
        founders, crm = len(self.region.reps), self.region.crm
        if not dirt:
            return None
        if number == founders:
            return Flaw("manager_gap", joined_at)
        if number in (founders - 1, founders - 3):
            other = self.region.reps[2 * founders - 4 - number]
            return Flaw("manager_cycle", self.period.day(0.72), other=(crm, Rep, email(other)))
        if number == founders - 2 and (partner := PARTNERS.get(crm)):
            return Flaw(
                "manager_overlap", self.period.day(OVERLAP_SHARE), other=(partner, Rep, email(self.region.reps[number]))
            )
        return None

    def pick(self, random: Random, moment: datetime) -> Career:
        """Somebody who works here then."""
        for _ in range(GUESSES):
            if (career := random.choice(self.careers)).is_active(moment):
                return career
        return random.choice(self._all_day(moment.date()))

    def _employed(self, day: date) -> Sequence[Career]:
        """Those who work here from the beginning of a day to its end."""
        midnight = datetime.combine(day, time(), UTC)
        return [career for career in self.careers if all(map(career.is_active, (midnight, midnight + timedelta(1))))]

    def owners(
        self, career: Career, key: str, since: datetime, until: datetime | None
    ) -> list[tuple[datetime, Career]]:
        """Who owns something from a moment on, as long as it has to be owned by somebody who works here."""
        owners = [(since, career)]
        while (left_at := owners[-1][1].left_at) and (until is None or left_at < until):
            owners.append((left_at, self.pick(Random(f"{self._seed}:{key}:{left_at}"), left_at)))
        return owners

    def reps(self) -> Iterator[Life]:
        """The people as the CRM knows them, leaders first."""
        crm, founded_at = self.region.crm, self.period.founded_at
        yield live(crm, _rep(VICE_PRESIDENT, "VP Sales", CRMS, founded_at))
        manager = _rep(self.region.manager, "Regional Sales Manager", (crm,), founded_at, self.region, VICE_PRESIDENT)
        yield live(crm, manager)
        for name in self.leads:
            yield live(crm, _rep(name, "Sales Team Lead", (crm,), founded_at, self.region, self.region.manager))
        for career in self.careers:
            yield self._rep_life(career)
        for career in self.guests:
            yield self._guest_life(career)

    def _guest_life(self, career: Career) -> Life:
        """Somebody of another region who has become a user here, under this region's manager."""
        at = self.period.day(OVERLAP_SHARE)
        manager = self.region.manager
        rep = _rep(career.name, "Account Executive", (self.region.crm,), at, self.region, manager)
        overlap = Flaw("manager_overlap", at, other=(career.region.crm, Rep, career.email))
        return live(self.region.crm, rep, flaw=overlap)

    def _rep_life(self, career: Career) -> Life:
        (_, territory), *moves = career.territories
        (_, manager), *changes = career.managers
        first = Rep(
            email=career.email,
            first_name=career.name.split(" ")[0],
            last_name=career.name.split(" ")[1],
            title="Account Executive",
            crms=(career.region.crm,),
            region=career.region.name,
            team=f"{career.region.name} Sales",
            manager_email=manager,
            created_at=career.joined_at,
            modified_at=career.joined_at,
            territory=territory,
        )
        edits = [Edit(at, {"territory": key}) for at, key in moves]
        edits += [Edit(at, {"manager_email": name}) for at, name in changes]
        if career.joined_at < career.learned_from + timedelta(days=RAMP_DAYS):
            ramped_at = career.learned_from + timedelta(days=RAMP_DAYS)
            edits.append(Edit(ramped_at, {"title": "Senior Account Executive"}))
        if career.left_at:
            edits = [edit for edit in edits if edit.at < career.left_at]
            edits.append(Edit(career.left_at, {"is_active": False}))
        return live(career.region.crm, first, edits, flaw=career.flaw)


def _rep(
    name: str,
    title: str,
    crms: tuple[str, ...],
    at: datetime,
    region: Region | None = None,
    manager: str | None = None,
) -> Rep:
    first, last = name.split(" ")
    return Rep(
        email=email(name),
        first_name=first,
        last_name=last,
        title=title,
        crms=crms,
        region=region.name if region else None,
        team=f"{region.name} Sales" if region else None,
        manager_email=email(manager) if manager else None,
        created_at=at,
        modified_at=at,
        territory=territory_key(region.name) if region else None,
    )


def territories(crm: str, period: Period) -> Iterator[Life]:
    """The company's territories, which every CRM has; some are renamed in time."""
    for region in REGIONS:
        root = _territory(region.name, None, period)
        yield live(crm, root)
        for number, name in enumerate(region.territories):
            renamed = [Edit(period.day(0.5), {"name": f"{name} (new)"})] if number == 2 else []
            yield live(crm, _territory(name, root.key, period), renamed)


def _territory(name: str, parent: str | None, period: Period) -> Territory:
    return Territory(
        key=territory_key(name),
        name=name,
        parent_key=parent,
        manager_email=None if parent else email(VICE_PRESIDENT),
        created_at=period.founded_at,
        modified_at=period.founded_at,
    )
