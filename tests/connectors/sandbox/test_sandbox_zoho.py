"""The sandbox's Zoho CRM answers as Zoho does, and refuses what Zoho refuses."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from zoho_company import DEALS, company

from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.company import Change, ChangeKind, Opportunity
from connectors.sandbox.faults import HEADER, Fault
from connectors.sandbox.server import Server, running
from connectors.sandbox.zoho import record_id

AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
STAMP = "2026-08-14T23:30:00+05:30"


class Client:
    """A session that is signed in to the sandbox's Zoho CRM."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.zoho = server.sandbox.zoho
        self.session = requests.Session()
        self.session.trust_env = False
        self.sign_in()

    def token(self, **changes: str) -> Any:
        env = self.server.environment()
        given = {
            "grant_type": "refresh_token",
            "client_id": env["ZOHO_CLIENT_ID"],
            "client_secret": env["ZOHO_CLIENT_SECRET"],
            "refresh_token": env["ZOHO_REFRESH_TOKEN"],
        }
        response = self.session.post(f"{self.server.url}/oauth/v2/token", data=given | changes)
        assert response.status_code == 200
        return response.json()

    def sign_in(self) -> str:
        token = str(self.token()["access_token"])
        self.session.headers["Authorization"] = f"Zoho-oauthtoken {token}"
        return token

    def get(self, path: str, headers: dict[str, str] | None = None, **parameters: Any) -> requests.Response:
        url = self.server.url + (path if path.startswith("/crm") else f"/crm/v8/{path}")
        return self.session.get(url, params=parameters, headers=headers)

    def query(self, text: str) -> requests.Response:
        return self.session.post(f"{self.server.url}/crm/v8/coql", json={"select_query": text})

    def bulk(self, **query: Any) -> requests.Response:
        return self.session.post(f"{self.server.url}/crm/bulk/v8/read", json={"query": query})

    def ids(self, module: str, **parameters: Any) -> list[str]:
        return [row["id"] for row in self.get(module, fields="id", **parameters).json()["data"]]


@pytest.fixture
def zoho() -> Iterator[Client]:
    with running(company(), ["zoho"], clock=SimulatedClock(AT)) as server:
        client = Client(server)
        yield client
        client.session.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """A sandbox that tests only read from."""
    with running(company(), ["zoho"], clock=SimulatedClock(AT)) as server:
        client = Client(server)
        yield client
        client.session.close()


