"""Faults on demand: which requests they meet, and what a client then sees on the line."""

import json
from collections.abc import Iterator
from time import monotonic

import pytest
import requests
from urllib3 import HTTPResponse

from connectors.sandbox.company import Company
from connectors.sandbox.faults import HEADER, PIECES, SECONDS_BETWEEN_PIECES, Fault, some
from connectors.sandbox.hubspot import ACCESS_TOKEN
from connectors.sandbox.server import Server, running

PLAIN = {"Authorization": f"Bearer {ACCESS_TOKEN}", "Accept-Encoding": "identity"}
OWNERS = "/crm/v3/owners?limit=100"
REFUSALS = {
    Fault.TOO_MANY: (429, True),
    Fault.TOO_MANY_BARE: (429, False),
    Fault.SERVER_ERROR: (503, False),
}


@pytest.fixture
def portal(halden: Company) -> Iterator[Server]:
    with running(halden, ["hubspot"]) as server:
        yield server


def owners(server: Server, fault: str | None = None, **arguments: bool) -> requests.Response:
    headers = {**PLAIN, HEADER: fault} if fault else PLAIN
    return requests.get(server.url + OWNERS, headers=headers, timeout=10, **arguments)


def broken_off(server: Server) -> tuple[int, bytes]:
    """The promised length, and what came of it."""
    response = owners(server, Fault.RESET, stream=True)
    assert isinstance(response.raw, HTTPResponse)
    came = b""
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        for piece in response.iter_content(1):
            came += piece
    return int(response.headers["Content-Length"]), came


def test_reset_sends_the_true_length_and_a_part_of_the_true_body(portal: Server) -> None:
    whole = owners(portal).content
    seen = [broken_off(portal) for _ in range(3)]
    assert all(length == len(whole) and whole.startswith(part) and part != whole for length, part in seen)
    assert len({len(part) for _, part in seen}) > 1, "not always at the same byte"
    assert owners(portal).content == whole


def test_reset_breaks_compressed_bodies_too(portal: Server) -> None:
    headers = {**PLAIN, "Accept-Encoding": "gzip", HEADER: Fault.RESET}
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(portal.url + OWNERS, headers=headers, timeout=10)


def test_a_slow_body_comes_in_pieces_and_whole(portal: Server) -> None:
    whole, began = owners(portal).content, monotonic()
    assert owners(portal, Fault.SLOW).content == whole
    assert monotonic() - began >= PIECES * SECONDS_BETWEEN_PIECES


def test_an_edge_server_answers_with_a_page(portal: Server) -> None:
    response = owners(portal, Fault.HTML_PAGE)
    assert response.status_code in (502, 503)
    assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("crm", ["salesforce", "hubspot", "dynamics"])
@pytest.mark.parametrize("fault", REFUSALS)
def test_each_crm_refuses_in_its_own_words(shared: Server, crm: str, fault: Fault) -> None:
    paths = {
        "salesforce": "/services/data/v59.0/limits",
        "hubspot": OWNERS,
        "dynamics": "/api/data/v9.2/accounts?$select=name",
    }
    response = requests.get(shared.url + paths[crm], headers={HEADER: fault}, timeout=10)
    status, says_when = REFUSALS[fault]
    if fault is Fault.SERVER_ERROR or response.status_code == status:  # not every CRM says "too many" with a 429
        assert (response.status_code, "Retry-After" in response.headers) == (status, says_when)
    said = json.loads(response.text)
    words = {"salesforce": lambda: said[0]["errorCode"], "hubspot": lambda: said["message"]}
    assert words.get(crm, lambda: said["error"]["code"])()


def test_a_plan_meets_requests_by_their_number(portal: Server) -> None:
    portal.sandbox.faults.follow({2: Fault.HTML_PAGE, 4: Fault.HTML_PAGE}.get)
    assert [owners(portal).status_code == 200 for _ in range(5)] == [True, False, True, False, True]
    assert portal.sandbox.faults.injected == {Fault.HTML_PAGE: 2}
    portal.sandbox.faults.follow({1: Fault.HTML_PAGE}.get)
    assert [owners(portal).status_code == 200 for _ in range(2)] == [False, True]


def test_only_requests_to_crms_count(portal: Server) -> None:
    portal.sandbox.faults.follow({1: Fault.HTML_PAGE}.get)
    assert requests.get(portal.url, timeout=10).ok
    assert requests.get(f"{portal.url}/sandbox/dump", timeout=10).ok
    assert not owners(portal).ok
    assert sum(portal.requests.values()) == 1


def test_a_share_is_random_repeatable_and_ends_no_day() -> None:
    found = [some(0.1, seed=7)(number) for number in range(1, 5_001)]
    assert found == [some(0.1, seed=7)(number) for number in range(1, 5_001)]
    assert found != [some(0.1, seed=8)(number) for number in range(1, 5_001)]
    met = [fault for fault in found if fault]
    assert 400 < len(met) < 600
    assert set(met) == set(Fault) - {Fault.DAILY_LIMIT}
    assert not any(map(some(0), range(1, 1_000)))


def test_a_fault_that_does_not_exist_is_refused_by_name(portal: Server) -> None:
    response = owners(portal, "earthquake")
    assert response.status_code == 400
    assert "earthquake" in response.text and "reset" in response.text
