"""HubSpot: searches that end early or late, wide objects, pasts, merges, limits, tokens and both families of paths."""

import base64
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from crms import Org, error_page
from hubspot_company import plain
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connectors.errors import (
    ApiFailed,
    AuthenticationFailed,
    BudgetSpent,
    ConfigurationError,
    ConnectorError,
    IncompleteRead,
    Refused,
)
from connectors.hubspot import Credentials, HubSpot, api, custom_stream, records, source
from connectors.options import Options
from connectors.sandbox import hubspot as portal
from connectors.sandbox.company import Company, CustomField, Opportunity, Split, Step, Survey
from connectors.sandbox.hubspot.gate import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from connectors.sandbox.server import Sandbox, Server
from connectors.stream import Page, Stream
from connectors.tokens import TokenFile

LIST, SEARCH = r"GET .*/objects/deals\?", r"POST .*/objects/deals/search"
ASSOCIATIONS = r"POST .*/associations/deals/companies/batch/read"


@pytest.fixture(scope="module")
def small(halden: Company) -> Company:
    """Instead of the company that the tests of all CRMs have: one that is set up faster still."""
    company = plain(halden)
    deals = tuple(replace(deal, lines=deal.lines[: n % 8 == 0]) for n, deal in enumerate(company.opportunities))
    return replace(company, contacts=company.contacts[::8], leads=company.leads[::8], opportunities=deals)


@pytest.fixture
def serve(address: Server, tmp_path: Path) -> Iterator[Callable[[Company], Org]]:
    """Serve a company that a test made up."""
    sandboxes = []

    def serve(company: Company) -> Org:
        sandbox = Sandbox(company, ["hubspot"])
        sandboxes.append(sandbox)
        address.sandbox.intercept = lambda request: sandbox
        return Org("hubspot", Server(sandbox, address.url), tmp_path)

    yield serve
    for sandbox in sandboxes:
        with closing(sandbox.store):
            pass


@pytest.fixture
def tiny(small: Company) -> Company:
    """Thirty deals, and little else."""
    return replace(small, opportunities=small.opportunities[:30], contacts=(), leads=())


