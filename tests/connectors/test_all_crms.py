"""What every connector owes, whichever CRM it reads: pulled from the sandbox over HTTP, compared with its store."""

import gc
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trustme
from crms import HangUp, Org, error_page
from starlette.responses import JSONResponse, Response

from connectors import hubspot, salesforce, zoho
from connectors.errors import ApiFailed, AuthenticationFailed, ConnectorError, Refused
from connectors.landing import StreamLanding
from connectors.sandbox.company import Change, ChangeKind, Company, Opportunity
from connectors.sandbox.dynamics import attributes_of
from connectors.sandbox.server import Server, running
from connectors.stream import Page
from orchestration.settings import STREAMS

OVERLAPS = {
    "salesforce": salesforce.OVERLAP,
    "hubspot": hubspot.OVERLAP,
    "dynamics": timedelta(0),
    "zoho": zoho.OVERLAP,
}
HARD_TEXTS = (
    "NA",
    "None",
    "null",
    "true",
    "0",
    'two\nlines, a "quote", a comma; a tab\t and a CR\r\nLF',
    "Zoë 🤖 株式会社",
    "'; drop table deals; --",
    "nul\0byte",
    "é" * 200_000,
)


def test_a_full_read_lands_what_the_crm_has(org: Org) -> None:
    for stream in STREAMS[org.crm]:
        pulled = org.pull(stream.name)
        truth = org.truth(stream.name)
        assert org.landed(stream.name) == truth, stream.name
        assert pulled.source_count in (len(truth), None) and not pulled.missing_fields
        assert not pulled.unavailable


def test_values_land_exactly(org: Org) -> None:
    words = org.words
    names = dict(zip(org.add(len(HARD_TEXTS)), HARD_TEXTS, strict=True))
    for key, name in names.items():
        org.change(key, **{words.name: name})
    amounts = [Decimal(text) for text in ("12345678901234.56", "0.1", "-0.01", "350000000", "0")]
    keys = org.add(len(amounts))
    for key, amount in zip(keys, amounts, strict=True):
        org.change(key, **{words.amount: amount})

    org.pull(words.deals)
    landed = org.landed(words.deals)
    assert {key: landed[key][words.name] for key in names} == names
    assert [landed[key][words.amount] for key in keys] == amounts
    texts = [str(org.latest(words.deals)[key][words.amount]) for key in keys]
    assert not any("E" in text for text in texts), texts


def test_when_nothing_changed_only_the_overlap_is_read_again(org: Org) -> None:
    words = org.words
    org.add(3)
    org.pull(words.deals)
    modified = [row[words.modified] for row in org.truth(words.deals).values()]
    expected = [at for at in modified if at >= max(modified) - OVERLAPS[org.crm]]
    assert org.pull(words.deals).rows == (0 if org.crm == "dynamics" else len(expected))
    assert org.landed(words.deals) == org.truth(words.deals)


def test_a_change_is_one_live_version_however_often_it_is_read(org: Org) -> None:
    words = org.words
    org.pull(words.deals)
    changed = org.keys(words.deal, 10)
    for key in changed:
        org.change(key, **{words.name: "changed", words.amount: Decimal("0.1")})
    org.pull(words.deals)
    org.pull(words.deals)
    landed = org.landed(words.deals)
    assert landed == org.truth(words.deals)
    assert {key for key, row in landed.items() if row[words.name] == "changed"} == set(changed)
    versions = [version for version in org.versions(words.deals) if version["_key"] == changed[0]]
    assert len({version["_version"] for version in versions}) == 2


def test_what_is_deleted_is_marked_and_what_is_restored_lives(org: Org) -> None:
    words = org.words
    org.pull(words.deals)
    key = org.keys(words.deal, 1)[0]
    org.delete(key)
    org.pull(words.deals)
    assert org.latest(words.deals)[key]["_deleted"] == "true"
    assert org.landed(words.deals) == org.truth(words.deals)

    org.restore(key)
    org.pull(words.deals)
    assert key in org.landed(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)


OF_ACCOUNT = {
    "salesforce": "AccountId",
    "hubspot": "company_ids",
    "dynamics": "_parentaccountid_value",
    "zoho": "Account_Name",
}
"""Where a deal says whose it is."""


