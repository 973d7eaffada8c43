"""Halden Robotics, a fictional seller of warehouse robots, made up the same way every time for a seed.

It happens between 2024-08-01 and 2026-08-14, in three regions with a CRM each. Nothing here is anybody's real data.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial

from connectors.sandbox.company import (
    Account,
    Company,
    Contact,
    Lead,
    LeadStatus,
    Line,
    Opportunity,
    Outcome,
    Product,
    Rep,
    Stage,
)

FIRST_DAY = date(2024, 8, 1)
LAST_DAY = date(2026, 8, 14)
LAST_MOMENT = datetime(2026, 8, 14, 18, tzinfo=UTC)
LAST_EXPECTED_CLOSE = date(2026, 12, 31)
FOUNDED_AT = datetime(2024, 7, 15, 9, tzinfo=UTC)
DOMAIN = "halden.example"
VICE_PRESIDENT = "Grace Okafor"

RATES = {
    "USD": Decimal("1"),
    "EUR": Decimal("0.92"),
    "GBP": Decimal("0.79"),
    "AUD": Decimal("1.52"),
    "SGD": Decimal("1.35"),
}
CATALOGUE = (
    ("Atlas Arm", "ATL-100", "Arms", 24000),
    ("Atlas Arm XL", "ATL-200", "Arms", 41000),
    ("Scout Cart", "SCT-100", "Carts", 12500),
    ("Scout Fleet", "SCT-500", "Carts", 58000),
    ("Vision Kit", "VIS-100", "Vision", 6800),
    ("Care Plan", "CAR-012", "Services", 3600),
)
MAIN_PRODUCTS = CATALOGUE[:4]
ADD_ONS = CATALOGUE[4:]


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of the world with its own CRM."""

    name: str
    crm: str
    manager: str
    reps: tuple[str, ...]
    currencies: tuple[str, ...]
    countries: tuple[str, ...]


REGIONS = (
    Region(
        name="Americas",
        crm="salesforce",
        manager="Maya Collins",
        reps=("Aiden Brooks", "Sofia Ramirez", "Noah Whitfield", "Chloe Tanaka"),
        currencies=("USD",),
        countries=("United States", "Canada", "Mexico"),
    ),
    Region(
        name="EMEA",
        crm="hubspot",
        manager="Jonas Lindqvist",
        reps=("Elif Demir", "Pierre Moreau", "Hannah Vogel", "Luca Bianchi"),
        currencies=("EUR", "GBP"),
        countries=("Germany", "France", "Italy", "United Kingdom", "Turkey"),
    ),
    Region(
        name="APAC",
        crm="dynamics",
        manager="Priya Nair",
        reps=("Kenji Sato", "Mei Chua", "Oliver Grant", "Ananya Rao"),
        currencies=("AUD", "SGD"),
        countries=("Australia", "Singapore", "Japan", "India"),
    ),
)

STEPS = ("first", "second", "third", "fourth", "won", "lost")
PROBABILITIES = (10, 25, 50, 75, 100, 0)
STAGE_NAMES = {
    "salesforce": ("Prospecting", "Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost"),
    "hubspot": (
        "Appointment Scheduled",
        "Qualified To Buy",
        "Presentation Scheduled",
        "Contract Sent",
        "Closed Won",
        "Closed Lost",
    ),
    # a Dynamics deal keeps the last step it was in; that it is closed shows in its state
    "dynamics": ("1-Qualify", "2-Develop", "3-Propose", "4-Close", "4-Close", "4-Close"),
}

