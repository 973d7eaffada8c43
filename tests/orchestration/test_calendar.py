"""Business units: their zones, and the days on which nobody works in their countries."""

from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from connectors.errors import ConfigurationError
from orchestration.calendar import (
    BUSINESS_UNITS,
    business_units,
    days_off,
    declare,
    holidays_asset,
    holidays_file,
    time_zones,
    write_holidays,
)
from orchestration.resources import Run

HEADER = "business_unit,crm,region,timezone,country,subdivision\n"


def units_file(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "business_units.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_days_off_are_holidays_and_the_weekend_of_the_country() -> None:
    germany = dict(days_off("DE", None, range(2026, 2027)))
    bavaria = dict(days_off("DE", "BY", range(2026, 2027)))
    assert germany[date(2026, 12, 25)] == "Christmas Day"
    assert germany[date(2026, 8, 15)] is None  # a Saturday
    assert date(2026, 1, 6) not in germany and bavaria[date(2026, 1, 6)] == "Epiphany"
    assert date(2026, 8, 14) not in germany

    emirates = dict(days_off("SA", None, range(2026, 2027)))
    assert date(2026, 8, 14) in emirates and date(2026, 8, 16) not in emirates  # Friday is off, Sunday is not


def test_a_day_that_is_worked_for_a_bridge_day_is_no_day_off() -> None:
    china = dict(days_off("CN", None, range(2025, 2026)))
    assert date(2025, 1, 26) not in china  # a Sunday, worked for the Spring Festival
    assert date(2025, 2, 3) in china


def test_every_country_of_the_seed_is_written_once(tmp_path: Path) -> None:
    path = units_file(tmp_path, "Company,,,,,", "North,,North,,DE,", "South,,South,,DE,BY", "West,,West,,DE,")
    assert write_holidays(tmp_path, business_units(path), 2026) > 0
    found = duckdb.sql(
        f"select subdivision, count(distinct date_on) = count(*), min(date_on), max(date_on)"
        f" from '{holidays_file(tmp_path)}' where country = 'DE' group by 1 order by 1 nulls first"
    ).fetchall()
    assert found == [
        (None, True, date(2000, 1, 1), date(2026, 12, 27)),
        ("BY", True, date(2000, 1, 1), date(2026, 12, 27)),
    ]


def test_a_country_that_does_not_exist_is_named(tmp_path: Path) -> None:
    path = units_file(tmp_path, "Nowhere,,North,,ZZ,")
    with pytest.raises(ConfigurationError, match=r"business_units\.csv: .*ZZ"):
        write_holidays(tmp_path, business_units(path), 2026)
    assert not holidays_file(tmp_path).exists()


def test_a_crm_may_have_a_zone_of_its_own_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = units_file(tmp_path, "Company,,,,,", "Iberia,zoho,,Europe/Madrid,ES,", "APAC,dynamics,,,SG,")
    assert time_zones(business_units(path)) == {"zoho": "Europe/Madrid"}
    path = units_file(tmp_path, "Iberia,zoho,,Europe/Madrit,ES,")
    with pytest.raises(ConfigurationError, match="'Europe/Madrit' of Iberia is no time zone"):
        time_zones(business_units(path))


def test_sql_has_an_empty_file_until_the_first_night(tmp_path: Path) -> None:
    declare(tmp_path)
    assert duckdb.sql(f"select count(*), max(date_on) from '{holidays_file(tmp_path)}'").fetchone() == (0, None)

    result = dg.materialize(
        [holidays_asset], resources={"run": Run(home=tmp_path, run_id="r", as_of=date(2026, 8, 14))}
    )
    countries = {unit.country for unit in business_units(BUSINESS_UNITS) if unit.country}
    written = duckdb.sql(f"select distinct country from '{holidays_file(tmp_path)}'").fetchall()
    assert result.success and {country for (country,) in written} == countries

    declare(tmp_path)
    assert duckdb.sql(f"select count(*) > 0 from '{holidays_file(tmp_path)}'").fetchone() == (True,)