def test_of_two_merged_records_one_lives_with_the_deals_of_both(org: Org) -> None:
    words = org.words
    for stream in (words.accounts, words.deals):
        org.pull(stream)

    def deals_of(account: str) -> set[str]:
        landed = org.latest(words.deals).items()
        return {key for key, row in landed if account in str(row[OF_ACCOUNT[org.crm]])}

    loser = next(key for key in org.keys(words.account) if deals_of(key))
    winner = next(key for key in org.keys(words.account) if key != loser)
    moved, as_it_was = deals_of(loser), org.latest(words.accounts)[loser]
    org.merge(winner, loser)
    org.pull(words.accounts)
    assert org.latest(words.accounts)[loser]["_deleted"] == "true"
    assert winner in org.landed(words.accounts)
    assert org.landed(words.accounts) == org.truth(words.accounts)
    assert as_it_was["_deleted"] == "false" and as_it_was in org.versions(words.accounts)

    for stream in (words.accounts, words.deals):
        org.pull(stream, full_refresh=True)
        assert org.landed(stream) == org.truth(stream)
    assert moved <= deals_of(winner) and not deals_of(loser)


def test_a_row_that_shows_up_late_is_among_the_changes(org: Org) -> None:
    """The newest record is months old, and the late one older still: no count or list of keys is asked for help."""
    words = org.words
    org.pull(words.deals)
    late = org.add(1, stamp=org.newest(words.deal) - timedelta(minutes=9))
    stream = org.stream(words.deals)
    last = StreamLanding(org.home, org.crm, stream).last_manifest()
    assert last
    events = org.source.read(stream, last.state)
    assert {*late} <= {row[stream.key] for event in events if isinstance(event, Page) for row in event.records}


def test_many_rows_of_one_moment_land_once_each(org: Org) -> None:
    words = org.words
    org.pull(words.deals)
    added = org.add(2_500)
    pulled = org.pull(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)
    assert 2_500 <= pulled.rows < 2_810 and pulled.source_count in (len(org.truth(words.deals)), None)
    landed = [version["_key"] for version in org.versions(words.deals)]
    assert all(landed.count(key) == 1 for key in added[::100])


NOTHING = {
    "salesforce": {"totalSize": 0, "done": True, "records": []},
    "hubspot": {"results": [], "total": 0},
    "dynamics": {"value": [], "@odata.deltaLink": "LINK"},
    "zoho": {"data": [], "info": {"more_records": False}},
}


def test_nothing_read_where_the_crm_counts_records_is_loud_and_heals(org: Org) -> None:
    """Loud: the count stands in the manifest, and the gate holds it against the landing."""
    words = org.words
    org.pull(words.deals)
    expected = org.truth(words.deals)
    pages = rf"(?!.*q=select(\+|%20)count)({words.pages}|GET .*/deleted)"
    if org.crm == "hubspot":
        pages = "GET .*/objects/deals"  # it counts by a search
    link = f"{org.server.url}/api/data/v9.2/opportunities?$deltatoken=1"
    page = json.loads(json.dumps(NOTHING[org.crm]).replace("LINK", link))
    org.answer(pages, lambda: JSONResponse(page), times=1_000)
    pulled = org.pull(words.deals, full_refresh=True)
    assert pulled.source_count == len(expected)
    assert org.landed(words.deals) == (expected if org.crm == "hubspot" else {}), "its search finds them all the same"
    org.behave()
    org.connect()
    org.pull(words.deals)
    assert org.landed(words.deals) == expected


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that Halden's 300 deals take several commits."""
    monkeypatch.setattr("connectors.salesforce.source.SLICE_ROWS", 60)
    monkeypatch.setattr(hubspot.records, "LIST_PAGE", 30)
    monkeypatch.setattr(hubspot.source, "PAGES_PER_COMMIT", 2)
    monkeypatch.setattr("connectors.dynamics.source.PAGE_ROWS", 30)
    monkeypatch.setattr("connectors.dynamics.source.PAGES_PER_COMMIT", 2)
    monkeypatch.setattr(zoho.records, "PAGE_ROWS", 30)
    monkeypatch.setattr(zoho.dated, "PAGES_PER_COMMIT", 2)


