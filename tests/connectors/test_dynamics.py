"""Dynamics: links that go back as they came, change tracking and its ends, and tables that have none."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from crms import Org, error_page
from starlette.requests import Request
from starlette.responses import JSONResponse

from connectors import dynamics as connector
from connectors.errors import ApiFailed, Refused
from connectors.sandbox import dynamics as organisation

READS = r"GET .*/v9.2/opportunities\?"


@pytest.fixture
def paged(dynamics: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """An organisation read in pages of 30, with a commit after each second one."""
    monkeypatch.setattr(connector, "PAGE_ROWS", 30)
    monkeypatch.setattr(connector, "PAGES_PER_COMMIT", 2)
    return dynamics


def with_upper_escapes(link: str) -> str:
    """The one change that every client built on urllib3 makes."""
    return re.sub(r"%[0-9a-fA-F]{2}", lambda escape: escape[0].upper(), link)


def test_links_go_back_byte_for_byte(paged: Org) -> None:
    given: list[str] = []
    asked: list[str] = []
    for name in ("_next_link", "_delta_link"):
        make = getattr(paged.vendor, name)

        def remembered(*args: Any, make: Any = make) -> str:
            given.append(make(*args))
            return given[-1]

        setattr(paged.vendor, name, remembered)

    def listen(request: Request) -> None:
        if request.url.path.endswith("/opportunities"):
            asked.append(f"{paged.server.url}{request.scope['path']}?{request.scope['query_string'].decode()}")

    paged.server.sandbox.intercept = listen
    paged.pull("opportunities")
    paged.add(100)
    paged.pull("opportunities")
    assert len(asked) == 14 and any("%25" in link and "skiptoken" in link for link in given)
    assert list(map(with_upper_escapes, asked[1:])) == list(map(with_upper_escapes, given[:-1]))
    assert paged.landed("opportunities") == paged.truth("opportunities")


def test_after_a_delta_link_expired_what_vanished_meanwhile_is_deleted(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    gone, changed = dynamics.keys("opportunity", 2)
    dynamics.delete(gone)
    dynamics.change(changed, name="changed")
    dynamics.vendor.expire_delta_tokens()
    assert dynamics.pull("opportunities").rows == 299
    assert dynamics.landed("opportunities") == dynamics.truth("opportunities")
    assert dynamics.latest("opportunities")[gone]["_deleted"] == "true"
    assert dynamics.pull("opportunities").rows == 0


def test_after_an_unfinished_read_expired_what_vanished_meanwhile_is_deleted(paged: Org) -> None:
    paged.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        paged.pull("opportunities")
    gone = sorted(paged.landed("opportunities"))[0]
    paged.behave()
    paged.delete(gone)
    paged.vendor._links.clear()  # the link to the next page is as dead as an old delta link
    paged.pull("opportunities")
    assert gone not in paged.landed("opportunities")
    assert paged.landed("opportunities") == paged.truth("opportunities")


def test_a_full_read_that_was_begun_anew_and_killed_still_deletes(paged: Org) -> None:
    paged.pull("opportunities")
    gone = sorted(paged.landed("opportunities"))[0]
    paged.delete(gone)
    paged.vendor.expire_delta_tokens()
    paged.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        paged.pull("opportunities")
    paged.behave()
    pulled = paged.pull("opportunities")
    assert pulled.rows < 299
    assert paged.landed("opportunities") == paged.truth("opportunities")


def test_a_bad_request_on_a_fresh_read_is_no_expiry(dynamics: Org) -> None:
    dynamics.answer(READS, lambda: organisation.error(400, "0x80060888", "no such thing"), times=100)
    with pytest.raises(ApiFailed, match="400 no such thing"):
        dynamics.pull("opportunities")
    assert len([url for url in dynamics.urls if "/opportunities?" in url]) == 1


def test_changes_without_an_end_fail(dynamics: Org) -> None:
    dynamics.answer(READS, lambda: JSONResponse({"value": []}), times=100)
    with pytest.raises(ApiFailed, match="without a delta link"):
        dynamics.pull("opportunities")


def untracked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entity = replace(organisation.ENTITIES[name], is_tracked=False)
    monkeypatch.setitem(organisation.ENTITIES, name, entity)
    monkeypatch.setitem(organisation.SETS, entity.set, entity)


def test_a_table_that_is_not_tracked_is_read_by_its_stamp(paged: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    untracked("opportunity", monkeypatch)
    now = datetime.now(UTC).replace(microsecond=0)
    paged.pull("opportunities")
    assert paged.landed("opportunities") == paged.truth("opportunities")
    key = paged.keys("opportunity", 1)[0]
    paged.change(key, name="changed", modifiedon=now)
    paged.add(70, stamp=now)
    assert 71 <= paged.pull("opportunities").rows < 100
    assert paged.landed("opportunities") == paged.truth("opportunities")


def test_a_table_that_loses_and_gains_tracking_stays_whole(dynamics: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        dynamics.delete(dynamics.keys("opportunity", 1)[0])
        dynamics.connect()
        with pytest.MonkeyPatch.context() as patch:
            if number % 2:
                untracked("opportunity", patch)
            dynamics.pull("opportunities")
        assert dynamics.landed("opportunities") == dynamics.truth("opportunities"), number


@pytest.mark.parametrize("is_hidden", [True, False])
def test_a_table_without_a_stamp_is_read_whole(dynamics: Org, is_hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, object = ("opportunities", "opportunity") if is_hidden else ("processstages", "processstage")
    if is_hidden:
        untracked(object, monkeypatch)
        columns = [name for name in organisation.ENTITIES[object].table.columns if name != "modifiedon"]
        listing = {"value": [{"LogicalName": name.strip("_").removesuffix("_value")} for name in columns]}
        dynamics.answer(f"'{object}'.*/Attributes", lambda: JSONResponse(listing), times=100)
    dynamics.pull(stream)
    key = dynamics.keys(object, 1)[0]
    dynamics.server.store.delete(f"dynamics.{object}", key)
    dynamics.pull(stream)
    assert dynamics.latest(stream)[key]["_deleted"] == "true"
    assert set(dynamics.landed(stream)) == set(dynamics.truth(stream))


def test_the_end_of_a_record_never_seen_does_no_harm(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    (key,) = dynamics.add(1)
    dynamics.delete(key)
    assert dynamics.pull("opportunities").rows == 1
    assert dynamics.landed("opportunities") == dynamics.truth("opportunities")
    assert dynamics.latest("opportunities")[key]["_deleted"] == "true"


def test_lookups_and_money_land_as_sent(dynamics: Org) -> None:
    key, other = dynamics.add(2)
    dynamics.change(key, estimatedvalue=Decimal("0.1"), actualvalue=Decimal("12345678901234.5678"))
    dynamics.change(other, estimatedvalue=Decimal("0"))
    dynamics.pull("opportunities")
    dynamics.pull("opportunityproducts")
    dynamics.pull("transactioncurrencies")
    row = dynamics.latest("opportunities")[key]
    assert (row["estimatedvalue"], row["actualvalue"]) == ("0.1000", "12345678901234.5678")
    assert dynamics.latest("opportunities")[other]["estimatedvalue"] == "0.0000"
    assert all(row["_ownerid_value"] for row in dynamics.landed("opportunities").values())
    assert all(row["_opportunityid_value"] for row in dynamics.landed("opportunityproducts").values())
    rates = {row["isocurrencycode"]: row["exchangerate"] for row in dynamics.latest("transactioncurrencies").values()}
    assert rates["AUD"] == "1.5200000000"


def test_another_address_is_another_organisation(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    gone = dynamics.keys("opportunity", 1)[0]
    dynamics.server.store.purge("dynamics.opportunity", gone)
    dynamics.changes = {"DYNAMICS_URL": dynamics.server.url.replace("127.0.0.1", "localhost")}
    dynamics.connect()
    dynamics.answer("nothing", lambda: error_page(500))
    assert dynamics.pull("opportunities").rows == 299
    data = [url for url in dynamics.urls if "/api/data/" in url]
    assert data and all("//localhost:" in url for url in data)
    assert dynamics.landed("opportunities") == dynamics.truth("opportunities")
    assert dynamics.pull("opportunities").rows == 0


def test_another_set_of_columns_is_read_from_the_start(dynamics: Org) -> None:
    columns = [name for name in organisation.ENTITIES["opportunity"].table.columns if name != "description"]
    hidden = [name for name in columns if name != "stepname"]
    listing = {"value": [{"LogicalName": name.strip("_").removesuffix("_value")} for name in hidden]}
    dynamics.answer("/Attributes", lambda: JSONResponse(listing))
    assert dynamics.pull("opportunities").missing_fields == ("stepname",)
    dynamics.behave()
    dynamics.connect()
    assert dynamics.pull("opportunities").rows == 300
    assert dynamics.landed("opportunities") == dynamics.truth("opportunities")


def test_a_table_the_environment_does_not_show_is_refused(dynamics: Org) -> None:
    dynamics.answer(r"EntityDefinitions\?", lambda: JSONResponse({"value": []}))
    with pytest.raises(Refused, match="opportunity"):
        dynamics.pull("opportunities")


def test_without_a_count_a_read_goes_on(dynamics: Org) -> None:
    dynamics.answer("RetrieveTotalRecordCount", lambda: error_page(403), times=100)
    assert dynamics.pull("opportunities").source_count is None
    assert dynamics.landed("opportunities") == dynamics.truth("opportunities")


@pytest.mark.parametrize("status", [200, 503])
def test_a_directory_that_answers_with_an_error_page_is_a_clear_failure(dynamics: Org, status: int) -> None:
    dynamics.connect()
    dynamics.answer("oauth2/v2.0/token", lambda: error_page(status), times=100)
    with pytest.raises(ApiFailed, match="Entra"):
        dynamics.pull("opportunities")


def test_a_token_is_asked_for_once(dynamics: Org) -> None:
    for stream in connector.STREAMS:
        dynamics.pull(stream)
    assert sum("/token" in request for request in dynamics.server.requests.elements()) == 1


def test_states_are_json(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    manifest = next((dynamics.home / "landing/dynamics/opportunities/manifests").iterdir())
    assert set(json.loads(manifest.read_text())["state"]) == {"url", "columns", "delta_link", "is_complete"}
