"""A company read from a folder of CSV exports: accounts.csv, products.csv, sales_teams.csv and sales_pipeline.csv.

What the files get wrong stays wrong, because that is what the gates are for; only files that cannot be read as what
they claim to be are refused.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

from connectors.errors import ConfigurationError
from connectors.sandbox.company import Account, Company, Line, Opportunity, Outcome, Product, Rep, Stage

DOMAIN = "sandbox.example"
CURRENCY = "USD"
FILES = {
    "accounts.csv": ("account", "sector", "revenue", "employees", "office_location", "subsidiary_of"),
    "products.csv": ("product", "series", "sales_price"),
    "sales_teams.csv": ("sales_agent", "manager", "regional_office"),
    "sales_pipeline.csv": (
        "opportunity_id",
        "sales_agent",
        "product",
        "account",
        "deal_stage",
        "engage_date",
        "close_date",
        "close_value",
    ),
}
PROBABILITIES = {"Prospecting": 10, "Engaging": 50}
OTHER_PROBABILITY = 25
MILLION = 1_000_000
NOON = time(12)


class FolderError(ConfigurationError):
    """A folder that cannot be served, with the place and what to do about it."""


@dataclass(frozen=True)
class _Row:
    """One record of a file, which knows where it stands."""

    file: Path
    line: int
    cells: Mapping[str, str]

    def text(self, column: str) -> str | None:
        """The cell as it is, blanks and all; None if there is nothing else."""
        cell = self.cells[column]
        return cell if cell.strip() else None

    def required(self, column: str) -> str:
        value = self.text(column)
        if value is None:
            raise self.wrong(column, "is empty; fill it in or remove the row")
        return value

    def decimal(self, column: str) -> Decimal | None:
        value = self.text(column)
        try:
            number = None if value is None else Decimal(value.strip().replace(",", "").removeprefix("$"))
        except InvalidOperation:
            raise self.wrong(column, f"holds {value!r}, which is not a number; write it like 1234.50") from None
        if number is not None and not number.is_finite():
            raise self.wrong(column, f"holds {value!r}, which is not a number; write it like 1234.50")
        return number

    def integer(self, column: str) -> int | None:
        number = self.decimal(column)
        if number is not None and number != int(number):
            raise self.wrong(column, f"holds {number}, which is not a whole number")
        return None if number is None else int(number)

    def day(self, column: str) -> date | None:
        """A date written M/D/YYYY, as Americans do, or YYYY-MM-DD."""
        value = (self.text(column) or "").strip()
        if not value:
            return None
        us = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", value)
        try:
            return date(int(us[3]), int(us[1]), int(us[2])) if us else date.fromisoformat(value)
        except ValueError:
            message = f"holds {value!r}, which is not a date; write it as M/D/YYYY or YYYY-MM-DD"
            raise self.wrong(column, message) from None

    def wrong(self, column: str, what: str) -> FolderError:
        return FolderError(f"{self.file}, line {self.line}, column {column}: {what}")


def read(folder: Path, crm: str) -> Company:
    """The company in a folder, all of it in one CRM."""
    files = {name: _rows(Path(folder) / name, columns) for name, columns in FILES.items()}
    pipeline = files["sales_pipeline.csv"]
    days = [day for row in pipeline for column in ("engage_date", "close_date") if (day := row.day(column))]
    if not days:
        raise FolderError(f"{folder}/sales_pipeline.csv: no row has a date, so nothing can be placed in time")
    first_at, last_at = _noon(min(days)), _noon(max(days))
    reps = _reps(files["sales_teams.csv"], crm, first_at)
    accounts = _accounts(files["accounts.csv"], crm, first_at)
    stages = _stages(pipeline)
    return Company(
        name="Sandbox Company",
        currency=CURRENCY,
        rates={CURRENCY: Decimal(1)},
        crms=(crm,),
        stages={crm: stages},
        reps=tuple(reps.values()),
        products=tuple(_products(files["products.csv"], pipeline, first_at)),
        accounts=tuple(accounts.values()),
        contacts=(),
        leads=(),
        opportunities=tuple(_opportunities(pipeline, crm, reps, accounts, stages, last_at)),
        founded_at=first_at,
    )


def _rows(file: Path, columns: Sequence[str]) -> list[_Row]:
    """The rows of a file, once it is certain that each has all the columns."""
    if not file.is_file():
        raise FolderError(f"{file} is missing; the folder needs {', '.join(FILES)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise FolderError(f"{file} is not UTF-8 text ({problem}); save it as CSV UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(reader, [])]
    for column in columns:
        if column not in header:
            found = ", ".join(header) or "nothing"
            raise FolderError(f"{file}, line 1: column {column} is missing (found {found}); add it to the first line")
    rows = []
    for cells in reader:
        if any(cells):
            if len(cells) != len(header):
                message = f"has {len(cells)} cells where the first line has {len(header)}; quote cells with commas"
                raise FolderError(f"{file}, line {reader.line_num}: {message}")
            rows.append(_Row(file, reader.line_num, dict(zip(header, cells, strict=True))))
    return rows


def _noon(day: date) -> datetime:
    return datetime.combine(day, NOON, UTC)


def _email(name: str) -> str:
    """`<first>.<last>@…`, in letters that every mail system takes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return f"{'.'.join(re.findall(r'[a-z0-9-]+', plain))}@{DOMAIN}"