LOST = {
    "salesforce": (r"GET .*/query/01g", [{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]),
    "hubspot": (r"GET .*/objects/deals\?.*after=", {"status": "error", "message": "Invalid paging cursor"}),
    "dynamics": (r"skiptoken", {"error": {"code": "0x80048d0a", "message": "The paging cookie is lost."}}),
    "zoho": (r"GET .*/v8/Deals\?.*page_token", {"code": "EXPIRED_VALUE", "message": "the token is no good"}),
}


def test_a_list_of_keys_whose_place_is_lost_is_begun_anew(org: Org, small_pages: None) -> None:
    words, (pattern, body) = org.words, LOST[org.crm]
    if org.crm == "salesforce":
        org.vendor.queries.batch = 70
    if org.crm == "zoho":
        org.vendor.records.without_coql.add("Deals")
    org.pull(words.deals)
    key = org.keys(words.deal, 1)[0]
    org.server.store.purge(f"{org.crm}.{words.deal}", key)  # of which nothing tells but the count
    org.answer(pattern, lambda: JSONResponse(body, status_code=400), after=1)
    org.pull(words.deals)
    assert len([url for url in org.urls if re.search(pattern, url, re.IGNORECASE)]) > 2
    assert org.latest(words.deals)[key]["_deleted"] == "true"
    assert org.landed(words.deals) == org.truth(words.deals)


RELEASED = {
    1: "crm stream commit_id run_id read_id committed_at rows files columns state is_last is_complete source_count"
    " source_count_exact missing_fields unavailable",
    2: "crm stream commit_id run_id read_id committed_at rows files columns state is_last is_complete live_rows fields"
    " drift read_whole_at source_count source_count_exact source_count_slack missing_fields unavailable",
}
"""What the manifests of each format say."""


@pytest.mark.parametrize("format", RELEASED)
def test_a_landing_of_an_earlier_release_is_gone_on_from(org: Org, format: int) -> None:
    words = org.words
    org.pull(words.deals)
    (path,) = (org.home / "landing" / org.crm / words.deals / "manifests").iterdir()
    known = json.loads(path.read_text())
    if org.crm == "dynamics" and format == 1:  # the columns were told by name then, and of which address, not at all
        known["state"] = {"columns": ["name"], "delta_link": known["state"]["delta_link"], "is_complete": False}
    path.write_text(json.dumps({name: known[name] for name in RELEASED[format].split()} | {"format": format}))
    org.add(2)
    gone = org.keys(words.deal, 1)[0]
    org.delete(gone)
    pulled = org.pull(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)
    assert org.latest(words.deals)[gone]["_deleted"] == "true"
    assert (pulled.rows < 100) == (format > 1), "the first format does not say how old the last whole read is"


@pytest.mark.parametrize("trouble", [lambda: error_page(500), HangUp])
def test_a_broken_full_read_keeps_what_was_committed_and_goes_on(
    org: Org, small_pages: None, trouble: Callable[[], Response]
) -> None:
    words = org.words
    org.answer(words.pages, trouble, after=4, times=100)
    with pytest.raises(ApiFailed):
        org.pull(words.deals)
    kept = set(org.latest(words.deals))
    assert 0 < len(kept) < 300

    org.behave()
    gone = sorted(kept)[0]
    org.delete(gone)
    pulled = org.pull(words.deals)
    assert pulled.rows < 300
    org.pull(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)


def test_a_broken_incremental_read_leaves_nothing_behind(org: Org) -> None:
    words = org.words
    org.pull(words.deals)
    org.add(5)
    before = org.landed(words.deals)
    org.answer(words.pages, lambda: error_page(503), times=100)
    with pytest.raises(ApiFailed):
        org.pull(words.deals)
    assert org.landed(words.deals) == before
    org.behave()
    org.pull(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)


SECRETS = {
    "salesforce": ("SALESFORCE_CLIENT_SECRET", "SALESFORCE_CLIENT_ID"),
    "hubspot": ("HUBSPOT_ACCESS_TOKEN",),
    "dynamics": ("DYNAMICS_CLIENT_SECRET", "DYNAMICS_CLIENT_ID", "DYNAMICS_TENANT_ID"),
    "zoho": ("ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN", "ZOHO_CLIENT_ID"),
}


def test_wrong_credentials_are_named(org: Org) -> None:
    for name in SECRETS[org.crm]:
        org.changes = {name: "surely-wrong"}
        with pytest.raises(AuthenticationFailed, match=name) as caught:
            org.connect()
            org.pull(org.words.deals)
        assert name.endswith("_ID") or "surely-wrong" not in str(caught.value)


REFUSALS = {
    "salesforce": (
        r"/sobjects/Opportunity/describe",
        404,
        [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}],
    ),
    "hubspot": (
        r"/properties/deals",
        403,
        {
            "status": "error",
            "message": "This app hasn't been granted all required scopes",
            "category": "MISSING_SCOPES",
        },
    ),
    "dynamics": (
        r"/v9.2/opportunities\?",
        403,
        {"error": {"code": "0x80040220", "message": "Principal user is missing prvReadOpportunity privilege"}},
    ),
    "zoho": (
        r"/settings/fields\?module=Deals",
        403,
        {"code": "NO_PERMISSION", "details": {}, "message": "permission denied to read", "status": "error"},
    ),
}


