import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceMalformedRequest

from connectors.salesforce import STREAMS
from connectors.sandbox.company import Change, ChangeKind, Company, CustomField, Record
from connectors.sandbox.faults import Fault
from connectors.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET, double, record_id
from connectors.sandbox.server import Server, running

EMPTY = {"Contract", "ObjectTerritory2Association"}
"""Objects that the company does not fill."""


@pytest.fixture
def sandbox(halden: Company) -> Iterator[Server]:
    """An org of the test's own."""
    with running(halden, ["salesforce"]) as server:
        yield server


@pytest.fixture
def client(shared: Server, downgraded: Callable[[Server], requests.Session]) -> Salesforce:
    return connect(downgraded(shared))


def connect(session: requests.Session) -> Salesforce:
    return Salesforce(
        consumer_key=CLIENT_ID,
        consumer_secret=CLIENT_SECRET,
        domain="halden.my",
        version="59.0",
        session=session,
        parse_float=Decimal,
    )


def test_simple_salesforce_reads_every_stream(client: Salesforce) -> None:
    present = {entry["name"] for entry in client.describe()["sobjects"]}
    assert {stream.object for stream in STREAMS} <= present
    for stream in STREAMS:
        described = {field["name"]: field for field in getattr(client, stream.object).describe()["fields"]}
        assert set(stream.fields) <= set(described), stream.name
        records = client.query_all(f"SELECT {', '.join(stream.fields)} FROM {stream.object}")
        assert records["totalSize"] == len(records["records"])
        assert bool(records["records"]) == (stream.object not in EMPTY), stream.name


def test_quotes_assets_and_prices_fit_the_deals_they_come_from(client: Salesforce) -> None:
    def found(soql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in client.query_all(soql)["records"]]

    deals = {row["Id"]: row for row in found("SELECT Id, AccountId, Amount, IsWon, Pricebook2Id FROM Opportunity")}
    entries = {row["Id"]: row for row in found("SELECT Id, Pricebook2Id, Product2Id FROM PricebookEntry")}
    for line in found("SELECT OpportunityId, Product2Id, PricebookEntryId FROM OpportunityLineItem"):
        entry = entries[line["PricebookEntryId"]]
        assert entry["Product2Id"] == line["Product2Id"]
        assert entry["Pricebook2Id"] == deals[line["OpportunityId"]]["Pricebook2Id"]
    quotes = {row["Id"]: row for row in found("SELECT Id, OpportunityId, AccountId, Status, GrandTotal FROM Quote")}
    totals = Counter[str]()
    for line in found("SELECT QuoteId, TotalPrice FROM QuoteLineItem"):
        totals[line["QuoteId"]] += line["TotalPrice"]
    for id, offer in quotes.items():
        deal = deals[offer["OpportunityId"]]
        assert offer["GrandTotal"] == deal["Amount"] == totals[id] and offer["AccountId"] == deal["AccountId"]
        assert (offer["Status"] == "Accepted") is deal["IsWon"]
    assert {id for id, deal in deals.items() if deal["IsWon"]} <= {offer["OpportunityId"] for offer in quotes.values()}
    assets, items = found("SELECT AccountId, Status FROM Asset"), found("SELECT Id FROM OrderItem")
    assert 0 < len(assets) <= len(items)
    assert {asset["AccountId"] for asset in assets} <= {deal["AccountId"] for deal in deals.values() if deal["IsWon"]}


def test_describe_has_the_compound_traps(client: Salesforce) -> None:
    fields = {field["name"]: field for field in client.Account.describe()["fields"]}
    assert fields["BillingAddress"]["type"] == "address"
    assert fields["BillingCountry"]["compoundFieldName"] == "BillingAddress"
    assert fields["Name"]["compoundFieldName"] == "Name"
    assert fields["OwnerId"]["referenceTo"] == ["User"]
    assert "OpportunityStage" in {object["name"] for object in client.describe()["sobjects"]}


def test_bulk_through_simple_salesforce(client: Salesforce, halden: Company) -> None:
    pages = list(client.bulk2.Opportunity.query("SELECT Id, Name, Amount FROM Opportunity", wait=0.01, max_records=120))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page))]
    deals = [deal for deal in halden.opportunities if deal.crm == "salesforce"]
    assert [len(page.splitlines()) - 1 for page in pages] == [120, 120, len(deals) - 240]
    assert all(line.startswith('"') and line.endswith('"') for page in pages for line in page.splitlines())
    amounts = sorted(deal.amount for deal in deals)
    assert sorted(Decimal(row["Amount"]) for row in rows) == amounts