NAME_HEADS = [
    "Alder",
    "Amber",
    "Arcadia",
    "Basalt",
    "Beacon",
    "Birch",
    "Bramble",
    "Cascade",
    "Cedar",
    "Cobalt",
    "Copper",
    "Coral",
    "Crescent",
    "Delta",
    "Ember",
    "Fjord",
    "Garnet",
    "Granite",
    "Harbor",
    "Hazel",
    "Heron",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lantern",
    "Linden",
    "Maple",
    "Meridian",
    "Nimbus",
    "Onyx",
    "Orchard",
    "Pinnacle",
    "Quarry",
    "Raven",
    "Saffron",
    "Sierra",
    "Sterling",
    "Summit",
    "Tamarind",
    "Willow",
]
NAME_TAILS = {
    "Logistics": ("Freight", "Logistics", "Forwarding", "Warehousing"),
    "Manufacturing": ("Castings", "Components", "Machining", "Works"),
    "Retail": ("Markets", "Outfitters", "Stores", "Trading"),
    "Food": ("Dairy", "Foods", "Mills", "Provisions"),
    "Pharma": ("Biotech", "Labs", "Pharma", "Therapeutics"),
}
FIRST_NAMES = [
    "Adam",
    "Aisha",
    "Akira",
    "Amara",
    "Andrea",
    "Ben",
    "Bianca",
    "Carlos",
    "Chen",
    "Clara",
    "Daniel",
    "Deniz",
    "Diego",
    "Elena",
    "Emil",
    "Farah",
    "Felix",
    "Freya",
    "Gabriel",
    "Hana",
    "Hugo",
    "Ines",
    "Ivan",
    "Jana",
    "Jonah",
    "Kavya",
    "Lars",
    "Leila",
    "Liam",
    "Lucia",
    "Marco",
    "Maren",
    "Minh",
    "Nadia",
    "Omar",
    "Paula",
    "Ravi",
    "Rosa",
    "Samuel",
    "Sana",
    "Tara",
    "Theo",
    "Uma",
    "Victor",
    "Wei",
    "Yara",
    "Yusuf",
    "Zoe",
]
LAST_NAMES = [
    "Abbott",
    "Ahmed",
    "Alvarez",
    "Baker",
    "Becker",
    "Bose",
    "Castillo",
    "Cohen",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Fontaine",
    "Gupta",
    "Haddad",
    "Hall",
    "Hansen",
    "Ito",
    "Jansen",
    "Kaya",
    "Keller",
    "Kim",
    "Kowalski",
    "Lambert",
    "Larsen",
    "Lopez",
    "Mason",
    "Mehta",
    "Meyer",
    "Mori",
    "Novak",
    "Obi",
    "Park",
    "Patel",
    "Perez",
    "Quinn",
    "Reyes",
    "Rossi",
    "Schmidt",
    "Silva",
    "Singh",
    "Suzuki",
    "Tan",
    "Torres",
    "Walker",
    "Weber",
    "Wong",
    "Young",
]
TITLES = (
    "Operations Director",
    "Plant Manager",
    "Head of Logistics",
    "Procurement Lead",
    "Automation Engineer",
)
SOURCES = ("Web", "Partner", "Trade Show", "Referral", "Outbound")
# more new business is opened in spring and autumn than in August or over the turn of the year
SEASON = (0.8, 1.0, 1.2, 1.1, 1.1, 1.0, 0.8, 0.7, 1.2, 1.3, 1.1, 0.7)


def generate(seed: int = 1) -> Company:
    """The company, complete; the same for the same seed."""
    parts = [_Territory(region, seed) for region in REGIONS]
    return Company(
        name="Halden Robotics",
        currency="USD",
        rates=RATES,
        crms=tuple(region.crm for region in REGIONS),
        stages={crm: _stages(crm) for crm in STAGE_NAMES},
        reps=_reps(),
        products=tuple(
            Product(
                name=name,
                sku=sku,
                family=family,
                price=Decimal(price).quantize(Decimal("0.01")),
                created_at=FOUNDED_AT,
                modified_at=FOUNDED_AT + timedelta(days=3 * number),
            )
            for number, (name, sku, family, price) in enumerate(CATALOGUE, 1)
        ),
        accounts=tuple(account for part in parts for account in part.accounts),
        contacts=tuple(contact for part in parts for contact in part.contacts),
        leads=tuple(lead for part in parts for lead in part.leads),
        opportunities=tuple(deal for part in parts for deal in part.opportunities),
        founded_at=FOUNDED_AT,
    )


