"""HubSpot's side of the sandbox: asked by the official client and by plain requests, under both families of paths."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from hubspot import HubSpot
from hubspot.crm.deals import PublicObjectSearchRequest, SimplePublicObjectInput
from hubspot.crm.deals.exceptions import ApiException
from hubspot_company import plain
from hubspot_company import rich as with_everything

from connectors.hubspot import STREAMS
from connectors.sandbox.company import Change, ChangeKind, Company, Line
from connectors.sandbox.faults import Fault
from connectors.sandbox.hubspot import ACCESS_TOKEN, OBJECTS, record_id
from connectors.sandbox.hubspot import HubSpot as Portal
from connectors.sandbox.hubspot.gate import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from connectors.sandbox.server import Server, running
from connectors.sandbox.store import GONE, LIVE, Store, Where

EMPTY = ("quotes", "subscriptions", "notes")
OBJECT_STREAMS = [stream for stream in STREAMS if stream.key == "hs_object_id"]
NOW = datetime(2026, 8, 14, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def halden(halden: Company) -> Company:
    return plain(halden)


@pytest.fixture(scope="module")
def shared(halden: Company) -> Iterator[Server]:
    """A portal that tests only read from."""
    with running(halden, ["hubspot"]) as server:
        yield server


@pytest.fixture
def sandbox(halden: Company) -> Iterator[Server]:
    """A portal of the test's own."""
    with running(replace(halden, contacts=halden.contacts[:50]), ["hubspot"]) as server:
        yield server


@pytest.fixture(scope="module")
def rich(halden: Company) -> Company:
    return with_everything(halden)


@pytest.fixture(scope="module")
def stocked(rich: Company) -> Iterator[Server]:
    """A portal that has something of everything, and that tests only read from."""
    with running(rich, ["hubspot"]) as server:
        yield server


@pytest.fixture
def kept(rich: Company) -> Iterator[Portal]:
    """A portal that nobody serves, to which things happen."""
    with closing(Store(lambda: NOW)) as store:
        yield Portal(replace(rich, contacts=rich.contacts[:50], leads=()), store)


@pytest.fixture
def client(shared: Server) -> HubSpot:
    return HubSpot(access_token=ACCESS_TOKEN, host=shared.url)


def test_official_client_reads_deals(client: HubSpot, halden: Company) -> None:
    api = client.crm.deals.basic_api
    deals = client.crm.deals.get_all(properties=["amount", "closedate"], associations=["companies"])
    assert len(deals) == 300
    assert all(deal.properties["amount"] is None or isinstance(deal.properties["amount"], str) for deal in deals)
    assert all(deal.associations["companies"].results for deal in deals)
    expected = sorted(deal.amount for deal in halden.opportunities if deal.crm == "hubspot")
    assert sorted(Decimal(deal.properties["amount"]) for deal in deals) == expected
    page = api.get_page(limit=100, archived=True)
    assert page.results == [] and page.paging is None
    assert api.get_by_id(deals[0].id, properties=["dealname"]).properties["dealname"]


def test_official_client_searches_owners_and_settings(client: HubSpot, halden: Company) -> None:
    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "hs_is_closed_won", "operator": "EQ", "value": "true"}]}],
        sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        properties=["closedate"],
        limit=200,
    )
    found = client.crm.deals.search_api.do_search(public_object_search_request=request)
    assert found.total == sum(deal.crm == "hubspot" and deal.stage == "won" for deal in halden.opportunities)
    assert [deal.properties["closedate"] for deal in found.results].count(None) == 1
    owners = client.crm.owners.owners_api.get_page(limit=100, archived=False).results
    assert {owner.email for owner in owners} == {rep.email for rep in halden.reps if "hubspot" in rep.crms}
    assert {team.name for owner in owners for team in owner.teams or ()} == {"EMEA Sales"}
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [stage.id for stage in pipelines[0].stages][-1] == "closedlost"
    assert pipelines[0].stages[0].metadata == {"isClosed": "false", "probability": "0.1"}
    names = {entry.name for entry in client.crm.properties.core_api.get_all("deals").results}
    assert {"amount", "hs_is_closed_won"} <= names


def test_official_client_reads_associations(client: HubSpot) -> None:
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest as Batch

    lines = client.crm.line_items.basic_api.get_page(limit=3).results
    inputs = Batch(inputs=[{"id": line.id} for line in lines])
    found = client.crm.associations.v4.batch_api.get_page(
        from_object_type="line_items",
        to_object_type="deals",
        batch_input_public_fetch_associations_batch_request=inputs,
    )
    assert [result._from.id for result in found.results] == [line.id for line in lines]
    assert all(len(result.to) == 1 for result in found.results)


