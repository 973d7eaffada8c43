"""Dynamics: links that go back as they came, change tracking and its ends, tables without it, and very wide ones."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from crms import HangUp, Org, error_page
from dynamics_company import ACCOUNTS, DEAL, THEN, tiny
from starlette.requests import Request
from starlette.responses import JSONResponse

from connectors.dynamics import custom_stream
from connectors.dynamics import source as connector
from connectors.errors import ApiFailed, AuthenticationFailed, Refused
from connectors.sandbox import dynamics as organisation
from connectors.sandbox.company import Change, ChangeKind, Company, CustomField
from connectors.sandbox.server import running
from connectors.stream import Page, Stream

READS = r"GET .*/v9.2/opportunities\?"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def small() -> Company:
    """A company with 300 deals, one a minute."""
    deals = (replace(DEAL, key=f"D{n}", modified_at=THEN + timedelta(minutes=n)) for n in range(300))
    return tiny(opportunities=tuple(deals))


@pytest.fixture
def paged(dynamics: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """An organisation read in pages of 30, with a commit after each second one."""
    monkeypatch.setattr(connector, "PAGE_ROWS", 30)
    monkeypatch.setattr(connector, "PAGES_PER_COMMIT", 2)
    return dynamics


@contextmanager
def serving(company: Company, home: Path) -> Iterator[Org]:
    """An organisation of a company of the test's own."""
    with running(company, ["dynamics"]) as server:
        yield Org("dynamics", server, home)


def assert_landed(org: Org, *streams: str) -> None:
    for stream in streams:
        assert org.landed(stream) == org.truth(stream), stream


def exclude(org: Org, column: str) -> None:
    """Let a column be private."""
    org.changes = {"ATTAIN_EXCLUDE_FIELDS": column}
    org.connect()


# every table