def _stages(crm: str) -> tuple[Stage, ...]:
    outcomes = [Outcome.OPEN] * 4 + [Outcome.WON, Outcome.LOST]
    ids = {
        "hubspot": (
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "contractsent",
            "closedwon",
            "closedlost",
        )
    }.get(crm, STAGE_NAMES[crm])
    return tuple(
        Stage(key=key, id=id, label=label, probability=probability, outcome=outcome)
        for key, id, label, probability, outcome in zip(
            STEPS, ids, STAGE_NAMES[crm], PROBABILITIES, outcomes, strict=True
        )
    )


def _email(name: str) -> str:
    return f"{name.lower().replace(' ', '.')}@{DOMAIN}"


def _reps() -> tuple[Rep, ...]:
    vice_president = _rep(VICE_PRESIDENT, "VP Sales", crms=tuple(region.crm for region in REGIONS))
    reps = [vice_president]
    for region in REGIONS:
        placed = partial(_rep, crms=(region.crm,), region=region.name, team=f"{region.name} Sales")
        reps.append(placed(region.manager, "Regional Sales Manager", manager=VICE_PRESIDENT))
        reps += [placed(name, "Account Executive", manager=region.manager) for name in region.reps]
    return tuple(reps)


def _rep(
    name: str,
    title: str,
    *,
    crms: tuple[str, ...],
    region: str | None = None,
    team: str | None = None,
    manager: str | None = None,
) -> Rep:
    first, last = name.split(" ")
    return Rep(
        email=_email(name),
        first_name=first,
        last_name=last,
        title=title,
        crms=crms,
        region=region,
        team=team,
        manager_email=_email(manager) if manager else None,
        created_at=FOUNDED_AT,
        modified_at=FOUNDED_AT + timedelta(days=10, minutes=len(name)),
    )


