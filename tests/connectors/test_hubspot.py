"""HubSpot: the cap on searches, pages that mislead, associations, archives, owners and the errors of its SDK."""

import base64
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from crms import Org, error_page
from starlette.responses import JSONResponse, Response

from connectors import hubspot as connector
from connectors.errors import ApiFailed, AuthenticationFailed, ConnectorError, Refused
from connectors.sandbox import hubspot as portal
from connectors.sandbox.store import Column, Kind

LIST, SEARCH = r"GET .*/objects/deals\?", r"POST .*/objects/deals/search"
ASSOCIATIONS = r"POST .*/associations/deals/companies/batch/read"


@pytest.fixture
def capped(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """A portal whose searches end after 400 results."""
    for module, name in ((connector, "SEARCH_CAP"), (portal, "MOST_SEARCH_RESULTS")):
        monkeypatch.setattr(module, name, 400)
    monkeypatch.setattr(connector, "SEARCH_PAGE", 50)
    return hubspot


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("has_short_pages", [True, False])
def test_more_changes_than_a_search_shows_all_land(capped: Org, as_text: bool, has_short_pages: bool) -> None:
    capped.vendor.compares_ids_as_text, capped.vendor.has_short_pages = as_text, has_short_pages
    capped.pull("deals")
    added = capped.add(1_500)
    assert len({len(key) for key in added}) > 1
    pulled = capped.pull("deals")
    assert capped.landed("deals") == capped.truth("deals")
    assert pulled.rows < 1_900 and pulled.source_count == 1_800


def test_a_count_at_the_cap_is_no_mismatch(capped: Org) -> None:
    capped.add(200)
    capped.pull("deals")
    assert len(list((capped.home / "landing/hubspot/deals/manifests").iterdir())) == 1


def cursor(offset: int) -> str:
    return base64.b64encode(f"{offset}\n".encode()).decode()


@pytest.mark.parametrize(("pattern", "after"), [(LIST, cursor(0)), (SEARCH, "0")])
def test_an_empty_page_with_a_cursor_is_not_the_last(hubspot: Org, pattern: str, after: str) -> None:
    if pattern == SEARCH:
        hubspot.pull("deals")
        hubspot.add(10)
    empty = {"total": 310, "results": [], "paging": {"next": {"after": after}}}
    hubspot.answer(pattern, lambda: JSONResponse(empty))
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")


@pytest.mark.parametrize("paging", [None, {"next": None}, {}])
def test_a_page_whose_paging_is_null_is_the_last(hubspot: Org, paging: Any) -> None:
    hubspot.answer(r"GET .*/objects/products\?", lambda: JSONResponse({"results": [], "paging": paging}), times=2)
    hubspot.pull("products")  # the count does not fit, and so it looks again
    assert hubspot.landed("products") == hubspot.truth("products")


def test_associations_beyond_a_page_all_land(hubspot: Org) -> None:
    deals, companies = hubspot.keys("deals", 3), hubspot.keys("companies", 8)
    for deal in deals:
        known = {link["to_id"] for link in hubspot.server.store.find("hubspot.associations") if link["from_id"] == deal}
        hubspot.vendor._link([("deals", deal, "companies", other) for other in companies if other not in known])
    hubspot.vendor.association_page = 2
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")
    assert all(hubspot.landed("deals")[deal]["company_ids"].count(",") >= 7 for deal in deals)


def associated(to: list[tuple[int, str | None]], after: str | None, id: str) -> Response:
    kinds = [{"toObjectId": key, "associationTypes": [{"typeId": 5, "label": label}]} for key, label in to]
    paging = {"paging": {"next": {"after": after}}} if after else {}
    return JSONResponse({"status": "COMPLETE", "results": [{"from": {"id": id}, "to": kinds, **paging}]})


def test_the_primary_company_comes_first_whatever_page_it_is_on(hubspot: Org) -> None:
    deal = hubspot.keys("deals", 1)[0]
    pages = iter(
        [associated([(11, None), (12, None)], "12", deal), associated([(12, None), (13, "Primary")], None, deal)]
    )
    hubspot.answer(ASSOCIATIONS, lambda: next(pages, associated([], None, deal)), times=100)
    hubspot.pull("deals")
    assert hubspot.latest("deals")[deal]["company_ids"] == '["13", "11", "12"]'


def test_associations_that_repeat_themselves_stop_the_read(hubspot: Org) -> None:
    deal = hubspot.keys("deals", 1)[0]
    hubspot.answer(ASSOCIATIONS, lambda: associated([(11, None)], "11", deal), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        hubspot.pull("deals")


def test_owners_that_repeat_themselves_stop_the_read(hubspot: Org) -> None:
    page = {"results": [], "paging": {"next": {"after": "7"}}}
    hubspot.answer("/owners", lambda: JSONResponse(page), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        hubspot.pull("owners")


def test_a_killed_full_list_goes_on_where_it_was(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "LIST_PAGE", 30)
    monkeypatch.setattr(connector, "PAGES_PER_COMMIT", 2)
    hubspot.answer(LIST, lambda: error_page(502), after=5, times=100)
    with pytest.raises(ApiFailed):
        hubspot.pull("deals")
    kept = len(hubspot.latest("deals"))
    assert kept == 120

    hubspot.urls.clear()
    gone = sorted(set(hubspot.truth("deals")) - set(hubspot.latest("deals")))[0]
    hubspot.delete(gone)
    hubspot.answer("nothing", lambda: error_page(500))
    assert hubspot.pull("deals").rows == 300 - kept
    assert "after=" in next(url for url in hubspot.urls if "/objects/deals?" in url)
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_contacts_move_by_their_own_stamp(hubspot: Org) -> None:
    hubspot.pull("contacts")
    key = hubspot.keys("contacts", 1)[0]
    hubspot.vendor.change("contacts", key, {"firstname": "changed"})
    hubspot.pull("contacts")
    assert hubspot.landed("contacts")[key]["firstname"] == "changed"
    assert hubspot.landed("contacts") == hubspot.truth("contacts")


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


def test_a_survivor_that_is_archived_takes_what_it_swallowed_along(hubspot: Org) -> None:
    hubspot.pull("companies")
    first, second, third = hubspot.keys("companies", 3)
    hubspot.merge(second, first)
    hubspot.merge(third, second)
    hubspot.server.store.delete("hubspot.companies", third)
    hubspot.pull("companies")
    assert not {first, second, third} & set(hubspot.landed("companies"))
    assert hubspot.landed("companies") == hubspot.truth("companies")


def test_an_archived_record_is_deleted_from_the_first_read_on(hubspot: Org) -> None:
    key = hubspot.keys("deals", 1)[0]
    hubspot.delete(key)
    hubspot.pull("deals")
    assert hubspot.latest("deals")[key]["_deleted"] == "true"
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_stamps_may_be_milliseconds(hubspot: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    in_words = portal.sent

    def in_numbers(column: Column, value: Any) -> str | None:
        text = in_words(column, value)
        if text is None or column.kind is not Kind.TIMESTAMP:
            return text
        return str(round(datetime.fromisoformat(text).timestamp() * 1000))

    hubspot.pull("deals")
    monkeypatch.setattr(portal, "sent", in_numbers)
    hubspot.add(5)
    hubspot.pull("deals")
    assert hubspot.landed("deals") == hubspot.truth("deals")

    hubspot.pull("deals", full_refresh=True)
    state = hubspot.pull("deals")
    assert state.rows < 100
    assert all(str(row["hs_lastmodifieddate"]).isdigit() for row in hubspot.latest("deals").values())
    assert hubspot.landed("deals") == hubspot.truth("deals")


def test_what_is_written_while_a_full_list_runs_is_in_the_next_read(
    hubspot: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "LIST_PAGE", 50)
    first = min(hubspot.keys("deals"), key=int)

    def behind_its_back() -> Response:
        hubspot.change(first, dealname="changed")
        return Response(status_code=503)

    hubspot.answer(LIST, behind_its_back, after=3)
    hubspot.pull("deals")
    hubspot.pull("deals")
    assert hubspot.landed("deals")[first]["dealname"] == "changed"
    assert hubspot.landed("deals") == hubspot.truth("deals")


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
    scopes = {"status": "error", "message": "requires crm.objects.leads.read", "category": "MISSING_SCOPES"}
    hubspot.answer("leads", lambda: JSONResponse(scopes, status_code=403), times=100)
    assert "crm.objects.leads.read" in str(hubspot.pull("leads").unavailable)
    hubspot.behave()
    hubspot.pull("leads")
    assert hubspot.landed("leads") == hubspot.truth("leads")
