"""Manners: no call over the permitted rate, Retry-After obeyed by all threads, broken answers asked for again."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import pytest
import requests

from connectors.budget import Budget
from connectors.errors import BudgetSpent
from connectors.session import ATTEMPTS, PoliteSession, Transport

OK = (200, {}, b"fine")


@dataclass
class Line:
    """A server that answers from a list, then with OK, and notes when it was asked."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    url: str = ""

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        self.asked_at.append(monotonic())
        return self.answers.pop(0) if self.answers else OK


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = line.next_answer()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    line.url = f"http://127.0.0.1:{server.server_port}"
    yield line
    server.shutdown()
    thread.join()
    server.server_close()


def session(
    line: Line, budget: Budget | None = None, inspect: Callable[[requests.Response], None] = lambda _: None
) -> PoliteSession:
    transport = Transport(vendor_domain="crm.example", base_url=line.url, ca_bundle=None)
    return PoliteSession(transport, budget or Budget("crm"), inspect)


@pytest.mark.parametrize("status", [429, 503, 520])
def test_a_busy_server_is_asked_again(line: Line, status: int) -> None:
    line.answers = [(status, {}, b"<html>"), (status, {}, b"")]
    with session(line) as polite:
        assert polite.get("https://api.crm.example/").text == "fine"
    assert len(line.asked_at) == 3


def test_what_stays_wrong_is_handed_over_in_the_end(line: Line) -> None:
    line.answers = [(503, {}, b"closed")] * 20
    with session(line) as polite:
        assert polite.get(line.url).text == "closed"
    assert len(line.asked_at) == ATTEMPTS


def test_a_refusal_is_not_repeated(line: Line) -> None:
    line.answers = [(403, {}, b"no")]
    with session(line) as polite:
        assert polite.get(line.url).status_code == 403
    assert len(line.asked_at) == 1


def test_a_body_that_breaks_off_is_fetched_again(line: Line) -> None:
    line.answers = [(200, {"Content-Length": "1000"}, b"half of it")]
    with session(line) as polite:
        assert polite.get(line.url).text == "fine"


def test_a_pause_that_the_crm_asks_for_holds_for_every_thread(line: Line) -> None:
    line.answers = [(429, {"Retry-After": "1"}, b"")]
    with session(line) as polite:
        polite.get(line.url)
        assert line.asked_at[1] - line.asked_at[0] >= 0.95

        line.answers = [(429, {"Retry-After": "1"}, b"")]
        first = threading.Thread(target=polite.get, args=(line.url,))
        first.start()
        while len(line.asked_at) < 3:
            pass
        while polite._budget._resume_at < monotonic():  # until the first thread has read the answer
            pass
        polite.get(line.url)
        first.join()
    assert min(line.asked_at[3:]) - line.asked_at[2] >= 0.9


def test_a_pause_too_long_to_wait_for_ends_the_run(line: Line) -> None:
    line.answers = [(429, {"Retry-After": "7200"}, b"")]
    with session(line) as polite, pytest.raises(BudgetSpent, match=r"crm asks .* 7,200 seconds"):
        polite.get(line.url)
    assert len(line.asked_at) == 1


def test_many_threads_together_never_exceed_the_rate(line: Line) -> None:
    budget = Budget("crm", calls=5, seconds=1)
    with session(line, budget) as polite, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: polite.get(line.url), range(11)))
    times = sorted(line.asked_at)
    assert budget.calls == len(times) == 11
    assert all(later - earlier >= 0.7 for earlier, later in zip(times, times[5:], strict=False))


def test_the_reserve_of_the_day_is_left_to_others(line: Line) -> None:
    budget = Budget("crm", reserve=0.2)

    def inspect(response: requests.Response) -> None:
        budget.note_daily(used=len(line.asked_at), allowed=10)

    with session(line, budget, inspect) as polite, pytest.raises(BudgetSpent, match="8 of 10 calls .* 20%"):
        for _ in range(20):
            polite.get(line.url)
    assert len(line.asked_at) == 8