def _quarter_end(day: date) -> date:
    month = (day.month - 1) // 3 * 3 + 3
    return (date(day.year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def _weekday(day: date) -> date:
    return day - timedelta(days=max(0, day.weekday() - 4))


class _Territory:
    """The records of one region; the order in which they are made is part of the result."""

    def __init__(self, region: Region, seed: int) -> None:
        self.region = region
        self.random = random.Random(f"{seed}:{region.crm}")
        self.skill = {name: self.random.uniform(0.30, 0.48) for name in region.reps}
        self.days = [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days)]
        self.days = [day for day in self.days if day.weekday() < 5]
        # the business grows: twice as many deals are opened in the last month as in the first
        self.weights = [SEASON[d.month - 1] * (1 + (d - FIRST_DAY).days / 744) for d in self.days]
        self.accounts = self._accounts(120)
        self.contacts = self._contacts(150)
        self.opportunities = self._spoil(self._opportunities(300))
        self.leads = self._leads(150)

    def _moment(self, day: date) -> datetime:
        moment = datetime.combine(day, time(8), UTC) + timedelta(seconds=self.random.randrange(9 * 3600))
        return min(moment, LAST_MOMENT)

    def _between(self, start: datetime, end: datetime) -> datetime:
        seconds = max(0, int((end - start).total_seconds()))
        return start + timedelta(seconds=self.random.randint(0, seconds))

    def _accounts(self, count: int) -> tuple[Account, ...]:
        names = [
            (f"{head} {tail}", industry)
            for head in NAME_HEADS
            for industry, tails in NAME_TAILS.items()
            for tail in tails
        ]
        accounts: list[Account] = []
        for number, (name, industry) in enumerate(self.random.sample(names, count)):
            created_at = self._moment(self.random.choice(self.days[: len(self.days) // 2]))
            parent = self.random.choice(accounts).key if number > 20 and self.random.random() < 0.08 else None
            accounts.append(
                Account(
                    key=f"{self.region.crm}:account:{number}",
                    crm=self.region.crm,
                    name=name,
                    industry=industry,
                    country=self.random.choice(self.region.countries),
                    website=f"https://{name.lower().replace(' ', '-')}.example",
                    employees=int(self.random.lognormvariate(6, 1)),
                    revenue=Decimal(int(self.random.lognormvariate(17, 1)) // 1000 * 1000),
                    parent_key=parent,
                    owner_email=_email(self.random.choice(self.region.reps)),
                    currency=self.random.choice(self.region.currencies),
                    created_at=created_at,
                    modified_at=self._between(created_at, LAST_MOMENT),
                )
            )
        return tuple(accounts)

    def _contacts(self, count: int) -> tuple[Contact, ...]:
        contacts = []
        for number in range(count):
            account = self.accounts[number % len(self.accounts)]
            first, last = self.random.choice(FIRST_NAMES), self.random.choice(LAST_NAMES)
            created_at = self._between(account.created_at, account.created_at + timedelta(days=30))
            assert account.website and account.owner_email
            contacts.append(
                Contact(
                    key=f"{self.region.crm}:contact:{number}",
                    crm=self.region.crm,
                    account_key=account.key,
                    first_name=first,
                    last_name=last,
                    email=f"{first}.{last}.{number}@{account.website.removeprefix('https://')}".lower(),
                    phone=f"+1 555 01{number:02d}"[:13],
                    title=self.random.choice(TITLES),
                    owner_email=account.owner_email,
                    created_at=created_at,
                    modified_at=self._between(created_at, LAST_MOMENT),
                )
            )
        return tuple(contacts)

    def _opportunities(self, count: int) -> list[Opportunity]:
        days = sorted(self.random.choices(self.days, self.weights, k=count))
        return [self._opportunity(number, day) for number, day in enumerate(days)]

    def _opportunity(self, number: int, created_on: date) -> Opportunity:
        owner = self.random.choice(self.region.reps)
        account = self.random.choice(self.accounts)
        lines = self._lines(account.currency)
        created_at = self._moment(created_on)
        stage, close_date, changed_at, modified_at = self._course(owner, created_at)
        contact = next((c for c in self.contacts if c.account_key == account.key), None)
        return Opportunity(
            key=f"{self.region.crm}:opportunity:{number}",
            crm=self.region.crm,
            name=f"{account.name} - {lines[0].product}",
            account_key=account.key,
            contact_key=contact.key if contact else None,
            owner_email=_email(owner),
            stage=stage,
            amount=sum((line.amount or Decimal(0) for line in lines), Decimal(0)),
            currency=account.currency,
            close_date=close_date,
            type=self.random.choice(("New Business", "New Business", "Existing Business")),
            source=self.random.choice(SOURCES),
            lines=lines,
            created_at=created_at,
            stage_changed_at=changed_at,
            modified_at=modified_at,
        )

    def _lines(self, currency: str) -> tuple[Line, ...]:
        products = [self.random.choice(MAIN_PRODUCTS)]
        products += self.random.sample(ADD_ONS, self.random.choice((0, 0, 1, 1, 2)))
        return tuple(
            Line(
                product=name,
                quantity=self.random.choices((1, 2, 3, 5), (60, 25, 10, 5))[0],
                unit_price=self._price(price, currency),
            )
            for name, _, _, price in products
        )

    def _price(self, list_price: int, currency: str) -> Decimal:
        discount = Decimal(self.random.choice((0, 0, 0, 5, 8, 10, 15))) / 100
        return (list_price * RATES[currency] * (1 - discount)).quantize(Decimal("0.01"))

    def _course(self, owner: str, created_at: datetime) -> tuple[str, date, datetime, datetime]:
        """Stage, close date, and the stamps of the last stage change and the last change of all."""
        won = self.random.random() < self.skill[owner]
        # lost deals take longer: nobody likes to close them
        cycle = max(5, int(self.random.lognormvariate(4.25 if won else 4.4, 0.55)))
        close = _weekday(created_at.date() + timedelta(days=cycle))
        if self.random.random() < 0.3:
            end = _quarter_end(close)
            close = _weekday(max(created_at.date(), end - timedelta(days=self.random.randrange(8))))
        if close >= LAST_DAY:
            return self._open_course(created_at, close)
        closed_at = max(self._moment(close), created_at)
        modified_at = self._between(closed_at, min(closed_at + timedelta(days=9), LAST_MOMENT))
        return ("won" if won else "lost", close, closed_at, modified_at)

    def _open_course(self, created_at: datetime, close: date) -> tuple[str, date, datetime, datetime]:
        elapsed = (LAST_DAY - created_at.date()) / max(timedelta(days=1), close - created_at.date())
        step = min(3, max(0, int(elapsed * 4 + self.random.uniform(-1, 0.6))))
        if self.random.random() < 0.08:  # some owners do not keep the date up
            close = max(LAST_DAY - timedelta(days=self.random.randrange(1, 40)), created_at.date())
        changed_at = created_at if step == 0 else self._between(created_at, LAST_MOMENT)
        modified_at = self._between(changed_at, LAST_MOMENT)
        return STEPS[step], min(close, LAST_EXPECTED_CLOSE), changed_at, modified_at

    def _spoil(self, deals: Sequence[Opportunity]) -> tuple[Opportunity, ...]:
        """The same deals, one of the won ones without its close date."""
        spoiled = self.random.choice([deal for deal in deals[len(deals) // 2 :] if deal.stage == "won"])
        return tuple(replace(deal, close_date=None, is_dirty=True) if deal is spoiled else deal for deal in deals)

    def _leads(self, count: int) -> tuple[Lead, ...]:
        qualified = [deal for deal in self.opportunities if not deal.is_dirty and deal.account_key]
        converted = dict(enumerate(self.random.sample(qualified, count * 2 // 5)))
        return tuple(self._lead(number, converted.get(number)) for number in range(count))

    def _lead(self, number: int, deal: Opportunity | None) -> Lead:
        accounts = {account.key: account for account in self.accounts}
        first, last = self.random.choice(FIRST_NAMES), self.random.choice(LAST_NAMES)
        head, tails = self.random.choice(NAME_HEADS), self.random.choice(list(NAME_TAILS.values()))
        company = accounts[deal.account_key].name if deal and deal.account_key else f"{head} {tails[0]} Group"
        if deal:
            created_at = self._moment(_weekday(deal.created_at.date() - timedelta(days=self.random.randrange(3, 30))))
            status, modified_at = LeadStatus.QUALIFIED, deal.created_at
        else:
            created_at = self._moment(self.random.choice(self.days))
            status = self._unconverted(created_at)
            modified_at = self._between(created_at, min(created_at + timedelta(days=45), LAST_MOMENT))
        return Lead(
            key=f"{self.region.crm}:lead:{number}",
            crm=self.region.crm,
            first_name=first,
            last_name=last,
            company=company,
            email=f"{first}.{last}.{number}@{company.lower().replace(' ', '-')}.example".lower(),
            source=self.random.choice(SOURCES),
            country=self.random.choice(self.region.countries),
            owner_email=deal.owner_email if deal else _email(self.random.choice(self.region.reps)),
            status=status,
            opportunity_key=deal.key if deal else None,
            account_key=deal.account_key if deal else None,
            contact_key=deal.contact_key if deal else None,
            converted_on=deal.created_at.date() if deal else None,
            created_at=created_at,
            modified_at=max(created_at, modified_at),
        )

    def _unconverted(self, created_at: datetime) -> LeadStatus:
        if created_at < LAST_MOMENT - timedelta(days=120):
            return LeadStatus.UNQUALIFIED
        return self.random.choice((LeadStatus.OPEN, LeadStatus.WORKING, LeadStatus.WORKING, LeadStatus.UNQUALIFIED))