def test_official_client_corrects_archives_and_creates(sandbox: Server) -> None:
    client = HubSpot(access_token=ACCESS_TOKEN, host=sandbox.url)
    api = client.crm.deals.basic_api
    poisoned = next(deal for deal in sandbox.sandbox.company.dirty if deal.crm == "hubspot")
    id = record_id("deals", poisoned.key)
    before = api.get_by_id(id).updated_at
    changed = api.update(
        id, SimplePublicObjectInput(properties={"closedate": "2026-05-05", "amount": "12345678901234.56"})
    )
    assert changed.updated_at > before
    properties = api.get_by_id(id, properties=["closedate", "amount"]).properties
    assert (properties["closedate"], properties["amount"]) == ("2026-05-05T00:00:00Z", "12345678901234.56")
    moved = api.update(id, SimplePublicObjectInput(properties={"dealstage": "contractsent"}))
    stage = api.get_by_id(id, properties=["hs_is_closed_won", "hs_deal_stage_probability"]).properties
    assert (stage["hs_is_closed_won"], stage["hs_deal_stage_probability"]) == ("false", "0.75")
    api.archive(id)
    with pytest.raises(ApiException) as missing:
        api.get_by_id(id)
    assert missing.value.status == 404
    archived = api.get_page(archived=True).results
    assert [deal.id for deal in archived] == [id]
    assert archived[0].archived_at and archived[0].updated_at == moved.updated_at
    assert (
        sandbox.requests[f"DELETE /crm/v3/objects/0-3/{id}"] + sandbox.requests[f"DELETE /crm/v3/objects/deals/{id}"]
        == 1
    )


@pytest.mark.parametrize("family", ["/v3/objects", "/objects/2026-09"])
@pytest.mark.parametrize("stream", OBJECT_STREAMS, ids=lambda stream: stream.name)
def test_every_stream_lists_and_searches_its_fields(stocked: Server, signed_in: Any, stream: Any, family: str) -> None:
    api = signed_in(stocked, "hubspot")
    path = f"{family}/{stream.object}"
    response = api("GET", path, params={"limit": 100, "properties": ",".join(stream.fields)})
    assert "X-HubSpot-RateLimit-Remaining" in response.headers
    if stream.name in EMPTY:
        assert response.json()["results"] == []
        return
    first = response.json()["results"][0]
    assert set(first["properties"]) >= set(stream.fields)
    assert all(value is None or isinstance(value, str) for value in first["properties"].values())
    cursor = OBJECTS[stream.object].modified
    assert stream.cursor in (cursor, None)
    assert first["properties"][cursor]
    listed = {record["id"] for record in walk(api, path)}
    body = {
        "filterGroups": [{"filters": [{"propertyName": cursor, "operator": "GTE", "value": "0"}]}],
        "sorts": [{"propertyName": cursor, "direction": "ASCENDING"}],
        "limit": 20,
        "properties": list(stream.fields),
    }
    found, after = set(), "0"
    while after:
        answer = api("POST", f"{path}/search", json=body | {"after": after})
        assert "X-HubSpot-RateLimit-Remaining" not in answer.headers
        found |= {record["id"] for record in answer.json()["results"]}
        after = answer.json().get("paging", {}).get("next", {}).get("after")
    assert found == listed


def walk(api: Any, path: str, **params: Any) -> Iterator[Any]:
    after = None
    while True:
        page = api.get(path, params={"limit": 100, **params} | ({"after": after} if after else {}))
        yield from page["results"]
        after = page.get("paging", {}).get("next", {}).get("after")
        if not after:
            return


def search(api: Any, object: str, *filters: tuple[str, str, Any], **body: Any) -> Any:
    group = [
        {
            "propertyName": name,
            "operator": operator,
            ("values" if isinstance(value, list) else "value"): value,
        }
        for name, operator, value in filters
    ]
    return api.post(f"/v3/objects/{object}/search", {"filterGroups": [{"filters": group}], "limit": 200, **body})


