"""Whole nights on the sandbox company, one after the other in one data folder: first, again, corrected, blocked."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import requests
from nights import AS_OF, FirstNight, dbt, first_night_in, published_bytes, published_tables, status_text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner

from connectors.sandbox.generate import generate
from connectors.sandbox.hubspot import record_id
from connectors.sandbox.salesforce.shape import record_id as salesforce_id
from connectors.sandbox.server import Server
from expectations.report import REPORT
from orchestration.cli import app
from orchestration.publish import PUBLISHED_FILE
from orchestration.status import is_blocked


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / PUBLISHED_FILE), read_only=True) as db:
        return db.execute(sql).fetchall()


def report_text(home: Path) -> str:
    return (home / REPORT).read_text(encoding="utf-8")


@contextmanager
def no_room_for_reports(home: Path) -> Iterator[None]:
    """Put a file where the reports' folder should be."""
    reports = home / "quality" / "reports"
    reports.rename(reports.with_name("kept"))
    reports.touch()
    yield
    reports.unlink()
    reports.with_name("kept").rename(reports)


def change_deal(server: Server, key: str, **properties: str) -> None:
    """Edit a deal in HubSpot, as its owner would."""
    environment = server.environment()
    requests.patch(
        f"{environment['HUBSPOT_URL']}/crm/v3/objects/deals/{key}",
        json={"properties": properties},
        headers={"Authorization": f"Bearer {environment['HUBSPOT_ACCESS_TOKEN']}"},
        timeout=10,
    ).raise_for_status()