def code(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


# tokens


def test_a_token_says_where_it_is_good_and_lasts_an_hour(zoho: Client) -> None:
    answer = zoho.token()
    assert (answer["api_domain"], answer["expires_in"]) == (zoho.server.url, 3600)
    assert zoho.get("org").headers["X-ACCESSTOKEN-RESET"] == "2026-08-15T00:30:00+05:30"
    zoho.server.sandbox.clock.set(AT + timedelta(hours=1))  # type: ignore[attr-defined]
    assert code(zoho.get("org")) == (401, "INVALID_TOKEN")
    zoho.session.headers["Authorization"] = f"Bearer {zoho.token()['access_token']}"
    assert code(zoho.get("org")) == (401, "INVALID_TOKEN")


def test_the_eleventh_token_in_ten_minutes_is_denied_with_a_200(zoho: Client) -> None:
    for _ in range(9):
        zoho.sign_in()
    assert zoho.token()["error"] == "Access Denied"
    zoho.server.sandbox.clock.set(AT + timedelta(minutes=10))  # type: ignore[attr-defined]
    assert "access_token" in zoho.token()


def test_the_sixteenth_token_kills_the_oldest(zoho: Client) -> None:
    zoho.zoho.accounts.most_in_window = 100
    first = zoho.session.headers["Authorization"]
    for _ in range(15):
        zoho.sign_in()
    zoho.session.headers["Authorization"] = first
    assert code(zoho.get("org")) == (401, "INVALID_TOKEN")


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_wrong_credentials_are_told_with_a_200(shared: Client, name: str) -> None:
    assert shared.token(**{name: "wrong"})["error"].startswith("invalid_")


# lists


def test_pages_by_number_end_at_2000_and_tokens_go_on(zoho: Client) -> None:
    zoho.server.store.insert("zoho.Tasks", ({"id": f"4{n:018d}", "Subject": "T"} for n in range(2_300)))
    assert len(zoho.ids("Tasks", page=10)) == 200
    assert code(zoho.get("Tasks", fields="id", page=11)) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    seen, parameters = zoho.ids("Tasks"), {}
    while token := zoho.get("Tasks", fields="id", **parameters).json()["info"]["next_page_token"]:
        parameters = {"page_token": token}
        seen += zoho.ids("Tasks", **parameters)
    assert len(seen) == len(set(seen)) == 2_300
    assert code(zoho.get("Tasks", fields="id", page=1, page_token="x")) == (400, "AMBIGUITY_DURING_PROCESSING")
    assert code(zoho.get("Tasks", fields="id", page_token="x")) == (400, "EXPIRED_VALUE")


def test_a_page_token_is_good_for_a_day_and_100000_rows(zoho: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sandbox.zoho.records.TOKEN_ROWS", 100)
    first = zoho.get("Deals", fields="id", per_page=60).json()["info"]["next_page_token"]
    second = zoho.get("Deals", fields="id", page_token=first).json()["info"]["next_page_token"]
    assert code(zoho.get("Deals", fields="id", page_token=second)) == (400, "PAGINATION_LIMIT_EXCEEDED")
    zoho.server.sandbox.clock.set(AT + timedelta(hours=25))  # type: ignore[attr-defined]
    zoho.sign_in()
    assert code(zoho.get("Deals", fields="id", page_token=first)) == (400, "EXPIRED_VALUE")


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, "REQUIRED_PARAM_MISSING"),
        ({"fields": ",".join(f"Field_{n}" for n in range(51))}, "LIMIT_EXCEEDED"),
        ({"fields": "id", "per_page": 201}, "INVALID_DATA"),
        ({"fields": "id", "sort_by": "Amount"}, "INVALID_DATA"),
        ({"fields": "id", "converted": "both"}, "INVALID_DATA"),
        ({"fields": "Nothing"}, "INVALID_DATA"),
        ({"fields": "id", "limit": 3}, "EXTRA_PARAM_FOUND"),
        ({"fields": "id", "ids": ",".join(map(str, range(101)))}, "LIMIT_EXCEEDED"),
    ],
)
def test_a_list_asked_for_wrongly_is_refused(shared: Client, parameters: dict[str, Any], error: str) -> None:
    assert code(shared.get("Deals", **parameters)) == (400, error)


def test_if_modified_since_is_inclusive_and_answers_304(zoho: Client) -> None:
    id, *_ = zoho.ids("Deals")
    zoho.zoho.change("Deals", id, {"Amount": Decimal("0.1")})
    found = zoho.get("Deals", {"If-Modified-Since": STAMP}, fields="Amount,Modified_Time")
    assert [(row["id"], row["Modified_Time"]) for row in found.json()["data"]] == [(id, STAMP)]
    assert '"Amount":0.1,' in found.text
    later = zoho.get("Deals", {"If-Modified-Since": "2026-08-14T18:00:01+00:00"}, fields="Amount")
    assert (later.status_code, later.content) == (304, b"")
    assert code(zoho.get("Deals", {"If-Modified-Since": "yesterday"}, fields="id")) == (400, "INVALID_DATA")
    nothing = zoho.get("Quotes", fields="id")
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_lookups_are_objects_in_records_and_subforms_come_by_id_only(shared: Client) -> None:
    listed = shared.get("Sales_Orders", fields="Deal_Name,Owner,Ordered_Items").json()["data"][0]
    assert set(listed["Owner"]) == {"id", "name", "email"} and set(listed["Deal_Name"]) == {"id", "name"}
    assert "Ordered_Items" not in listed
    (full,) = shared.get("Sales_Orders", fields="Ordered_Items", ids=listed["id"]).json()["data"]
    assert full["Ordered_Items"] and set(full["Ordered_Items"][0]["Product_Name"]) == {"id", "name"}


