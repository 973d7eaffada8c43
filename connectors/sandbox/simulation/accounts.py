"""The customers of one CRM and the people at them, with their doubles and what becomes of those.

A customer may be known in several CRMs, each of which spells it its own way; the spellings are made in `spelling`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from random import Random

from connectors.sandbox.company import Account, ChangeKind, Contact, Survey
from connectors.sandbox.simulation.dirt import is_spoilt, some_flaw
from connectors.sandbox.simulation.life import Edit, Flaw, Life, Link, fate, lag, live, remembered
from connectors.sandbox.simulation.market import REGIONS, SEGMENTS, Segment
from connectors.sandbox.simulation.names import COMMENTS, FIRST_NAMES, LAST_NAMES, TITLES
from connectors.sandbox.simulation.people import Career, Staff
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.spelling import Customer, customer, spelt

AT_SCALE_1 = 575
"""For each CRM, over the whole period: 500 within the first three years."""
FEWEST = 8
STRAY = 0.05
DOUBLED = 0.04
AGAIN_WITHIN = (86400, 400 * 86400)
"""Seconds after which somebody enters what the CRM has already."""
SURVEY_YEAR = timedelta(days=365)


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """Somebody at a customer, as the plan has it."""

    number: int
    first_name: str
    last_name: str
    created_at: datetime
    doubled_at: datetime | None
    merged_at: datetime | None

    @property
    def is_quiet(self) -> bool:
        """Whether no deal is ever about the person, who may therefore be deleted."""
        return self.number == 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What is settled about a customer before anything happens."""

    number: int
    key: str
    customer: Customer
    created_at: datetime
    segment: Segment
    currency: str
    country: str
    owner: Career
    is_stray: bool
    """Nothing ever refers to it, so that it may be deleted."""
    doubled_at: datetime | None
    merged_at: datetime | None
    people: tuple[Person, ...]

    @property
    def double_key(self) -> str:
        """The key of the account somebody made a second time."""
        return f"{self.key}:double"

    def contact_key(self, person: Person) -> str:
        """The key of somebody at this customer."""
        return f"{self.key}-{person.number}".replace(":account:", ":contact:", 1)

    def link(self, random: Random, moment: datetime) -> Link:
        """What a record made at a moment refers to: the account, or its double as long as there is one."""
        if self.doubled_at and self.merged_at and self.doubled_at < moment < self.merged_at and random.random() < 0.4:
            return Link(self.double_key, self.merged_at, self.key)
        return Link(self.key)

    def contact(self, random: Random, moment: datetime) -> Link | None:
        """Somebody to talk to at a moment, if the CRM knows anybody by then."""
        people = [person for person in self.people if person.created_at < moment and not person.is_quiet]
        if not people:
            return None
        person = random.choice(people)
        key = self.contact_key(person)
        if person.doubled_at and person.merged_at and person.doubled_at < moment < person.merged_at:
            return Link(f"{key}:double", person.merged_at, key)
        return Link(key)


