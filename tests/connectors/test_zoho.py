"""Zoho CRM: tokens that are rationed, pages that end, many fields, bulk files, and what its APIs do not tell."""

import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from crms import HangUp, Org
from starlette.responses import JSONResponse, Response
from zoho_company import DEALS, company

from connectors import zoho as connector
from connectors.errors import ApiFailed, AuthenticationFailed, BudgetSpent, IncompleteRead, Refused
from connectors.options import Options
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.company import Company
from connectors.sandbox.server import Sandbox, Server, running
from connectors.sandbox.simulation import Simulation
from connectors.stream import Page
from connectors.sync import pull
from connectors.zoho import Credentials, Zoho, bulk, columns, custom_stream, records, source

LISTS, QUERIES = r"GET .*/v8/Deals\?", r"POST .*/v8/coql"
HARD_TEXTS = (
    "NA",
    "None",
    "null",
    "N/A",
    'two\nlines, a "quote"',
    "a\r\nb",
    "'quoted'",
    "Zoë 🤖",
    "é" * 150_000,
    "  ",
    "a\0b",
)
Serve = Callable[..., Org]


@pytest.fixture
def serve(address: Server, tmp_path: Path) -> Iterator[Serve]:
    """Serve a company at the common address."""
    opened = []

    def serve(served: Company | None = None) -> Org:
        sandbox = Sandbox(served or company(), ["zoho"])
        opened.append(sandbox)
        address.sandbox.intercept = lambda request: sandbox
        return Org("zoho", Server(sandbox, address.url), tmp_path)

    yield serve
    for sandbox in opened:
        sandbox.store.close()


@pytest.fixture
def zoho(serve: Serve) -> Org:
    return serve()