def test_search_filters(shared: Server, signed_in: Any, halden: Company) -> None:
    api = signed_in(shared, "hubspot")
    deals = [deal for deal in halden.opportunities if deal.crm == "hubspot"]
    stages = ["closedwon", "closedlost"]
    assert search(api, "deals", ("dealstage", "IN", stages))["total"] == sum(d.stage in ("won", "lost") for d in deals)
    assert search(api, "deals", ("amount", "GT", "50000.5"))["total"] == sum(d.amount > 50000 for d in deals)
    assert search(api, "deals", ("closedate", "NOT_HAS_PROPERTY", ""))["total"] == 1
    millis = search(api, "deals", ("createdate", "GTE", "1767225600000"))["total"]
    assert millis == search(api, "deals", ("createdate", "GTE", "2026-01-01T00:00:00Z"))["total"]
    assert millis == sum(deal.created_at.year == 2026 for deal in deals)
    # the stamp of contacts has another name; asked by the usual one they all seem to be missing
    assert search(api, "contacts", ("hs_lastmodifieddate", "GTE", "0"))["total"] == 0
    either = {
        "filterGroups": [{"filters": [{"propertyName": "dealstage", "operator": "EQ", "value": s}]} for s in stages]
    }
    assert api.post("/v3/objects/deals/search", either)["total"] == sum(d.stage in ("won", "lost") for d in deals)


@pytest.mark.parametrize("as_text", [False, True])
def test_ids_compare_as_numbers_or_text(sandbox: Server, signed_in: Any, as_text: bool) -> None:
    sandbox.sandbox.hubspot.habits.compares_ids_as_text = as_text
    api = signed_in(sandbox, "hubspot")
    last, seen = "0", []
    sort = {"sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}], "limit": 100}
    while page := search(api, "deals", ("hs_object_id", "GT", last), **sort)["results"]:
        seen += [record["id"] for record in page]
        last = seen[-1]
    assert seen == sorted(seen, key=str if as_text else int) and len(set(seen)) == 300
    assert len({len(id) for id in seen}) > 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v3/objects/deals?limit=101", None, 400),
        ("GET", "/v3/objects/deals?page=2", None, 400),
        ("GET", "/v3/objects/deals?after=xx", None, 400),
        ("GET", "/v3/objects/butterflies", None, 400),
        ("GET", "/v3/objects/deals/1", None, 404),
        ("POST", "/v3/objects/deals/search", {"limit": 201}, 400),
        ("POST", "/v3/objects/deals/search", {"limit": 100, "after": "9901"}, 400),
        ("POST", "/v3/objects/deals/search", {"filter": []}, 400),
        ("POST", "/v3/objects/deals/search", {"sorts": ["a", "b"]}, 400),
        ("POST", "/v3/objects/deals/search", {"sorts": ["nope"]}, 400),
        ("POST", "/v3/objects/deals/search", {"filterGroups": [{"filters": []}] * 6}, 400),
        ("POST", "/v3/objects/deals/search", {"filterGroups": [{"filters": [{"propertyName": "x"}]}]}, 400),
        ("POST", "/v3/objects/deals/batch/read", {"inputs": [{"id": str(n)} for n in range(101)]}, 400),
        ("POST", "/v3/objects/deals/batch/read", {}, 400),
        ("POST", "/v4/associations/deals/users/batch/read", {"inputs": [{"id": "1"}]}, 400),
        ("PATCH", "/v3/objects/deals/1", {"properties": {}}, 404),
        ("POST", "/v3/objects/deals", {"properties": {"nope": "1"}}, 400),
        ("POST", "/v3/objects/deals", {"properties": {"dealstage": "nope"}}, 400),
        ("POST", "/v3/objects/deals", {"properties": {"amount": "lots"}}, 400),
        ("GET", "/v3/owners?limit=501", None, 400),
    ],
)
def test_refusals(shared: Server, signed_in: Any, method: str, path: str, body: Any, status: int) -> None:
    response = signed_in(shared, "hubspot")(method, path, json=body)
    assert response.status_code == status
    assert {"status", "message", "correlationId", "category"} <= set(response.json())


def test_wrong_token_and_long_url(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "hubspot")
    long = api("GET", "/v3/objects/deals?properties=" + "x" * 8001)
    assert long.status_code == 414 and long.text.startswith("<html>")
    api.session.headers["Authorization"] = "Bearer nope"
    assert api("GET", "/v3/owners").json()["category"] == "EXPIRED_AUTHENTICATION"
    del api.session.headers["Authorization"]
    assert api("GET", "/v3/owners").status_code == 401