@pytest.fixture
def capped(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """A portal whose searches end after 400 results."""
    hubspot.vendor.habits.most_search_results = 400
    monkeypatch.setattr(source, "SEARCH_CAP", 400)
    monkeypatch.setattr(records, "SEARCH_PAGE", 50)
    return hubspot


def connect(org: Org, options: Options = source.NO_OPTIONS, **credentials: Any) -> HubSpot:
    """Connect otherwise than by the environment."""
    given = {"access_token": portal.ACCESS_TOKEN} | credentials
    org._source = HubSpot(Credentials(url=org.server.url, **given), options)
    return org._source


# searches: capped, short, late, out of order


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("has_short_pages", [True, False])
def test_more_changes_than_a_search_shows_all_land(capped: Org, as_text: bool, has_short_pages: bool) -> None:
    habits = capped.vendor.habits
    habits.compares_ids_as_text, habits.has_short_pages = as_text, has_short_pages
    capped.pull("deals")
    added = capped.add(1_500)
    assert len({len(key) for key in added}) > 1
    pulled = capped.pull("deals")
    assert capped.landed("deals") == capped.truth("deals")
    assert pulled.rows < 1_900 and pulled.source_count == 400


def test_25000_records_changed_in_one_millisecond_all_land(hubspot: Org) -> None:
    stream = hubspot.stream("products")
    connect(hubspot)
    hubspot.pull(stream)
    at = datetime.now(UTC).replace(microsecond=0)
    keys = [portal.record_id("products", f"mass {number}") for number in range(25_000)]
    rows = ({"hs_object_id": key, "name": "mass", "createdate": at, "hs_lastmodifieddate": at} for key in keys)
    hubspot.server.store.insert("hubspot.products", rows)
    landed = {
        record["hs_object_id"]
        for event in hubspot.source.read(stream, {"watermark": at.isoformat()})
        if isinstance(event, Page)
        for record in event.records
    }
    assert landed >= set(keys) and len(set(keys)) == 25_000


def test_a_count_at_the_cap_is_no_mismatch(capped: Org) -> None:
    capped.add(200)
    capped.pull("deals")
    assert len(list((capped.home / "landing/hubspot/deals/manifests").iterdir())) == 1


def test_a_total_beyond_the_cap_is_believed(capped: Org) -> None:
    capped.vendor.habits.totals_saturate = False
    capped.add(200)
    assert capped.pull("deals").source_count == 500


def test_a_record_that_search_shows_90_seconds_late_is_caught_by_the_next_read(hubspot: Org) -> None:
    hubspot.pull("deals")
    hubspot.vendor.habits.search_delay = timedelta(seconds=90)
    now = datetime.now(UTC)
    hidden = hubspot.add(1, stamp=now - timedelta(seconds=60))
    shown = hubspot.add(1, stamp=now - timedelta(seconds=100))
    seen = {
        record["hs_object_id"]
        for page in hubspot.source.read_since(hubspot.stream("deals"), now)
        for record in page.records
    }
    assert not seen & {*hidden, *shown}
    [state] = [
        event.state for event in read(hubspot, "deals", {"watermark": now.isoformat()}) if not isinstance(event, Page)
    ]
    hubspot.vendor.habits.search_delay = timedelta(0)
    later = {
        record["hs_object_id"]
        for event in read(hubspot, "deals", state)
        if isinstance(event, Page)
        for record in event.records
    }
    assert {*hidden, *shown} <= later
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")


def read(org: Org, name: str, state: dict[str, Any]) -> Iterator[Any]:
    return org.source.read(org.stream(name), state)


def test_a_search_out_of_order_loses_nothing(capped: Org) -> None:
    capped.vendor.habits.is_search_unordered = True
    capped.pull("deals")
    capped.add(500)
    capped.pull("deals")
    assert capped.landed("deals") == capped.truth("deals")


def test_what_is_archived_while_a_search_goes_on_hides_no_other_record(capped: Org) -> None:
    capped.pull("deals")
    added = sorted(capped.add(300), key=int)

    def behind_its_back() -> Response:
        for key in added[:60]:
            capped.delete(key)
        return Response(status_code=503)

    capped.answer(SEARCH, behind_its_back, after=3)
    capped.pull("deals")
    assert set(added[60:]) <= set(capped.landed("deals"))
    assert capped.landed("deals") == capped.truth("deals")


def test_an_interrupted_search_goes_on_where_it_was(capped: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PAGES_PER_COMMIT", 2)
    capped.pull("deals")
    capped.add(300)
    capped.answer(SEARCH, lambda: error_page(502), after=6, times=100)
    with pytest.raises(ApiFailed):
        capped.pull("deals")
    capped.behave()
    assert capped.pull("deals").rows < 250
    assert capped.landed("deals") == capped.truth("deals")


def cursor(offset: int) -> str:
    return base64.b64encode(f"{offset}\n".encode()).decode()


@pytest.mark.parametrize(("pattern", "after"), [(LIST, cursor(0)), (SEARCH, "0")])
def test_an_empty_page_with_a_cursor_is_not_the_last(hubspot: Org, pattern: str, after: str) -> None:
    if pattern == SEARCH:
        hubspot.pull("deals")
        hubspot.add(10)
    empty = {"total": 310, "results": [], "paging": {"next": {"after": after}}}
    commits = hubspot.commits("deals")
    hubspot.answer(pattern, lambda: JSONResponse(empty))
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")
    assert hubspot.commits("deals") == commits + 1, "without another look"


@pytest.mark.parametrize("paging", [None, {"next": None}, {}])
def test_a_page_whose_paging_is_null_is_the_last(hubspot: Org, paging: Any) -> None:
    hubspot.answer(r"GET .*/objects/products\?", lambda: JSONResponse({"results": [], "paging": paging}), times=2)
    hubspot.pull("products")  # the count does not fit, and so it looks again
    assert hubspot.landed("products") == hubspot.truth("products")


def test_owners_that_repeat_themselves_stop_the_read(hubspot: Org) -> None:
    page = {"results": [], "paging": {"next": {"after": "7"}}}
    hubspot.answer("/owners", lambda: JSONResponse(page), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page of owners"):
        hubspot.pull("owners")


def test_a_search_that_ignores_where_it_is_stops_the_read(hubspot: Org) -> None:
    hubspot.pull("products")
    first = hubspot.keys("products", 1)[0]
    record = {"id": first, "properties": {"hs_lastmodifieddate": "2026-01-01T00:00:00Z"}}
    page = {"total": 9, "results": [record], "paging": {"next": {"after": "1"}}}
    hubspot.answer("/objects/products/search", lambda: JSONResponse(page), times=1_000)
    with pytest.raises(ApiFailed, match=f"repeats the same page of products .cursor {first}"):
        hubspot.pull("products")


# associations


def test_a_company_with_350_deals_keeps_all_of_them_and_none_is_asked_for_inline(hubspot: Org) -> None:
    company = hubspot.keys("companies", 1)[0]
    hubspot.add(50)
    deals = set(hubspot.keys("deals"))
    hubspot.vendor.link([("deals", deal, "companies", company) for deal in deals])
    hubspot.answer("never", Response)
    stream = replace(hubspot.stream("companies"), associations={"deal_ids": "deals"})
    parts = [event.records for event in hubspot.source.read(stream, {}) if isinstance(event, Page)]
    [record] = [record for part in parts for record in part if record["hs_object_id"] == company]
    assert set(record["deal_ids"]) == deals and len(record["deal_ids"]) == 350
    assert not [url for url in hubspot.urls if "associations=" in url]


def test_associations_beyond_a_page_all_land(hubspot: Org) -> None:
    deals, companies = hubspot.keys("deals", 3), hubspot.keys("companies", 8)
    hubspot.vendor.link([("deals", deal, "companies", other) for deal in deals for other in companies])
    hubspot.vendor.habits.association_page = 2
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")
    assert all(hubspot.landed("deals")[deal]["company_ids"].count(",") >= 7 for deal in deals)


def associated(to: list[tuple[int, str | None]], after: str | None, id: str) -> Response:
    kinds = [{"toObjectId": key, "associationTypes": [{"typeId": 5, "label": label}]} for key, label in to]
    paging = {"paging": {"next": {"after": after}}} if after else {}
    return JSONResponse({"status": "COMPLETE", "results": [{"from": {"id": id}, "to": kinds, **paging}]})


def test_the_primary_company_comes_first_whatever_page_it_is_on(serve: Any, tiny: Company) -> None:
    org = serve(tiny)
    deal = org.keys("deals", 1)[0]
    pages = iter(
        [associated([(11, None), (12, None)], "12", deal), associated([(12, None), (13, "Primary")], None, deal)]
    )
    org.answer(ASSOCIATIONS, lambda: next(pages, associated([], None, deal)), times=100)
    org.pull("deals")
    assert org.latest("deals")[deal]["company_ids"] == '["13", "11", "12"]'


def test_associations_that_repeat_themselves_stop_the_read(hubspot: Org) -> None:
    deal = hubspot.keys("deals", 1)[0]
    hubspot.answer(ASSOCIATIONS, lambda: associated([(11, None)], "11", deal), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        hubspot.pull("deals")


def test_an_association_that_could_not_be_read_is_not_taken_for_none(hubspot: Org) -> None:
    problem = {"status": "error", "category": "INTERNAL", "message": "try later"}
    hubspot.answer(ASSOCIATIONS, lambda: JSONResponse({"results": [], "errors": [problem]}, status_code=207))
    with pytest.raises(ApiFailed, match="companies of deals: try later"):
        hubspot.pull("deals")


def test_associations_with_an_object_that_the_portal_lacks_are_left_out(hubspot: Org) -> None:
    refused = {"status": "error", "message": "requires crm.objects.orders.read", "category": "MISSING_SCOPES"}
    hubspot.answer("/orders", lambda: JSONResponse(refused, status_code=403), times=100)
    hubspot.pull("line_items")
    landed = hubspot.latest("line_items").values()
    assert {row["order_ids"] for row in landed} == {None} and all(row["deal_ids"] for row in landed)
    assert hubspot.pull("orders").unavailable


def test_an_object_that_the_portal_does_not_know_is_refused(hubspot: Org) -> None:
    with pytest.raises(Refused, match="no butterflies in this portal"):
        hubspot.pull(custom_stream("butterflies"))


# whole reads


def test_a_killed_full_list_goes_on_where_it_was(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LIST_PAGE", 30)
    monkeypatch.setattr(source, "PAGES_PER_COMMIT", 2)
    hubspot.answer(LIST, lambda: error_page(502), after=5, times=100)
    with pytest.raises(ApiFailed):
        hubspot.pull("deals")
    kept = len(hubspot.latest("deals"))
    assert 0 < kept < 150 and kept % 60 == 0

    hubspot.urls.clear()
    gone = sorted(set(hubspot.truth("deals")) - set(hubspot.latest("deals")))[0]
    hubspot.delete(gone)
    hubspot.answer("nothing", lambda: error_page(500))
    assert hubspot.pull("deals").rows == 300 - kept
    assert "after=" in next(url for url in hubspot.urls if "/objects/deals?" in url)
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_a_list_whose_cursor_is_lost_starts_over(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LIST_PAGE", 50)
    monkeypatch.setattr(source, "PAGES_PER_COMMIT", 1)
    body = {"status": "error", "message": "Invalid paging cursor", "category": "VALIDATION_ERROR"}
    hubspot.answer(r"GET .*/objects/deals\?.*after=", lambda: JSONResponse(body, status_code=400), after=2)
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")
    versions = [version["_key"] for version in hubspot.versions("deals")]
    assert 300 < len(versions) < 600 and len(set(versions)) == 300

    hubspot.answer(r"GET .*/objects/deals\?.*after=", lambda: JSONResponse(body, status_code=400), times=100)
    with pytest.raises(ApiFailed, match="does not know the place"):
        hubspot.pull("deals", full_refresh=True)


def test_a_record_from_2009_lands_by_default(hubspot: Org) -> None:
    [old] = hubspot.add(1, stamp=datetime(2009, 5, 1, tzinfo=UTC))
    hubspot.pull("deals")
    assert hubspot.landed("deals")[old]["hs_lastmodifieddate"] == datetime(2009, 5, 1, tzinfo=UTC)


def test_what_is_written_while_a_full_list_runs_is_in_the_next_read(
    hubspot: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LIST_PAGE", 50)
    first = min(hubspot.keys("deals"), key=int)

    def behind_its_back() -> Response:
        hubspot.change(first, dealname="changed")
        return Response(status_code=503)

    hubspot.answer(LIST, behind_its_back, after=3)
    hubspot.pull("deals")
    hubspot.pull("deals")
    assert hubspot.landed("deals")[first]["dealname"] == "changed"
    assert hubspot.landed("deals") == hubspot.truth("deals")


WIDE = tuple(
    CustomField(record="opportunity", name=f"wide_custom_field_number_{n:03d}", kind="text") for n in range(900)
)


@pytest.fixture
def wide(serve: Any, tiny: Company) -> Org:
    """Deals with 900 properties of the company's own."""
    deals = tuple(
        replace(deal, custom={field.name: f"{number}/{field.name}" for field in WIDE})
        for number, deal in enumerate(tiny.opportunities)
    )
    org: Org = serve(replace(tiny, opportunities=deals, custom_fields=WIDE))
    return org


def test_900_custom_properties_all_land(wide: Org) -> None:
    def complete() -> bool:
        rows = wide.latest("deals").values()
        return all(str(row[field.name]).endswith(f"/{field.name}") for row in rows for field in WIDE)

    wide.pull("deals")
    assert wide.landed("deals") == wide.truth("deals") and complete()
    wide.add(3, **{field.name: f"x/{field.name}" for field in WIDE})
    wide.pull("deals")
    assert len(wide.landed("deals")) == 33 and complete()


def test_a_record_that_goes_between_list_and_batch_is_not_filled_with_nothing(wide: Org) -> None:
    first, second = wide.keys("deals", 2)

    def behind_its_back() -> Response:
        wide.delete(first)
        wide.vendor.purge("deals", second)
        return Response(status_code=503)

    wide.answer("POST .*/objects/deals/batch/read", behind_its_back)
    wide.pull("deals")
    assert wide.latest("deals")[first]["_deleted"] == "true" and second not in wide.latest("deals")
    assert wide.landed("deals") == wide.truth("deals")


def test_a_batch_that_leaves_a_record_out_without_a_word_is_incomplete(wide: Org) -> None:
    wide.answer("POST .*/objects/deals/batch/read", lambda: JSONResponse({"status": "COMPLETE", "results": []}))
    with pytest.raises(IncompleteRead, match="left out 30 of the deals"):
        wide.pull("deals")
    assert not list(wide.home.glob("landing/hubspot/deals/manifests/*.json"))


# what is archived, restored, merged, purged


def test_what_is_archived_is_marked_and_what_is_restored_lives(hubspot: Org) -> None:
    hubspot.pull("deals")
    key = hubspot.keys("deals", 1)[0]
    stamp = hubspot.truth("deals")[key]["hs_lastmodifieddate"]
    hubspot.vendor.archive("deals", key)
    hubspot.pull("deals")
    assert hubspot.latest("deals")[key]["_deleted"] == "true"
    hubspot.vendor.restore("deals", key)
    hubspot.pull("deals")
    assert hubspot.landed("deals")[key]["hs_lastmodifieddate"] == stamp  # seen although no stamp has moved
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_an_archived_record_is_deleted_from_the_first_read_on(hubspot: Org) -> None:
    key = hubspot.keys("deals", 1)[0]
    hubspot.delete(key)
    hubspot.pull("deals")
    assert hubspot.latest("deals")[key]["_deleted"] == "true"
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_what_is_purged_goes(hubspot: Org) -> None:
    hubspot.pull("deals")
    key = hubspot.keys("deals", 1)[0]
    hubspot.vendor.purge("deals", key)
    hubspot.pull("deals")
    assert hubspot.latest("deals")[key]["_deleted"] == "true"
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_a_survivor_that_is_archived_takes_what_it_swallowed_along(hubspot: Org) -> None:
    hubspot.pull("companies")
    first, second, third = hubspot.keys("companies", 3)
    hubspot.merge(second, first)
    hubspot.merge(third, second)
    hubspot.server.store.delete("hubspot.companies", third)
    hubspot.pull("companies")
    assert not {first, second, third} & set(hubspot.landed("companies"))
    assert hubspot.landed("companies") == hubspot.truth("companies")


@pytest.mark.parametrize("name", ["companies", "deals"])
def test_of_two_merged_records_the_survivor_may_have_a_new_id(hubspot: Org, name: str) -> None:
    hubspot.pull(name)
    winner, loser = hubspot.keys(name, 2)
    hubspot.vendor.merges_give_new_ids = True
    survivor = hubspot.vendor.merge(name, winner, loser)
    hubspot.pull(name)
    assert survivor not in (winner, loser)
    assert {hubspot.latest(name)[key]["_deleted"] for key in (winner, loser)} == {"true"}
    assert set(str(hubspot.landed(name)[survivor]["hs_merged_object_ids"]).split(";")) == {winner, loser}
    assert hubspot.landed(name) == hubspot.truth(name)
    assert len([row for row in hubspot.versions(name) if row["_key"] == loser and row["_deleted"] == "false"]) == 1


# the past of deals


def with_past(deal: Opportunity, number: int) -> Opportunity:
    """A deal that began two weeks ago in another stage, with another amount."""
    before = Step(
        at=deal.created_at, stage="first", amount=Decimal(number), close_date=None, owner_email=deal.owner_email
    )
    now = Step(
        at=deal.created_at + timedelta(days=14),
        stage=deal.stage,
        amount=deal.amount,
        close_date=deal.close_date,
        owner_email=deal.owner_email,
    )
    return replace(deal, history=(before, now))


@pytest.fixture
def past(serve: Any, tiny: Company) -> Org:
    """Deals with a past, but for the one that is listed second."""
    deals = sorted(tiny.opportunities, key=lambda deal: int(portal.record_id("deals", deal.key)))
    moved = (deal if number == 1 else with_past(deal, number) for number, deal in enumerate(deals))
    org: Org = serve(replace(tiny, opportunities=tuple(moved)))
    return org


def test_a_deal_without_a_past_takes_nothing_from_the_others(past: Org) -> None:
    past.pull("deal_history")
    landed = past.landed("deal_history")
    assert landed == past.truth("deal_history")
    assert len({row["deal_id"] for row in landed.values()}) == 29
    second = sorted(past.keys("deals"), key=int)[1]
    assert second not in {row["deal_id"] for row in landed.values()}


def test_the_past_grows_with_the_deals_and_goes_with_them(past: Org) -> None:
    past.pull("deal_history")
    changed, archived, merged, survivor = past.keys("deals", 4)
    past.change(changed, dealstage="closedwon")
    past.vendor.archive("deals", archived)
    past.vendor.merge("deals", survivor, merged)
    past.pull("deal_history")
    landed = past.landed("deal_history")
    assert landed == past.truth("deal_history")
    assert [row["value"] for row in landed.values() if row["deal_id"] == changed].count("closedwon") == 1
    assert not {archived, merged} & {row["deal_id"] for row in landed.values()}
    past.vendor.restore("deals", archived)
    past.change(archived, amount=Decimal("1"))
    past.pull("deal_history")
    assert past.landed("deal_history") == past.truth("deal_history")


def test_two_changes_of_one_moment_are_the_later_one(hubspot: Org) -> None:
    key = hubspot.keys("deals", 1)[0]
    at = "2026-01-01T00:00:00Z"
    pasts = {"amount": [{"value": "2", "timestamp": at}, {"value": "1", "timestamp": at}]}
    record = {"id": key, "properties": {}, "propertiesWithHistory": pasts}
    hubspot.answer(LIST, lambda: JSONResponse({"results": [record]}))
    hubspot.pull("deal_history")
    assert hubspot.landed("deal_history")[f"{key}:amount:{at}"]["value"] == "2"


# values and schema


@pytest.mark.parametrize("in_milliseconds", [False, True])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_the_close_day_is_the_one_picked_in_the_zone_of_the_portal(
    serve: Any, tiny: Company, zone: str, in_milliseconds: bool
) -> None:
    org = serve(tiny)
    org.vendor.habits.timezone, org.vendor.habits.sends_milliseconds = zone, in_milliseconds
    key = org.keys("deals", 1)[0]
    org.change(key, closedate=datetime.combine(date(2026, 3, 31), time(), ZoneInfo(zone)))
    for name in ("account_info", "deals"):
        org.pull(name)
    [account] = org.landed("account_info").values()
    moment = org.landed("deals")[key]["closedate"]
    assert moment.astimezone(ZoneInfo(account["timeZone"])).date() == date(2026, 3, 31)
    assert str(org.latest("deals")[key]["closedate"]).isdigit() is in_milliseconds


def test_stamps_may_be_milliseconds(hubspot: Org) -> None:
    hubspot.pull("deals")
    hubspot.vendor.habits.sends_milliseconds = True
    hubspot.add(5)
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")

    hubspot.pull("deals", full_refresh=True)
    assert hubspot.pull("deals").rows < 100
    assert all(str(row["hs_lastmodifieddate"]).isdigit() for row in hubspot.latest("deals").values())
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_a_property_that_appears_mid_life_is_filled_in_for_old_records(hubspot: Org) -> None:
    hubspot.vendor.habits.hidden = {("companies", "website")}
    assert "website" not in hubspot.pull("companies").drift.get("added", ())
    hubspot.vendor.habits.hidden.clear()
    assert hubspot.pull("companies").drift["added"] == ["website"]
    websites = {row["hs_object_id"]: row["website"] for row in hubspot.server.store.find("hubspot.companies")}
    assert {key: row["website"] for key, row in hubspot.latest("companies").items()} == websites


def test_a_property_that_is_hidden_is_named_and_neither_asked_for_nor_made_up(hubspot: Org) -> None:
    hubspot.vendor.habits.hidden = {("deals", "amount")}
    hubspot.answer("never", Response)
    assert hubspot.pull("deals").missing_fields == ("amount",)
    assert not [url for url in hubspot.urls if "amount" in url.replace("in_home", "")]
    assert {row["amount"] for row in hubspot.latest("deals").values()} == {None}


def test_an_excluded_property_is_never_asked_for(hubspot: Org) -> None:
    connect(hubspot, Options(excluded_fields=("hubspot.contacts.*phone*", "*.jobtitle")))
    hubspot.answer("never", Response)
    hubspot.pull("contacts")
    assert not [url for url in hubspot.urls if "phone" in url or "jobtitle" in url]
    landed = hubspot.latest("contacts").values()
    assert {row["phone"] for row in landed} == {row["jobtitle"] for row in landed} == {None}


def test_codes_have_their_labels_and_a_deleted_stage_keeps_its(hubspot: Org) -> None:
    key = hubspot.keys("companies", 1)[0]
    hubspot.vendor.change("companies", key, {"industry": "FOOD_AND_DRINK"})
    for name in ("property_options", "deal_stages", "companies"):
        hubspot.pull(name)
    assert hubspot.landed("companies")[key]["industry"] == "FOOD_AND_DRINK"
    assert hubspot.landed("property_options")["companies:industry:FOOD_AND_DRINK"]["label"] == "Food And Drink"

    gone = hubspot.vendor.terms.stages.pop("first").id
    hubspot.vendor.change("companies", key, {"industry": "STEEL"})
    for name in ("property_options", "deal_stages"):
        hubspot.pull(name)
    assert hubspot.landed("deal_stages")[gone]["label"]
    assert {"companies:industry:FOOD_AND_DRINK", "companies:industry:STEEL"} <= set(hubspot.landed("property_options"))


def test_when_a_stage_was_entered_lands_under_the_old_name_and_the_new(past: Org) -> None:
    past.pull("deals")
    stage = past.vendor.terms.stages["first"].id
    row = past.latest("deals")[min(past.keys("deals"), key=int)]
    entered = past.server.store.get("hubspot.deals", str(row["_key"]))
    assert entered and entered["createdate"].startswith(str(row[f"hs_v2_date_entered_{stage}"])[:19])
    assert row[f"hs_v2_date_entered_{stage}"] == row[f"hs_date_entered_{stage}"]


def test_deactivated_owners_stay(hubspot: Org) -> None:
    hubspot.pull("owners")
    key = sorted(hubspot.landed("owners"))[0]
    hubspot.server.store.delete("hubspot.owners", key)
    hubspot.pull("owners")
    assert hubspot.landed("owners")[key]["archived"] == "true"
    assert hubspot.landed("owners") == hubspot.truth("owners")

    hubspot.server.store.purge("hubspot.owners", key)
    hubspot.pull("owners")
    assert key not in hubspot.landed("owners")


def test_an_owner_who_changes_teams_was_in_the_other_one_before(hubspot: Org) -> None:
    hubspot.pull("owners")
    key = next(key for key, row in hubspot.landed("owners").items() if row["teams"])
    teams = '[{"id": "1", "name": "Old", "primary": false}, {"id": "2", "name": "New", "primary": true}]'
    hubspot.server.store.update("hubspot.owners", key, {"teams": teams})
    hubspot.pull("owners")
    versions = [str(version["teams"]) for version in hubspot.versions("owners") if version["_key"] == key]
    assert "EMEA Sales" in versions[0] and '"name": "New", "primary": true' in versions[-1]


def test_contacts_move_by_their_own_stamp(hubspot: Org) -> None:
    hubspot.pull("contacts")
    key = hubspot.keys("contacts", 1)[0]
    hubspot.vendor.change("contacts", key, {"firstname": "changed"})
    hubspot.pull("contacts")
    assert hubspot.landed("contacts")[key]["firstname"] == "changed"
    assert hubspot.landed("contacts") == hubspot.truth("contacts")


def test_no_change_by_the_wrong_stamp_is_not_taken_for_no_change(hubspot: Org) -> None:
    hubspot.pull("contacts")
    model = hubspot.server.store.find("hubspot.contacts", limit=1)[0]
    now = datetime.now(UTC)
    hubspot.server.store.insert("hubspot.contacts", [{**model, "hs_object_id": "77", "lastmodifieddate": now}])
    fields = {**hubspot.stream("contacts").fields, "hs_lastmodifieddate": "timestamp"}
    wrong = replace(hubspot.stream("contacts"), cursor="hs_lastmodifieddate", fields=fields)
    hubspot.pull(wrong)  # the search finds nothing, but the count does not fit
    assert "77" in hubspot.landed("contacts")


def test_an_object_of_the_company_s_own_lands_with_what_it_belongs_to(serve: Any, small: Company) -> None:
    accounts = small.accounts
    stamps = {"created_at": small.founded_at, "modified_at": small.founded_at, "answered_at": small.founded_at}
    answers = [
        Survey(
            key=f"s{n}", crm="hubspot", kind="NPS", account_key=a.key, contact_key=None, score=n, comment=None, **stamps
        )
        for n, a in enumerate(accounts[:5])
    ]
    org = serve(replace(small, surveys=tuple(answers)))
    for name in ("survey", "2-1001", "p4242_survey"):
        stream: Stream = custom_stream(name)
        org.pull(stream)
        landed = {str(row["score"]): row for row in org.latest(stream.name).values()}
        assert set(landed) == {"0", "1", "2", "3", "4"}
        company = portal.record_id("companies", accounts[3].key)
        assert landed["3"]["company_ids"] == f'["{company}"]' and landed["3"]["deal_ids"] is None


def test_credit_is_shared_as_hubspot_shares_it(serve: Any, tiny: Company) -> None:
    deal = replace(
        tiny.opportunities[0],
        splits=(
            Split(rep_email="a@x.example", percent=Decimal(20)),
            Split(rep_email="b@x.example", percent=Decimal(80)),
            Split(rep_email="c@x.example", percent=Decimal(10), is_overlay=True),
        ),
    )
    org = serve(replace(tiny, opportunities=(deal,)))
    org.pull("deal_splits")
    landed = org.landed("deal_splits")
    assert landed == org.truth("deal_splits")
    assert {row["hs_deal_split_percentage"] for row in landed.values()} == {Decimal("0.2"), Decimal("0.8")}
    assert sum(row["hs_deal_split_amount"] for row in landed.values()) == deal.amount


# limits


@pytest.mark.parametrize("retry_after", [None, 1])
def test_a_search_that_is_one_too_many_is_sent_again(hubspot: Org, retry_after: int | None) -> None:
    hubspot.pull("deals")
    hubspot.add(3)
    hubspot.answer(SEARCH, lambda: portal.rate_limited("SECONDLY", retry_after=retry_after))
    began = monotonic()
    hubspot.pull("deals")
    assert monotonic() - began >= (retry_after or 0)
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_searches_keep_to_their_own_limit(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "SEARCHES_PER_SECOND", 5)
    hubspot.vendor.gate.searches_per_second = 5
    stream = hubspot.stream("products")
    hubspot.connect()
    for _ in range(8):
        hubspot.source.count(stream, datetime.now(UTC))
    assert not hubspot.vendor.gate.limited


def test_calls_keep_to_the_rate_that_the_answers_tell(hubspot: Org) -> None:
    gate = hubspot.vendor.gate
    gate.burst, gate.burst_seconds = 40, 1
    hubspot.connect()
    began = monotonic()
    for _ in range(60):
        list(hubspot.source.read(hubspot.stream("account_info"), {}))
    assert not gate.limited
    assert monotonic() - began >= 1


def test_the_reserve_of_the_day_is_left_to_others_and_the_next_run_goes_on(
    hubspot: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LIST_PAGE", 10)
    monkeypatch.setattr(source, "PAGES_PER_COMMIT", 2)
    connect(hubspot, Options(reserve=0.2))
    hubspot.vendor.gate.daily_allowance = 40
    with pytest.raises(BudgetSpent, match="calls of the day are used, and 20% are left to others"):
        hubspot.pull("deals")
    assert hubspot.vendor.gate.calls <= 32 + 4  # a few were on their way
    kept = len(hubspot.landed("deals"))
    assert 0 < kept < 300

    hubspot.vendor.gate.daily_allowance = 250_000
    hubspot.connect()
    assert hubspot.pull("deals").rows == 300 - kept
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_after_the_daily_limit_no_call_is_made(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LIST_PAGE", 30)
    hubspot.answer(LIST, lambda: portal.rate_limited("DAILY"), after=3, times=100)
    with pytest.raises(BudgetSpent, match="the day's calls are used up"):
        hubspot.pull("deals")
    calls = len(hubspot.urls)
    assert sum("/objects/deals?" in url for url in hubspot.urls) == 4
    with pytest.raises(BudgetSpent):
        hubspot.pull("companies")
    assert len(hubspot.urls) == calls
    hubspot.behave()
    hubspot.connect()
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_limits_are_told(hubspot: Org) -> None:
    hubspot.vendor.gate.burst = 190
    told = {limit.name: limit.allowed for limit in hubspot.source.limits()}
    assert told == {"calls in 10 seconds": 190, "calls a day": 250_000, "searches a second": 1_000}


# tokens


OAUTH = {"access_token": None, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}


def token_file(folder: Path) -> TokenFile:
    return TokenFile(folder / f"hubspot-{CLIENT_ID}.json")


def test_a_new_refresh_token_is_kept_before_it_is_used(hubspot: Org, tmp_path: Path) -> None:
    gate = hubspot.vendor.gate
    gate.rotates_refresh_tokens = True
    kept: list[bool] = []

    def note(request: Request) -> Any:
        if "/oauth/" not in str(request.url):
            kept.append(set(gate.refresh_tokens) == {token_file(tmp_path).load()["refresh_token"]})
        return None

    hubspot.server.sandbox.intercept = note
    connect(hubspot, Options(token_folder=tmp_path), **OAUTH)
    hubspot.pull("owners")
    gate.expire()
    hubspot.pull("owners")
    assert kept and all(kept[1:]) and hubspot.server.requests["POST /oauth/v1/token"] == 2
    assert token_file(tmp_path).path.stat().st_mode & 0o077 == 0

    connect(hubspot, Options(token_folder=tmp_path), **OAUTH)  # another run has the grant that is dead by now
    hubspot.pull("owners")
    assert hubspot.server.requests["POST /oauth/v1/token"] == 2
    assert hubspot.landed("owners") == hubspot.truth("owners")


def test_a_token_is_renewed_in_time_and_once_for_all_threads(hubspot: Org) -> None:
    gate = hubspot.vendor.gate
    connection = connect(hubspot, **OAUTH)
    connection.limits()
    gate.expire()
    threads = [threading.Thread(target=connection.limits) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hubspot.server.requests["POST /oauth/v1/token"] == 2

    gate.token_life = timedelta(seconds=1)
    gate.expire()
    connection.limits()
    hubspot.answer("never", Response)
    deadline = monotonic() + 1.5
    while monotonic() < deadline:
        connection.limits()
    assert hubspot.server.requests["POST /oauth/v1/token"] == 4  # one for the 401 above, one ahead of the end


def test_a_newly_authorised_app_does_not_use_what_was_kept(hubspot: Org, tmp_path: Path) -> None:
    token_file(tmp_path).path.parent.mkdir(exist_ok=True)
    token_file(tmp_path).save({"refresh_token": "of another grant", "granted": "another"})
    connect(hubspot, Options(token_folder=tmp_path), **OAUTH).limits()


RACER = """
import sys
from pathlib import Path
from connectors.hubspot import Credentials, HubSpot, STREAMS
from connectors.options import Options
url, folder, client_id, client_secret, refresh_token = sys.argv[1:]
credentials = Credentials(url=url, client_id=client_id, client_secret=client_secret, refresh_token=refresh_token)
for _ in range(6):
    source = HubSpot(credentials, Options(token_folder=Path(folder)))
    for _ in range(6):
        source.limits()
"""


def test_two_processes_do_not_take_each_other_s_refresh_token(hubspot: Org, tmp_path: Path) -> None:
    gate = hubspot.vendor.gate
    gate.rotates_refresh_tokens, gate.token_life = True, timedelta(milliseconds=100)
    command = [sys.executable, "-c", RACER, hubspot.server.url, str(tmp_path), CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    failures = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], failures
    assert hubspot.server.requests["POST /oauth/v1/token"] >= 3 and len(gate.refresh_tokens) == 1


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_a_wrong_part_of_a_grant_is_named(hubspot: Org, name: str) -> None:
    connection = connect(hubspot, **{**OAUTH, name: "surely-wrong"})
    with pytest.raises(AuthenticationFailed, match=f"HUBSPOT_{name.upper()}") as caught:
        connection.limits()
    assert "surely-wrong" not in str(caught.value)


def test_half_a_grant_is_refused(hubspot: Org) -> None:
    with pytest.raises(ConfigurationError, match="HUBSPOT_REFRESH_TOKEN"):
        connect(hubspot, **{**OAUTH, "refresh_token": None})


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Credentials(access_token="hush", client_secret="hush", refresh_token="hush"))


def test_a_damaged_token_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for text in ("{", "[]", '{"a": 1}'):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="kept.json"):
            TokenFile(path).load()


# paths


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_both_families_of_paths_are_read_alike(hubspot: Org, version: str) -> None:
    connect(hubspot, api_version=version)
    hubspot.answer("never", Response)
    for name in ("account_info", "exchange_rates", "owners", "deal_stages", "products", "line_items"):
        hubspot.pull(name)
        hubspot.pull(name)
        assert hubspot.landed(name) == hubspot.truth(name), name
    other = r"/2026-0" if version == "v3" else "/v3/"
    assert hubspot.urls and not [url for url in hubspot.urls if other in url]


def test_an_unknown_version_is_refused(hubspot: Org) -> None:
    with pytest.raises(ConfigurationError, match="v4"):
        connect(hubspot, api_version="v4")


# errors


NAMED: dict[int, type[ConnectorError]] = {
    400: ApiFailed,
    401: AuthenticationFailed,
    403: Refused,
    404: Refused,
    409: ApiFailed,
    414: ApiFailed,
    423: ApiFailed,
    429: ApiFailed,
    500: ApiFailed,
    502: ApiFailed,
    503: ApiFailed,
    504: ApiFailed,
}
BODIES = {
    "so it is": lambda: JSONResponse({"status": "error", "message": "so it is", "category": "X"}),
    "Bad Gateway": lambda: error_page(200),
    "under repair": lambda: Response("<p>Bientôt réparé: under repair</p>".encode("latin-1"), media_type="text/html"),
    "": Response,
}


@pytest.mark.parametrize("text", BODIES)
def test_errors_are_named(hubspot: Org, text: str) -> None:
    def refusal(status: int) -> Response:
        response: Response = BODIES[text]()
        response.status_code = status
        return response

    for status, kind in NAMED.items():
        hubspot.answer("/properties/deals", partial(refusal, status), times=100)
        with pytest.raises(ConnectorError) as caught:
            hubspot.pull("deals")
        assert type(caught.value) is kind and text in str(caught.value)
        assert ("HUBSPOT_ACCESS_TOKEN" if status == 401 else "deals") in str(caught.value)


def test_a_portal_without_leads_goes_without(hubspot: Org) -> None:
    scopes = {
        "status": "error",
        "message": "This app hasn't been granted all required scopes",
        "category": "MISSING_SCOPES",
        "context": {"requiredGranularScopes": ["crm.objects.leads.read"]},
    }
    hubspot.answer("leads", lambda: JSONResponse(scopes, status_code=403), times=100)
    assert "crm.objects.leads.read" in str(hubspot.pull("leads").unavailable)
    hubspot.behave()
    hubspot.pull("leads")
    assert hubspot.landed("leads") == hubspot.truth("leads")