def test_converted_leads_show_only_when_asked_for(shared: Client) -> None:
    def count(**parameters: Any) -> int:
        pages = [shared.get("Leads", fields="id", page=page, **parameters) for page in (1, 2)]
        return sum(len(page.json()["data"]) for page in pages if page.status_code == 200)

    unconverted, converted, both = count(), count(converted="true"), count(converted="both")
    assert converted and unconverted + converted == both
    assert shared.get("Leads/actions/count").json() == {"count": unconverted}
    (row,) = shared.query("select count(id) from Leads where (id is not null)").json()["data"]
    assert row == {"count(id)": unconverted}


def test_unknown_and_forbidden_modules(zoho: Client) -> None:
    zoho.zoho.org.hidden_modules.add("Deals")
    assert code(zoho.get("Deals", fields="id")) == (403, "NO_PERMISSION")
    assert code(zoho.get("settings/fields", module="Deals")) == (403, "NO_PERMISSION")
    assert code(zoho.get("Nothing", fields="id")) == (400, "INVALID_MODULE")


def test_a_hidden_field_is_left_out_without_a_word(zoho: Client) -> None:
    zoho.zoho.org.hidden_fields.add(("Deals", "Amount"))
    assert "Amount" not in zoho.get("Deals", fields="id,Amount").json()["data"][0]
    described = zoho.get("settings/fields", module="Deals", type="all").json()["fields"]
    assert "Amount" not in {field["api_name"] for field in described}
    assert code(zoho.query("select Amount from Deals where (id is not null)")) == (400, "INVALID_QUERY")


def test_too_long_an_address_is_refused(shared: Client) -> None:
    assert shared.get("Deals", fields="id", cvid="1" * 9_000).status_code == 414


# queries


def test_a_query_filters_sorts_and_pages(shared: Client) -> None:
    answer = shared.query(
        "select Deal_Name, Owner, Amount from Deals where ((Amount > 0 and Stage = 'Closed Won') and Owner is not null)"
        " order by Amount desc, id asc limit 1, 2"
    ).json()
    first, second = answer["data"]
    assert first["Amount"] >= second["Amount"] and set(first["Owner"]) == {"id"}
    assert answer["info"] == {"count": 2, "more_records": True}
    assert shared.query("select id from Deals where (Deal_Name = 'it''s none')").status_code == 204
    ids = ", ".join(f"'{id}'" for id in shared.ids("Deals")[:100])
    assert len(shared.query(f"select Stage from Deals where (id in ({ids}))").json()["data"]) == 100


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("select id from Deals", "SYNTAX_ERROR"),
        ("select id from Deals where a = 1 and b = 2", "INVALID_QUERY"),
        ("select id from Deals where id > '1' and id > '2' and id > '3'", "SYNTAX_ERROR"),
        ("select id from Deals where (id is not null) limit 2001", "LIMIT_EXCEEDED"),
        ("select id from Deals where (id is not null) limit 99999, 200", "LIMIT_EXCEEDED"),
        (f"select id from Deals where id in ({', '.join(['1'] * 101)})", "LIMIT_EXCEEDED"),
        (f"select {', '.join(['id'] * 501)} from Deals where id is not null", "LIMIT_EXCEEDED"),
        ("select id, id from Deals where id is not null", "DUPLICATE_DATA"),
        ("select id from Nothing where id is not null", "INVALID_MODULE"),
        ("select id from Price_Books where id is not null", "INVALID_MODULE"),
        ("select id from Deals where Description like 'a%'", "INVALID_QUERY"),
        ("select id from Deals where Modified_Time > 'then'", "INVALID_QUERY"),
        ("delete from Deals", "SYNTAX_ERROR"),
    ],
)
def test_a_query_that_zoho_does_not_take_is_refused(shared: Client, query: str, error: str) -> None:
    assert code(shared.query(query)) == (400, error)


# bulk files