def test_batch_read_reports_what_is_missing(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "hubspot")
    id = api.get("/v3/objects/deals?limit=1")["results"][0]["id"]
    response = api(
        "POST",
        "/v3/objects/deals/batch/read",
        json={"inputs": [{"id": id}, {"id": "5"}], "properties": ["amount"]},
    )
    assert response.status_code == 207
    assert [record["id"] for record in response.json()["results"]] == [id]
    assert response.json()["errors"][0]["context"]["ids"] == ["5"]


def test_associations_page_and_report_records_without_any(halden: Company, signed_in: Any) -> None:
    accounts = [account for account in halden.accounts if account.crm == "hubspot"]
    deals = [replace(d, account_key=accounts[0].key) for d in halden.opportunities if d.crm == "hubspot"]
    with running(replace(halden, opportunities=tuple(deals), leads=()), ["hubspot"]) as server:
        api = signed_in(server, "hubspot")
        company, lonely = record_id("companies", accounts[0].key), record_id("companies", accounts[1].key)
        path = "/v4/associations/companies/deals/batch/read"
        response = api("POST", path, json={"inputs": [{"id": company}, {"id": lonely}]})
        assert response.status_code == 207
        problem = response.json()["errors"][0]
        assert problem["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
        assert problem["context"]["fromObjectId"] == [lonely]
        found, after = [], None
        while True:
            [result] = api.post(path, {"inputs": [{"id": company} | ({"after": after} if after else {})]})["results"]
            found += [entry["toObjectId"] for entry in result["to"]]
            if "paging" not in result:
                break
            after = result["paging"]["next"]["after"]
        assert len(found) == len(set(found)) == 300 and all(isinstance(id, int) for id in found)
        inline = api.get(f"/v3/objects/companies/{company}?associations=deals")["associations"]["deals"]
        assert len({entry["id"] for entry in inline["results"]}) == 100 and "paging" in inline


def test_a_created_record_can_be_linked_and_an_archived_one_is_not(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "hubspot")
    company = api.get("/v3/objects/companies?limit=1")["results"][0]["id"]
    body = {
        "properties": {"dealname": "n", "dealstage": "closedwon"},
        "associations": [{"to": {"id": company}}],
    }
    created = api("POST", "/v3/objects/deals", json=body)
    assert created.status_code == 201 and created.json()["properties"]["hs_is_closed_won"] == "true"
    batch = {"inputs": [{"id": created.json()["id"]}]}
    links = api.post("/v4/associations/deals/companies/batch/read", batch)["results"]
    assert links[0]["to"][0]["toObjectId"] == int(company)
    assert api("DELETE", f"/v3/objects/companies/{company}").status_code == 204
    assert api.post("/v4/associations/deals/companies/batch/read", batch)["results"] == []


def test_deactivated_owners_are_listed_apart(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "hubspot")
    id = record_id("owners", "elif.demir@halden.example")
    sandbox.store.delete("hubspot.owners", id)
    assert id not in {owner["id"] for owner in api.get("/v3/owners")["results"]}
    [gone] = api.get("/v3/owners?archived=true")["results"]
    assert gone["id"] == id and gone["userId"] is None and gone["userIdIncludingInactive"]


def test_merge_leaves_one_record_that_names_the_other(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "hubspot")
    winner, loser = (record["id"] for record in api.get("/v3/objects/companies?limit=2")["results"])
    batch = {"inputs": [{"id": winner}, {"id": loser}]}
    before = api.post("/v4/associations/companies/contacts/batch/read", batch)["results"]
    merged = api.post("/v3/objects/companies/merge", {"primaryObjectId": winner, "objectIdToMerge": loser})
    assert merged["properties"]["hs_merged_object_ids"] == loser
    after = api.post("/v4/associations/companies/contacts/batch/read", {"inputs": [{"id": winner}]})["results"]
    assert len(after[0]["to"]) == sum(len(result["to"]) for result in before)
    assert api("GET", f"/v3/objects/companies/{loser}").status_code == 404
    assert loser not in {record["id"] for record in walk(api, "/v3/objects/companies", archived="true")}


# what there is besides records


def test_history_is_sent_newest_first_and_only_where_there_is_any(
    stocked: Server, signed_in: Any, rich: Company
) -> None:
    api = signed_in(stocked, "hubspot")
    told = record_id("deals", rich.opportunities[0].key)
    path = "/v3/objects/deals?propertiesWithHistory=amount,dealstage&limit="
    assert api("GET", path + "51").status_code == 400
    with_past = [record for record in walk_all(api, path + "50") if "propertiesWithHistory" in record]
    assert [record["id"] for record in with_past] == [told]
    amounts = with_past[0]["propertiesWithHistory"]["amount"]
    assert [entry["value"] for entry in amounts][-1] == "1.5" and len(amounts) == 2
    assert amounts[0]["timestamp"] > amounts[1]["timestamp"]
    body = {"inputs": [{"id": told}], "properties": ["amount"], "propertiesWithHistory": ["amount"]}
    [read] = api.post("/objects/2026-09/deals/batch/read", body)["results"]
    assert read["propertiesWithHistory"] == {"amount": amounts}
    too_many = body | {"inputs": [{"id": str(n)} for n in range(51)]}
    assert api("POST", "/v3/objects/deals/batch/read", json=too_many).status_code == 400


def walk_all(api: Any, path: str) -> Iterator[Any]:
    after = ""
    while True:
        page = api.get(path + after)
        yield from page["results"]
        if "paging" not in page:
            return
        after = f"&after={page['paging']['next']['after']}"


def test_custom_fields_are_properties(stocked: Server, signed_in: Any, rich: Company) -> None:
    api = signed_in(stocked, "hubspot")
    described = {it["name"]: it for it in api.get("/v3/properties/deals")["results"]}
    types = {name: described[name]["type"] for name in ("term", "weighted", "renewed_on", "is_key", "note")}
    assert types == {"term": "number", "weighted": "number", "renewed_on": "date", "is_key": "bool", "note": "string"}
    assert described["weighted"]["calculated"] and not described["term"]["calculated"]
    assert not described["term"]["hubspotDefined"] and described["amount"]["hubspotDefined"]
    id = record_id("deals", rich.opportunities[0].key)
    properties = api.get(f"/v3/objects/deals/{id}?properties={','.join(types)}")["properties"]
    assert {name: properties[name] for name in types} == {
        "term": "36",
        "weighted": "9.9",
        "renewed_on": "2026-01-31",
        "is_key": "true",
        "note": "x",
    }


def test_the_company_s_own_objects_answer_to_all_their_names(stocked: Server, signed_in: Any) -> None:
    api = signed_in(stocked, "hubspot")
    root = f"{stocked.url}/crm-object-schemas"
    schemas = api.get(f"{root}/v3/schemas")["results"]
    assert api.get(f"{root}/2026-09/schemas")["results"] == api.get("/v3/schemas")["results"] == schemas
    survey = next(schema for schema in schemas if schema["name"] == "survey")
    assert {end["toObjectTypeId"] for end in survey["associations"]} == {"0-1", "0-2"}
    for name in ("survey", survey["objectTypeId"], survey["fullyQualifiedName"], "p_survey"):
        [record] = api.get(f"/v3/objects/{name}?properties=score,kind")["results"]
        assert (record["properties"]["score"], record["properties"]["kind"]) == ("9", "NPS")


def test_credit_goals_and_money_are_where_hubspot_keeps_them(stocked: Server, signed_in: Any, rich: Company) -> None:
    api, deal = signed_in(stocked, "hubspot"), rich.opportunities[0]
    inputs = {"inputs": [{"id": record_id("deals", deal.key)}, {"id": "5"}]}
    for path in ("/objects/v3/deals/splits", "/deal-splits/2026-09"):
        [shared] = api.post(f"{path}/batch/read", inputs)["results"]
        [split] = shared["splits"]
        assert split["properties"]["hs_deal_split_percentage"] == "1"
        assert Decimal(split["properties"]["hs_deal_split_amount"]) == deal.amount
    [goal] = api.get("/v3/objects/goal_targets?properties=hs_target_amount,hs_end_datetime")["results"]
    assert goal["properties"]["hs_target_amount"] == "100000"  # 92,000 EUR in the company's dollars
    assert goal["properties"]["hs_end_datetime"] == "2026-09-30T23:59:59.999Z"
    [invoice] = api.get("/v3/objects/invoices?properties=hs_amount_paid,hs_balance_due&associations=orders")["results"]
    assert (invoice["properties"]["hs_amount_paid"], invoice["properties"]["hs_balance_due"]) == ("5", "15")
    assert [entry["id"] for entry in invoice["associations"]["orders"]["results"]] == [record_id("orders", "o1")]


@pytest.mark.parametrize("root", ["/settings/v3/currencies", "/settings/currencies/2026-09"])
def test_rates_are_dated_and_none_is_of_the_future(stocked: Server, signed_in: Any, root: str) -> None:
    api = signed_in(stocked, "hubspot")
    rates = list(walk_all(api, f"{stocked.url}{root}/exchange-rates?limit=1"))
    told = [(rate["fromCurrencyCode"], rate["toCurrencyCode"], rate["conversionRate"]) for rate in rates]
    assert told == [("EUR", "USD", 1.111111), ("EUR", "USD", 1.25)]
    assert api.get(f"{stocked.url}{root}/company-currency")["currencyCode"] == "USD"


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_the_account_tells_its_zone(stocked: Server, signed_in: Any, version: str) -> None:
    account = signed_in(stocked, "hubspot").get(f"{stocked.url}/account-info/{version}/details")
    assert (account["timeZone"], account["utcOffset"], account["companyCurrency"]) == ("UTC", "+00:00", "USD")


# habits


def test_a_search_is_late_capped_and_out_of_order_if_told_so(sandbox: Server, signed_in: Any) -> None:
    api, habits = signed_in(sandbox, "hubspot"), sandbox.sandbox.hubspot.habits
    sort = {"sorts": ["hs_lastmodifieddate"]}
    in_order = [record["updatedAt"] for record in search(api, "deals", **sort)["results"]]
    habits.is_search_unordered = True
    assert [record["updatedAt"] for record in search(api, "deals", **sort)["results"]] != in_order == sorted(in_order)
    id = api.get("/v3/objects/deals?limit=1")["results"][0]["id"]
    api("PATCH", f"/v3/objects/deals/{id}", json={"properties": {"dealname": "new"}})
    assert search(api, "deals", ("dealname", "EQ", "new"))["total"] == 1
    habits.search_delay = timedelta(minutes=1)
    assert search(api, "deals", ("dealname", "EQ", "new"))["total"] == 0
    habits.most_search_results = 200
    assert search(api, "deals")["total"] == 200
    habits.totals_saturate = False
    assert search(api, "deals")["total"] == 299


def test_a_hidden_property_is_not_there(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "hubspot")
    sandbox.sandbox.hubspot.habits.hidden = {("deals", "amount")}
    assert "amount" not in {it["name"] for it in api.get("/v3/properties/deals")["results"]}
    assert "amount" not in api.get("/v3/objects/deals?properties=amount")["results"][0]["properties"]
    assert api("GET", "/v3/properties/deals/amount").status_code == 404


def test_some_missing_records_are_a_page_for_people(stocked: Server, signed_in: Any) -> None:
    response = signed_in(stocked, "hubspot")("GET", "/v3/objects/tasks/1")
    assert response.status_code == 404 and response.text.startswith("<html>")


# limits and tokens


def test_too_many_calls_are_refused_by_policy(sandbox: Server, signed_in: Any) -> None:
    api, gate = signed_in(sandbox, "hubspot"), sandbox.sandbox.hubspot.gate
    gate.burst, gate.searches_per_second = 5, 2
    owners = [api("GET", "/v3/owners") for _ in range(6)]
    assert [response.status_code for response in owners] == [200] * 5 + [429]
    assert owners[0].headers["X-HubSpot-RateLimit-Max"] == "5"
    assert (owners[5].json()["policyName"], "Retry-After" in owners[5].headers) == ("TEN_SECONDLY_ROLLING", False)
    searches = [api("POST", "/v3/objects/deals/search", json={"limit": 1}) for _ in range(3)]
    assert [response.status_code for response in searches] == [200, 200, 429]
    assert searches[2].json()["policyName"] == "SECONDLY"
    gate.daily_allowance = gate.calls
    assert api("GET", "/v3/owners").json()["policyName"] == "DAILY"


def exchange(server: Server, path: str = "/oauth/v1/token", **changes: str) -> requests.Response:
    grant = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    return requests.post(server.url + path, data={**grant, "refresh_token": REFRESH_TOKEN, **changes}, timeout=10)


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-09/token"])
def test_an_access_token_lives_for_half_an_hour_or_until_it_dies(sandbox: Server, signed_in: Any, path: str) -> None:
    api, gate = signed_in(sandbox, "hubspot"), sandbox.sandbox.hubspot.gate
    answer = exchange(sandbox, path).json()
    assert answer["expires_in"] == 1800 and answer["refresh_token"] == REFRESH_TOKEN
    api.session.headers["Authorization"] = f"Bearer {answer['access_token']}"
    response = api("GET", "/v3/owners")
    assert response.ok and "X-HubSpot-RateLimit-Daily" not in response.headers
    gate.expire()
    assert api("GET", "/v3/owners").json()["category"] == "EXPIRED_AUTHENTICATION"
    gate.token_life = timedelta(0)
    api.session.headers["Authorization"] = f"Bearer {exchange(sandbox, path).json()['access_token']}"
    assert api("GET", "/v3/owners").status_code == 401


def test_a_rotated_refresh_token_is_good_once(sandbox: Server) -> None:
    sandbox.sandbox.hubspot.gate.rotates_refresh_tokens = True
    second = exchange(sandbox).json()["refresh_token"]
    assert exchange(sandbox).json()["status"] == "BAD_REFRESH_TOKEN"
    assert exchange(sandbox, refresh_token=second).ok
    assert exchange(sandbox, client_secret="nope").json()["status"] == "BAD_CLIENT_SECRET"
    assert exchange(sandbox, client_id="nope").json()["status"] == "BAD_CLIENT_ID"
    assert exchange(sandbox, grant_type="nope").json()["status"] == "BAD_GRANT_TYPE"


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        (Fault.TOO_MANY, 429, "ten_secondly"),
        (Fault.TOO_MANY_BARE, 429, "ten_secondly"),
        (Fault.SERVER_ERROR, 503, "unavailable"),
        (Fault.HTML_PAGE, 502, "<html>"),
        (Fault.DAILY_LIMIT, 429, "DAILY"),
        (Fault.LOST_CURSOR, 400, "Invalid paging cursor abc"),
    ],
)
def test_faults_are_worded_as_hubspot_words_them(
    sandbox: Server, signed_in: Any, kind: Fault, status: int, text: str
) -> None:
    vendor = sandbox.sandbox.hubspot
    sandbox.sandbox.intercept = lambda request: vendor.fault(kind, request)
    response = signed_in(sandbox, "hubspot")("GET", "/v3/objects/deals?after=abc")
    assert response.status_code == status and text in response.text
    assert ("Retry-After" in response.headers) is (kind is Fault.TOO_MANY)


