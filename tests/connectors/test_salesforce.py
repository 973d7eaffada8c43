"""Salesforce: REST against Bulk, slices, cursors, sessions and limits that end, and what other connectors lose."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from crms import HangUp, Org, error_page
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.responses import JSONResponse, Response

from connectors.errors import ApiFailed, AuthenticationFailed, BudgetSpent, ConnectorError, IncompleteRead
from connectors.salesforce import OVERLAP, STREAMS, custom_stream
from connectors.sandbox.company import Company, CustomField
from connectors.sandbox.faults import Fault
from connectors.sandbox.salesforce import error
from connectors.sandbox.server import Sandbox, Server
from connectors.stream import Checkpoint, Kind, Page

SOURCE, BULK = "connectors.salesforce.source", "connectors.salesforce.bulk"
RESULTS = r"GET .*/results"
POLL = r"GET .*/jobs/query/\w+/?$"
CREATE = r"POST .*/jobs/query"
QUERY = r"GET .*/queryAll/\?q=select(\+|%20)Id"
MORE = r"GET .*/query/01g"
COUNT = r"GET .*/query/\?q=select(\+|%20)count"
EXPIRED = "INVALID_SESSION_ID", "Session expired or invalid"
LOST = "INVALID_QUERY_LOCATOR", "invalid query locator"
TIMEOUT = "QUERY_TIMEOUT", "Your query request was running for too long."
HARD_TEXTS = ("NA", "None", "null", "N/A", 'two\nlines, a "quote",\r\n', "a\0b", "é" * 200_000, "🤖", '"', "x\n")


@pytest.fixture
def bulk(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """An org that is read by Bulk whatever it holds, in several result pages, without pauses."""
    monkeypatch.setattr(f"{SOURCE}.REST_ROWS", 1)
    monkeypatch.setattr(f"{SOURCE}.REST_BATCHES", 0)
    monkeypatch.setattr(f"{BULK}.sleep", lambda seconds: None)
    monkeypatch.setattr(f"{BULK}.PAGE_ROWS", 100)
    salesforce.vendor.bulk.page = 100
    salesforce.vendor.queries.batch = 200
    return salesforce


@pytest.fixture
def chained(bulk: Org) -> Org:
    """The same, for an org that does not give links to all pages at once."""
    bulk.vendor.bulk.has_result_pages = False
    return bulk


@pytest.fixture
def opened(address: Server, tmp_path: Path) -> Iterator[Callable[[Company], Org]]:
    """Serve a company that a test has made up."""
    sandboxes = []

    def serve(company: Company) -> Org:
        sandbox = Sandbox(company, ["salesforce"])
        sandboxes.append(sandbox)
        address.sandbox.intercept = lambda request: sandbox
        return Org("salesforce", Server(sandbox, address.url), tmp_path)

    yield serve
    for sandbox in sandboxes:
        sandbox.store.close()


def count_of(org: Org, pattern: str) -> int:
    return sum(bool(re.search(pattern, request)) for request in org.server.requests.elements())


def occurrences(org: Org) -> dict[str, int]:
    versions = sorted(str(version["_key"]) for version in org.versions("opportunities"))
    return {key: len(list(found)) for key, found in itertools.groupby(versions)}


def all_landed(org: Org) -> bool:
    """Whether every deal landed, and once."""
    return org.landed("opportunities") == org.truth("opportunities") and set(occurrences(org).values()) == {1}


# rest and bulk bring the same


def test_hard_texts_and_exact_numbers_land_alike_by_rest_and_by_bulk(
    salesforce: Org, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = dict(zip(salesforce.add(len(HARD_TEXTS)), HARD_TEXTS, strict=True))
    for key, name in names.items():
        salesforce.change(key, Name=name, Amount=Decimal("12345678901234.56"))
    amounts = [Decimal(text) for text in ("350000000", "0.1", "0.0001", "0", "-2.5")]
    numbers = dict(zip(salesforce.add(len(amounts)), amounts, strict=True))
    for key, amount in numbers.items():
        salesforce.change(key, Amount=amount)
    salesforce.delete(salesforce.keys("Opportunity", 1)[0])
    in_bulk = Org("salesforce", salesforce.server, tmp_path / "bulk")
    salesforce.pull("opportunities")
    assert not count_of(salesforce, "/jobs/")

    monkeypatch.setattr(f"{SOURCE}.REST_ROWS", 1)
    in_bulk.pull("opportunities")
    assert count_of(in_bulk, "/jobs/")
    truth = salesforce.truth("opportunities")
    assert in_bulk.landed("opportunities") == salesforce.landed("opportunities") == truth
    assert {key: truth[key]["Name"] for key in names} == names
    assert {key: truth[key]["Amount"] for key in numbers} == numbers
    one, other = (org.latest("opportunities") for org in (salesforce, in_bulk))
    kinds = salesforce.stream("opportunities").fields
    alike = [name for name, kind in kinds.items() if kind in (Kind.TEXT, Kind.DATE, Kind.BOOLEAN)]
    for key, row in one.items():
        assert [row[name] for name in (*alike, "_deleted")] == [other[key][name] for name in (*alike, "_deleted")]


@pytest.mark.parametrize("way", ["salesforce", "bulk"])
def test_what_is_deleted_or_restored_between_syncs_is_seen(way: str, request: pytest.FixtureRequest) -> None:
    org: Org = request.getfixturevalue(way)
    org.pull("opportunities")
    gone, back = org.keys("Opportunity", 2)
    for key in (gone, back):
        org.vendor.org.delete("Opportunity", key)
    org.pull("opportunities")
    assert {org.latest("opportunities")[key]["_deleted"] for key in (gone, back)} == {"true"}
    org.vendor.org.undelete("Opportunity", back)
    org.pull("opportunities")
    assert org.latest("opportunities")[gone]["_deleted"] == "true"
    assert org.landed("opportunities") == org.truth("opportunities")


@pytest.mark.parametrize("way", ["salesforce", "bulk"])
def test_5000_rows_of_one_second_land_once_each_across_page_borders(
    way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    org: Org = request.getfixturevalue(way)
    monkeypatch.setattr(f"{SOURCE}.REST_BATCHES", 100 if way == "salesforce" else 0)
    org.pull("opportunities")
    org.server.requests.clear()
    added = org.add(5_000)
    org.pull("opportunities")
    landed = occurrences(org)
    assert all(landed[key] == 1 for key in added)
    assert org.landed("opportunities") == org.truth("opportunities")
    assert count_of(org, MORE) > 3 if way == "salesforce" else count_of(org, RESULTS) > 40


def test_many_changes_begin_by_rest_and_go_on_by_bulk(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    salesforce.server.requests.clear()
    salesforce.add(5_000)
    assert salesforce.pull("opportunities").rows < 5_000 + len(occurrences(salesforce))
    assert count_of(salesforce, "GET .*/queryAll") == 2 and not count_of(salesforce, MORE)  # the other one counts
    assert salesforce.vendor.bulk.created == 1 and not salesforce.vendor.bulk.jobs
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


def test_a_quiet_night_takes_four_calls_a_stream(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    assert salesforce.pull("opportunities").calls == 3  # described once for each connection
    salesforce.connect()
    salesforce.pull("accounts")
    before = salesforce.source.budget.calls
    assert salesforce.pull("accounts").calls == salesforce.source.budget.calls - before == 3


def test_every_field_the_org_shows_is_read_but_addresses(salesforce: Org) -> None:
    salesforce.pull("accounts")
    salesforce.pull("opportunities")
    account, deal = (next(iter(salesforce.latest(name).values())) for name in ("accounts", "opportunities"))
    assert account["Name"] and "BillingCountry" in account and "BillingAddress" not in account
    assert re.fullmatch(r"\d{4} [1-4]", str(deal["Fiscal"])) and deal["FiscalQuarter"] == str(deal["Fiscal"])[-1]
    described = {field.name: field.type for field in salesforce.source.fields(salesforce.stream("accounts"))}
    assert described["AnnualRevenue"] == "currency" and set(described) < set(account)


def test_excluded_fields_are_never_asked_for(salesforce: Org) -> None:
    salesforce.changes = {"ATTAIN_EXCLUDE_FIELDS": "salesforce.Contact.*Email* *.phone"}
    salesforce.answer("never", Response)
    salesforce.pull("contacts")
    assert salesforce.urls and not any("Email" in url or "Phone" in url for url in salesforce.urls)
    assert {row["Email"] for row in salesforce.latest("contacts").values()} == {None}


def test_a_field_hidden_by_permissions_is_reported_and_not_landed_as_empty(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    salesforce.vendor.org.hide("Opportunity", "Type")
    salesforce.connect()
    pulled = salesforce.pull("opportunities")
    assert pulled.missing_fields == ("Type",) and pulled.drift["removed"] == ["Type"]


def test_an_own_object_is_read_like_any_other(opened: Callable[[Company], Org], halden: Company) -> None:
    org = opened(halden)
    stream = custom_stream("Survey_Response__c")
    assert (stream.name, stream.object) == ("survey_response", "Survey_Response__c")
    org.pull(stream)
    rows = {key: row for key, row in org.latest(stream.name).items() if row["_deleted"] == "false"}
    assert set(rows) == set(org.keys("Survey_Response__c")) and all(row["Kind__c"] for row in rows.values())


def test_900_custom_fields_land_whatever_the_url_allows(small: Company, opened: Callable[[Company], Org]) -> None:
    fields = [CustomField(record="opportunity", name=f"extra_number_{n}_of_many", kind="text") for n in range(900)]
    deals = [deal for deal in small.opportunities if deal.crm == "salesforce"][:30]
    deals = [replace(deal, custom={field.name: f"{field.name} of {deal.key}" for field in fields}) for deal in deals]
    org = opened(replace(small, opportunities=tuple(deals), custom_fields=tuple(fields)))
    for _ in range(2):  # whole, and what changed
        org.pull("opportunities")
        landed = org.latest("opportunities")
        stored = org.server.store.find("salesforce.Opportunity")
        assert len(stored) == 30
        for row in stored:
            names = [name for name in row if name.startswith("Extra_")]
            assert len(names) == 900 and all(landed[row["Id"]][name] == row[name] for name in names)
        org.change(org.keys("Opportunity", 1)[0], Extra_Number_7_Of_Many__c="changed")


def test_a_row_that_vanishes_from_a_wide_object_leaves_the_others_complete(
    small: Company, opened: Callable[[Company], Org]
) -> None:
    fields = [CustomField(record="opportunity", name=f"extra_number_{n}_of_many", kind="text") for n in range(500)]
    org = opened(replace(small, custom_fields=tuple(fields)))
    key, last = org.keys("Opportunity", 1)[0], fields[-1].name.title() + "__c"
    for other in org.keys("Opportunity"):
        org.server.store.update("salesforce.Opportunity", other, {last: "here"})

    def purge() -> Any:
        org.vendor.org.purge("Opportunity", key)

    org.answer(RESULTS, purge)
    org.pull("opportunities")
    landed = {key: row for key, row in org.latest("opportunities").items() if row["_deleted"] == "false"}
    assert set(landed) == set(org.truth("opportunities")) and key not in landed
    assert {row[last] for row in landed.values()} == {"here"}


def test_an_object_that_bulk_does_not_know_is_read_by_rest(bulk: Org) -> None:
    bulk.vendor.queries.batch = 4
    bulk.pull("opportunity_stages")
    assert bulk.landed("opportunity_stages") == bulk.truth("opportunity_stages") and count_of(bulk, MORE)
    assert count_of(bulk, CREATE) == 1


def test_a_row_of_2009_lands_by_default(salesforce: Org) -> None:
    old = salesforce.add(1, stamp=datetime(2009, 2, 3, tzinfo=UTC))
    salesforce.pull("opportunities")
    assert old[0] in salesforce.landed("opportunities")


def test_read_since_brings_what_changed_and_moves_nothing(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    last = sorted((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())[-1].read_text()
    pages = salesforce.source.read_since(salesforce.stream("opportunities"), salesforce.newest("Opportunity"))
    found = [record["Id"] for page in pages for record in page.records]
    assert found and set(found) <= set(salesforce.landed("opportunities"))
    assert sorted((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())[-1].read_text() == last


@pytest.mark.parametrize("way", ["salesforce", "bulk"])
def test_keys_are_the_ids_of_all_live_records(way: str, request: pytest.FixtureRequest) -> None:
    org: Org = request.getfixturevalue(way)
    org.delete(org.keys("Opportunity", 1)[0])
    keys = [key for batch in org.source.keys(org.stream("opportunities")) for key in batch]
    assert len(keys) == len(set(keys)) and set(keys) == set(org.truth("opportunities"))


def test_the_limits_of_the_day_are_told(salesforce: Org) -> None:
    limits = {limit.name: limit for limit in salesforce.source.limits()}
    assert limits["DailyApiRequests"].allowed == 15_000 and limits["DailyApiRequests"].used
    assert limits["DailyBulkV2QueryJobs"].allowed == 10_000


# slices


def test_large_windows_are_read_in_slices(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SOURCE}.SLICE_ROWS", 40)
    salesforce.add(100)  # in one second, so that their slice cannot be cut any further
    salesforce.pull("opportunities")
    manifests = list((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())
    assert len(manifests) > 5
    assert all_landed(salesforce)


def test_a_killed_backfill_goes_on_at_the_last_slice(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SOURCE}.SLICE_ROWS", 60)
    total = len(bulk.truth("opportunities"))
    bulk.answer(RESULTS, lambda: error_page(400), after=3, times=100)
    with pytest.raises(ApiFailed, match="400"):
        bulk.pull("opportunities")
    kept = occurrences(bulk)
    assert 50 < len(kept) < total

    bulk.behave()
    early = min(bulk.truth("opportunities").items(), key=lambda item: item[1]["SystemModstamp"])[0]
    bulk.server.store.purge("salesforce.Opportunity", sorted(set(bulk.truth("opportunities")) - set(kept))[0])
    bulk.pull("opportunities")
    assert bulk.landed("opportunities") == bulk.truth("opportunities")
    assert occurrences(bulk)[early] == 1


def test_the_next_slice_is_prepared_while_one_is_read(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SOURCE}.SLICE_ROWS", 60)
    bulk.answer("never", Response)
    bulk.pull("opportunities")
    created = [number for number, url in enumerate(bulk.urls) if re.search(CREATE, url)]
    first_result = next(number for number, url in enumerate(bulk.urls) if re.search(RESULTS, url))
    assert created[1] < first_result
    assert not bulk.vendor.bulk.jobs and all_landed(bulk)


def test_a_read_that_is_given_up_leaves_no_job_behind(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SOURCE}.SLICE_ROWS", 60)
    with closing(bulk.source.read(bulk.stream("opportunities"), {})) as events:  # type: ignore[type-var]
        next(events)
        assert len(bulk.vendor.bulk.jobs) == 2
    assert not bulk.vendor.bulk.jobs


@pytest.mark.parametrize("code", [TIMEOUT, ("OPERATION_TOO_LARGE", "exceeded 100000 distinct ids")])
def test_a_query_that_is_too_much_for_the_org_is_read_in_smaller_windows(
    salesforce: Org, code: tuple[str, str]
) -> None:
    salesforce.answer(QUERY, lambda: error(400, *code), times=3)
    salesforce.pull("opportunities")
    assert all_landed(salesforce)
    asked = [url for url in salesforce.urls if re.search(QUERY, url, re.I)]
    assert len(asked) > 5 and all("WHERE" in url for url in asked[1:])


def test_a_query_that_is_too_much_in_the_middle_loses_nothing(salesforce: Org) -> None:
    salesforce.vendor.queries.batch = 70
    salesforce.answer(MORE, lambda: error(400, *TIMEOUT), after=1)
    salesforce.pull("opportunities")
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


def test_a_job_that_takes_too_long_for_the_org_is_asked_for_in_halves(bulk: Org) -> None:
    bulk.vendor.bulk.failure = ": ".join(TIMEOUT)
    bulk.pull("opportunities")
    assert all_landed(bulk) and bulk.vendor.bulk.created >= 2


def test_a_window_that_cannot_be_cut_any_more_fails_and_says_why(salesforce: Org) -> None:
    salesforce.answer(QUERY, lambda: error(400, *TIMEOUT), times=100_000)
    with pytest.raises(ApiFailed, match="Opportunity.*QUERY_TIMEOUT"):
        salesforce.pull("opportunities")
    assert not (salesforce.home / "landing/salesforce/opportunities/manifests").exists()


def test_a_state_of_the_first_release_is_read_on(salesforce: Org) -> None:
    watermark = sorted(row["SystemModstamp"] for row in salesforce.truth("opportunities").values())[-20]
    state = {"watermark": watermark.isoformat(), "backfilling": False}
    events = list(salesforce.source.read(salesforce.stream("opportunities"), state))
    rows = sum(len(event.records) for event in events if isinstance(event, Page))
    last = events[-1]
    assert 20 <= rows < len(salesforce.truth("opportunities"))
    assert isinstance(last, Checkpoint) and last.is_last and not last.is_complete and set(last.state) == set(state)


# result pages


@pytest.mark.parametrize("is_null", [True, False])
def test_the_last_locator_is_null_or_absent(chained: Org, is_null: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_null:
        in_time = Response.init_headers

        def without_null(response: Response, headers: Any = None) -> None:
            in_time(response, {k: v for k, v in (headers or {}).items() if v != "null"})

        monkeypatch.setattr(Response, "init_headers", without_null)
    total = len(chained.truth("opportunities"))
    chained.pull("opportunities")
    assert count_of(chained, "/results$") == -(-total // 100)
    assert all_landed(chained)


@pytest.mark.parametrize("spelling", ["resultUrl", "resultLink"])
def test_pages_are_fetched_by_the_links_that_are_given(bulk: Org, spelling: str) -> None:
    bulk.vendor.bulk.links, bulk.vendor.bulk.page = spelling, 30
    bulk.answer("never", Response)
    bulk.pull("opportunities")
    assert count_of(bulk, "/resultPages") > 1 and not any("maxRecords" in url for url in bulk.urls)
    assert all_landed(bulk)


def test_links_may_lack_the_path_of_the_version(bulk: Org) -> None:
    def links(base: str) -> JSONResponse:
        (job,) = bulk.vendor.bulk.jobs
        return JSONResponse({"resultPages": [{"resultLink": f"{base}jobs/query/{job}/results"}], "done": True})

    bulk.vendor.bulk.page = 1_000
    bulk.answer("/resultPages", lambda: links("/"))
    bulk.pull("opportunities")
    assert all_landed(bulk)


def results(text: str, rows: int | None, locator: str = "null") -> Callable[[], Response]:
    headers = {"Sforce-Locator": locator} | ({} if rows is None else {"Sforce-NumberOfRecords": str(rows)})
    return lambda: Response(text, media_type="text/csv", headers=headers)


def csv_of(org: Org) -> tuple[str, str]:
    """The header, and a row."""
    names = [field.name for field in org.source.fields(org.stream("opportunities"))]
    cells = ["2026-01-01T00:00:00.000Z" if name == "SystemModstamp" else "x" for name in names]
    header, row = (",".join(f'"{cell}"' for cell in line) + "\n" for line in (names, cells))
    return header, row


@pytest.mark.parametrize(
    ("form", "rows", "problem"),
    [
        ("{header}{row}" + '"x","y"\n', 2, "row 3 .* has 2 cells"),
        ("{header}{row}", 2, "holds 1 rows, 2 were announced"),
        ("{header}{row}{row}", 1, "holds 2 rows, 1 were announced"),
        ("{header}{cut}", 1, "is broken"),
        ("<html>not now</html>", 1, "cells"),
        ("", 1, "holds 0 rows"),
        ("{header}{row}", 1, "brought 1 rows"),
    ],
)
def test_a_bulk_result_that_is_not_whole_is_not_committed(bulk: Org, form: str, rows: int, problem: str) -> None:
    header, row = csv_of(bulk)
    text = form.format(header=header, row=row, cut=row.rstrip('"\n'))
    bulk.vendor.bulk.page = 1_000
    bulk.answer(RESULTS, results(text, rows), times=100)
    with pytest.raises(IncompleteRead, match=problem):
        bulk.pull("opportunities")
    assert not (bulk.home / "landing/salesforce/opportunities/manifests").exists()


def test_a_bulk_result_that_is_no_utf8_is_not_committed(bulk: Org) -> None:
    header, row = csv_of(bulk)
    body = header.encode() + row.replace("x", "\xff", 1).encode("latin-1")
    headers = {"Sforce-NumberOfRecords": "1"}
    bulk.answer(RESULTS, lambda: Response(body, media_type="text/csv", headers=headers), times=100)
    with pytest.raises(IncompleteRead, match="(?i)utf"):
        bulk.pull("opportunities")


def test_pages_without_a_header_begin_with_a_record(bulk: Org) -> None:
    header, row = csv_of(bulk)
    total = len(bulk.truth("opportunities"))
    bulk.vendor.bulk.page = 1_000
    bulk.answer(RESULTS, results(row * total, total))
    (page,) = (event.records for event in bulk.source.read(bulk.stream("opportunities"), {}) if isinstance(event, Page))
    assert len(page) == total


def test_a_bulk_result_that_does_not_say_how_many_rows_is_not_committed(bulk: Org) -> None:
    bulk.answer(RESULTS, results("".join(csv_of(bulk)), None), times=100)
    with pytest.raises(ConnectorError, match="not said how many"):
        bulk.pull("opportunities")


def test_an_object_without_records_is_one(bulk: Org) -> None:
    for key in bulk.keys("Product2"):
        bulk.server.store.purge("salesforce.Product2", key)
    bulk.pull("products")
    assert bulk.landed("products") == {}


def test_a_repeated_locator_stops_the_read(chained: Org) -> None:
    header, row = csv_of(chained)
    chained.answer(RESULTS, results(header + row, 1, "AQID"), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        chained.pull("opportunities")


def test_a_repeated_link_to_more_records_stops_the_read(salesforce: Org) -> None:
    link = "/services/data/v64.0/query/01g000000000000AAA-70"
    page = {"totalSize": 300, "done": False, "nextRecordsUrl": link, "records": []}
    salesforce.answer(MORE, lambda: JSONResponse(page), times=1_000)
    salesforce.vendor.queries.batch = 70
    with pytest.raises(ApiFailed, match="repeats the same page of Opportunity"):
        salesforce.pull("opportunities")


@pytest.mark.parametrize("way", ["bulk", "chained"])
def test_a_connection_reset_in_the_middle_of_a_page_brings_each_row_once(
    way: str, request: pytest.FixtureRequest
) -> None:
    org: Org = request.getfixturevalue(way)
    org.connect()
    faults = {number: Fault.RESET for number in range(3, 40, 3)}
    org.server.sandbox.faults.follow(faults.get)
    org.pull("opportunities")
    assert org.server.sandbox.faults.injected[Fault.RESET] > 1
    assert all_landed(org)


def test_a_download_that_keeps_breaking_off_fails(bulk: Org) -> None:
    bulk.answer(RESULTS, HangUp, times=100)
    with pytest.raises(ApiFailed, match="Opportunity"):
        bulk.pull("opportunities")


def test_a_locator_that_is_lost_makes_the_slice_be_read_again(chained: Org) -> None:
    chained.answer(RESULTS, lambda: error(400, *LOST), after=2)
    chained.pull("opportunities")
    assert chained.landed("opportunities") == chained.truth("opportunities")
    assert chained.vendor.bulk.created == 2 and not chained.vendor.bulk.jobs


# jobs


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_is_a_clear_failure(bulk: Org, state: str) -> None:
    job = {"id": "750000000000000AAA", "state": state, "errorMessage": "INVALID_FIELD: no such thing"}
    bulk.answer(POLL, lambda: JSONResponse(job), times=100)
    with pytest.raises(ApiFailed, match="Opportunity.*did not complete: INVALID_FIELD"):
        bulk.pull("opportunities")


def test_a_job_that_never_ends_is_given_up(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{BULK}.JOB_PATIENCE_SECONDS", -1)
    with pytest.raises(ApiFailed, match="did not complete"):
        bulk.pull("opportunities")
    assert not bulk.vendor.bulk.jobs  # aborted, and deleted


@pytest.mark.parametrize(
    ("pattern", "status"), [(CREATE, 429), (POLL, 503), ("/resultPages", 429), (RESULTS, 503), ("DELETE ", 429)]
)
def test_bulk_calls_are_tried_again(bulk: Org, pattern: str, status: int) -> None:
    bulk.answer(pattern, lambda: error_page(status), times=2)
    bulk.pull("opportunities")
    assert all_landed(bulk)


def test_a_job_that_cannot_be_deleted_does_no_harm(bulk: Org) -> None:
    bulk.answer("DELETE ", lambda: error_page(500), times=100)
    bulk.pull("opportunities")
    assert all_landed(bulk)


@pytest.mark.parametrize("trouble", [None, lambda: error_page(400)])
def test_jobs_are_deleted_also_after_a_failure(bulk: Org, trouble: Callable[[], Response] | None) -> None:
    if trouble:
        bulk.answer(RESULTS, trouble, times=100)
        with pytest.raises(ApiFailed):
            bulk.pull("opportunities")
    else:
        bulk.pull("opportunities")
    assert count_of(bulk, "DELETE") == 1 and not bulk.vendor.bulk.jobs


def test_a_wait_that_is_asked_for_is_kept_on_a_post(bulk: Org) -> None:
    bulk.answer(CREATE, lambda: Response(status_code=429, headers={"Retry-After": "1"}))
    started = monotonic()
    bulk.pull("opportunities")
    assert monotonic() - started >= 1
    assert all_landed(bulk)


# sessions


@pytest.mark.parametrize("pattern", [r"/describe", COUNT, CREATE, POLL, "/resultPages", RESULTS, "DELETE "])
def test_a_session_that_ends_is_renewed_once(bulk: Org, pattern: str) -> None:
    ended = []

    def end_session() -> Response:
        ended.append(bulk.vendor.expire_sessions())
        return error(401, *EXPIRED)

    bulk.connect()
    bulk.answer(pattern, end_session)
    bulk.pull("opportunities")
    assert ended and all_landed(bulk)
    assert bulk.vendor.login.logins == 2


def test_a_session_that_ends_at_page_seven_is_renewed_once_for_all_threads(bulk: Org) -> None:
    bulk.vendor.bulk.page = 20
    bulk.connect()
    bulk.answer(RESULTS, lambda: (bulk.vendor.expire_sessions(), error(401, *EXPIRED))[1], after=6)
    bulk.pull("opportunities")
    assert all_landed(bulk)
    assert bulk.vendor.login.logins == 2


def test_threads_that_find_the_session_ended_at_the_same_time_log_in_once(salesforce: Org) -> None:
    source, stream = salesforce.connect(), salesforce.stream("opportunities")
    source.fields(stream)
    salesforce.vendor.expire_sessions()
    together, found = threading.Barrier(8), []

    def count() -> None:
        together.wait()
        found.append(source.count(stream, datetime.now(UTC)))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and salesforce.vendor.login.logins == 2


def test_a_session_that_ends_between_rest_pages_is_renewed(salesforce: Org) -> None:
    salesforce.vendor.queries.batch = 70
    salesforce.connect()
    salesforce.answer(MORE, lambda: (salesforce.vendor.expire_sessions(), error(401, *EXPIRED))[1])
    salesforce.pull("opportunities")
    assert any(re.search(MORE, url) for url in salesforce.urls)
    assert all_landed(salesforce)


def test_a_session_that_cannot_be_renewed_is_named(salesforce: Org) -> None:
    salesforce.pull("users")
    salesforce.vendor.expire_sessions()
    refusal = {"error": "invalid_client", "error_description": "invalid client credentials"}
    salesforce.answer("oauth2/token", lambda: JSONResponse(refusal, status_code=400), times=100)
    with pytest.raises(AuthenticationFailed, match="SALESFORCE_CLIENT_ID"):
        salesforce.pull("users")


def test_a_401_that_no_login_helps_against_is_a_clear_failure(salesforce: Org) -> None:
    salesforce.connect()
    salesforce.answer("/describe", lambda: JSONResponse({"error": "no"}, status_code=401), times=100)
    with pytest.raises(AuthenticationFailed, match="may use the API"):
        salesforce.pull("opportunities")


def test_a_login_behind_an_error_page_is_no_wrong_secret(salesforce: Org) -> None:
    salesforce.answer("oauth2/token", lambda: error_page(503), times=100)
    with pytest.raises(ApiFailed, match="cannot be reached"):
        salesforce.connect()


# limits


def test_the_reserve_of_the_daily_calls_is_left_to_others(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{SOURCE}.SLICE_ROWS", 20)
    salesforce.vendor.daily_requests = 30
    with pytest.raises(BudgetSpent, match=r"of 30 calls of the day.*10%"):
        salesforce.pull("opportunities")
    assert salesforce.vendor.calls == 27
    assert occurrences(salesforce)  # what was committed is kept

    salesforce.vendor.daily_requests = 15_000
    salesforce.connect()
    salesforce.pull("opportunities")
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


@pytest.mark.parametrize("pattern", [QUERY, CREATE, POLL, RESULTS])
def test_after_the_daily_limit_no_call_is_made(bulk: Org, pattern: str) -> None:
    spent = error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    bulk.pull("users")
    bulk.add(1_000)
    bulk.pull("opportunities")
    bulk.add(1_000)
    bulk.answer(pattern, lambda: spent, times=100)
    with pytest.raises(BudgetSpent, match="used up"):
        bulk.pull("opportunities")
    asked = len(bulk.urls)
    with pytest.raises(BudgetSpent):
        bulk.pull("users")
    assert len(bulk.urls) == asked and re.search(pattern, bulk.urls[-1], re.I)


def test_too_many_calls_at_once_are_only_waited_for(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.salesforce.org.CROWD_PAUSE_SECONDS", 0)
    crowded = error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    salesforce.answer(QUERY, lambda: crowded, times=2)
    salesforce.pull("opportunities")
    assert all_landed(salesforce)


# cursors


def test_smaller_rest_batches_lose_nothing(salesforce: Org) -> None:
    salesforce.vendor.queries.batch = 70
    salesforce.pull("opportunities")
    assert count_of(salesforce, MORE) > 3
    assert all_landed(salesforce)


def test_an_empty_batch_that_links_to_more_is_not_the_last(salesforce: Org) -> None:
    salesforce.vendor.queries.batch = 70
    empty = {"totalSize": 300, "done": False, "records": []}

    def link() -> Response:
        path = "/" + salesforce.urls[-1].partition("://")[2].partition("/")[2]
        return JSONResponse({**empty, "nextRecordsUrl": f"{path}?"})

    salesforce.answer(MORE, link, after=1)
    salesforce.pull("opportunities")
    assert all_landed(salesforce)


def test_a_cursor_that_dies_at_page_three_is_gone_on_from_by_id(salesforce: Org) -> None:
    salesforce.vendor.queries.batch = 70
    salesforce.answer(MORE, lambda: (salesforce.vendor.queries.forget_cursors(), error(400, *LOST))[1], after=1)
    salesforce.pull("opportunities")
    assert all_landed(salesforce)
    asked = [url for url in salesforce.urls if re.search(QUERY, url, re.I)]
    assert len(asked) == 2 and "Id+%3E+%27006" in asked[1]


def test_a_batch_that_is_not_the_last_but_links_nowhere_fails(salesforce: Org) -> None:
    page = {"totalSize": 300, "done": False, "records": []}
    salesforce.answer(QUERY, lambda: JSONResponse(page), times=100)
    with pytest.raises(IncompleteRead, match="Opportunity"):
        salesforce.pull("opportunities")


# what no cursor tells


def test_the_overlap_reaches_back_ten_minutes_and_no_further(salesforce: Org) -> None:
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    salesforce.add(1, stamp=newest)
    salesforce.pull("opportunities")
    stream, state = salesforce.stream("opportunities"), {"watermark": newest.isoformat(), "backfilling": False}
    caught = salesforce.add(1, stamp=newest - OVERLAP)
    missed = salesforce.add(1, stamp=newest - OVERLAP - timedelta(seconds=1))
    read = [event.records for event in salesforce.source.read(stream, state) if isinstance(event, Page)]
    found = {record["Id"] for records in read for record in records}
    assert caught[0] in found and missed[0] not in found
    salesforce.pull("opportunities")
    assert missed[0] in salesforce.landed("opportunities")  # since the count was off


def test_hard_deleted_campaign_members_are_found_by_their_keys_after_20_days(
    opened: Callable[[Company], Org], halden: Company
) -> None:
    org = opened(halden)
    org.pull("campaign_members")
    members = org.keys("CampaignMember")
    long_ago = datetime.now(UTC) - timedelta(days=20)  # further back than Salesforce tells of deletes
    for key in members[:5]:
        org.vendor.org.delete("CampaignMember", key, long_ago)
    added = org.server.store.find("salesforce.CampaignMember", limit=5)
    stamp = datetime.now(UTC).replace(microsecond=0)
    org.server.store.insert(  # as many as are gone, so that the count is the same
        "salesforce.CampaignMember",
        [{**row, "Id": f"00v5e0{number:09d}AAA", "SystemModstamp": stamp} for number, row in enumerate(added)],
    )
    org.pull("campaign_members")
    assert org.landed("campaign_members") == org.truth("campaign_members")
    assert {org.latest("campaign_members")[key]["_deleted"] for key in members[:5]} == {"true"}


def test_purged_records_are_found_since_the_count_is_off(salesforce: Org) -> None:
    salesforce.pull("accounts")
    gone = salesforce.keys("Account", 3)
    for key in gone:
        salesforce.vendor.org.purge("Account", key)
    salesforce.pull("accounts")
    assert salesforce.landed("accounts") == salesforce.truth("accounts")
    assert {salesforce.latest("accounts")[key]["_deleted"] for key in gone} == {"true"}


@pytest.mark.parametrize("way", ["salesforce", "bulk"])
def test_nothing_read_where_the_org_counts_records_is_loud(way: str, request: pytest.FixtureRequest) -> None:
    org: Org = request.getfixturevalue(way)
    none = {"totalSize": 0, "done": True, "records": []}
    job = {"id": "750000000000000AAA", "state": "JobComplete", "numberRecordsProcessed": 0}
    org.answer(f"{QUERY}|{POLL}", lambda: JSONResponse(job if "/jobs/" in org.urls[-1] else none), times=100)
    pulled = org.pull("opportunities")
    assert not org.landed("opportunities")
    assert pulled.source_count == len(org.truth("opportunities")) > 0  # and so the gate will know


def test_a_count_that_is_off_makes_the_read_look_again(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    salesforce.answer(COUNT, lambda: JSONResponse({"totalSize": 1, "done": True, "records": []}))
    pulled = salesforce.pull("opportunities")
    assert pulled.source_count == len(salesforce.truth("opportunities"))
    assert len(list((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())) == 3


def test_objects_that_an_edition_lacks_are_reported_and_the_others_read(salesforce: Org) -> None:
    optional = [stream for stream in STREAMS if stream.optional]
    for stream in optional:
        salesforce.vendor.org.hide(stream.object)
    for stream in optional[:4]:
        pulled = salesforce.pull(stream)
        assert stream.object in str(pulled.unavailable) and not salesforce.latest(stream.name)


# logging in


def key_file(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = folder / "key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def by_key(salesforce: Org, tmp_path: Path) -> Org:
    salesforce.changes = {
        "SALESFORCE_CLIENT_SECRET": "",
        "SALESFORCE_USERNAME": salesforce.server.store.find("salesforce.User", limit=1)[0]["Username"],
        "SALESFORCE_PRIVATE_KEY_FILE": str(key_file(tmp_path)),
    }
    return salesforce


def test_a_key_file_logs_in(by_key: Org) -> None:
    by_key.pull("opportunities")
    assert by_key.landed("opportunities") == by_key.truth("opportunities")
    by_key.vendor.expire_sessions()
    by_key.pull("users")
    assert by_key.landed("users") == by_key.truth("users")


@pytest.mark.filterwarnings("ignore::UserWarning:simple_salesforce")
def test_a_user_who_may_not_log_in_is_named(by_key: Org) -> None:
    by_key.changes = {**by_key.changes, "SALESFORCE_USERNAME": "nobody@halden.example"}
    with pytest.raises(AuthenticationFailed, match="SALESFORCE_USERNAME"):
        by_key.connect()


@pytest.mark.parametrize("content", [None, "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_file_that_is_none_is_named(by_key: Org, content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_text(content)
    by_key.changes = {**by_key.changes, "SALESFORCE_PRIVATE_KEY_FILE": str(path)}
    with pytest.raises(AuthenticationFailed, match="SALESFORCE_PRIVATE_KEY_FILE"):
        by_key.connect()
