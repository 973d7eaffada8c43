"""Where and when the business units work: their time zones, and the days on which nobody works in their countries.

How working days are counted, and what the fiscal year looks like, is dbt's to say.
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.errors import ConfigurationError
from orchestration.resources import Run
from orchestration.settings import PROJECT_ROOT

BUSINESS_UNITS = PROJECT_ROOT / "dbt_project" / "seeds" / "business_units.csv"
FIRST_YEAR, YEARS_AHEAD = 2000, 3
"""Days off are worked out for these years, which is more than any calendar of the warehouse holds."""
_COLUMNS: Mapping[str, pa.DataType] = {
    "country": pa.string(),
    "subdivision": pa.string(),
    "date_on": pa.date32(),
    "holiday_name": pa.string(),
}
SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class BusinessUnit:
    """A part of the company with its own clock or calendar."""

    business_unit: str
    crm: str
    """Empty: a region's, or the whole company's."""
    region: str
    timezone: str
    country: str
    subdivision: str


def business_units(path: Path = BUSINESS_UNITS) -> Sequence[BusinessUnit]:
    """Read the seed."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [BusinessUnit(**{name: value.strip() for name, value in row.items()}) for row in csv.DictReader(lines)]


def time_zones(units: Sequence[BusinessUnit]) -> Mapping[str, str]:
    """By CRM, for those that do not keep the company's.

    Raises:
        ConfigurationError: a zone does not exist.

    """
    zones = {unit.crm: unit for unit in units if unit.crm and unit.timezone}
    for unit in zones.values():
        try:
            ZoneInfo(unit.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigurationError(
                f"{BUSINESS_UNITS.name}: {unit.timezone!r} of {unit.business_unit} is no time zone; "
                "give one such as Europe/Berlin."
            ) from None
    return {crm: unit.timezone for crm, unit in zones.items()}


def days_off(country: str, subdivision: str | None, years: range) -> Iterator[tuple[date, str | None]]:
    """Days on which nobody works, in order: public holidays with their names, days of the weekend with None.

    Working days that make up for a bridge day are left out, also on a Saturday.

    Raises:
        NotImplementedError: the library knows no such country or subdivision.

    """
    import holidays  # heavy with country modules

    calendar = holidays.country_holidays(country, subdiv=subdivision, years=years, language="en_US")
    day, end = date(years.start, 1, 1), date(years.stop, 1, 1)
    while day < end:
        if not calendar.is_working_day(day):
            yield day, calendar.get(day)
        day += timedelta(days=1)


def declare(home: Path) -> None:
    """Give SQL an empty file until a night has worked the days out."""
    if not holidays_file(home).exists():
        _write(holidays_file(home), SCHEMA.empty_table())


def holidays_file(home: Path) -> Path:
    """Where the days off lie."""
    return home / "calendar" / "holidays.parquet"


def write_holidays(home: Path, units: Sequence[BusinessUnit], last_year: int) -> int:
    """Write the days off of every country that a business unit names, and say how many.

    Raises:
        ConfigurationError: a country or subdivision is not known.

    """
    places = sorted({(unit.country, unit.subdivision) for unit in units if unit.country})
    rows: list[tuple[str, str | None, date, str | None]] = []
    for country, subdivision in places:
        try:
            found = list(days_off(country, subdivision or None, range(FIRST_YEAR, last_year + 1)))
        except NotImplementedError as error:
            raise ConfigurationError(f"{BUSINESS_UNITS.name}: {error}") from error
        rows += [(country, subdivision or None, day, name) for day, name in found]
    columns = zip(*rows, strict=True) if rows else ((),) * len(SCHEMA)
    _write(holidays_file(home), pa.table(list(map(list, columns)), schema=SCHEMA))
    return len(rows)


@dg.asset(
    key=["attain", "holidays"],
    group_name="landing",
    kinds={"python", "parquet"},
    description="The days on which nobody works in the countries of the business units.",
)
def holidays_asset(run: dg.ResourceParam[Run]) -> dg.MaterializeResult[None]:
    """Work the days off out anew: what a country decides on arrives with the library's next release."""
    try:
        units = business_units()
        time_zones(units)
        rows = write_holidays(run.home, units, run.as_of.year + YEARS_AHEAD)
    except ConfigurationError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(metadata={"dagster/row_count": rows})


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, fresh)
    fresh.replace(path)