def test_a_bulk_job_writes_a_zipped_csv(zoho: Client) -> None:
    zoho.zoho.bulk.page_rows = 150
    created = zoho.bulk(module={"api_name": "Deals"}, fields=["id", "Owner", "Amount", "Created_Time"], page=1)
    assert created.status_code == 201
    details = created.json()["data"][0]["details"]
    assert details["state"] == "ADDED"
    path = f"/crm/bulk/v8/read/{details['id']}"
    assert code(zoho.get(f"{path}/result")) == (400, "INVALID_DATA")
    states = [zoho.get(path).json()["data"][0] for _ in range(2)]
    assert [job["state"] for job in states] == ["IN PROGRESS", "COMPLETED"]
    result = states[1]["result"]
    assert (result["count"], result["more_records"]) == (150, True)
    with zipfile.ZipFile(io.BytesIO(zoho.get(f"{path}/result").content)) as archive:
        (name,) = archive.namelist()
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open(name), "utf-8", newline="")))
    assert len(rows) == 150 and list(rows[0]) == ["id", "Owner", "Amount", "Created_Time"]
    assert rows[0]["Owner"].isdigit() and rows[0]["Created_Time"].endswith("+05:30")
    following = zoho.bulk(module={"api_name": "Deals"}, fields=["id"], page_token=result["next_page_token"])
    path = f"/crm/bulk/v8/read/{following.json()['data'][0]['details']['id']}"
    zoho.get(path)
    last = zoho.get(path).json()["data"][0]["result"]
    assert (last["count"], last["more_records"]) == (DEALS - 150, False)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"module": "Deals"}, "INVALID_DATA"),
        ({"module": {"api_name": "Calls"}}, "MODULE_NOT_SUPPORTED"),
        ({"module": {"api_name": "Deals"}, "page": 1, "page_token": "x"}, "AMBIGUITY_DURING_PROCESSING"),
        ({"module": {"api_name": "Deals"}, "page_token": "x"}, "EXPIRED_VALUE"),
        ({"module": {"api_name": "Sales_Orders"}, "fields": ["Ordered_Items"]}, "INVALID_DATA"),
        ({"module": {"api_name": "Deals"}, "limit": 3}, "INVALID_DATA"),
    ],
)
def test_a_bulk_job_asked_for_wrongly_is_refused(shared: Client, query: dict[str, Any], error: str) -> None:
    assert code(shared.bulk(**query)) == (400, error)


# what happens


def test_what_happens_in_the_company_shows(zoho: Client) -> None:
    deal = next(deal for deal in company().opportunities if len(deal.history) > 1)
    id = record_id("Deals", deal.key)

    def happen(kind: ChangeKind, record: Opportunity = deal) -> None:
        zoho.zoho.apply(Change(at=AT, crm="zoho", kind=kind, record=record))

    def gone() -> list[tuple[str, str]]:
        response = zoho.get("Deals/deleted", type="all")
        return [] if response.status_code == 204 else [(row["id"], row["type"]) for row in response.json()["data"]]

    shorter = Opportunity(**{**vars(deal), "history": deal.history[:1], "name": "Renamed"})
    happen(ChangeKind.SAVED, shorter)
    assert zoho.get("Deals", fields="Deal_Name", ids=id).json()["data"][0]["Deal_Name"] == "Renamed"
    assert len(zoho.get(f"Deals/{id}/Stage_History", fields="Stage").json()["data"]) == 1

    happen(ChangeKind.DELETED, shorter)
    assert gone() == [(id, "recycle")] and zoho.get("Deals", fields="id", ids=id).status_code == 204
    assert zoho.get("Deals/deleted", {"If-Modified-Since": "2026-08-14T18:00:01+00:00"}).status_code == 304
    happen(ChangeKind.RESTORED)
    assert gone() == [] and len(zoho.get(f"Deals/{id}/Stage_History", fields="Stage").json()["data"]) > 1
    happen(ChangeKind.PURGED)
    assert gone() == [(id, "permanent")]
    assert code(zoho.get("Deals/deleted", per_page=201)) == (400, "INVALID_DATA")
    assert code(zoho.get("DealHistory/deleted")) == (400, "NOT_SUPPORTED")