def _reps(rows: Sequence[_Row], crm: str, at: datetime) -> dict[str, Rep]:
    """Everybody who sells or leads, by name; a manager's region is the one of the team's first agent."""
    reps: dict[str, Rep] = {}
    managers: dict[str, Rep] = {}
    for row in rows:
        name, manager, region = (row.required(column) for column in FILES["sales_teams.csv"])
        if name in reps:
            raise row.wrong("sales_agent", f"holds {name!r} a second time; remove one of the rows")
        placed = partial(_rep, crm=crm, region=region, team=f"Team {manager}", at=at)
        managers.setdefault(manager, placed(manager, "Sales Manager", None))
        reps[name] = placed(name, "Sales Agent", _email(manager))
    everybody = managers | reps
    emails: dict[str, str] = {}
    for name, rep in everybody.items():
        other = emails.setdefault(rep.email, name)
        if other != name:
            raise FolderError(f"{rows[0].file}: {name!r} and {other!r} make the same e-mail address; rename one")
    return everybody


def _rep(name: str, title: str, manager_email: str | None, *, crm: str, region: str, team: str, at: datetime) -> Rep:
    first, _, last = name.partition(" ")
    return Rep(
        email=_email(name),
        first_name=first,
        last_name=last,
        title=title,
        crms=(crm,),
        region=region,
        team=team,
        manager_email=manager_email,
        created_at=at,
        modified_at=at,
    )


def _accounts(rows: Sequence[_Row], crm: str, at: datetime) -> dict[str, Account]:
    names = {row.required("account") for row in rows}
    accounts: dict[str, Account] = {}
    for row in rows:
        name, parent = row.required("account"), row.text("subsidiary_of")
        if name in accounts:
            raise row.wrong("account", f"holds {name!r} a second time; remove one of the rows")
        revenue = row.decimal("revenue")
        accounts[name] = Account(
            key=name,
            crm=crm,
            name=name,
            industry=row.text("sector"),
            country=row.text("office_location"),
            website=None,
            employees=row.integer("employees"),
            revenue=None if revenue is None else revenue * MILLION,
            parent_key=parent if parent in names else None,
            owner_email=None,
            currency=CURRENCY,
            created_at=at,
            modified_at=at,
        )
    return accounts


def _products(rows: Sequence[_Row], pipeline: Sequence[_Row], at: datetime) -> Iterator[Product]:
    """The catalogue, and after it what was sold without being in it."""
    listed = {row.required("product"): row for row in rows}
    sold = dict.fromkeys(row.required("product") for row in pipeline)
    for name in (*listed, *(name for name in sold if name not in listed)):
        row = listed.get(name)
        yield Product(
            name=name,
            sku=None,
            family=row.text("series") if row else None,
            price=row.decimal("sales_price") if row else None,
            created_at=at,
            modified_at=at,
        )


def _stages(pipeline: Sequence[_Row]) -> tuple[Stage, ...]:
    """The stages in use, from the least likely on, and the two ends."""
    names = {row.required("deal_stage") for row in pipeline} - {"Won", "Lost"}
    odds = {name: PROBABILITIES.get(name, OTHER_PROBABILITY) for name in names}
    steps = [
        Stage(key=name, id=re.sub(r"\W", "", name).lower(), label=name, probability=odds[name])
        for name in sorted(names, key=lambda name: (odds[name], name))
    ]
    won = Stage(key="Won", id="closedwon", label="Closed Won", probability=100, outcome=Outcome.WON)
    lost = Stage(key="Lost", id="closedlost", label="Closed Lost", probability=0, outcome=Outcome.LOST)
    return (*steps, won, lost)


def _opportunities(
    pipeline: Sequence[_Row],
    crm: str,
    reps: Mapping[str, Rep],
    accounts: Mapping[str, Account],
    stages: Sequence[Stage],
    last_at: datetime,
) -> Iterator[Opportunity]:
    outcomes = {stage.key: stage.outcome for stage in stages}
    seen: set[str] = set()
    for row in pipeline:
        key, agent, account = row.required("opportunity_id"), row.required("sales_agent"), row.text("account")
        if key in seen:
            raise row.wrong("opportunity_id", f"holds {key!r} a second time; remove one of the rows")
        seen.add(key)
        if agent not in reps:
            raise row.wrong("sales_agent", f"holds {agent!r}, who is not in sales_teams.csv; add a row there")
        if account is not None and account not in accounts:
            raise row.wrong("account", f"holds {account!r}, which is not in accounts.csv; add a row there")
        yield _opportunity(row, crm, reps[agent], outcomes[row.required("deal_stage")], last_at)


def _opportunity(row: _Row, crm: str, owner: Rep, outcome: Outcome, last_at: datetime) -> Opportunity:
    key, product, account = row.required("opportunity_id"), row.required("product"), row.text("account")
    engaged_on, closed_on, value = row.day("engage_date"), row.day("close_date"), row.decimal("close_value")
    created_at = _noon(engaged_on) if engaged_on else last_at
    changed_at = max(created_at, _noon(closed_on)) if closed_on and outcome is not Outcome.OPEN else created_at
    return Opportunity(
        key=key,
        crm=crm,
        name=f"{account or 'Unknown account'} - {product} ({key})",
        account_key=account,
        contact_key=None,
        owner_email=owner.email,
        stage=row.required("deal_stage"),
        amount=value,
        currency=CURRENCY,
        close_date=closed_on,
        type=None,
        source=None,
        lines=(Line(product=product, quantity=1, unit_price=value),),
        created_at=created_at,
        stage_changed_at=changed_at,
        modified_at=changed_at,
    )