def test_a_refused_object_is_fatal_unless_it_is_optional(org: Org) -> None:
    pattern, status, body = REFUSALS[org.crm]
    org.answer(pattern, lambda: JSONResponse(body, status_code=status), times=100)
    with pytest.raises(Refused, match=org.stream(org.words.deals).object):
        org.pull(org.words.deals)

    optional = replace(org.stream(org.words.deals), optional=True)
    assert org.pull(optional).unavailable
    assert org.landed(org.words.deals) == {}
    org.behave()
    org.pull(optional)
    assert org.landed(org.words.deals) == org.truth(org.words.deals)


def test_an_optional_object_that_is_refused_later_is_fatal(org: Org, small_pages: None) -> None:
    words, (pattern, status, body) = org.words, REFUSALS[org.crm]
    optional = replace(org.stream(words.deals), optional=True)
    org.answer(words.pages, lambda: error_page(500), after=4, times=100)
    with pytest.raises(ApiFailed):
        org.pull(optional)
    org.connect()
    org.answer(pattern, lambda: JSONResponse(body, status_code=status), times=100)
    with pytest.raises(Refused):
        org.pull(optional)
    org.behave()
    org.pull(optional)
    assert org.landed(words.deals) == org.truth(words.deals)


def attributes(org: Org, names: list[str]) -> list[dict[str, Any]]:
    """What Dynamics says of some columns of its deals."""
    if org.crm != "dynamics":
        return []
    entity = org.vendor.entities[org.words.deal]
    return [row for name in names for row in attributes_of(entity, entity.table.columns[name])]


def test_a_hidden_field_is_reported_and_not_asked_for_and_filled_in_once_it_is_shown(org: Org) -> None:
    words = org.words
    names = [name for name in org.server.store.tables[f"{org.crm}.{words.deal}"].columns if name != words.amount]
    listings = {
        "salesforce": ("/describe", {"fields": [{"name": name} for name in names]}),
        "hubspot": ("/properties/", {"results": [{"name": name} for name in names]}),
        "dynamics": (r"/Attributes\?", {"value": attributes(org, names)}),
        "zoho": ("/settings/fields", {"fields": [{"api_name": name} for name in names]}),
    }
    pattern, listing = listings[org.crm]
    org.answer(pattern, lambda: JSONResponse(listing), times=100)
    assert org.pull(words.deals).missing_fields == (words.amount,)
    asked = [url for url in org.urls if words.name in url]
    assert asked and not any(f"{words.amount}," in url or f"{words.amount}&" in url for url in asked)
    expected = {key: {**row, words.amount: None} for key, row in org.truth(words.deals).items()}
    assert org.landed(words.deals) == expected

    org.behave()
    org.connect()
    assert words.amount in org.pull(words.deals).drift["added"]
    assert org.landed(words.deals) == org.truth(words.deals), "old records have it too"


def test_a_formula_that_moves_no_stamp_is_refreshed_by_the_next_whole_read(with_formula: Org) -> None:
    org, words = with_formula, with_formula.words
    stream = org.stream(words.deals)
    (name,) = (f.name for f in org.source.fields(stream) if f.is_calculated and "weighted" in f.name.lower())

    def values() -> list[Decimal]:
        return sorted(Decimal(str(row[name])) for row in org.latest(words.deals).values())

    before = [Decimal("1.5")] * len(org.keys(words.deal))
    org.pull(stream)
    assert values() == before
    deals = (record for record in org.server.sandbox.company.records(org.crm) if isinstance(record, Opportunity))
    deal = min(deals, key=lambda deal: deal.modified_at)
    deal = replace(deal, custom={"weighted_value": Decimal("2.5")})
    org.vendor.apply(Change(at=datetime.now(UTC), crm=org.crm, kind=ChangeKind.FORMULA, record=deal))
    org.pull(stream)
    assert values() == before
    org.pull(stream, whole_every=timedelta(0))
    assert values() == [*before[1:], Decimal("2.5")]


