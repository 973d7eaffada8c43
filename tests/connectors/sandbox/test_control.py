"""The company's clock, and looking behind the scenes: what other processes may do to a sandbox."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.company import Change, ChangeKind, Company, Opportunity
from connectors.sandbox.server import Server, running
from connectors.sandbox.store import ALL

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
DEALS = {"salesforce": "Opportunity", "hubspot": "deals", "dynamics": "opportunity"}
AMOUNTS = {"salesforce": "Amount", "hubspot": "amount", "dynamics": "estimatedvalue"}


@dataclass(frozen=True, kw_only=True)
class Busy(Company):
    """A company to which things happen."""

    agenda: tuple[Change, ...] = ()

    def changes(self, crm: str, after: datetime, until: datetime) -> Iterator[Change]:
        yield from (change for change in self.agenda if change.crm == crm and after < change.at <= until)


def first_deal(company: Company, crm: str) -> Opportunity:
    return next(deal for deal in company.opportunities if deal.crm == crm and not deal.is_dirty)


def agenda(company: Company, crm: str) -> Iterator[Change]:
    """A deal is changed after an hour and deleted the day after tomorrow."""
    deal, changed_at = first_deal(company, crm), OPENED_AT + timedelta(hours=1)
    saved = replace(deal, amount=Decimal("1234.50"), modified_at=changed_at)
    yield Change(at=changed_at, crm=crm, kind=ChangeKind.SAVED, record=saved)
    yield Change(at=OPENED_AT + timedelta(days=2), crm=crm, kind=ChangeKind.DELETED, record=saved)


@pytest.fixture(scope="module")
def busy(halden: Company) -> Busy:
    parts = {field.name: getattr(halden, field.name) for field in fields(Company)}
    return Busy(**parts, agenda=tuple(change for crm in DEALS for change in agenda(halden, crm)))


@pytest.fixture
def server(busy: Busy) -> Iterator[Server]:
    with running(busy, list(DEALS), clock=SimulatedClock(OPENED_AT)) as server:
        yield server


def advance(server: Server, to: object) -> requests.Response:
    return requests.post(f"{server.url}/sandbox/advance", json={"to": to}, timeout=30)


def dumped(server: Server, crm: str, object: str) -> list[dict[str, object]]:
    response = requests.get(f"{server.url}/sandbox/dump/{crm}/{object}", timeout=30)
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line, parse_float=Decimal) for line in response.text.splitlines()]


def test_every_answer_carries_the_companys_time(server: Server) -> None:
    for path in ("/", "/crm/v3/owners", "/nowhere"):
        assert parsedate_to_datetime(requests.get(server.url + path, timeout=10).headers["Date"]) == OPENED_AT
    advance(server, "2026-08-15")
    midnight = datetime(2026, 8, 15, tzinfo=UTC)
    assert parsedate_to_datetime(requests.get(server.url, timeout=10).headers["Date"]) == midnight


def test_without_a_simulated_clock_it_is_our_time(shared: Server) -> None:
    said = parsedate_to_datetime(requests.get(shared.url, timeout=10).headers["Date"])
    assert abs(datetime.now(UTC) - said) < timedelta(seconds=5)


@pytest.mark.parametrize("crm", DEALS)
def test_what_happens_until_a_moment_can_be_seen_then(server: Server, crm: str) -> None:
    object = DEALS[crm]
    before = {json.dumps(row, default=str, sort_keys=True) for row in dumped(server, crm, object)}

    assert advance(server, "2026-08-15").json()[crm] == {"saved": 1}
    after = dumped(server, crm, object)
    (changed,) = [row for row in after if json.dumps(row, default=str, sort_keys=True) not in before]
    assert (changed[AMOUNTS[crm]], changed["sandbox_deleted"]) == (Decimal("1234.50"), False)
    assert len(after) == len(before)

    assert advance(server, "2026-08-16T12:00:00Z").json()[crm] == {}
    assert dumped(server, crm, object) == after

    assert advance(server, "2026-08-17").json()[crm] == {"deleted": 1}
    (gone,) = [row for row in dumped(server, crm, object) if row["sandbox_deleted"]]
    key = server.store.tables[f"{crm}.{object}"].key
    assert gone[key] == changed[key]


def test_time_never_goes_back(server: Server) -> None:
    response = advance(server, "2026-08-13")
    assert response.status_code == 400
    assert "2026-08-14T18:00" in response.text and "forward" in response.text


@pytest.mark.parametrize("to", ["yesterday", "2026-02-30", None, 7])
def test_what_is_no_date_is_refused(server: Server, to: object) -> None:
    assert advance(server, to).status_code == 400


def test_a_sandbox_in_real_time_cannot_be_moved(shared: Server) -> None:
    response = advance(shared, "2030-01-01")
    assert response.status_code == 400
    assert "real time" in response.text


@pytest.mark.parametrize("crm", DEALS)
def test_a_dump_is_everything_by_key(server: Server, crm: str) -> None:
    objects = requests.get(f"{server.url}/sandbox/dump", timeout=10).json()[crm]
    rows = {object: dumped(server, crm, object) for object in objects}
    for object, columns in objects.items():
        table = server.store.tables[f"{crm}.{object}"]
        keys = [row[table.key] for row in rows[object]]
        assert keys == sorted(set(keys))
        assert len(keys) == server.store.count(table.name, ALL)
        assert all(list(row) == columns for row in rows[object])
    assert max(map(len, rows.values())) > 300


def test_what_is_not_there_cannot_be_dumped(shared: Server) -> None:
    response = requests.get(f"{shared.url}/sandbox/dump/salesforce/Unicorn", timeout=10)
    assert (response.status_code, response.text) == (404, "there is no Unicorn in salesforce\n")


def test_records_on_disk_are_the_same(busy: Busy, server: Server, tmp_path: Path) -> None:
    with running(busy, ["hubspot"], path=tmp_path / "records.db", clock=SimulatedClock(OPENED_AT)) as on_disk:
        advance(on_disk, "2026-08-18")
        advance(server, "2026-08-18")
        kept, held = ([*s.sandbox.dump("hubspot", "deals")] for s in (on_disk, server))
    assert (tmp_path / "records.db").stat().st_size > 100_000
    assert [row | {"sandbox_version": 0} for row in kept] == [row | {"sandbox_version": 0} for row in held]