def test_every_stream_lands_as_it_is(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        for stream in connector.STREAMS:
            pulled = org.pull(stream)
            assert not pulled.unavailable and not pulled.missing_fields, stream.name
            assert pulled.rows == len(org.truth(stream.name)) and pulled.source_count in (pulled.rows, None)
            assert bool(pulled.rows) != (stream.name in ("quotes", "contracts")), stream.name
            assert_landed(org, stream.name)
        assert org.server.requests[f"POST /{org.environment['DYNAMICS_TENANT_ID']}/oauth2/v2.0/token"] == 1


def test_a_table_named_in_configuration_lands_with_all_its_columns(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        org.pull(custom_stream("new_surveyresponse"))
        (row,) = org.latest("new_surveyresponse").values()
        assert (row["new_score"], row["new_comment"], row["_deleted"]) == ("9", "NA", "false")
        assert row["_new_accountid_value"] == organisation.record_id("account", "A1")
        with pytest.raises(Refused, match="nope"):
            org.pull(custom_stream("nope"))
        with pytest.raises(Refused, match="activityid"):
            org.pull(custom_stream("campaignresponse"))


def test_a_private_column_is_never_asked_for(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        exclude(org, "dynamics.contact.*phone*")
        org.answer("nothing", lambda: error_page(500))
        org.pull("contacts")
        (row,) = org.latest("contacts").values()
        assert row["telephone1"] is None and row["lastname"] == "Null"
        assert not [url for url in org.urls if "telephone1" in url]


def test_a_lookup_into_several_tables_says_which(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        (key,) = org.keys("opportunity")
        team = org.keys("team")[0]
        org.change(key, _ownerid_value=team, owneridtype="team")
        for stream in ("opportunities", "tasks", "emails"):
            org.pull(stream)
        deal = org.latest("opportunities")[key]
        assert (deal["_ownerid_value"], deal["_ownerid_value_type"]) == (team, "team")
        assert deal["_customerid_value_type"] == "account" and "_pricelevelid_value_type" not in deal
        kinds = [row["_regardingobjectid_value_type"] for s in ("tasks", "emails") for row in org.latest(s).values()]
        assert kinds == ["lead", "opportunity"]


# links and pages


def test_links_go_back_byte_for_byte(paged: Org) -> None:
    given: list[str] = []
    asked: list[str] = []
    for name in ("_next_link", "_delta_link"):
        make = getattr(paged.vendor._reading, name)

        def remembered(*args: Any, make: Any = make) -> str:
            given.append(make(*args))
            return given[-1]

        setattr(paged.vendor._reading, name, remembered)

    def listen(request: Request) -> None:
        if request.url.path.endswith("/opportunities"):
            asked.append(f"{paged.server.url}{request.scope['path']}?{request.scope['query_string'].decode()}")

    paged.server.sandbox.intercept = listen
    paged.pull("opportunities")
    paged.add(100)
    paged.pull("opportunities")
    assert len(asked) == 14 and any("%253c" in link and "skiptoken" in link for link in given)
    assert asked[1:] == given[:-1] and any("%2f" in link and "deltatoken" in link for link in asked)
    assert_landed(paged, "opportunities")


def test_an_empty_page_with_a_link_goes_on(paged: Org) -> None:
    paged.answer(
        READS, lambda: JSONResponse({"value": [], "@odata.nextLink": paged.urls[-1].split()[1].replace(",", "%2c")})
    )
    paged.pull("opportunities")
    assert_landed(paged, "opportunities")
    assert len([url for url in paged.urls if "/v9.2/opportunities?" in url]) == 11


@pytest.mark.parametrize("links", [["a"], ["a", "b"]])
def test_a_link_that_leads_in_circles_stops_with_an_error_that_names_it(dynamics: Org, links: list[str]) -> None:
    turns = iter(links * 50)

    def page() -> JSONResponse:
        link = f"{dynamics.server.url}/api/data/v9.2/opportunities?$select=name&$skiptoken={next(turns)}"
        return JSONResponse({"value": [], "@odata.nextLink": link})

    dynamics.answer(READS, page, times=1_000)
    with pytest.raises(ApiFailed, match=r"repeats the same page of opportunity.*skiptoken=a"):
        dynamics.pull("opportunities")
    assert len(dynamics.urls) < 20


def test_a_page_that_breaks_off_is_fetched_again(paged: Org) -> None:
    paged.answer(READS, HangUp, after=3, times=2)
    assert paged.pull("opportunities").rows == 300
    assert_landed(paged, "opportunities")


def test_a_link_lost_in_the_middle_of_a_read_restarts_it(paged: Org) -> None:
    paged.answer(r"skiptoken", lambda: organisation.error(400, "0x80048d0a", "The paging cookie is lost."), after=5)
    paged.pull("opportunities")
    assert_landed(paged, "opportunities")


@pytest.mark.parametrize("is_tracked", [True, False])
def test_12000_rows_equal_in_the_sort_column_land_once_each(tmp_path: Path, is_tracked: bool) -> None:
    with serving(tiny(), tmp_path) as org:
        org.vendor.track("metric", is_tracked)
        model = org.server.store.find("dynamics.metric")[0] | {"modifiedon": NOW}
        keys = [organisation.record_id("metric", str(number)) for number in range(12_000)]
        org.server.store.insert("dynamics.metric", ({**model, "metricid": key} for key in keys))
        seen: Counter[str] = Counter()
        for event in org.source.read(org.stream("metrics"), {}):
            seen.update(row["metricid"] for row in getattr(event, "records", ()))
        assert len(seen) == 12_001 and set(seen.values()) == {1}


@pytest.mark.parametrize("is_tracked", [True, False])
def test_5000_changes_of_one_second_land_once_each_across_page_borders(
    tmp_path: Path, is_tracked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "PAGE_ROWS", 700)
    monkeypatch.setattr(connector, "PAGES_PER_COMMIT", 3)
    with serving(tiny(), tmp_path) as org:
        org.vendor.track("metric", is_tracked)
        org.pull("metrics")
        model = org.server.store.find("dynamics.metric")[0] | {"modifiedon": NOW, "createdon": NOW}
        keys = [organisation.record_id("metric", str(number)) for number in range(5_000)]
        org.server.store.insert("dynamics.metric", ({**model, "metricid": key} for key in keys))
        org.pull("metrics")
        assert_landed(org, "metrics")
        landed = Counter(version["_key"] for version in org.versions("metrics"))
        assert all(landed[key] == 1 for key in keys)


# wide tables

WIDE = tuple(
    CustomField(record="opportunity", name=f"attribute_number_{number:03d}_of_this_company", kind="text")
    for number in range(900)
)


def test_900_custom_columns_land_and_private_ones_are_still_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "PAGE_ROWS", 2)
    values = {field.name: f"value {number}" for number, field in enumerate(WIDE)}
    deals = tuple(replace(DEAL, key=f"D{n}", custom=values) for n in range(5))
    with serving(tiny(opportunities=deals, custom_fields=WIDE), tmp_path) as org:
        secret = f"new_{WIDE[7].name}"
        exclude(org, f"dynamics.opportunity.{secret}")
        expected = {f"new_{name}": value for name, value in values.items() if f"new_{name}" != secret}
        org.pull("opportunities")
        assert org.server.requests["POST /api/data/v9.2/$batch"] == 3
        key = org.keys("opportunity")[0]
        org.change(key, name="changed")
        assert org.pull("opportunities").rows == 1
        assert_landed(org, "opportunities")
        landed = org.latest("opportunities").values()
        assert [{name: row[name] for name in expected} for row in landed] == [expected] * 5
        assert not [row for row in landed if secret in row]


def test_what_goes_wrong_in_a_batch_is_seen(tmp_path: Path) -> None:
    with serving(tiny(opportunities=(replace(DEAL, custom={}),), custom_fields=WIDE), tmp_path) as org:
        stream = org.stream("opportunities")
        *_, end = org.source.read(stream, {})
        org.vendor.expire_delta_tokens()
        org.vendor.expire_sessions()
        org.change(org.keys("opportunity")[0], name="changed")
        restart, page, last = org.source.read(stream, end.state)
        assert restart.state == {} and last.is_complete
        assert [row["name"] for row in page.records] == ["changed"]


def test_a_wide_table_is_read_in_smaller_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "PAGE_VALUES", 50)
    with serving(tiny(), tmp_path) as org:
        assert [len(e.records) for e in org.source.read(org.stream("accounts"), {}) if isinstance(e, Page)] == [2, 1]


# change tracking


def test_after_a_delta_link_expired_what_vanished_meanwhile_is_deleted(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    gone, changed = dynamics.keys("opportunity", 2)
    dynamics.delete(gone)
    dynamics.change(changed, name="changed")
    dynamics.vendor.expire_delta_tokens()
    assert dynamics.pull("opportunities").rows == 299
    assert_landed(dynamics, "opportunities")
    assert dynamics.latest("opportunities")[gone]["_deleted"] == "true"
    assert dynamics.pull("opportunities").rows == 0


def test_after_an_unfinished_read_expired_what_vanished_meanwhile_is_deleted(paged: Org) -> None:
    paged.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        paged.pull("opportunities")
    gone = sorted(paged.landed("opportunities"))[0]
    paged.behave()
    paged.delete(gone)
    paged.vendor.lose_pages()  # the link to the next page is as dead as an old delta link
    paged.pull("opportunities")
    assert gone not in paged.landed("opportunities")
    assert_landed(paged, "opportunities")


def test_a_resumed_read_sees_what_was_deleted_in_between(paged: Org) -> None:
    paged.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        paged.pull("opportunities")
    gone = sorted(paged.landed("opportunities"))[0]
    paged.behave()
    paged.delete(gone)
    assert paged.pull("opportunities").rows < 300
    assert_landed(paged, "opportunities")


def test_a_full_read_that_was_begun_anew_and_killed_still_deletes(paged: Org) -> None:
    paged.pull("opportunities")
    gone = sorted(paged.landed("opportunities"))[0]
    paged.delete(gone)
    paged.vendor.expire_delta_tokens()
    paged.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        paged.pull("opportunities")
    paged.behave()
    assert paged.pull("opportunities").rows < 299
    assert_landed(paged, "opportunities")


def test_a_bad_request_on_a_fresh_read_is_no_expiry(dynamics: Org) -> None:
    dynamics.answer(READS, lambda: organisation.error(400, "0x80060888", "no such thing"), times=100)
    with pytest.raises(ApiFailed, match="400 no such thing"):
        dynamics.pull("opportunities")
    assert len([url for url in dynamics.urls if "/opportunities?" in url]) == 1


def test_changes_without_an_end_fail(dynamics: Org) -> None:
    dynamics.answer(READS, lambda: JSONResponse({"value": []}), times=100)
    with pytest.raises(ApiFailed, match="without a delta link"):
        dynamics.pull("opportunities")


def test_the_end_of_a_record_never_seen_does_no_harm(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    (key,) = dynamics.add(1)
    dynamics.delete(key)
    assert dynamics.pull("opportunities").rows == 1
    assert_landed(dynamics, "opportunities")
    assert dynamics.latest("opportunities")[key]["_deleted"] == "true"


def test_a_table_that_stopped_telling_of_its_changes_is_found_out_by_its_count(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    dynamics.add(5, stamp=NOW - timedelta(hours=1))
    link = f"{dynamics.server.url}/api/data/v9.2/opportunities?$deltatoken=0%2108%2f14%2f2026%2018%3a00%3a00"
    dynamics.answer(r"deltatoken", lambda: JSONResponse({"value": [], "@odata.deltaLink": link}), times=100)
    assert dynamics.pull("opportunities").source_count == 305
    assert_landed(dynamics, "opportunities")


def test_a_state_of_an_older_version_means_a_full_read(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    old = {"url": f"{dynamics.server.url}/api/data/v9.2/", "columns": ["name"], "delta_link": "x", "is_complete": False}
    events = list(dynamics.source.read(dynamics.stream("opportunities"), old))
    assert events[0].state == {} and events[-1].is_complete
    assert sum(len(getattr(event, "records", ())) for event in events) == 300


# tables without change tracking


@pytest.fixture
def untracked(paged: Org) -> Org:
    """An organisation whose opportunities are not tracked, read in small pages."""
    paged.vendor.track("opportunity", False)
    return paged


def test_a_table_that_is_not_tracked_is_read_by_its_stamp(untracked: Org) -> None:
    untracked.pull("opportunities")
    assert_landed(untracked, "opportunities")
    key = untracked.keys("opportunity", 1)[0]
    untracked.change(key, name="changed", modifiedon=NOW)
    untracked.add(70, stamp=NOW)
    assert 71 <= untracked.pull("opportunities").rows < 100
    assert_landed(untracked, "opportunities")


def test_a_delete_in_a_table_that_is_not_tracked_is_found_by_the_keys(untracked: Org) -> None:
    untracked.pull("opportunities")
    gone, purged, swapped = untracked.keys("opportunity", 3)
    untracked.delete(gone)
    untracked.server.store.purge("dynamics.opportunity", purged)
    untracked.pull("opportunities")
    assert_landed(untracked, "opportunities")
    untracked.delete(swapped)
    untracked.add(1)  # the count is the same as before
    untracked.pull("opportunities")
    assert_landed(untracked, "opportunities")
    assert all(untracked.latest("opportunities")[key]["_deleted"] == "true" for key in (gone, purged, swapped))


def test_a_row_that_shows_up_behind_the_watermark_is_caught(untracked: Org) -> None:
    untracked.add(1)
    untracked.pull("opportunities")
    commits = untracked.commits("opportunities")
    late = untracked.add(1, stamp=untracked.newest("opportunity") - timedelta(minutes=9))
    untracked.pull("opportunities")
    assert set(late) < set(untracked.landed("opportunities"))
    assert untracked.commits("opportunities") == commits + 2, "by one look, and the keys, of which none was lacking"


def test_a_stamp_ahead_of_the_clock_hides_nothing(untracked: Org) -> None:
    untracked.add(1, stamp=NOW + timedelta(days=300))
    untracked.pull("opportunities")
    new = untracked.add(1)
    untracked.pull("opportunities")
    assert set(new) < set(untracked.landed("opportunities"))


def test_a_killed_read_by_stamp_goes_on_from_its_last_commit(untracked: Org) -> None:
    untracked.answer(READS, lambda: error_page(500), after=5, times=100)
    with pytest.raises(ApiFailed):
        untracked.pull("opportunities")
    kept = sorted(untracked.landed("opportunities"))
    assert 0 < len(kept) < 300
    untracked.behave()
    untracked.delete(kept[0])
    assert untracked.pull("opportunities").rows < 300
    assert_landed(untracked, "opportunities")


def test_a_row_from_2009_lands_by_default(untracked: Org) -> None:
    then = datetime(2009, 3, 1, tzinfo=UTC)
    (old,) = untracked.add(1, stamp=then, createdon=then)
    untracked.vendor.track("account", True)
    untracked.pull("opportunities")
    assert untracked.landed("opportunities")[old]["createdon"] == then
    untracked.vendor.track("opportunity", True)
    untracked.connect()
    untracked.pull("opportunities")
    assert_landed(untracked, "opportunities")


def test_a_table_that_loses_and_gains_tracking_stays_whole(dynamics: Org) -> None:
    for number in range(4):
        dynamics.delete(dynamics.keys("opportunity", 1)[0])
        dynamics.connect()
        dynamics.vendor.track("opportunity", not number % 2)
        dynamics.pull("opportunities")
        assert dynamics.landed("opportunities") == dynamics.truth("opportunities"), number


@pytest.mark.parametrize("is_hidden", [True, False])
def test_a_table_without_a_stamp_is_read_whole(dynamics: Org, is_hidden: bool) -> None:
    stream, object = ("opportunities", "opportunity") if is_hidden else ("processstages", "processstage")
    if is_hidden:
        dynamics.vendor.track(object, False)
        dynamics.vendor.hide(object, "modifiedon")
    dynamics.pull(stream)
    key = dynamics.keys(object, 1)[0]
    dynamics.server.store.delete(f"dynamics.{object}", key)
    dynamics.pull(stream)
    assert dynamics.latest(stream)[key]["_deleted"] == "true"
    assert set(dynamics.landed(stream)) == set(dynamics.truth(stream))


def test_a_repair_reads_again_what_changed_since(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    changed = dynamics.keys("opportunity", 3)
    for key in changed:
        dynamics.change(key, name="changed")
    assert dynamics.pull("opportunities", since=NOW - timedelta(hours=1)).rows == 3
    assert_landed(dynamics, "opportunities")
    assert dynamics.pull("opportunities").rows == 3  # where the changes go on is as before


# merges, purges, formulas


def test_the_loser_of_a_merge_is_deleted_and_says_who_won(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        for stream in ("accounts", "opportunities"):
            org.pull(stream)
        winner, loser = (organisation.record_id("account", key) for key in ("A2", "A1"))
        org.merge(winner, loser)
        for stream in ("accounts", "opportunities"):
            org.pull(stream)
            assert_landed(org, stream)
        gone = org.latest("accounts")[loser]
        assert (gone["_deleted"], gone["_masterid_value"], gone["name"]) == ("true", winner, "A1 Ltd")
        (deal,) = org.landed("opportunities").values()
        assert deal["_parentaccountid_value"] == winner
        assert org.pull("accounts", full_refresh=True).source_count == 2
        assert_landed(org, "accounts")


@pytest.mark.parametrize("is_tracked", [True, False])
def test_what_happens_to_records_lands_as_it_happened(tmp_path: Path, is_tracked: bool) -> None:
    names = ("accounts", "opportunities", "opportunityproducts")
    with serving(tiny(), tmp_path) as org:
        for name in names:
            org.vendor.track(org.stream(name).object, is_tracked)
        for name in names:
            org.pull(name)
        shorter = replace(DEAL, lines=DEAL.lines[1:], stage="lost", modified_at=NOW)
        for kind, record in [
            (ChangeKind.SAVED, shorter),
            (ChangeKind.DELETED, ACCOUNTS[2]),
            (ChangeKind.PURGED, ACCOUNTS[2]),
            (ChangeKind.DELETED, shorter),
            (ChangeKind.RESTORED, replace(DEAL, modified_at=NOW)),
        ]:
            org.vendor.apply(Change(at=NOW, crm="dynamics", kind=kind, record=record))
            for name in names:
                org.pull(name)
            assert_landed(org, *names)
        merged = Change(at=NOW, crm="dynamics", kind=ChangeKind.MERGED, record=ACCOUNTS[1], into=ACCOUNTS[0])
        org.vendor.apply(merged)
        org.pull("accounts")
        assert_landed(org, "accounts")
        assert len(org.landed("accounts")) == 1 and len(org.landed("opportunityproducts")) == 2


# values


def test_money_days_and_instants_land_as_sent_and_never_as_people_see_them(dynamics: Org) -> None:
    key, other = dynamics.add(2)
    amounts = {"estimatedvalue": Decimal("0.1"), "actualvalue": Decimal("12345678901234.56")}
    dynamics.change(key, **amounts, actualclosedate="2026-01-01", createdon=datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
    dynamics.change(other, estimatedvalue=Decimal("0"))
    dynamics.answer("nothing", lambda: error_page(500))
    for stream in ("opportunities", "opportunityproducts", "transactioncurrencies"):
        dynamics.pull(stream)
    row = dynamics.latest("opportunities")[key]
    assert (row["estimatedvalue"], row["actualvalue"]) == ("0.1000", "12345678901234.5600")
    assert (row["actualclosedate"], row["createdon"]) == ("2026-01-01", "2026-01-01T23:30:00Z")
    assert dynamics.latest("opportunities")[other]["estimatedvalue"] == "0.0000"
    assert row["statecode"] in ("0", "1", "2") and not [name for name in row if "Formatted" in name or "@" in name]
    assert all(row["_ownerid_value"] for row in dynamics.landed("opportunities").values())
    assert all(row["_opportunityid_value"] for row in dynamics.landed("opportunityproducts").values())
    rates = {row["isocurrencycode"]: row["exchangerate"] for row in dynamics.latest("transactioncurrencies").values()}
    assert rates["AUD"] == "1.5200000000"


def labels(org: Org) -> dict[str, str | None]:
    org.pull("option_labels")
    return {key: row["label"] for key, row in org.latest("option_labels").items() if row["_deleted"] == "false"}


def test_codes_are_kept_and_their_labels_are_in_a_list_of_their_own(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        org.pull("opportunities")
        (deal,) = org.latest("opportunities").values()
        found = labels(org)
        assert found["opportunity.statecode.1"] == "Won" and deal["statecode"] == "1"
        assert found[f"opportunity.new_competitor.{deal['new_competitor']}"] == "Acme"
        assert found["salesorder.statecode.3"] == "Fulfilled"
        row = org.latest("option_labels")["opportunity.statuscode.4"]
        assert [row[name] for name in ("table_name", "column_name", "value", "label")] == [
            "opportunity",
            "statuscode",
            "4",
            "Canceled",
        ]


def test_a_deleted_label_or_stage_still_names_what_has_it(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        (deal,) = org.server.store.find("dynamics.opportunity")
        option = f"opportunity.new_competitor.{deal['new_competitor']}"
        org.pull("processstages")
        assert labels(org)[option] == "Acme"
        org.vendor.choices.labels.pop(("opportunity", "new_competitor"))
        org.server.store.purge("dynamics.processstage", deal["stageid"])
        org.pull("processstages")
        assert labels(org)[option] == "Acme"
        names = {row["_key"]: row["stagename"] for row in org.versions("processstages") if row["stagename"]}
        assert names[deal["stageid"]] == "4-Close"


def test_a_column_under_column_security_is_reported_and_not_taken_for_empty(tmp_path: Path) -> None:
    with serving(tiny(), tmp_path) as org:
        org.vendor.secure("opportunity", "estimatedvalue", "new_competitor")
        assert org.pull("opportunities").missing_fields == ("estimatedvalue",)
        org.vendor.secure("opportunity")
        org.connect()
        pulled = org.pull("opportunities")
        assert pulled.missing_fields == () and set(pulled.drift["added"]) == {"estimatedvalue", "new_competitor"}
        assert_landed(org, "opportunities")


def test_a_new_column_is_filled_for_old_rows_too(dynamics: Org) -> None:
    dynamics.vendor.hide("opportunity", "stepname")
    assert dynamics.pull("opportunities").missing_fields == ("stepname",)
    dynamics.vendor.hide("opportunity")
    dynamics.connect()
    assert dynamics.pull("opportunities").rows == 300
    assert_landed(dynamics, "opportunities")


def test_a_column_that_is_gone_means_a_new_track(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    dynamics.vendor.hide("opportunity", "stepname")
    dynamics.connect()
    pulled = dynamics.pull("opportunities")
    assert pulled.missing_fields == ("stepname",) and pulled.drift["removed"] == ["stepname"]
    assert dynamics.pull("opportunities").rows == 0


# the environment


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
    assert_landed(dynamics, "opportunities")
    assert dynamics.pull("opportunities").rows == 0


def test_a_table_the_environment_does_not_show_is_refused(dynamics: Org) -> None:
    dynamics.answer(r"EntityDefinitions\?", lambda: JSONResponse({"value": []}))
    with pytest.raises(Refused, match="opportunity"):
        dynamics.pull("opportunities")


def test_without_a_count_a_read_goes_on(dynamics: Org) -> None:
    dynamics.answer(r"/\$count|RecordCount", lambda: error_page(403), times=100)
    assert dynamics.pull("opportunities").source_count is None
    assert_landed(dynamics, "opportunities")


def test_a_large_table_is_counted_as_well_as_can_be(dynamics: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = dynamics.stream("opportunities")
    exact = dynamics.source.count(stream, NOW)
    assert exact is not None and (exact.rows, exact.is_exact) == (300, True)
    monkeypatch.setattr(connector, "MOST_COUNTED", 300)
    rough = dynamics.source.count(stream, NOW)
    assert rough is not None and (rough.rows, rough.is_exact) == (300, False)


def test_a_token_taken_back_is_renewed_once_for_all_threads(paged: Org) -> None:
    streams: list[Stream] = [paged.stream(name) for name in ("opportunities", "accounts", "contacts", "leads")]
    source, found = paged.connect(), Counter[str]()
    for stream in streams:
        source.fields(stream)

    def read(stream: Stream) -> None:
        for number, event in enumerate(source.read(stream, {})):
            if stream.name == "opportunities" and number == 3:
                paged.vendor.expire_sessions()
            found[stream.name] += len(getattr(event, "records", ()))

    threads = [threading.Thread(target=read, args=(stream,)) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {stream.name: len(paged.truth(stream.name)) for stream in streams}
    assert sum("/token" in request for request in paged.server.requests.elements()) == 2


def test_tokens_that_are_never_good_are_an_authentication_failure(dynamics: Org) -> None:
    def forget(request: Request) -> None:
        dynamics.vendor.expire_sessions()

    dynamics.connect()
    dynamics.server.sandbox.intercept = forget
    with pytest.raises(AuthenticationFailed, match="application user"):
        dynamics.pull("opportunities")
    assert sum("/token" in request for request in dynamics.server.requests.elements()) == 2


def test_service_protection_is_waited_for(dynamics: Org) -> None:
    dynamics.vendor.protect(organisation.Limits(requests=4, window_seconds=1))
    for stream in ("opportunities", "processstages"):
        dynamics.pull(stream)
        assert_landed(dynamics, stream)


@pytest.mark.parametrize("status", [200, 503])
def test_a_directory_that_answers_with_an_error_page_is_a_clear_failure(dynamics: Org, status: int) -> None:
    dynamics.connect()
    dynamics.answer("oauth2/v2.0/token", lambda: error_page(status), times=100)
    with pytest.raises(ApiFailed, match="Entra"):
        dynamics.pull("opportunities")


def test_states_are_json(dynamics: Org) -> None:
    dynamics.pull("opportunities")
    manifest = next((dynamics.home / "landing/dynamics/opportunities/manifests").iterdir())
    assert set(json.loads(manifest.read_text())["state"]) == {"url", "columns", "delta_link", "is_complete"}