@pytest.fixture
def by_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bulk jobs be worth their credits for few records, too."""
    monkeypatch.setattr(source, "FEW_ROWS", 50)
    monkeypatch.setattr(bulk, "PAUSES", (0.0, 0.0))


def credentials(org: Org) -> Credentials:
    env = org.environment
    return Credentials(
        client_id=env["ZOHO_CLIENT_ID"],
        client_secret=env["ZOHO_CLIENT_SECRET"],
        refresh_token=env["ZOHO_REFRESH_TOKEN"],
        accounts_url=env["ZOHO_ACCOUNTS_URL"],
    )


def asked(org: Org, path: str) -> int:
    return sum(count for request, count in org.server.requests.items() if re.search(path, request))


# what there is


def test_everything_a_company_keeps_in_zoho_lands(tmp_path: Path) -> None:
    opened_at = datetime(2026, 8, 14, 18, tzinfo=UTC)
    world = Simulation(seed=2, scale=0.02, opened_at=opened_at)
    with running(world, ["zoho"], clock=SimulatedClock(opened_at)) as server:
        org = Org("zoho", server, tmp_path)
        for day in range(2):
            for stream in connector.STREAMS:
                org.pull(stream)
                assert org.landed(stream.name) == org.truth(stream.name), (stream.name, day)
            server.sandbox.advance(opened_at + timedelta(days=20 * (day + 1)))
            org.connect()  # as another process, for which Zoho's clock is not its own
        empty = {stream.name for stream in connector.STREAMS if not org.landed(stream.name)}
        assert asked(org, "oauth") == 2, "the first one, and one more when that had died of age"
    assert empty == {"quotes"}


def test_any_module_named_in_configuration_is_read(serve: Serve) -> None:
    org = serve()
    row = {"id": "4000000000000000001", "Name": "CSAT", "Score": 5, "Modified_Time": datetime.now(UTC)}
    org.server.store.insert("zoho.Survey_Responses", [row])
    stream = custom_stream("Survey_Responses")
    assert (stream.name, org.pull(stream).rows) == ("survey_responses", 1)
    (landed,) = org.latest("survey_responses").values()
    assert (landed["Name"], landed["Score"]) == ("CSAT", "5")


def test_converted_leads_land_like_all_others(zoho: Org) -> None:
    zoho.pull("leads")
    converted = [row for row in zoho.landed("leads").values() if row["Converted__s"] == "true"]
    assert converted and zoho.landed("leads") == zoho.truth("leads")
    changed = converted[0]["id"]
    zoho.vendor.change("Leads", changed, {"Company": "Changed after conversion"})
    zoho.pull("leads")
    assert zoho.landed("leads")[changed]["Company"] == "Changed after conversion"


def test_users_who_left_land_with_their_state(zoho: Org) -> None:
    first, second, *_ = zoho.keys("users")
    zoho.vendor.change("users", first, {"status": "disabled"})
    zoho.vendor.change("users", second, {"status": "deleted"})
    zoho.pull("users")
    landed = zoho.landed("users")
    assert (landed[first]["status"], landed[second]["status"]) == ("disabled", "deleted")
    assert len(landed) == 8


def test_a_stage_that_no_pipeline_has_any_more_keeps_its_name(zoho: Org) -> None:
    (gone,) = (row["id"] for row in zoho.server.store.find("zoho.pipeline") if row["sequence_number"] == 1)
    zoho.server.store.update("zoho.pipeline", gone, {"pipeline_id": None, "pipeline_name": None})
    zoho.pull("deal_stages")
    assert len(zoho.landed("deal_stages")) == 6
    labels = {row["actual_value"] for row in zoho.landed("deal_stages").values() if row["pipeline_id"] is None}
    assert labels == {"Qualification"}


# many records, many of one moment


@pytest.mark.parametrize("has_queries", [True, False])
def test_5000_changes_of_one_second_land_once_each(zoho: Org, has_queries: bool) -> None:
    if not has_queries:
        zoho.vendor.records.without_coql.add("Deals")
    zoho.pull("deals")
    added = zoho.add(5_000)
    pulled = zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    assert 5_000 <= pulled.rows < 5_000 + DEALS
    landed = [version["_key"] for version in zoho.versions("deals")]
    assert all(landed.count(key) == 1 for key in added[::500])


def test_more_than_2000_records_are_listed_by_page_token(zoho: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FEW_ROWS", 10_000)
    zoho.add(5_000)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    assert asked(zoho, "GET .*/v8/Deals$") == 26 and not asked(zoho, "bulk")


@pytest.mark.parametrize("code", ["EXPIRED_VALUE", "PAGINATION_LIMIT_EXCEEDED"])
def test_a_page_token_that_dies_on_the_way_loses_and_doubles_nothing(
    zoho: Org, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(records, "PAGE_ROWS", 30)
    refusal = {"code": code, "details": {}, "message": "the page_token is no good", "status": "error"}
    zoho.answer(LISTS + ".*page_token", lambda: JSONResponse(refusal, status_code=400), after=4)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    keys = [version["_key"] for version in zoho.versions("deals")]
    assert len(keys) - len(set(keys)) <= 1, "only the last row before is read again"


def test_a_page_token_of_a_bulk_read_that_dies_starts_it_over(zoho: Org, by_jobs: None) -> None:
    zoho.vendor.bulk.page_rows = 100

    def forget() -> Response | None:
        zoho.vendor.bulk.forget_tokens()
        return None

    zoho.answer("POST .*/bulk/v8/read", forget, after=1)  # type: ignore[arg-type]
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


@pytest.mark.parametrize("pattern", [LISTS, QUERIES])
def test_a_cursor_that_does_not_advance_is_named_and_stops_the_read(zoho: Org, pattern: str) -> None:
    if pattern == QUERIES:
        zoho.pull("deals")
        row = {"id": "4000000000000000001", "Modified_Time": "2026-08-14T15:58:32+05:30"}
        body = {"data": [row], "info": {"more_records": True}}
        zoho.answer(r"POST .*/v8/coql", lambda: JSONResponse(body), times=100)
        with pytest.raises(ApiFailed, match="Modified_Time"):
            zoho.pull("deals")
    else:
        refusal = {"code": "PAGINATION_LIMIT_EXCEEDED", "details": {}, "message": "no more", "status": "error"}
        zoho.answer(LISTS, lambda: JSONResponse(refusal, status_code=400), times=100)
        with pytest.raises(ApiFailed, match="Modified_Time does not move"):
            zoho.pull("deals")
    assert len(zoho.urls) < 30


def test_short_and_empty_pages_with_a_token_are_not_the_last(zoho: Org) -> None:
    zoho.vendor.records.has_short_pages = True
    zoho.vendor.records.without_coql.add("Deals")
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    zoho.add(500)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


def test_a_page_without_the_token_it_announces_is_no_end(zoho: Org) -> None:
    zoho.answer(LISTS, lambda: JSONResponse({"data": [], "info": {"more_records": True}}))
    with pytest.raises(IncompleteRead, match="Deals"):
        zoho.pull("deals")


def test_a_record_of_2009_lands_by_default(zoho: Org) -> None:
    old = zoho.add(1, stamp=datetime(2009, 3, 1, tzinfo=UTC))
    zoho.pull("deals")
    assert old[0] in zoho.landed("deals")


# many fields


@pytest.mark.parametrize("has_queries", [True, False])
def test_a_module_of_120_fields_is_complete(serve: Serve, has_queries: bool) -> None:
    org = serve(company(deals=60, custom_fields=120))
    if not has_queries:
        org.vendor.records.without_coql.add("Deals")
    org.pull("deals")
    assert set(org.latest("deals")) == set(org.truth("deals"))
    for row in org.latest("deals").values():
        assert [row[f"Extra_{number}"] for number in range(120)] == [str(number) for number in range(120)]


@pytest.mark.parametrize("way", ["lists", "jobs"])
def test_900_custom_fields_all_land(serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(source, "FEW_ROWS", 0 if way == "jobs" else 1_000)
    monkeypatch.setattr(bulk, "PAUSES", (0.0, 0.0))
    org = serve(company(deals=30, custom_fields=900))

    def landed() -> list[list[str | None]]:
        return [[row[f"Extra_{number}"] for number in range(900)] for row in org.latest("deals").values()]

    org.pull("deals")
    assert landed() == [[*map(str, range(900))]] * 30
    for key in org.keys("Deals"):
        org.change(key, Extra_899=Decimal(7))
    assert org.pull("deals").rows >= 30  # by queries
    assert landed() == [[*map(str, range(899)), "7"]] * 30


def test_a_record_deleted_between_two_passes_costs_no_other_and_one_that_was_missed_is_read_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = serve(company(deals=60, custom_fields=120))
    deleted, missed, *_ = org.keys("Deals")
    honest, calls = columns.coql.by_ids, 0

    def forgetful(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            org.delete(deleted)
        rows = honest(*arguments)  # type: ignore[arg-type]
        return [row for row in rows if calls > 1 or row["id"] != missed]

    monkeypatch.setattr(columns.coql, "by_ids", forgetful)
    org.pull("deals")
    assert org.landed("deals") == org.truth("deals")
    assert org.latest("deals")[missed]["Extra_119"] == "119" and deleted not in org.landed("deals")
    assert org.commits("deals") == 1, "without another look"


def test_a_module_without_stamps_is_read_whole_each_time(zoho: Org) -> None:
    rows = [{"id": f"400000000000000000{number}", "Name": "Q", "Target": Decimal(number)} for number in range(5)]
    zoho.server.store.insert("zoho.Forecast_Quotas", rows)
    zoho.pull("forecast_quotas")
    zoho.server.store.update("zoho.Forecast_Quotas", rows[0]["id"], {"Target": Decimal("0.5")})  # type: ignore[arg-type]
    zoho.server.store.purge("zoho.Forecast_Quotas", rows[1]["id"])  # type: ignore[arg-type]
    assert zoho.pull("forecast_quotas").rows == 4
    assert zoho.landed("forecast_quotas") == zoho.truth("forecast_quotas")


def test_a_module_whose_stamp_is_hidden_is_read_whole_each_time(zoho: Org) -> None:
    zoho.vendor.org.hidden_fields.add(("Deals", "Modified_Time"))
    zoho.pull("deals")
    changed, gone, *_ = zoho.keys("Deals")
    zoho.change(changed, Deal_Name="changed")
    zoho.delete(gone)
    assert zoho.pull("deals").rows == DEALS - 1
    latest = zoho.latest("deals")
    assert (latest[changed]["Deal_Name"], latest[gone]["_deleted"]) == ("changed", "true")


def test_formulas_are_told_apart_from_what_people_enter(serve: Serve) -> None:
    org = serve(company(deals=1, custom_fields=20))
    found = {field.name: field for field in org.source.fields(org.stream("deals"))}
    assert {name for name, field in found.items() if field.is_calculated} == {"Extra_9", "Extra_19"}


def test_a_field_hidden_by_the_profile_is_reported_not_filled_with_nothing(zoho: Org) -> None:
    zoho.vendor.org.hidden_fields.add(("Deals", "Amount"))
    assert zoho.pull("deals").missing_fields == ("Amount",)
    zoho.vendor.org.hidden_fields.clear()
    zoho.connect()
    assert zoho.pull("deals").missing_fields == ()
    assert zoho.landed("deals") == zoho.truth("deals")


def test_an_excluded_field_is_never_asked_for(zoho: Org, by_jobs: None) -> None:
    options = Options(excluded_fields=("zoho.Deals.Amount",))
    source = Zoho(credentials(zoho), options)
    stream = zoho.stream("deals")
    pull(source, stream, home=zoho.home, run_id="r1")
    zoho.change(zoho.keys("Deals", 1)[0], Amount=Decimal(77))
    pull(source, stream, home=zoho.home, run_id="r2")
    assert {row["Amount"] for row in zoho.latest("deals").values()} == {None}


# bulk files


def test_values_survive_the_bulk_file(zoho: Org, by_jobs: None) -> None:
    names = dict(zip(zoho.add(len(HARD_TEXTS)), HARD_TEXTS, strict=True))
    for key, name in names.items():
        zoho.change(key, Deal_Name=name)
    amounts = [Decimal(text) for text in ("12345678901234.56", "0.1", "-0.01", "350000000", "0")]
    keys = zoho.add(len(amounts))
    for key, amount in zip(keys, amounts, strict=True):
        zoho.change(key, Amount=amount)
    zoho.vendor.bulk.page_rows = 100
    zoho.pull("deals")
    assert asked(zoho, "POST .*/bulk/v8/read") == 3
    assert zoho.landed("deals") == zoho.truth("deals")
    latest = zoho.latest("deals")
    assert {key: latest[key]["Deal_Name"] for key in names} == names
    assert [Decimal(str(latest[key]["Amount"])) for key in keys] == amounts


def test_a_value_lands_the_same_by_list_query_and_bulk_file(zoho: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    zoho.pull("deals")
    by_list = {key: {**row, "_commit_id": "", "_synced_at": ""} for key, row in zoho.latest("deals").items()}
    monkeypatch.setattr(source, "FEW_ROWS", 0)
    zoho.pull("deals", full_refresh=True)
    zoho.pull("deals", since=datetime(2000, 1, 1, tzinfo=UTC))
    for version in zoho.versions("deals"):
        assert {**version, "_commit_id": "", "_synced_at": ""} == by_list[str(version["_key"])]


def test_a_broken_line_in_a_bulk_download_is_followed_by_another_try(zoho: Org, by_jobs: None) -> None:
    zoho.answer(r"GET .*/bulk/v8/read/\d+/result", HangUp, times=3)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    assert len(zoho.versions("deals")) == DEALS


def zipped(text: str) -> Response:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.csv", text)
    return Response(file.getvalue(), media_type="application/x-download")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (zipped("id\n4000000000000000001\n"), "lacks a column"),
        (zipped("id,Modified_Time\n1,2026-01-01T00:00:00Z\n2,x,y\n"), "damaged"),
        (Response(b"PK no zip"), "damaged"),
    ],
)
def test_a_damaged_bulk_file_fails_the_read(zoho: Org, by_jobs: None, body: Response, said: str) -> None:
    zoho.answer(r"GET .*/bulk/v8/read/\d+/result", lambda: body, times=10)
    with pytest.raises(IncompleteRead, match=said):
        zoho.pull("deals")
    assert zoho.latest("deals") == {} if (zoho.home / "landing/zoho/deals/manifests").exists() else True


def test_fewer_rows_than_announced_fail_the_read(zoho: Org, by_jobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = bulk._read
    monkeypatch.setattr(bulk, "_read", lambda file, names: (table.slice(1) for table in honest(file, names)))
    with pytest.raises(IncompleteRead, match=f"announced {DEALS} rows"):
        zoho.pull("deals")


def test_a_bulk_job_that_fails_is_told(zoho: Org, by_jobs: None) -> None:
    zoho.vendor.bulk.is_failing = True
    with pytest.raises(ApiFailed, match="bulk read of Deals"):
        zoho.pull("deals")


def test_a_module_that_bulk_read_does_not_support_is_listed(zoho: Org, by_jobs: None) -> None:
    stamp = datetime(2026, 8, 1, tzinfo=UTC)
    rows = [{"id": f"4{number:018d}", "Subject": "Call", "Modified_Time": stamp} for number in range(120)]
    zoho.server.store.insert("zoho.Calls", rows)
    assert zoho.pull("calls").rows == 120
    assert asked(zoho, "POST .*/bulk/v8/read") == 1
    assert zoho.landed("calls") == zoho.truth("calls")


def test_a_killed_bulk_read_goes_on_at_its_last_page(zoho: Org, by_jobs: None) -> None:
    zoho.vendor.bulk.page_rows = 100
    broken = {"code": "INTERNAL_ERROR", "details": {}, "message": "no", "status": "error"}
    zoho.answer(r"POST .*/bulk/v8/read", lambda: JSONResponse(broken, status_code=400), after=1)
    with pytest.raises(ApiFailed):
        zoho.pull("deals")
    zoho.behave()
    kept = set(zoho.latest("deals"))
    assert len(kept) == 100
    deleted, changed = sorted(kept)[:2]
    zoho.delete(deleted)
    zoho.change(changed, Deal_Name="changed meanwhile")
    assert zoho.pull("deals").rows == 101
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


# what is gone


def test_what_left_the_recycle_bin_is_marked_too(zoho: Org) -> None:
    zoho.pull("deals")
    binned, purged, *_ = zoho.keys("Deals")
    zoho.vendor.delete("Deals", binned)
    zoho.vendor.purge("Deals", purged)
    zoho.pull("deals")
    latest = zoho.latest("deals")
    assert (latest[binned]["_deleted"], latest[purged]["_deleted"]) == ("true", "true")


def test_a_restored_record_whose_stamp_did_not_move_lives_again(zoho: Org) -> None:
    zoho.pull("deals")
    key = zoho.keys("Deals", 1)[0]
    zoho.vendor.delete("Deals", key)
    zoho.pull("deals")
    assert key not in zoho.landed("deals")
    zoho.vendor.restore("Deals", key)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


def test_what_no_list_of_the_deleted_tells_is_found_by_listing_keys(zoho: Org) -> None:
    zoho.pull("deals")
    lost = zoho.keys("Deals", 3)
    for key in lost:
        zoho.server.store.purge("zoho.Deals", key)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


def test_after_more_than_the_recycle_bin_remembers_the_keys_are_listed(zoho: Org) -> None:
    state = {"watermark": "2026-08-14T00:00:00+00:00", "deletes": "2026-08-14T00:00:00+00:00"}
    *_, last = zoho.source.read(zoho.stream("deals"), state)
    assert not isinstance(last, Page) and not last.sees_deletes


@pytest.mark.parametrize("is_big", [True, False])
@pytest.mark.parametrize("has_queries", [True, False])
def test_keys_are_listed_by_each_api(
    zoho: Org, monkeypatch: pytest.MonkeyPatch, is_big: bool, has_queries: bool
) -> None:
    monkeypatch.setattr(source, "FEW_ROWS", 0 if is_big else 1_000)
    monkeypatch.setattr(bulk, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(connector.coql, "PAGE_ROWS", 70)
    zoho.vendor.bulk.page_rows = 70
    if not has_queries:
        zoho.vendor.records.without_coql.add("Deals")
    listed = [key for keys in zoho.source.keys(zoho.stream("deals")) for key in keys]
    assert sorted(listed) == zoho.keys("Deals")


# tokens


def test_one_token_serves_all_threads_and_is_renewed_once_for_all(zoho: Org) -> None:
    stream = zoho.stream("products")
    shared = Zoho(credentials(zoho))
    list(shared.read(stream, {}))
    zoho.vendor.expire_sessions()
    threads = [threading.Thread(target=lambda: list(shared.read(stream, {}))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(zoho, "oauth") == 2


def test_a_token_dying_at_any_request_is_renewed(zoho: Org, by_jobs: None) -> None:
    number = 0

    def expire() -> Response | None:
        nonlocal number
        number += 1
        if number in (3, 6, 8):
            zoho.vendor.expire_sessions()
        return None

    zoho.answer("/crm/", expire, times=100)  # type: ignore[arg-type]
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")
    assert asked(zoho, "oauth") == 4


def test_runs_and_processes_share_the_token_of_the_file(zoho: Org, tmp_path: Path) -> None:
    options = Options(token_folder=tmp_path / "tokens")
    for _ in range(15):
        list(Zoho(credentials(zoho), options).read(zoho.stream("products"), {}))
    assert asked(zoho, "oauth") == 1
    (file,) = (path for path in options.token_folder.iterdir() if path.suffix == ".json")  # type: ignore[union-attr]
    assert file.stat().st_mode & 0o77 == 0

    zoho.vendor.expire_sessions()
    sources = [Zoho(credentials(zoho), options) for _ in range(6)]
    threads = [threading.Thread(target=lambda s=s: list(s.read(zoho.stream("products"), {}))) for s in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(zoho, "oauth") == 2, "the first to be refused renews it for all"


def test_a_throttled_token_request_that_says_200_is_a_clear_error(zoho: Org) -> None:
    zoho.vendor.accounts.most_in_window = 1
    zoho.pull("products")
    with pytest.raises(ApiFailed, match="Wait 10 minutes"):
        list(Zoho(credentials(zoho)).read(zoho.stream("products"), {}))
    assert asked(zoho, "oauth") == 2, "asking again would make it worse"


def test_a_token_without_an_address_is_a_clear_error(zoho: Org) -> None:
    zoho.answer("oauth", lambda: JSONResponse({"access_token": "x", "expires_in": 3600}))
    with pytest.raises(ApiFailed, match="api_domain"):
        zoho.pull("products")


def test_a_scope_that_is_missing_is_named(zoho: Org) -> None:
    refusal = {"code": "OAUTH_SCOPE_MISMATCH", "details": {}, "message": "invalid oauth scope", "status": "error"}
    zoho.answer("settings/territories", lambda: JSONResponse(refusal, status_code=401))
    assert "scopes" in str(zoho.pull("territories").unavailable)


def test_a_token_that_stays_refused_is_told(zoho: Org) -> None:
    refusal = {"code": "INVALID_TOKEN", "details": {}, "message": "invalid oauth token", "status": "error"}
    zoho.answer("/crm/", lambda: JSONResponse(refusal, status_code=401), times=10)
    with pytest.raises(AuthenticationFailed, match="ZOHO_REFRESH_TOKEN"):
        zoho.pull("products")
    assert len(zoho.urls) == 4, "a token and a refusal, twice"


# limits and empty answers


def test_the_reserve_of_credits_is_left_to_others(zoho: Org) -> None:
    zoho.pull("deals")
    zoho.vendor.spent = 89_995
    with pytest.raises(BudgetSpent, match="90,0.. of 100,000"):
        for _ in range(10):
            zoho.pull("deals", full_refresh=True)
    assert zoho.vendor.spent < 90_050
    zoho.vendor.spent = 0
    zoho.connect()
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


def test_with_no_credits_left_no_further_call_is_made(zoho: Org) -> None:
    zoho.pull("products")
    zoho.vendor.spent = zoho.vendor.allowance
    before = asked(zoho, "")
    for _ in range(3):
        with pytest.raises(BudgetSpent, match="credits"):
            zoho.pull("deals")
    assert asked(zoho, "") - before == 1


def test_credits_are_told_for_a_check(zoho: Org) -> None:
    (limit,) = zoho.source.limits()
    assert (limit.used, limit.allowed) == (None, 100_000)
    zoho.vendor.spent = 60_000
    zoho.pull("products")
    (limit,) = zoho.source.limits()
    assert limit.used is not None and 60_000 < limit.used < 60_020


def test_too_many_calls_at_a_time_are_sent_again(zoho: Org) -> None:
    refusal = {"code": "TOO_MANY_REQUESTS", "details": {}, "message": "too many requests", "status": "error"}
    zoho.answer("/crm/", lambda: JSONResponse(refusal, status_code=429), after=2, times=3)
    zoho.pull("deals")
    assert zoho.landed("deals") == zoho.truth("deals")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_means_nothing_new(zoho: Org, status: int) -> None:
    zoho.pull("deals")
    zoho.answer(f"{LISTS}|{QUERIES}|deleted", lambda: Response(status_code=status), times=10)
    zoho.pull("deals")
    zoho.behave()
    assert zoho.landed("deals") == zoho.truth("deals")


def test_a_module_the_edition_does_not_have_is_reported_by_name(zoho: Org) -> None:
    zoho.vendor.org.hidden_modules |= {"Forecast_Quotas", "Deals"}
    assert "Forecast_Quotas" in str(zoho.pull("forecast_quotas").unavailable)
    with pytest.raises(Refused, match="Deals"):
        zoho.pull("deals")
    stream = replace(zoho.stream("forecast_quotas"), object="No_Such_Module")
    assert "No_Such_Module" in str(pull(zoho.source, stream, home=zoho.home / "other", run_id="r").unavailable)


def test_instants_are_compared_whatever_their_offset(zoho: Org) -> None:
    zoho.pull("deals")
    (deal, *_) = zoho.keys("Deals")
    landed = str(zoho.latest("deals")[deal]["Modified_Time"])
    assert landed.endswith("+05:30"), "as it was given"
    newest = zoho.newest("Deals")
    *_, last = zoho.source.read(zoho.stream("deals"), {})
    assert not isinstance(last, Page)
    assert datetime.fromisoformat(last.state["watermark"]) == newest
