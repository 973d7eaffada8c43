"""Whole nights on the sandbox company, one after the other in one data folder: first, again, corrected, blocked."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from nights import Night, Tables, change_deal, published_bytes, published_tables, status_text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connectors.sandbox.generate import generate
from connectors.sandbox.server import Server, running
from orchestration.status import is_blocked


@dataclass
class Story:
    """One sandbox and one data folder."""

    server: Server
    home: Path

    def night(self) -> Night:
        return Night(self.server, self.home)

    @property
    def tables(self) -> Tables:
        return published_tables(self.home)

    def won_deal_in_hubspot(self) -> str:
        """A won deal that is as it should be."""
        query = "select opportunity_id from core.fct_opportunity where crm = 'hubspot' and outcome = 'won' order by all"
        with duckdb.connect(str(self.home / "published" / "current" / "attain.duckdb"), read_only=True) as db:
            (key,) = db.execute(query).fetchone() or ("",)
        return str(key).removeprefix("hubspot:")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with running(generate()) as server:
        yield Story(server, tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="module")
def first(story: Story) -> tuple[Night, Tables]:
    night = story.night()
    assert night.outcome.is_success, night.errors
    return night, story.tables


def test_the_first_night_publishes_every_mart_read_only(first: tuple[Night, Tables], story: Story) -> None:
    night, tables = first
    current = story.home / "published" / "current"
    assert len(tables) == 12
    assert all(rows for name, rows in tables.items() if name != "payout.payout_exclusion")
    for name, rows in tables.items():
        schema, table = name.split(".")
        file = current / schema / f"{table}.parquet"
        assert duckdb.sql(f"select count(*) from '{file}'").fetchone() == (len(rows),)
    assert not any(path.stat().st_mode & stat.S_IWUSR for path in current.rglob("*") if path.is_file())


def test_dirty_records_are_quarantined_by_name(first: tuple[Night, Tables], story: Story) -> None:
    night, tables = first
    dirty = {deal.key for deal in story.server.sandbox.company.dirty}
    status = status_text(story.home)
    assert len(dirty) == 3
    assert "Quarantined: 3" in status
    assert night.warnings.count("won_has_close_date") == 3
    assert len(tables["core.fct_opportunity"]) == len(story.server.sandbox.company.opportunities) - 3


def test_a_second_night_publishes_the_same_from_much_less(first: tuple[Night, Tables], story: Story) -> None:
    before, tables = first
    reader = duckdb.connect(str(story.home / "published" / "current" / "attain.duckdb"), read_only=True)
    with reader:
        again = story.night()
        assert again.outcome.is_success, again.errors
        assert reader.sql("select count(*) from core.fct_opportunity").fetchone() == (
            len(tables["core.fct_opportunity"]),
        )
    assert story.tables == tables
    assert again.pulled < before.pulled / 20


def test_a_poisoned_record_is_held_back_and_a_corrected_one_heals(first: tuple[Night, Tables], story: Story) -> None:
    _, tables = first
    (corrected,) = [deal for deal in story.server.sandbox.company.dirty if deal.crm == "hubspot"]
    poisoned = story.won_deal_in_hubspot()
    corrected_key = next(row for row in status_text(story.home).splitlines() if "deals" in row and "won_has" in row)
    key = next(word for word in corrected_key.split() if word.isdigit() and len(word) > 6)
    change_deal(story.server, key, closedate="2026-08-03T12:00:00Z")
    change_deal(story.server, poisoned, closedate="")

    night = story.night()
    assert night.outcome.is_success, night.errors
    assert poisoned in night.warnings
    assert key not in night.warnings
    with duckdb.connect(str(story.home / "published" / "current" / "attain.duckdb"), read_only=True) as db:
        held_back = db.execute("select opportunity_id from core.fct_opportunity where is_held_back").fetchall()
        healed = db.execute(
            "select closed_on::varchar from core.fct_opportunity where opportunity_id = ?", [f"hubspot:{key}"]
        ).fetchall()
    assert held_back == [(f"hubspot:{poisoned}",)], "the poisoned deal stays in the marts as it was before"
    assert healed == [("2026-08-03",)]
    assert len(story.tables["core.fct_opportunity"]) == len(tables["core.fct_opportunity"]) + 1
    assert corrected.is_dirty


def hide_amounts(request: Request) -> Response | None:
    """Field-level security now keeps the amount from the integration user."""
    if request.url.path.endswith("/crm/v3/properties/deals"):
        visible = ["dealname", "pipeline", "dealstage", "closedate", "createdate", "hubspot_owner_id"]
        return JSONResponse({"results": [{"name": name, "type": "string"} for name in visible]})
    return None


def test_a_critical_failure_publishes_nothing_and_leaves_the_files_as_they_were(
    first: tuple[Night, Tables], story: Story
) -> None:
    before = published_bytes(story.home)
    story.server.sandbox.intercept = hide_amounts
    try:
        night = story.night()
    finally:
        story.server.sandbox.intercept = None
    assert not night.outcome.is_success
    assert "hubspot/deals: Blocked" in night.errors and "amount" in night.errors
    assert is_blocked(story.home)
    assert published_bytes(story.home) == before


def test_a_crm_that_lets_nobody_in_fails_the_night_by_name(first: tuple[Night, Tables], story: Story) -> None:
    before = published_bytes(story.home)
    story.server.sandbox.intercept = lambda request: (
        JSONResponse({"error": "invalid_client", "error_description": "invalid client credentials"}, status_code=400)
        if request.url.path == "/services/oauth2/token"
        else None
    )
    try:
        night = story.night()
    finally:
        story.server.sandbox.intercept = None
    assert not night.outcome.is_success
    assert "Salesforce" in night.errors and "SALESFORCE_CLIENT_ID" in night.errors
    assert published_bytes(story.home) == before