def test_faults_that_are_not_answers(sandbox: Server, signed_in: Any) -> None:
    api, vendor = signed_in(sandbox, "hubspot"), sandbox.sandbox.hubspot
    api.session.headers["Authorization"] = f"Bearer {exchange(sandbox).json()['access_token']}"
    sandbox.sandbox.intercept = lambda request: vendor.fault(Fault.LOST_CURSOR, request)
    assert api("GET", "/v3/objects/deals").ok  # carries no cursor
    sandbox.sandbox.intercept = lambda request: vendor.fault(Fault.EXPIRED, request)
    assert api("GET", "/v3/objects/deals").status_code == 401


# what happens to the company


def change(kind: ChangeKind, record: Any, **more: Any) -> Change:
    return Change(at=NOW, crm="hubspot", kind=kind, record=record, **more)


def version(portal: Portal) -> int:
    return portal.store.version


def test_what_is_saved_again_and_the_same_is_left_alone(kept: Portal, rich: Company) -> None:
    before = version(kept)
    for record in kept.world.records("hubspot"):
        kept.apply(change(ChangeKind.SAVED, record))
    assert version(kept) == before


def test_a_saved_deal_changes_with_its_parts(kept: Portal, rich: Company) -> None:
    deal, id = rich.opportunities[0], record_id("deals", rich.opportunities[0].key)
    other = next(account for account in rich.accounts if account.crm == "hubspot" and account.key != deal.account_key)
    line = Line(product=rich.products[1].name, quantity=1, unit_price=None, ordinal=99)
    later = replace(
        deal,
        amount=Decimal("7.00"),
        account_key=other.key,
        contact_key=None,
        lines=(line,),
        splits=(),
        modified_at=NOW - timedelta(minutes=2),
        history=(*deal.history, replace(deal.history[-1], at=NOW, amount=Decimal("7.00"))),
    )
    kept.apply(change(ChangeKind.SAVED, later))
    row = kept.store.get("hubspot.deals", id)
    assert row and row["amount"] == Decimal("7.00") and row["hs_lastmodifieddate"] == "2026-08-14T17:58:00.000Z"
    links = {(link["to_type"], link["to_id"]) for link in kept.store.find("hubspot.associations", of(id))}
    assert ("companies", record_id("companies", other.key)) in links
    assert not [link for link in links if link[0] == "contacts"]
    live = [row["hs_object_id"] for row in kept.store.find("hubspot.line_items", LIVE & linked_to(id))]
    assert live == [record_id("line_items", f"{deal.key}:99")]
    assert kept.store.count("hubspot.line_items", GONE & linked_to(id)) == len(deal.lines)
    assert kept.store.count("hubspot.deal_split") == 0 and kept.store.count("hubspot.deal_split", GONE) == 1
    amounts = kept.store.find("hubspot.history", Where("property = 'amount' and record_id = ?", (id,)))
    assert [row["value"] for row in amounts][-1] == "7"