class Accounts:
    """The customers of one CRM, by number in the order in which they came."""

    def __init__(self, seed: int, staff: Staff, period: Period, scale: float, dirt: float) -> None:
        self.seed, self.staff, self.region, self.period, self.dirt = seed, staff, staff.region, period, dirt
        self.count = max(FEWEST, round(AT_SCALE_1 * scale))
        self.plan = lru_cache(remembered(self.count))(self._plan)
        self._owned = lru_cache(1)(self._all_owners)

    @cached_property
    def _quarter_of_customers(self) -> int:
        return REGIONS.index(self.region)

    def known_at(self, moment: datetime) -> int:
        """How many there are for certain at a moment."""
        arrivals = self.period.arrivals
        return max(1, int(self.count * arrivals.until(moment) / arrivals.total))

    def pick(self, random: Random, moment: datetime) -> Plan:
        """A customer who may buy at a moment."""
        known = self.known_at(moment)
        for _ in range(20):
            plan = self.plan(random.randrange(known))
            if not plan.is_stray:
                return plan
        return self.plan(0)

    def _plan(self, number: int) -> Plan:
        random = Random(f"{self.seed}:{self.region.crm}:account:{number}")
        arrivals = self.period.arrivals
        created_at = arrivals.moment((number + random.random()) / self.count * arrivals.total)
        is_stray = number > 0 and random.random() < STRAY
        doubled_at = merged_at = None
        if not is_stray and random.random() < DOUBLED:
            doubled_at = created_at + timedelta(seconds=random.randint(5 * 86400, 60 * 86400))
            merged_at = doubled_at + timedelta(seconds=random.randint(30 * 86400, 200 * 86400))
        return Plan(
            number=number,
            key=f"{self.region.crm}:account:{number}",
            customer=customer(self.seed, number, self._quarter_of_customers),
            created_at=created_at,
            segment=random.choices(SEGMENTS, [segment.share for segment in SEGMENTS])[0],
            currency=random.choice(self.region.currencies),
            country=random.choice(self.region.countries),
            owner=self.staff.pick(random, created_at),
            is_stray=is_stray,
            doubled_at=doubled_at,
            merged_at=merged_at,
            people=() if is_stray else self._people(random, created_at),
        )

    def _people(self, random: Random, since: datetime) -> tuple[Person, ...]:
        people = []
        for number in range(random.choice((1, 1, 2, 2, 3))):
            created_at = since + timedelta(seconds=random.randint(60, 30 * 86400))
            doubled_at = merged_at = None
            if number == 0 and random.random() < 0.08:
                doubled_at = created_at + timedelta(seconds=random.randint(3 * 86400, 40 * 86400))
                merged_at = doubled_at + timedelta(seconds=random.randint(10 * 86400, 150 * 86400))
            people.append(
                Person(
                    number=number,
                    first_name=random.choice(FIRST_NAMES),
                    last_name=random.choice(LAST_NAMES),
                    created_at=created_at,
                    doubled_at=doubled_at,
                    merged_at=merged_at,
                )
            )
        return tuple(people)

    def plans(self, until: datetime) -> Iterator[Plan]:
        """The customers who have come by a moment, oldest first."""
        for number in range(self.count):
            plan = self.plan(number)
            if plan.created_at > until:
                return
            yield plan

    def accounts(self, plan: Plan) -> Iterator[Life]:
        """The account, and the double it may have for a while."""
        random = Random(f"{self.seed}:{plan.key}:life")
        first = self._account(random, plan)
        double = None
        edits = [*self._owners(plan), *self._care(random, plan)]
        is_spoilt = random.random() < self.dirt
        if plan.doubled_at and plan.merged_at:
            double = replace(
                first,
                key=plan.double_key,
                name=spelt(random, plan.customer.name, self.region, own=False),
                parent_key=None,
                created_at=plan.doubled_at,
                modified_at=plan.doubled_at,
            )
            edits.append(Edit(plan.merged_at, {"employees": (first.employees or 0) + 1}))
        if plan.is_stray and random.random() < 0.5:
            edits += fate(random, plan.created_at + timedelta(seconds=random.randint(86400, 900 * 86400)))
        crm = self.region.crm
        life = live(crm, first, edits, flaw=some_flaw(self.seed, first, crm) if is_spoilt else None)
        yield life
        if double and plan.merged_at:
            merge = Edit(plan.merged_at, kind=ChangeKind.MERGED, into=life.at(plan.merged_at))
            edits = [edit for edit in self._owners(plan) if edit.at < plan.merged_at]
            yield live(crm, double, [*edits, merge], flaw=_double_of(first, double, plan.merged_at))
        if not plan.is_stray:
            yield from self._second(first)

    def _second(self, record: Account | Contact) -> Iterator[Life]:
        """The same customer or person once more, spelt another way, if nobody ever notices."""
        if not is_spoilt(self.seed, f"{record.key}:second", self.dirt):
            return
        random = Random(f"{self.seed}:{record.key}:second")
        at = record.created_at + timedelta(seconds=random.randint(*AGAIN_WITHIN))
        again = replace(record, key=f"{record.key}:second", created_at=at, modified_at=at)
        if isinstance(again, Account):
            again = replace(again, name=spelt(random, again.name, self.region, own=False), parent_key=None)
        else:
            again = replace(again, first_name=again.first_name[:1], email=f"second.{again.email}")
        yield live(record.crm, again, flaw=_double_of(record, again, None))

    def _account(self, random: Random, plan: Plan) -> Account:
        return Account(
            key=plan.key,
            crm=self.region.crm,
            name=spelt(random, plan.customer.name, self.region, own=not plan.customer.is_shared),
            industry=plan.customer.industry,
            country=plan.country,
            website=f"https://{plan.customer.domain}",
            employees=int(random.lognormvariate(6, 1)),
            revenue=Decimal(int(random.lognormvariate(17, 1)) // 1000 * 1000),
            parent_key=self._parent(random, plan),
            owner_email=plan.owner.email,
            currency=plan.currency,
            created_at=plan.created_at,
            modified_at=plan.created_at,
            custom={
                "segment": plan.segment.name,
                "region_code": self.region.code,
                "health_score": Decimal(random.randint(200, 1000)) / 10,
            },
        )

    def _parent(self, random: Random, plan: Plan) -> str | None:
        if plan.number < 5 or random.random() >= 0.08:
            return None
        parent = self.plan(random.randrange(plan.number))
        return None if parent.is_stray else parent.key

    def _all_owners(self, plan: Plan) -> list[tuple[datetime, Career]]:
        return self.staff.owners(plan.owner, plan.key, plan.created_at, None)

    def _owners(self, plan: Plan) -> list[Edit]:
        return [Edit(at, {"owner_email": career.email}) for at, career in self._owned(plan)[1:]]

    def _care(self, random: Random, plan: Plan) -> Iterator[Edit]:
        """What reps write down of a customer now and then, and how its health changes without anybody's doing."""
        moment, end = plan.created_at, self.period.day(1)
        while (moment := moment + timedelta(seconds=int(random.expovariate(1 / (300 * 86400))) + 60)) < end:
            yield Edit(moment, {"employees": int(random.lognormvariate(6, 1))}, lag=lag(random))
        moment = plan.created_at
        while (moment := moment + timedelta(seconds=int(random.expovariate(1 / (90 * 86400))) + 60)) < end:
            health = {"health_score": Decimal(random.randint(200, 1000)) / 10}
            yield Edit(moment, {"custom": health}, ChangeKind.FORMULA)

    def contacts(self, plan: Plan) -> Iterator[Life]:
        """The people at a customer, and the doubles some of them have for a while."""
        for person in plan.people:
            random = Random(f"{self.seed}:{plan.key}:person:{person.number}")
            account = plan.link(random, person.created_at)
            first = self._contact(random, plan, person, account)
            is_spoilt = random.random() < self.dirt
            edits = [*account.edits("account_key"), *self._owners(plan)]
            if random.random() < 0.3:
                moment = person.created_at + timedelta(seconds=random.randint(86400, 600 * 86400))
                edits.append(Edit(moment, {"title": random.choice(TITLES)}, lag=lag(random)))
            if person.is_quiet and random.random() < 0.3:
                edits += fate(random, person.created_at + timedelta(seconds=random.randint(86400, 700 * 86400)))
            double = None
            if person.doubled_at and person.merged_at:
                double = self._double(first, person.doubled_at, plan)
                edits.append(Edit(person.merged_at, {"title": first.title.upper()}))
            crm = self.region.crm
            life = live(crm, first, edits, flaw=some_flaw(self.seed, first, crm) if is_spoilt else None)
            yield life
            if double and person.merged_at:
                merge = Edit(person.merged_at, kind=ChangeKind.MERGED, into=life.at(person.merged_at))
                owners = [edit for edit in self._owners(plan) if edit.at < person.merged_at]
                yield live(crm, double, [*owners, merge], flaw=_double_of(first, double, person.merged_at))
            yield from self._second(replace(first, account_key=plan.key))

    def _contact(self, random: Random, plan: Plan, person: Person, account: Link) -> Contact:
        crm, number = self.region.crm, f"{plan.number}-{person.number}"
        owners = [career for since, career in self._owned(plan) if since < person.created_at]
        local = f"{person.first_name}.{person.last_name}.{self.region.code.lstrip('0')}-{number}".lower()
        return Contact(
            key=plan.contact_key(person),
            crm=crm,
            account_key=account.at(person.created_at) or plan.key,
            first_name=person.first_name,
            last_name=person.last_name,
            email=f"{local}@{plan.customer.domain}",
            phone=f"+1 555 {plan.number % 10000:04d} {person.number}",
            title=random.choice(TITLES),
            owner_email=owners[-1].email,
            created_at=person.created_at,
            modified_at=person.created_at,
        )

    def _double(self, contact: Contact, doubled_at: datetime, plan: Plan) -> Contact:
        """The same person once more, at the account itself and under an address of its own."""
        return replace(
            contact,
            key=f"{contact.key}:double",
            account_key=plan.key,
            first_name=contact.first_name[0] + ".",
            email=f"double.{contact.email}",
            created_at=doubled_at,
            modified_at=doubled_at,
        )

    def surveys(self, plan: Plan) -> Iterator[Life]:
        """How likely customers would recommend us, asked once a year; not all answer."""
        random = Random(f"{self.seed}:{plan.key}:nps")
        if plan.is_stray:
            return
        moment, end, number = plan.created_at + timedelta(days=60), self.period.day(1), 0
        while (moment := moment + SURVEY_YEAR * random.uniform(0.8, 1.2)) < end:
            number += 1
            if random.random() < 0.5:
                continue
            answered_at = moment.replace(microsecond=0)
            contact = plan.contact(random, answered_at)
            survey = Survey(
                key=f"{plan.key}:nps:{number}".replace(":account:", ":survey:", 1),
                crm=self.region.crm,
                kind="NPS",
                account_key=plan.key,
                contact_key=contact.at(answered_at) if contact else None,
                score=random.choices(range(11), (2, 1, 1, 2, 3, 6, 8, 16, 24, 22, 15))[0],
                comment=random.choice(COMMENTS),
                answered_at=answered_at,
                created_at=answered_at,
                modified_at=answered_at,
            )
            yield live(self.region.crm, survey, contact.edits("contact_key") if contact else ())


def _double_of(record: Account | Contact, double: Account | Contact, merged_at: datetime | None) -> Flaw:
    """That there is a second record of the same customer or person, until they are merged."""
    kind = f"duplicate_{type(record).__name__.lower()}"
    return Flaw(kind, double.created_at, merged_at, other=(record.crm, type(record), record.key))