def waive(home: Path, key: str) -> str:
    """Let a quarantined record pass, as two stewards do; the waiver's id."""
    environment = {"ATTAIN_HOME": str(home)}

    def quality(*arguments: str) -> Any:
        result = CliRunner(env=environment).invoke(app, ["quality", *arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    (incident,) = [one["incident_id"] for one in quality("list") if one["key"] == key]
    why = ("--days", "7", "--reason", "Other", "--comment", "the contract is signed")
    quality("waive", incident, *why, "--by", "maria")
    (waiver,) = [one["waiver_id"] for one in quality("waivers", "--state", "requested")]
    quality("approve", waiver, "--by", "jonas")
    return str(waiver)


def delete_opportunity(server: Server, key: str) -> None:
    """Delete an opportunity in Salesforce, as an administrator would."""
    environment = server.environment()
    login = {
        "grant_type": "client_credentials",
        "client_id": environment["SALESFORCE_CLIENT_ID"],
        "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
    }
    url = environment["SALESFORCE_URL"]
    token = requests.post(f"{url}/services/oauth2/token", data=login, timeout=10).json()["access_token"]
    requests.delete(
        f"{url}/services/data/v64.0/sobjects/Opportunity/{key}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    ).raise_for_status()


def test_the_first_night_publishes_every_mart_read_only(first_night: FirstNight) -> None:
    current = first_night.home / "published" / "current"
    assert len(first_night.tables) == 17
    for name, rows in first_night.tables.items():
        assert rows or name == "payout.payout_exclusion"
        file = current / f"{name.replace('.', '/')}.parquet"
        assert duckdb.sql(f"select count(*) from '{file}'").fetchone() == (len(rows),)
    assert not any(path.stat().st_mode & stat.S_IWUSR for path in current.rglob("*") if path.is_file())


def test_every_unit_test_of_dbt_passes(first_night: FirstNight, tmp_path: Path) -> None:
    variables = ("--vars", f"{{as_of_date: {AS_OF}}}")
    said = dbt("test", "--select", "test_type:unit", *variables, home=first_night.home, target=tmp_path)
    passed = [line for line in said.splitlines() if " PASS " in line]
    assert len(passed) > 40


def test_all_four_crms_make_one_night_and_what_is_dirty_is_quarantined_by_name(tmp_path: Path) -> None:
    company = generate()
    with first_night_in(tmp_path, company.crms) as night:
        assert [deal.crm for deal in company.dirty] == ["salesforce", "hubspot", "dynamics", "zoho"]
        assert "Quarantined: 4" in status_text(tmp_path)
        assert night.night.warnings.count("won_has_close_date") == 4
        assert len(night.tables["core.fct_opportunity"]) == len(company.opportunities) - 4
        crms = query(tmp_path, "select distinct crm from core.fct_opportunity order by crm")
        assert crms == [("dynamics",), ("hubspot",), ("salesforce",), ("zoho",)]


def test_every_night_leaves_a_report_that_says_whether_to_trust_it(first_night: FirstNight) -> None:
    assert first_night.night.outcome.report == first_night.home / REPORT
    assert "Tonight’s numbers may be trusted, but for" in report_text(first_night.home)


def test_a_second_night_publishes_the_same_from_much_less(first_night: FirstNight) -> None:
    with duckdb.connect(str(first_night.home / PUBLISHED_FILE), read_only=True) as reader:
        with no_room_for_reports(first_night.home):
            again = first_night.again()
        assert again.outcome.is_success, again.errors
        still_read = reader.execute("from core.fct_opportunity order by all").fetchall()
    assert still_read == first_night.tables["core.fct_opportunity"], "a reader keeps the file it has open"
    assert published_tables(first_night.home) == first_night.tables
    assert again.pulled < first_night.night.pulled / 10
    assert again.outcome.report is None, "a night without a report is as good"
    assert "The quality report could not be written" in again.warnings


def test_a_poisoned_record_is_held_back_a_corrected_one_heals_a_deleted_one_goes(first_night: FirstNight) -> None:
    server, home = first_night.server, first_night.home
    (dirty,) = [deal for deal in server.sandbox.company.dirty if deal.crm == "hubspot"]
    corrected = record_id("deals", dirty.key)
    won = "select opportunity_id from core.fct_opportunity where crm = 'hubspot' and outcome = 'won' order by 1 limit 1"
    [(poisoned_id,)] = query(home, won)
    poisoned = str(poisoned_id).removeprefix("hubspot:")
    before = query(
        home, f"from core.fct_opportunity select * exclude is_held_back where opportunity_id = '{poisoned_id}'"
    )

    (unfinished,) = [deal for deal in server.sandbox.company.dirty if deal.crm == "salesforce"]
    unfinished_id = f"salesforce:{salesforce_id('Opportunity', unfinished.key)}"
    waived = waive(home, unfinished_id.removeprefix("salesforce:"))

    [(deleted_id,)] = query(home, "select min(opportunity_id) from core.fct_opportunity where crm = 'salesforce'")

    change_deal(server, corrected, closedate="2026-08-03T12:00:00Z")
    change_deal(server, poisoned, closedate="")
    delete_opportunity(server, str(deleted_id).removeprefix("salesforce:"))
    night = first_night.again()

    assert night.outcome.is_success, night.errors
    assert poisoned in night.warnings and corrected not in night.warnings
    assert poisoned in status_text(home) and corrected not in status_text(home)
    assert query(home, "select opportunity_id from core.fct_opportunity where is_held_back") == [(poisoned_id,)]
    after = query(
        home, f"from core.fct_opportunity select * exclude is_held_back where opportunity_id = '{poisoned_id}'"
    )
    assert after == before, "the poisoned deal stays in the marts as it last was good"
    healed = f"select closed_on::varchar from core.fct_opportunity where opportunity_id = 'hubspot:{corrected}'"
    assert query(home, healed) == [("2026-08-03",)]
    let_pass = "select opportunity_id, waiver_ids from core.fct_opportunity where waiver_ids is not null"
    assert query(home, let_pass) == [(unfinished_id, waived)], "what somebody answers for flows, and says who"
    assert query(home, "select distinct waiver_ids from kpi.kpi_total where grain = 'company'") == [(waived,)]
    assert query(home, f"select count(*) from core.fct_opportunity where opportunity_id = '{deleted_id}'") == [(0,)]


def hide_amounts(request: Request) -> Response | None:
    """From now on field-level security keeps the amount from the integration user."""
    if request.url.path.endswith("/crm/v3/properties/deals"):
        visible = ["dealname", "pipeline", "dealstage", "closedate", "createdate", "hubspot_owner_id"]
        return JSONResponse({"results": [{"name": name, "type": "string"} for name in visible]})
    return None


def refuse_login(request: Request) -> Response | None:
    """The client secret has been rotated, and nobody told us."""
    if request.url.path == "/services/oauth2/token":
        return JSONResponse({"error": "invalid_client", "error_description": "invalid client credentials"}, 400)
    return None


def test_a_critical_failure_publishes_nothing_and_leaves_the_files_as_they_were(first_night: FirstNight) -> None:
    before = published_bytes(first_night.home)
    first_night.server.sandbox.intercept = hide_amounts
    try:
        night = first_night.again()
    finally:
        first_night.server.sandbox.intercept = None
    assert not night.outcome.is_success
    assert "hubspot/deals: Blocked" in night.errors and "amount" in night.errors
    assert is_blocked(first_night.home)
    assert published_bytes(first_night.home) == before
    assert night.outcome.report is not None
    assert "Nothing new was published tonight." in report_text(first_night.home)
    assert "HubSpot deals: " in report_text(first_night.home)


def test_a_crm_that_lets_nobody_in_fails_the_night_by_name(first_night: FirstNight) -> None:
    before = published_bytes(first_night.home)
    first_night.server.sandbox.intercept = refuse_login
    try:
        night = first_night.again()
    finally:
        first_night.server.sandbox.intercept = None
    assert not night.outcome.is_success
    assert "Salesforce" in night.errors and "SALESFORCE_CLIENT_ID" in night.errors
    assert published_bytes(first_night.home) == before


def test_a_failed_dbt_test_is_told_with_the_rows_that_failed(first_night: FirstNight) -> None:
    before = published_bytes(first_night.home)
    night = first_night.again(ATTAIN_CURRENCY="EUR")
    assert not night.outcome.is_success
    assert "plans" in night.errors and "2 rows, for example plan_id field-2025" in night.errors
    assert published_bytes(first_night.home) == before