def of(id: str) -> Where:
    return Where('"from_id" = ?', (id,))


def linked_to(id: str) -> Where:
    return Where('"hs_object_id" in (select to_id from "hubspot.associations" where from_id = ?)', (id,))


def test_a_deleted_deal_goes_with_its_parts_and_comes_back_with_them(kept: Portal, rich: Company) -> None:
    deal, id = rich.opportunities[0], record_id("deals", rich.opportunities[0].key)
    kept.apply(change(ChangeKind.DELETED, deal))
    row = kept.store.get("hubspot.deals", id, GONE)
    assert row and row["sandbox_deleted_at"] == "2026-08-14T18:00:00.000Z"
    assert row["hs_lastmodifieddate"] == kept.store.find("hubspot.line_items", linked_to(id))[0]["hs_lastmodifieddate"]
    assert kept.store.count("hubspot.line_items", LIVE & linked_to(id)) == 0
    kept.apply(change(ChangeKind.RESTORED, deal))
    assert kept.store.get("hubspot.deals", id)
    assert kept.store.count("hubspot.line_items", LIVE & linked_to(id)) == len(deal.lines)
    kept.apply(change(ChangeKind.PURGED, deal))
    assert kept.store.get("hubspot.deals", id, Where()) is None
    assert not kept.store.find("hubspot.history", Where("record_id = ?", (id,)))
    assert not kept.store.find("hubspot.associations", of(id))