def test_jwt_bearer(shared: Server, tmp_path: Any, downgraded: Callable[[Server], requests.Session]) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {
        "iss": CLIENT_ID,
        "sub": "grace.okafor@halden.example",
        "aud": shared.url,
        "exp": time.time() + 180,
    }
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    url = f"{shared.url}/services/oauth2/token"
    good = requests.post(url, data=grant | {"assertion": jwt.encode(claims, key, "RS256")})
    assert good.status_code == 200 and good.json()["token_type"] == "Bearer" and "refresh_token" not in good.json()
    for change in (
        {"iss": "x"},
        {"sub": "x"},
        {"aud": "x"},
        {"exp": time.time() - 60},
        {"exp": time.time() + 3600},
    ):
        bad = requests.post(url, data=grant | {"assertion": jwt.encode(claims | change, key, "RS256")})
        assert bad.status_code == 400 and set(bad.json()) == {"error", "error_description"}
    assert requests.post(url, data=grant | {"assertion": "nonsense"}).json()["error"] == "invalid_grant"


def test_wrong_credentials(shared: Server, downgraded: Callable[[Server], requests.Session]) -> None:
    with pytest.raises(SalesforceAuthenticationFailed):
        Salesforce(consumer_key=CLIENT_ID, consumer_secret="no", domain="h.my", session=downgraded(shared))
    response = requests.get(f"{shared.url}/services/data/v59.0/limits", headers={"Authorization": "Bearer x"})
    assert response.status_code == 401
    assert response.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id, Id FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01T00:00:00 00:00", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY"),
        ("SELECT Id, COUNT(Name) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account # x", "MALFORMED_QUERY"),
    ],
)
def test_bad_queries_are_refused(client: Salesforce, soql: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.query(soql)
    assert refused.value.content[0]["errorCode"] == code


def test_soql_conditions(client: Salesforce, halden: Company) -> None:
    def count(condition: str) -> int:
        return int(client.query(f"SELECT COUNT() FROM Opportunity WHERE {condition}")["totalSize"])

    deals = [deal for deal in halden.opportunities if deal.crm == "salesforce"]
    assert count("IsWon = true") == sum(deal.stage == "won" for deal in deals)
    assert count("CloseDate = null") == 1
    assert count("NOT (CloseDate != null)") == 1
    assert count("CloseDate >= 2026-08-14") == sum(
        bool(d.close_date and str(d.close_date) >= "2026-08-14") for d in deals
    )
    assert count("StageName IN ('Closed Won', 'Closed Lost')") == sum(deal.stage in ("won", "lost") for deal in deals)
    assert count("Amount >= 50000.00") == sum(deal.amount >= 50000 for deal in deals)
    assert count("Name LIKE 'a%'") == sum(deal.name.lower().startswith("a") for deal in deals)
    assert count("CreatedDate >= 2026-01-01T02:00:00+02:00") == sum(d.created_at.year == 2026 for d in deals)
    assert count("ContactId = null OR ContactId != null") == len(deals)


def test_formats_of_rest_and_bulk(client: Salesforce, signed_in: Any, shared: Server) -> None:
    record = client.query("SELECT Amount, Probability, IsWon, SystemModstamp FROM Opportunity LIMIT 1")["records"][0]
    assert isinstance(record["Amount"], Decimal)
    assert record["SystemModstamp"].endswith(".000+0000")
    assert record["IsWon"] in (True, False)
    api = signed_in(shared, "salesforce")
    text = bulk(api, "SELECT Id, CloseDate, IsWon, SystemModstamp FROM Opportunity LIMIT 3").text
    assert text.startswith('"Id","CloseDate","IsWon","SystemModstamp"\n"006')
    assert text.count('.000Z"\n') == 3 and '"true"' in text or '"false"' in text
    limits = api("GET", "/limits")
    assert limits.json()["DailyApiRequests"]["Max"] == 15000
    assert limits.headers["Sforce-Limit-Info"].startswith("api-usage=")


def test_numbers_keep_all_digits() -> None:
    texts = {
        "12345678901234.56": "1.234567890123456E13",
        "0.1": "0.1",
        "15000": "15000.0",
        "-2.50": "-2.5",
        "0": "0.0",
    }
    for given, expected in texts.items():
        assert double(Decimal(given)) == expected
        assert Decimal(expected) == Decimal(given)


def bulk(api: Any, soql: str, operation: str = "query", **params: Any) -> requests.Response:
    job = api.post("/jobs/query", {"operation": operation, "query": soql})
    assert job["state"] == "UploadComplete" and job["apiVersion"] == 59.0
    states = []
    while not states or states[-1] != "JobComplete":
        states.append(api.get(f"/jobs/query/{job['id']}")["state"])
    assert states == ["InProgress", "JobComplete"]
    response = api("GET", f"/jobs/query/{job['id']}/results", params=params)
    assert response.ok, response.text
    return response


def test_bulk_job_life(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "salesforce")
    sandbox.sandbox.salesforce.bulk.page = 40
    total = sandbox.store.count("salesforce.Opportunity")
    job = api.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Opportunity"})["id"]
    early = api("GET", f"/jobs/query/{job}/results")
    assert early.status_code == 400 and early.json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert api("DELETE", f"/jobs/query/{job}").status_code == 400
    api.get(f"/jobs/query/{job}")
    assert api.get(f"/jobs/query/{job}")["numberRecordsProcessed"] == total
    pages = api.get(f"/jobs/query/{job}/resultPages")
    assert len(pages["resultPages"]) == 5 and not pages["done"]
    ids: list[str] = []
    locator, counts = None, []
    while locator != "null":
        page = api("GET", f"/jobs/query/{job}/results", params={"locator": locator} if locator else None)
        counts.append(int(page.headers["Sforce-NumberOfRecords"]))
        ids += page.text.splitlines()[1:]
        locator = page.headers["Sforce-Locator"]
        assert locator == "null" or set("+/=") & set(locator)
    assert counts == [40] * (total // 40) + [total % 40] and len(set(ids)) == total
    other = f"{sandbox.url}/services/data/v60.0/jobs/query/{job}/results"
    assert api("GET", other).status_code == 409
    unescaped = api("GET", f"/jobs/query/{job}/results?locator=++nope")
    assert unescaped.status_code == 400
    assert api("DELETE", f"/jobs/query/{job}").status_code == 204
    assert api("GET", f"/jobs/query/{job}").status_code == 404


def test_bulk_refusals_and_abort(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "salesforce")
    for body, code in (
        ({"operation": "query", "query": "SELECT BillingAddress FROM Account"}, "FUNCTIONALITY_NOT_ENABLED"),
        ({"operation": "query", "query": "SELECT COUNT() FROM Account"}, "FUNCTIONALITY_NOT_ENABLED"),
        ({"operation": "insert", "query": "SELECT Id FROM Account"}, "INVALIDENTITY"),
        ({"operation": "query", "query": "SELECT X FROM Account"}, "INVALID_FIELD"),
        ({"operation": "query", "query": "SELECT Id FROM Account", "extra": 1}, "JSON_PARSER_ERROR"),
    ):
        response = api("POST", "/jobs/query", json=body)
        assert response.status_code == 400 and response.json()[0]["errorCode"] == code
    job = api.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Account"})["id"]
    assert api("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert job in {entry["id"] for entry in api.get("/jobs/query")["records"]}


def test_rest_batches(halden: Company, signed_in: Any) -> None:
    account = next(account for account in halden.accounts if account.crm == "salesforce")
    accounts = [replace(account, key=f"account {number}", parent_key=None) for number in range(4_800)]
    others = ("contacts", "leads", "opportunities", "campaign_members", "activities", "orders", "invoices", "surveys")
    big = replace(halden, accounts=tuple(accounts), **dict.fromkeys(others, ()))
    with running(big, ["salesforce"]) as server:
        api = signed_in(server, "salesforce")
        assert sizes(api, "SELECT Id FROM Account") == [2000, 2000, 800]
        assert sizes(api, "SELECT Id, Description FROM Account") == [1000, 1000, 750, 750, 1000, 300]
        assert sizes(api, "SELECT Id FROM Account LIMIT 2001") == [2000, 1]
        hint = {"Sforce-Query-Options": "batchSize=100"}
        assert sizes(api, "SELECT Id FROM Account LIMIT 500", headers=hint) == [200, 200, 100]
        first = [api.get(f"/query?q={quote('SELECT Id FROM Account')}")["nextRecordsUrl"] for _ in range(11)]
        dead = api("GET", server.url + first[0])
        assert dead.status_code == 400 and dead.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
        assert api("GET", server.url + first[1]).ok


def sizes(api: Any, soql: str, **kwargs: Any) -> list[int]:
    page = api.get("/query", params={"q": soql}, **kwargs)
    found, ids = [], set()
    while True:
        found.append(len(page["records"]))
        ids |= {record["Id"] for record in page["records"]}
        if page["done"]:
            assert "nextRecordsUrl" not in page and len(ids) == sum(found) == page["totalSize"]
            return found
        page = api.get(api.root.removesuffix("/services/data/v59.0") + page["nextRecordsUrl"], **kwargs)


def test_a_record_is_created_corrected_and_deleted(
    sandbox: Server, signed_in: Any, downgraded: Callable[[Server], requests.Session]
) -> None:
    client = connect(downgraded(sandbox))
    poisoned = client.query("SELECT Id, SystemModstamp FROM Opportunity WHERE IsWon = true AND CloseDate = null")
    id = poisoned["records"][0]["Id"]
    assert client.Opportunity.update(id, {"CloseDate": "2026-05-05"}) == 204
    corrected = client.Opportunity.get(id)
    assert corrected["CloseDate"] == "2026-05-05"
    assert corrected["SystemModstamp"] > poisoned["records"][0]["SystemModstamp"]
    created = client.Opportunity.create(
        {"Name": "n", "StageName": "Closed Won", "CloseDate": "2026-01-02", "Amount": 0.1}
    )
    record = client.Opportunity.get(created["id"])
    assert (record["IsWon"], record["Probability"], str(record["Amount"])) == (True, 100, "0.1")
    start = datetime.now(UTC)
    assert client.Opportunity.delete(id) == 204
    assert client.query(f"SELECT Id FROM Opportunity WHERE Id = '{id}'")["totalSize"] == 0
    gone = client.query(f"SELECT IsDeleted, SystemModstamp FROM Opportunity WHERE Id = '{id}'", include_deleted=True)
    assert gone["records"][0]["IsDeleted"] is True
    api = signed_in(sandbox, "salesforce")
    assert bulk(api, "SELECT Id FROM Opportunity WHERE IsDeleted = true", "queryAll").text.count("\n") == 2
    assert bulk(api, "SELECT Id FROM Opportunity WHERE IsDeleted = true").text.count("\n") == 1
    deleted = client.Opportunity.deleted(start - timedelta(minutes=5), start + timedelta(minutes=5))
    assert [entry["id"] for entry in deleted["deletedRecords"]] == [id]
    again = api("PATCH", f"/sobjects/Opportunity/{id}", json={"Name": "x"})
    assert again.status_code == 404 and again.json()[0]["errorCode"] == "ENTITY_IS_DELETED"


def test_wrong_writes_are_refused(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "salesforce")
    id = api.get("/query?q=SELECT+Id+FROM+Account+LIMIT+1")["records"][0]["Id"]
    for body, code in (
        ({"Nope": 1}, "INVALID_FIELD"),
        ({"SystemModstamp": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"AnnualRevenue": "lots"}, "JSON_PARSER_ERROR"),
    ):
        response = api("PATCH", f"/sobjects/Account/{id}", json=body)
        assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
    assert api("POST", "/sobjects/Account", json={}).json()[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert api("GET", "/sobjects/Nope/describe").status_code == 404


def test_sessions_expire_and_long_urls_fail(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "salesforce")
    long = api("GET", "/query", params={"q": "SELECT Id FROM Account WHERE Name = '" + "x" * 17000 + "'"})
    assert long.status_code == 414 and long.text.startswith("<h1>")
    sandbox.sandbox.salesforce.expire_sessions()
    assert api("GET", "/limits").status_code == 401


def test_ids_of_15_characters_are_understood(client: Salesforce) -> None:
    id = client.query("SELECT Id FROM Account LIMIT 1")["records"][0]["Id"]
    assert len(id) == 18
    assert client.query(f"SELECT Id FROM Account WHERE Id = '{id[:15]}'")["records"][0]["Id"] == id


def test_merge_deletes_the_loser_and_moves_its_children(
    sandbox: Server, downgraded: Callable[[Server], requests.Session]
) -> None:
    client = connect(downgraded(sandbox))
    winner, loser = (record["Id"] for record in client.query("SELECT Id FROM Account LIMIT 2")["records"])
    children = f"SELECT COUNT() FROM Contact WHERE AccountId IN ('{winner}', '{loser}')"
    expected = client.query(children)["totalSize"]
    sandbox.sandbox.salesforce.merge("Account", winner, loser)
    gone = client.query(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'", include_deleted=True)
    assert (gone["records"][0]["IsDeleted"], gone["records"][0]["MasterRecordId"]) == (True, winner)
    moved = client.query(f"SELECT COUNT() FROM Contact WHERE AccountId = '{winner}'")["totalSize"]
    assert moved == expected > 0


def test_what_hangs_on_a_deal_comes_and_goes_with_it(
    sandbox: Server, halden: Company, downgraded: Callable[[Server], requests.Session]
) -> None:
    client, vendor = connect(downgraded(sandbox)), sandbox.sandbox.salesforce
    deal = next(deal for deal in halden.opportunities if deal.crm == "salesforce" and len(deal.lines) > 1)
    id, at = record_id("Opportunity", deal.key), datetime.now(UTC)

    def lines(include_deleted: bool = False) -> list[bool]:
        soql = f"SELECT IsDeleted FROM OpportunityLineItem WHERE OpportunityId = '{id}'"
        return [row["IsDeleted"] for row in client.query(soql, include_deleted=include_deleted)["records"]]

    def apply(kind: ChangeKind, record: Record = deal, into: Record | None = None) -> None:
        vendor.apply(Change(at=at, crm="salesforce", kind=kind, record=record, into=into))

    assert lines() == [False] * len(deal.lines)
    apply(ChangeKind.SAVED, replace(deal, lines=deal.lines[:1], modified_at=at))
    assert sorted(lines(include_deleted=True)) == [False] + [True] * (len(deal.lines) - 1)
    apply(ChangeKind.DELETED)
    assert lines() == [] and not client.query(f"SELECT Id FROM Opportunity WHERE Id = '{id}'")["records"]
    apply(ChangeKind.RESTORED, replace(deal, modified_at=at))
    assert lines() == [False] * len(deal.lines)
    apply(ChangeKind.PURGED)
    assert lines(include_deleted=True) == []
    assert not client.query(f"SELECT Id FROM Opportunity WHERE Id = '{id}'", include_deleted=True)["records"]
    gone = client.Opportunity.deleted(at - timedelta(minutes=5), at + timedelta(minutes=5))
    assert id in {entry["id"] for entry in gone["deletedRecords"]}


def test_what_is_saved_as_it_was_is_left_untouched(sandbox: Server, halden: Company) -> None:
    version = sandbox.store.version
    for record in halden.records("salesforce"):
        sandbox.sandbox.salesforce.apply(
            Change(at=datetime.now(UTC), crm="salesforce", kind=ChangeKind.SAVED, record=record)
        )
    assert sandbox.store.version == version


def test_a_merge_in_the_company_names_the_winner(
    sandbox: Server, halden: Company, downgraded: Callable[[Server], requests.Session]
) -> None:
    winner, loser = [account for account in halden.accounts if account.crm == "salesforce"][:2]
    at = datetime.now(UTC).replace(microsecond=0)
    change = Change(
        at=at, crm="salesforce", kind=ChangeKind.MERGED, record=loser, into=replace(winner, name="Both", modified_at=at)
    )
    sandbox.sandbox.salesforce.apply(change)
    client = connect(downgraded(sandbox))
    soql = "SELECT IsDeleted, MasterRecordId, Name, SystemModstamp FROM Account WHERE Id = '{}'"
    ids = [record_id("Account", account.key) for account in (winner, loser)]
    kept, gone = (client.query(soql.format(id), include_deleted=True)["records"][0] for id in ids)
    assert (kept["Name"], kept["IsDeleted"]) == ("Both", False)
    assert (gone["IsDeleted"], gone["MasterRecordId"]) == (True, ids[0])
    assert datetime.fromisoformat(gone["SystemModstamp"]) == at


def test_a_formula_changes_without_a_stamp(halden: Company, downgraded: Callable[[Server], requests.Session]) -> None:
    field = CustomField(record="opportunity", name="weighted_value", kind="money", is_formula=True)
    deal = next(deal for deal in halden.opportunities if deal.crm == "salesforce")
    company = replace(halden, custom_fields=(field,), opportunities=(replace(deal, custom={field.name: Decimal(1)}),))
    with running(company, ["salesforce"]) as server:
        client = connect(downgraded(server))
        described = {entry["name"]: entry for entry in client.Opportunity.describe()["fields"]}
        assert described["Weighted_Value__c"]["calculated"] and not described["Amount"]["calculated"]
        id = record_id("Opportunity", deal.key)
        before = client.Opportunity.get(id)
        record = replace(deal, name="not seen", custom={field.name: Decimal(2)})
        server.sandbox.salesforce.apply(
            Change(at=datetime.now(UTC), crm="salesforce", kind=ChangeKind.FORMULA, record=record)
        )
        assert client.Opportunity.get(id) == {**before, "Weighted_Value__c": Decimal(2)}


def test_campaign_members_are_gone_at_once(sandbox: Server, downgraded: Callable[[Server], requests.Session]) -> None:
    client = connect(downgraded(sandbox))
    id = client.query("SELECT Id FROM CampaignMember LIMIT 1")["records"][0]["Id"]
    assert client.CampaignMember.delete(id) == 204
    assert not client.query(f"SELECT Id FROM CampaignMember WHERE Id = '{id}'", include_deleted=True)["records"]


def test_hidden_fields_and_objects_do_not_exist(sandbox: Server, signed_in: Any) -> None:
    api, org = signed_in(sandbox, "salesforce"), sandbox.sandbox.salesforce.org
    described = api("GET", "/sobjects/Opportunity/describe")
    known = {"If-Modified-Since": described.headers["Last-Modified"]}
    assert api("GET", "/sobjects/Opportunity/describe", headers=known).status_code == 304
    time.sleep(1.1)  # HTTP dates have seconds
    org.hide("Opportunity", "Amount")
    org.hide("Territory2")
    again = api("GET", "/sobjects/Opportunity/describe", headers=known)
    names = [{field["name"] for field in answer.json()["fields"]} for answer in (described, again)]
    assert names[0] - names[1] == {"Amount"}
    refused = api("GET", "/query", params={"q": "SELECT Amount FROM Opportunity"})
    assert refused.json()[0]["errorCode"] == "INVALID_FIELD"
    assert api("GET", "/query", params={"q": "SELECT Id FROM Territory2"}).json()[0]["errorCode"] == "INVALID_TYPE"
    assert api("GET", "/sobjects/Territory2/describe").status_code == 404
    org.show("Opportunity", "Amount")
    assert api("GET", "/query", params={"q": "SELECT Amount FROM Opportunity LIMIT 1"}).ok


def test_deleted_and_updated_between_two_minutes(sandbox: Server, signed_in: Any) -> None:
    api, org = signed_in(sandbox, "salesforce"), sandbox.sandbox.salesforce.org
    now = datetime.now(UTC)
    ids = [row["Id"] for row in sandbox.store.find("salesforce.Account", limit=3)]
    org.change("Account", ids[0], {"Name": "changed"})
    for id in ids[1:]:
        org.delete("Account", id)
    org.purge("Account", ids[2])

    def ask(what: str, start: datetime, end: datetime, **more: str) -> requests.Response:
        params = {"start": start.isoformat(), "end": end.isoformat(), **more}
        response: requests.Response = api("GET", f"/sobjects/Account/{what}/", params=params)
        return response

    def code(what: str, start: datetime, end: datetime, **more: str) -> str:
        return str(ask(what, start, end, **more).json()[0]["errorCode"])

    span = now - timedelta(minutes=5), now + timedelta(minutes=5)
    deleted, updated = (ask(what, *span).json() for what in ("deleted", "updated"))
    assert {entry["id"] for entry in deleted["deletedRecords"]} == set(ids[1:])
    assert set(deleted) == {"deletedRecords", "earliestDateAvailable", "latestDateCovered"}
    assert set(updated["ids"]) == set(ids[:2]) and updated["latestDateCovered"].endswith("+0000")
    assert code("deleted", now, now) == "INVALID_REPLICATION_DATE"
    assert code("deleted", now - timedelta(days=16), now) == "INVALID_REPLICATION_DATE"
    assert ask("updated", now - timedelta(days=16), now).ok
    assert code("updated", now - timedelta(days=31), now) == "INVALID_REPLICATION_DATE"
    assert code("deleted", *span, more="x") == "INVALID_PARAMETER"
    sandbox.sandbox.salesforce.sobjects.most_ids = 1
    assert code("deleted", *span) == "EXCEEDED_ID_LIMIT"


def test_bulk_results_are_csv_whatever_the_texts(sandbox: Server, signed_in: Any) -> None:
    api, org = signed_in(sandbox, "salesforce"), sandbox.sandbox.salesforce.org
    texts = ['a "quoted" word', "two\nlines, and a comma", "null", "a\0b", "é" * 200_000]
    ids = [row["Id"] for row in sandbox.store.find("salesforce.Account", limit=len(texts))]
    for id, text in zip(ids, texts, strict=True):
        org.change("Account", id, {"Name": text, "AnnualRevenue": Decimal("12345678901234.56"), "Website": None})
    csv.field_size_limit(1 << 20)
    marks = ", ".join(f"'{id}'" for id in ids)
    answer = bulk(api, f"SELECT Id, Name, AnnualRevenue, Website FROM Account WHERE Id IN ({marks})")
    rows = {row["Id"]: row for row in csv.DictReader(io.StringIO(answer.content.decode(), newline=""))}
    assert [rows[id]["Name"] for id in ids] == texts
    assert {(row["AnnualRevenue"], row["Website"]) for row in rows.values()} == {("1.234567890123456E13", "")}
    piped = api.post(
        "/jobs/query",
        {
            "operation": "query",
            "query": "SELECT Id, Name FROM Account LIMIT 1",
            "columnDelimiter": "PIPE",
            "lineEnding": "CRLF",
        },
    )["id"]
    while api.get(f"/jobs/query/{piped}")["state"] != "JobComplete":
        pass
    assert api("GET", f"/jobs/query/{piped}/results").text.startswith('"Id"|"Name"\r\n"001')


def test_bulk_does_not_know_every_object(shared: Server, signed_in: Any) -> None:
    query = {"operation": "query", "query": "SELECT Id FROM OpportunityStage"}
    refused = signed_in(shared, "salesforce")("POST", "/jobs/query", json=query)
    assert refused.status_code == 400 and "not supported by the Bulk API" in refused.json()[0]["message"]


def test_calls_beyond_the_daily_allowance_are_refused(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "salesforce")
    sandbox.sandbox.salesforce.daily_requests = 1
    assert api("GET", "/limits").json()["DailyApiRequests"] == {"Max": 1, "Remaining": 0}
    refused = api("GET", "/limits")
    assert refused.status_code == 403 and refused.json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.TOO_MANY, 429, "TOO_MANY_REQUESTS"),
        (Fault.TOO_MANY_BARE, 429, "TOO_MANY_REQUESTS"),
        (Fault.SERVER_ERROR, 503, "SERVER_UNAVAILABLE"),
        (Fault.DAILY_LIMIT, 403, "REQUEST_LIMIT_EXCEEDED"),
        (Fault.EXPIRED, 401, "INVALID_SESSION_ID"),
    ],
)
def test_faults_are_worded_as_salesforce_words_them(
    sandbox: Server, signed_in: Any, fault: Fault, status: int, code: str
) -> None:
    answer = signed_in(sandbox, "salesforce")("GET", "/limits", headers={"X-Sandbox-Fault": fault.value})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)
    assert ("Retry-After" in answer.headers) == (fault is Fault.TOO_MANY)


def test_a_cursor_can_be_lost_and_a_request_without_one_cannot(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "salesforce")
    sandbox.sandbox.salesforce.queries.batch = 50
    lose = {"X-Sandbox-Fault": Fault.LOST_CURSOR.value}
    more = api.get("/query", params={"q": "SELECT Id FROM Opportunity"}, headers=lose)["nextRecordsUrl"]
    for _ in range(2):
        lost = api("GET", sandbox.url + more, headers=lose)
        assert lost.status_code == 400 and lost.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