def too_many(retry_after: str | None) -> Response:
    return JSONResponse({}, status_code=429, headers={"Retry-After": retry_after} if retry_after else {})


@pytest.mark.parametrize("retry_after", [None, "1"])
def test_too_many_requests_are_obeyed_without_loss(org: Org, retry_after: str | None) -> None:
    words = org.words
    org.connect()
    org.answer(r"", lambda: too_many(retry_after), times=1)
    started = datetime.now(UTC)
    org.pull(words.deals)
    assert datetime.now(UTC) - started >= timedelta(seconds=int(retry_after or 0))
    assert org.landed(words.deals) == org.truth(words.deals)

    org.add(3)
    org.answer(words.pages, lambda: too_many(retry_after and "0"), times=1)
    org.pull(words.deals)
    assert org.landed(words.deals) == org.truth(words.deals)


@pytest.mark.parametrize("status", [200, 400, 500, 502, 503])
def test_an_error_page_is_a_clear_failure(org: Org, status: int) -> None:
    org.answer(org.words.pages, lambda: error_page(status), times=100)
    with pytest.raises(ApiFailed, match=org.stream(org.words.deals).object):
        org.pull(org.words.deals)


def test_the_token_is_in_no_message(org: Org) -> None:
    words, failures = org.words, []
    for status in (400, 401, 403, 404, 500):
        org.connect()
        org.answer(words.pages, lambda status=status: JSONResponse({"no": "thing"}, status_code=status), times=100)
        with pytest.raises(ConnectorError) as caught:
            org.pull(words.deals)
        failures.append(f"{caught.value} {caught.value!r}")
    tokens = {
        *org.vendor.tokens,
        *(org.environment[name] for names in SECRETS.values() for name in names[:1] if name in org.environment),
    }
    assert tokens and not [text for text in failures for token in tokens if token in text]


LOOPS = {
    "salesforce": {
        "totalSize": 4000,
        "done": False,
        "nextRecordsUrl": "/services/data/v64.0/query/01g000000000000AAA-2000",
        "records": [],
    },
    "hubspot": {"results": [], "total": 4, "paging": {"next": {"after": "200"}}},
    "dynamics": {"value": [], "@odata.nextLink": "LINK"},
    "zoho": {"data": [], "info": {"more_records": True, "next_page_token": "again"}},
}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_repeated_page_stops_the_read(org: Org, is_first: bool) -> None:
    words = org.words
    if not is_first:
        org.pull(words.deals)
    link = f"{org.server.url}/api/data/v9.2/opportunities?$select=name&$skiptoken=1"
    page = json.loads(json.dumps(LOOPS[org.crm]).replace("LINK", link))
    org.answer(words.pages, lambda: JSONResponse(page), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        org.pull(words.deals)
    assert len(org.urls) < 20


def test_two_crms_are_pulled_at_once(halden: Company, tmp_path: Path) -> None:
    with running(halden) as server:
        orgs = [Org(crm, server, tmp_path) for crm in STREAMS]
        threads = [threading.Thread(target=org.pull, args=(org.words.deals,)) for org in orgs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for org in orgs:
            assert org.landed(org.words.deals) == org.truth(org.words.deals)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with a server's certificate, the authority that signed it, and another authority."""
    authority, other = trustme.CA(), trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    return tmp_path


@pytest.fixture
def secure(halden: Company, certificates: Path) -> Iterator[Server]:
    with running(halden, certfile=certificates / "server.pem") as server:
        yield server
        gc.collect()  # closes the clients' connections, for which a TLS server waits in vain once it stops


@pytest.mark.parametrize("crm", STREAMS)
@pytest.mark.parametrize("bundle_of_requests", [None, "other.pem"])
def test_https_with_a_private_authority(
    crm: str, bundle_of_requests: str | None, secure: Server, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bundle_of_requests:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / bundle_of_requests))
    org = Org(crm, secure, certificates, {"ATTAIN_CA_BUNDLE": str(certificates / "ca.pem")})
    assert secure.url.startswith("https://")
    org.pull(org.words.deals)
    assert org.landed(org.words.deals) == org.truth(org.words.deals)


@pytest.mark.parametrize("crm", STREAMS)
def test_an_unknown_authority_is_not_trusted(crm: str, secure: Server, certificates: Path) -> None:
    org = Org(crm, secure, certificates, {"ATTAIN_CA_BUNDLE": str(certificates / "other.pem")})
    with pytest.raises(ConnectorError, match="certificate"):
        org.pull(org.words.deals)