def test_of_merged_records_the_loser_is_deleted_and_its_deals_move(zoho: Client) -> None:
    loser = next(iter({deal.account_key for deal in company().opportunities if deal.account_key}))
    accounts = {account.key: account for account in company().accounts}
    winner = next(account for account in accounts.values() if account.key != loser)
    merge = Change(at=AT, crm="zoho", kind=ChangeKind.MERGED, record=accounts[loser], into=winner)
    zoho.zoho.apply(merge)
    (gone,) = zoho.get("Accounts/deleted").json()["data"]
    assert gone["id"] == record_id("Accounts", loser)
    where = f"Account_Name = '{gone['id']}'"
    assert zoho.query(f"select id from Deals where ({where})").status_code == 204


# limits and faults


def test_credits_show_from_half_of_them_on_and_run_out(zoho: Client) -> None:
    zoho.zoho.allowance, zoho.zoho.spent = 100, 0
    assert "X-API-CREDITS-REMAINING" not in zoho.get("org").headers
    zoho.zoho.spent = 39
    zoho.get("Deals/deleted")
    zoho.query("select id from Deals where (id is not null) limit 2000")
    assert zoho.zoho.spent == 44
    assert zoho.bulk(module={"api_name": "Deals"}).headers["X-API-CREDITS-REMAINING"] == "6"
    refused = zoho.bulk(module={"api_name": "Deals"})
    assert code(refused) == (429, "TOO_MANY_REQUESTS")
    assert refused.headers["X-API-CREDITS-REMAINING"] == "0" and "Retry-After" not in refused.headers


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.TOO_MANY, 429),
        (Fault.TOO_MANY_BARE, 429),
        (Fault.SERVER_ERROR, 503),
        (Fault.HTML_PAGE, 502),
        (Fault.DAILY_LIMIT, 429),
        (Fault.EXPIRED, 401),
    ],
)
def test_faults_are_worded_as_zoho_words_them(zoho: Client, fault: Fault, status: int) -> None:
    response = zoho.get("Deals", {HEADER: fault}, fields="id")
    assert response.status_code == status
    assert ("Retry-After" in response.headers) is (fault is Fault.TOO_MANY)
    assert (response.headers.get("X-API-CREDITS-REMAINING") == "0") is (fault is Fault.DAILY_LIMIT)


def test_a_lost_page_token_is_a_fault_only_of_requests_that_have_one(shared: Client) -> None:
    token = shared.get("Deals", fields="id", per_page=10).json()["info"]["next_page_token"]
    lost = {HEADER: Fault.LOST_CURSOR.value}
    assert shared.get("Deals", lost, fields="id").status_code == 200
    assert code(shared.get("Deals", lost, fields="id", page_token=token)) == (400, "EXPIRED_VALUE")


# metadata


def test_metadata_tells_of_modules_fields_stages_and_people(shared: Client) -> None:
    modules = {module["api_name"]: module for module in shared.get("settings/modules").json()["modules"]}
    assert modules["Survey_Responses"]["generated_type"] == "custom"
    fields = {field["api_name"]: field for field in shared.get("settings/fields", module="Deals").json()["fields"]}
    assert fields["Weighted_Value"]["data_type"] == "formula" and fields["Weighted_Value"]["custom_field"]
    assert fields["Stage"]["pick_list_values"][0]["probability"] == 10
    (layout,) = shared.get("settings/layouts", module="Deals").json()["layouts"]
    (pipeline,) = shared.get("settings/pipeline", layout_id=layout["id"]).json()["pipeline"]
    assert [stage["forecast_type"] for stage in pipeline["maps"]][-2:] == ["Closed Won", "Closed Lost"]
    users = shared.get("users", type="AllUsers").json()["users"]
    assert all(set(user["role"]) == {"id", "name"} for user in users)
    assert shared.get("users", type="DeletedUsers").status_code == 204
    (base,) = (row for row in shared.get("org/currencies").json()["currencies"] if row["is_base"])
    assert base["exchange_rate"] == "1.000000000"
    assert shared.get("org").json()["org"][0]["license_details"]["paid_type"] == "enterprise"
    assert code(shared.get("users", type="Some")) == (400, "INVALID_DATA")
