"""Salesforce: REST against Bulk, slices, locators, sessions that end, and the two ways to log in."""

import itertools
from collections.abc import Callable
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

from connectors import salesforce as connector
from connectors.errors import ApiFailed, AuthenticationFailed, ConnectorError, IncompleteRead
from connectors.sandbox.salesforce import error
from connectors.stream import Kind

RESULTS = r"GET .*/results"
COUNT = r"GET .*/query/\?q=select(\+|%20)count"
EXPIRED = "INVALID_SESSION_ID", "Session expired or invalid"


@pytest.fixture
def bulk(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> Org:
    """An org that is read by Bulk whatever it holds, in several result pages, without pauses."""
    monkeypatch.setattr(connector, "REST_ROWS", 1)
    monkeypatch.setattr(connector, "sleep", lambda seconds: None)
    monkeypatch.setattr(connector, "BULK_ROWS", 100)
    return salesforce


def test_bulk_lands_what_rest_lands(salesforce: Org, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("NA", "None", 'two\nlines, a "quote",\r\n', "é" * 200_000, "🤖")
    for key, name in zip(salesforce.add(len(texts)), texts, strict=True):
        salesforce.change(key, Name=name, Amount=Decimal("12345678901234.56"))
    for key, amount in zip(salesforce.add(4), ("350000000", "0.1", "0.0001", "0"), strict=True):
        salesforce.change(key, Amount=Decimal(amount))
    salesforce.delete(salesforce.keys("Opportunity", 1)[0])
    in_bulk = Org("salesforce", salesforce.server, tmp_path / "bulk")
    salesforce.pull("opportunities")
    assert not any("/jobs/" in request for request in salesforce.server.requests)

    monkeypatch.setattr(connector, "REST_ROWS", 1)
    in_bulk.pull("opportunities")
    assert any("/jobs/" in request for request in salesforce.server.requests)
    assert in_bulk.landed("opportunities") == salesforce.landed("opportunities") == salesforce.truth("opportunities")
    one, other = (org.latest("opportunities") for org in (salesforce, in_bulk))
    kinds = salesforce.stream("opportunities").fields
    texts_and_flags = [name for name, kind in kinds.items() if kind in (Kind.TEXT, Kind.DATE, Kind.BOOLEAN)]
    for key, row in one.items():
        assert [row[name] for name in (*texts_and_flags, "_deleted")] == [
            other[key][name] for name in (*texts_and_flags, "_deleted")
        ]


def test_large_windows_are_read_in_slices(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "SLICE_ROWS", 40)
    salesforce.add(100)  # in one second, so that their slice cannot be cut any further
    salesforce.pull("opportunities")
    manifests = list((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())
    assert len(manifests) > 5
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")
    assert all(count == 1 for count in occurrences(salesforce).values())


def occurrences(org: Org) -> dict[str, int]:
    versions = sorted(str(version["_key"]) for version in org.versions("opportunities"))
    return {key: len(list(found)) for key, found in itertools.groupby(versions)}


def test_a_killed_backfill_goes_on_at_the_last_slice(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "SLICE_ROWS", 60)
    bulk.answer(RESULTS, lambda: error_page(400), after=3, times=100)
    with pytest.raises(ApiFailed, match="400"):
        bulk.pull("opportunities")
    kept = occurrences(bulk)
    assert 50 < len(kept) < 300

    bulk.behave()
    early = min(bulk.truth("opportunities").items(), key=lambda item: item[1]["SystemModstamp"])[0]
    bulk.server.store.purge("salesforce.Opportunity", sorted(set(bulk.truth("opportunities")) - set(kept))[0])
    bulk.pull("opportunities")
    assert bulk.landed("opportunities") == bulk.truth("opportunities")
    assert occurrences(bulk)[early] == 1


@pytest.mark.parametrize("is_null", [True, False])
def test_the_last_locator_is_null_or_absent(bulk: Org, is_null: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_null:
        in_time = Response.init_headers

        def without_null(response: Response, headers: Any = None) -> None:
            in_time(response, {k: v for k, v in (headers or {}).items() if v != "null"})

        monkeypatch.setattr(Response, "init_headers", without_null)
    bulk.pull("opportunities")
    assert sum("/results" in request for request in bulk.server.requests.elements()) == 3
    assert bulk.landed("opportunities") == bulk.truth("opportunities")
    assert set(occurrences(bulk).values()) == {1}


def results(text: str, rows: int | None, locator: str = "null") -> Callable[[], Response]:
    headers = {"Sforce-Locator": locator} | ({} if rows is None else {"Sforce-NumberOfRecords": str(rows)})
    return lambda: Response(text, media_type="text/csv", headers=headers)


NAMES = [field for field in next(s for s in connector.STREAMS if s.name == "opportunities").fields]
HEADER = ",".join(f'"{name}"' for name in NAMES) + "\n"
ROW = ",".join(f'"{"2026-01-01T00:00:00.000Z" if name == "SystemModstamp" else "x"}"' for name in NAMES) + "\n"


@pytest.mark.parametrize(
    ("text", "rows", "problem"),
    [
        (HEADER + ROW + '"x","y"\n', 2, "row 3 .* has 2 cells"),
        (HEADER + ROW, 2, "holds 1 rows, 2 were announced"),
        (HEADER + ROW + ROW, 1, "holds 2 rows, 1 were announced"),
        (HEADER + ROW.rstrip('"\n'), 1, "is broken"),
        ("<html>not now</html>", 1, "cells"),
        ("", 1, "holds 0 rows"),
    ],
)
def test_a_bulk_result_that_is_not_whole_is_not_committed(bulk: Org, text: str, rows: int, problem: str) -> None:
    bulk.pull("users")
    bulk.answer(RESULTS, results(text, rows), times=100)
    with pytest.raises(IncompleteRead, match=problem):
        bulk.pull("opportunities")
    assert not (bulk.home / "landing/salesforce/opportunities/manifests").exists()


def test_a_bulk_result_that_does_not_say_how_many_rows_is_not_committed(bulk: Org) -> None:
    bulk.answer(RESULTS, results(HEADER + ROW, None), times=100)
    with pytest.raises(ConnectorError, match="(?i)Sforce-NumberOfRecords"):
        bulk.pull("opportunities")


def test_a_bulk_result_of_no_rows_is_one(bulk: Org) -> None:
    bulk.server.store.purge("salesforce.Product2", "")
    for key in bulk.keys("Product2"):
        bulk.server.store.purge("salesforce.Product2", key)
    bulk.pull("products")
    assert bulk.landed("products") == {}


def test_a_repeated_locator_stops_the_read(bulk: Org) -> None:
    bulk.answer(RESULTS, results(HEADER + ROW, 1, "AQID"), times=1_000)
    with pytest.raises(ApiFailed, match="repeats the same page"):
        bulk.pull("opportunities")


def test_a_download_that_breaks_off_is_fetched_again(bulk: Org) -> None:
    bulk.answer(RESULTS, HangUp, after=1, times=2)
    bulk.pull("opportunities")
    assert bulk.landed("opportunities") == bulk.truth("opportunities")
    assert set(occurrences(bulk).values()) == {1}


def test_a_download_that_keeps_breaking_off_fails(bulk: Org) -> None:
    bulk.answer(RESULTS, HangUp, times=100)
    with pytest.raises(ApiFailed, match="five times"):
        bulk.pull("opportunities")


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_is_a_clear_failure(bulk: Org, state: str) -> None:
    job = {"id": "750000000000000AAA", "state": state, "errorMessage": "QUERY_TIMEOUT: too slow"}
    bulk.answer(r"GET .*/jobs/query/\w+/?$", lambda: JSONResponse(job), times=100)
    with pytest.raises(ApiFailed, match="Opportunity did not complete: QUERY_TIMEOUT"):
        bulk.pull("opportunities")


def test_a_job_that_never_ends_is_given_up(bulk: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "JOB_PATIENCE_SECONDS", -1)
    with pytest.raises(ApiFailed, match="did not complete"):
        bulk.pull("opportunities")


@pytest.mark.parametrize("pattern", [r"POST .*/jobs/query", r"GET .*/jobs/query/\w+/?$", RESULTS, "DELETE "])
@pytest.mark.parametrize("status", [429, 503])
def test_bulk_calls_are_tried_again(bulk: Org, pattern: str, status: int) -> None:
    bulk.answer(pattern, lambda: error_page(status), times=2)
    bulk.pull("opportunities")
    assert bulk.landed("opportunities") == bulk.truth("opportunities")


def test_a_job_that_cannot_be_deleted_does_no_harm(bulk: Org) -> None:
    bulk.answer("DELETE ", lambda: error_page(500), times=100)
    bulk.pull("opportunities")
    assert bulk.landed("opportunities") == bulk.truth("opportunities")


def test_jobs_are_deleted(bulk: Org) -> None:
    bulk.pull("opportunities")
    assert sum(request.startswith("DELETE") for request in bulk.server.requests) == 1


def test_a_wait_that_is_asked_for_is_kept_on_a_post(bulk: Org) -> None:
    bulk.answer(r"POST .*/jobs/query", lambda: Response(status_code=429, headers={"Retry-After": "1"}))
    started = monotonic()
    bulk.pull("opportunities")
    assert monotonic() - started >= 1
    assert bulk.landed("opportunities") == bulk.truth("opportunities")


@pytest.mark.parametrize("pattern", [r"/describe", COUNT, r"POST .*/jobs/query", r"GET .*/jobs/query/\w+/?$", RESULTS])
def test_a_session_that_ends_is_renewed(bulk: Org, pattern: str) -> None:
    ended = []

    def end_session() -> Response:
        ended.append(bulk.vendor.expire_sessions())
        return error(401, *EXPIRED)

    bulk.connect()
    bulk.answer(pattern, end_session, after=1 if pattern == RESULTS else 0)
    bulk.pull("opportunities")
    assert ended and bulk.landed("opportunities") == bulk.truth("opportunities")


def test_a_session_that_ends_between_rest_pages_is_renewed(salesforce: Org) -> None:
    salesforce.add(2_000)
    salesforce.connect()
    salesforce.answer(r"GET .*/query/", lambda: (salesforce.vendor.expire_sessions(), error(401, *EXPIRED))[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connector, "REST_ROWS", 100_000)
        salesforce.pull("opportunities")
    assert any("/query/" in url for url in salesforce.urls)
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


def test_a_session_that_cannot_be_renewed_is_named(salesforce: Org) -> None:
    salesforce.pull("users")
    salesforce.vendor.expire_sessions()
    refusal = {"error": "invalid_client", "error_description": "invalid client credentials"}
    salesforce.answer("oauth2/token", lambda: JSONResponse(refusal, status_code=400), times=100)
    with pytest.raises(AuthenticationFailed, match="SALESFORCE_CLIENT_ID"):
        salesforce.pull("users")


def test_a_401_that_is_no_list_is_a_clear_failure(salesforce: Org) -> None:
    salesforce.connect()
    salesforce.answer("/describe", lambda: JSONResponse({"error": "no"}, status_code=401), times=100)
    with pytest.raises(ApiFailed, match="Opportunity"):
        salesforce.pull("opportunities")


def test_a_login_behind_an_error_page_is_no_wrong_secret(salesforce: Org) -> None:
    salesforce.answer("oauth2/token", lambda: error_page(503), times=100)
    with pytest.raises(ApiFailed, match="cannot be reached"):
        salesforce.connect()


def test_smaller_rest_batches_lose_nothing(salesforce: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sandbox.salesforce.BATCH", 70)
    salesforce.pull("opportunities")
    assert sum("/query/" in request for request in salesforce.server.requests.elements()) > 3
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


def test_a_query_locator_that_died_fails_the_read_and_not_the_data(salesforce: Org, monkeypatch: Any) -> None:
    monkeypatch.setattr("connectors.sandbox.salesforce.BATCH", 70)
    salesforce.answer(
        r"GET .*/query/", lambda: error(400, "INVALID_QUERY_LOCATOR", "invalid query locator"), after=1, times=100
    )
    with pytest.raises(ApiFailed, match="INVALID_QUERY_LOCATOR"):
        salesforce.pull("opportunities")
    salesforce.behave()
    salesforce.pull("opportunities")
    assert salesforce.landed("opportunities") == salesforce.truth("opportunities")


def key_file(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = folder / "key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def by_key(salesforce: Org, tmp_path: Path) -> Org:
    user = next(rep.email for rep in salesforce.server.sandbox.company.reps if "salesforce" in rep.crms)
    salesforce.changes = {
        "SALESFORCE_CLIENT_SECRET": "",
        "SALESFORCE_USERNAME": user,
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


def test_the_overlap_reaches_back_ten_minutes_and_no_further(salesforce: Org) -> None:
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    salesforce.add(1, stamp=newest)
    salesforce.pull("opportunities")
    caught = salesforce.add(1, stamp=newest - connector.OVERLAP)
    missed = salesforce.add(1, stamp=newest - connector.OVERLAP - timedelta(seconds=1))
    pulled = salesforce.pull("opportunities")
    assert caught[0] in salesforce.landed("opportunities") and missed[0] not in salesforce.landed("opportunities")
    assert pulled.source_count == len(salesforce.landed("opportunities")) + 1  # and so the gate will know


def test_a_count_that_is_off_makes_the_read_look_again(salesforce: Org) -> None:
    salesforce.pull("opportunities")
    salesforce.answer(COUNT, lambda: JSONResponse({"totalSize": 1, "done": True, "records": []}))
    pulled = salesforce.pull("opportunities")
    assert pulled.source_count == 300
    assert len(list((salesforce.home / "landing/salesforce/opportunities/manifests").iterdir())) == 3
