from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.deals import PublicObjectSearchRequest, SimplePublicObjectInput
from hubspot.crm.deals.exceptions import ApiException

from connectors.hubspot import STREAMS
from connectors.sandbox.company import Company
from connectors.sandbox.hubspot import ACCESS_TOKEN, modified_name, record_id
from connectors.sandbox.server import Server, running

OBJECT_STREAMS = [stream for stream in STREAMS if stream.key == "hs_object_id"]


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
def test_every_stream_lists_and_searches_its_fields(shared: Server, signed_in: Any, stream: Any, family: str) -> None:
    api = signed_in(shared, "hubspot")
    path = f"{family}/{stream.object}"
    response = api("GET", path, params={"limit": 100, "properties": ",".join(stream.fields)})
    assert "X-HubSpot-RateLimit-Remaining" in response.headers
    first = response.json()["results"][0]
    assert set(first["properties"]) >= set(stream.fields)
    assert all(value is None or isinstance(value, str) for value in first["properties"].values())
    cursor = modified_name(stream.object)
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
    sandbox.sandbox.hubspot.compares_ids_as_text = as_text
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
    long = api("GET", "/v3/objects/deals?properties=" + "x" * 16001)
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