def test_a_formula_moves_no_stamp(kept: Portal, rich: Company) -> None:
    deal, id = rich.opportunities[0], record_id("deals", rich.opportunities[0].key)
    before = kept.store.get("hubspot.deals", id)
    later = replace(deal, custom={**deal.custom, "weighted": Decimal("11.11")})
    kept.apply(change(ChangeKind.FORMULA, later))
    after = kept.store.get("hubspot.deals", id)
    assert before and after and after["weighted"] == Decimal("11.11")
    assert after["hs_lastmodifieddate"] == before["hs_lastmodifieddate"]


@pytest.mark.parametrize("gives_new_id", [False, True])
def test_merged_records_live_on_under_one_id_whatever_happens_next(
    kept: Portal, rich: Company, gives_new_id: bool
) -> None:
    kept.merges_give_new_ids = gives_new_id
    deal = rich.opportunities[0]
    loser = next(account for account in rich.accounts if account.key == deal.account_key)
    winner = next(account for account in rich.accounts if account.crm == "hubspot" and account is not loser)
    kept.apply(change(ChangeKind.MERGED, loser, into=winner))
    [survivor] = kept.store.find("hubspot.companies", Where("hs_merged_object_ids is not null"))
    ids = {record_id("companies", account.key) for account in (winner, loser)}
    assert (survivor["hs_object_id"] not in ids) is gives_new_id
    assert survivor["hs_lastmodifieddate"] == "2026-08-14T18:00:00.000Z" and survivor["name"] == winner.name
    kept.apply(change(ChangeKind.SAVED, replace(winner, name="Renamed", modified_at=NOW)))
    kept.apply(change(ChangeKind.SAVED, replace(deal, modified_at=NOW)))  # still names the loser
    again = kept.store.get("hubspot.companies", survivor["hs_object_id"])
    assert again and again["name"] == "Renamed" and again["hs_merged_object_ids"] == survivor["hs_merged_object_ids"]
    links = {link["to_id"] for link in kept.store.find("hubspot.associations", of(record_id("deals", deal.key)))}
    assert survivor["hs_object_id"] in links and record_id("companies", loser.key) not in links


def test_a_rep_who_leaves_is_an_owner_no_more(kept: Portal, rich: Company) -> None:
    rep = next(rep for rep in rich.reps if "hubspot" in rep.crms)
    kept.apply(change(ChangeKind.SAVED, replace(rep, is_active=False, modified_at=NOW)))
    assert kept.store.get("hubspot.owners", record_id("owners", rep.email), GONE)
    assert kept.store.get("hubspot.users", record_id("users", rep.email))
