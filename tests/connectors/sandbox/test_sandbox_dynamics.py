import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msal
import pytest
import requests
import trustme
from dynamics_company import tiny

from connectors.dynamics import STREAMS
from connectors.sandbox.company import Company
from connectors.sandbox.dynamics import CLIENT_ID, CLIENT_SECRET, TENANT_ID, record_id, throttled
from connectors.sandbox.server import Server, running


@pytest.fixture(scope="module")
def everything() -> Iterator[Server]:
    """One record of every kind."""
    with running(tiny()) as server:
        yield server


DEALS = "/opportunities?$select=name,actualvalue,statecode"


def test_msal_through_a_downgraded_session(shared: Server, downgraded: Callable[[Server], requests.Session]) -> None:
    application = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=CLIENT_SECRET,
        authority=f"https://login.microsoftonline.com/{TENANT_ID}",
        http_client=downgraded(shared),
    )
    answer = application.acquire_token_for_client([f"{shared.url}/.default"])
    assert answer["token_type"] == "Bearer", answer
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert requests.get(f"{shared.url}/api/data/v9.2/WhoAmI", headers=headers).json()["UserId"]
    wrong = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential="no",
        authority=f"https://login.microsoftonline.com/{TENANT_ID}",
        http_client=downgraded(shared),
    ).acquire_token_for_client([f"{shared.url}/.default"])
    assert wrong["error"] == "invalid_client" and wrong["error_codes"] == [7000215]


def test_msal_over_tls_and_the_sandbox_as_authority(halden: Company, tmp_path: Any) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        running(halden, ["dynamics"], certfile=tmp_path / "server.pem") as server,
        requests.Session() as session,
    ):
        session.trust_env, session.verify = False, str(tmp_path / "ca.pem")
        application = msal.ConfidentialClientApplication(
            CLIENT_ID,
            client_credential=CLIENT_SECRET,
            authority=f"{server.url}/{TENANT_ID}",
            instance_discovery=False,
            http_client=session,
        )
        assert "access_token" in application.acquire_token_for_client([f"{server.url}/.default"])


def test_msal_with_the_sandbox_as_http_authority(
    shared: Server, downgraded: Callable[[Server], requests.Session]
) -> None:
    application = msal.ConfidentialClientApplication(
        CLIENT_ID,
        client_credential=CLIENT_SECRET,
        authority=f"{shared.url.replace('http:', 'https:')}/{TENANT_ID}",
        instance_discovery=False,
        http_client=downgraded(shared),
    )
    assert "access_token" in application.acquire_token_for_client([f"{shared.url}/.default"])


def read(api: Any, path: str, prefer: str = "odata.maxpagesize=100") -> tuple[list[Any], dict[str, Any]]:
    """All records, and the last page."""
    headers = {"Prefer": prefer}
    page = api.get(path, headers=headers)
    rows = page["value"]
    while "@odata.nextLink" in page:
        page = api.get(page["@odata.nextLink"], headers=headers)
        rows += page["value"]
    return rows, page


@pytest.mark.parametrize("stream", [s for s in STREAMS if s.name != "option_labels"], ids=lambda stream: stream.name)
def test_every_stream_is_readable(everything: Server, signed_in: Any, stream: Any) -> None:
    api = signed_in(everything, "dynamics")
    definition = api.get(f"/EntityDefinitions(LogicalName='{stream.object}')")
    assert definition["PrimaryIdAttribute"] == stream.key
    attributes = api.get(f"/EntityDefinitions(LogicalName='{stream.object}')/Attributes?$select=LogicalName")["value"]
    known = {attribute["LogicalName"] for attribute in attributes}
    columns = {name for name in stream.fields if not name.endswith("_value_type")}
    assert {re.sub(r"^_(.*)_value$", r"\1", name) for name in columns} <= known
    rows, last = read(api, f"/{definition['EntitySetName']}?$select={','.join(columns)}")
    names = {name for row in rows for name in row} - {"@odata.etag", "_transactioncurrencyid_value"}
    assert bool(rows) != (stream.name in ("quotes", "contracts"))
    assert not rows or names == columns - {"_transactioncurrencyid_value"}
    total = api.get(f"/RetrieveTotalRecordCount(EntityNames=['{stream.object}'])")["EntityRecordCountCollection"]
    assert total["Values"] == [len(rows)] == [len({row[stream.key] for row in rows})]
    assert "@odata.deltaLink" not in last


def test_money_is_written_with_four_digits(shared: Server, signed_in: Any, halden: Company) -> None:
    api = signed_in(shared, "dynamics")
    response = api("GET", "/opportunities?$select=actualvalue&$filter=statecode eq 1")
    assert re.search(r'"actualvalue":\d+\.\d{4}[,}]', response.text)
    total = sum(row["actualvalue"] for row in response.json(parse_float=Decimal)["value"])
    assert total == sum(d.amount for d in halden.opportunities if d.crm == "dynamics" and d.stage == "won")
    # money brings its currency along, asked or not
    assert response.json()["value"][0]["_transactioncurrencyid_value"]


def test_filters(shared: Server, signed_in: Any, halden: Company) -> None:
    api = signed_in(shared, "dynamics")
    deals = [deal for deal in halden.opportunities if deal.crm == "dynamics"]

    def count(condition: str) -> int:
        answer = api.get("/opportunities", params={"$select": "name", "$filter": condition, "$count": "true"})
        assert answer["@odata.count"] == len(answer["value"])
        return len(answer["value"])

    assert count("statecode eq 1 and actualclosedate eq null") == 1
    assert count("createdon ge 2026-01-01T00:00:00Z") == sum(deal.created_at.year == 2026 for deal in deals)
    closed = "(statecode eq 1 or statecode eq 2)"
    assert count(f"{closed} and not (statecode eq 2)") == count("statecode eq 1")
    assert count("contains(name,'atlas')") == sum("Atlas" in deal.name for deal in deals)
    assert count("estimatedvalue gt 50000.5") == sum(deal.amount > 50000 for deal in deals)
    owner = record_id("systemuser", "mei.chua@halden.example")
    mine = sum(deal.owner_email == "mei.chua@halden.example" for deal in deals)
    assert count(f"_ownerid_value eq {owner}") == mine
    values = f"PropertyName='ownerid',PropertyValues=['{owner}']".replace("ownerid", "_ownerid_value")
    assert count(f"Microsoft.Dynamics.CRM.In({values})") == mine
    definitions = api.get("/EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true")["value"]
    assert {"account", "opportunity"} <= {entry["LogicalName"] for entry in definitions}
    assert "processstage" not in {entry["LogicalName"] for entry in definitions}
    two = api.get("/EntityDefinitions?$filter=LogicalName eq 'lead' or LogicalName eq 'account'")["value"]
    assert {entry["EntitySetName"] for entry in two} == {"leads", "accounts"}


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/opportunities?$select=nope", 400, "Could not find a property named 'nope'"),
        ("/opportunities?$skip=5", 400, "Skip"),
        ("/opportunities?$nope=5", 400, r"\$nope is not supported"),
        ("/opportunities?top=5", 400, "top is not supported"),
        ("/opportunities?$filter=name eq", 400, "Syntax error"),
        ("/opportunities?$filter=statecode eq 'x'", 400, "incompatible types"),
        ("/opportunities?$filter=modifiedon gt '2026-01-01'", 400, "incompatible types"),
        ("/opportunities?$orderby=name sideways", 400, "Syntax error"),
        ("/opportunities?$top=x", 400, "Invalid value"),
        ("/opportunities?$select=name&$deltatoken=nonsense", 400, "malformed"),
        ("/nopes", 404, "Resource not found"),
        ("/opportunities(00000000-0000-0000-0000-000000000000)", 404, "Does Not Exist"),
        ("/RetrieveTotalRecordCount(EntityNames=['nope'])", 400, "was not found"),
        ("/RetrieveTotalRecordCount(nope)", 400, "EntityNames"),
        ("/EntityDefinitions(LogicalName='nope')", 404, "Could not find"),
        ("/EntityDefinitions?$select=Nope", 400, "Could not find"),
        ("/EntityDefinitions?$filter=Nope eq true", 400, "Could not find"),
        ("/EntityDefinitions?$filter=contains(LogicalName,'a')", 400, "does not understand"),
    ],
)
def test_refusals(shared: Server, signed_in: Any, path: str, status: int, text: str) -> None:
    response = signed_in(shared, "dynamics")("GET", path)
    assert response.status_code == status
    assert re.search(text, response.json()["error"]["message"])
    assert response.headers["OData-Version"] == "4.0"


def test_links_must_come_back_as_they_were_given(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "dynamics")
    headers = {"Prefer": "odata.maxpagesize=100"}
    link = api.get(DEALS, headers=headers)["@odata.nextLink"]
    assert "%253c" in link and "pagenumber=%222%22" in link
    assert api("GET", link, headers=headers).headers["Preference-Applied"] == "odata.maxpagesize=100"
    for changed in (link + "&$top=1", link.replace("%20", "+"), link.replace("%25", "%2525"), link.replace("%20", "%2520")):
        assert api("GET", changed, headers=headers).status_code == 400


def test_top_and_page_size(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "dynamics")
    assert len(api.get(f"{DEALS}&$top=3")["value"]) == 3
    page = api.get(f"{DEALS}&$top=3", headers={"Prefer": "odata.maxpagesize=50"})
    assert len(page["value"]) == 50 and "@odata.nextLink" in page
    rows, _ = read(api, f"{DEALS}&$orderby=name desc,opportunityid")
    names = [row["name"] for row in rows]
    assert names == sorted(names, key=str.lower, reverse=True)


def test_ties_in_the_order_overlap_unless_the_key_is_added(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "dynamics")
    careless, _ = read(api, f"{DEALS}&$orderby=statecode", "odata.maxpagesize=50")
    careful, _ = read(api, f"{DEALS}&$orderby=statecode,opportunityid", "odata.maxpagesize=50")
    assert len(careless) == len(careful) == 300
    assert len({row["opportunityid"] for row in careful}) == 300 > len({row["opportunityid"] for row in careless})


def test_more_than_5000_rows_come_in_pages(halden: Company, signed_in: Any) -> None:
    some = [account for account in halden.accounts if account.crm == "dynamics"]
    accounts = tuple(replace(a, key=f"{a.key}:{n}", parent_key=None) for n in range(50) for a in some)
    big = replace(halden, accounts=accounts, contacts=(), leads=(), opportunities=())
    with running(big, ["dynamics"]) as server:
        api = signed_in(server, "dynamics")
        page = api.get("/accounts?$select=name&$count=true", headers={"Prefer": "odata.maxpagesize=9000"})
        assert (len(page["value"]), page["@odata.count"]) == (5000, 5000)
        rows, _ = read(api, "/accounts?$select=name", "odata.maxpagesize=4000")
        assert len(rows) == 6000


def test_change_tracking(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "dynamics")
    tracking = "odata.maxpagesize=100,odata.track-changes"
    rows, last = read(api, DEALS, tracking)
    assert len(rows) == 300
    link = last["@odata.deltaLink"]
    assert re.search(r"\$deltatoken=\d+%21\d\d%2f\d\d%2f\d{4}", link)
    nothing, last = read(api, link)
    assert nothing == []
    poisoned = next(deal for deal in sandbox.sandbox.company.dirty if deal.crm == "dynamics")
    id = record_id("opportunity", poisoned.key)
    assert api("PATCH", f"/opportunities({id})", json={"actualclosedate": "2026-05-05"}).status_code == 204
    gone = rows[0]["opportunityid"]
    assert api("DELETE", f"/opportunities({gone})").status_code == 204
    created = api("POST", "/opportunities", json={"name": "n", "statecode": 0})
    new = re.search(r"\(([0-9a-f-]{36})\)$", created.headers["OData-EntityId"])[1]
    changes, last = read(api, link, "odata.maxpagesize=1")
    assert [change.get("opportunityid") for change in changes] == [id, new, None]
    assert changes[2]["@odata.context"].endswith("#opportunities/$deletedEntity")
    assert (changes[2]["id"], changes[2]["reason"]) == (gone, "deleted")
    assert set(changes[0]) >= {"name", "actualvalue", "statecode", "opportunityid"}
    assert read(api, last["@odata.deltaLink"])[0] == []
    assert api.get(f"/opportunities({id})?$select=actualclosedate")["actualclosedate"] == "2026-05-05"


@pytest.mark.parametrize("option", ["$filter=statecode eq 1", "$orderby=name", "$top=1", "$expand=x"])
def test_change_tracking_takes_no_other_option(shared: Server, signed_in: Any, option: str) -> None:
    response = signed_in(shared, "dynamics")("GET", f"{DEALS}&{option}", headers={"Prefer": "odata.track-changes"})
    assert response.status_code == 400
    assert "isn't supported when Change Tracking is enabled" in response.json()["error"]["message"]


def test_delta_links_expire(halden: Company, signed_in: Any) -> None:
    now = [datetime(2026, 8, 15, tzinfo=UTC)]
    with running(halden, ["dynamics"], clock=lambda: now[0]) as server:
        api = signed_in(server, "dynamics")
        link = read(api, DEALS, "odata.track-changes")[1]["@odata.deltaLink"]
        now[0] += timedelta(days=6)
        assert api("GET", link).ok
        now[0] += timedelta(days=2)
        expired = api("GET", link)
        fresh = read(api, DEALS, "odata.track-changes")[1]["@odata.deltaLink"]
        server.sandbox.dynamics.expire_delta_tokens()
        for response in (expired, api("GET", fresh)):
            assert response.status_code == 400
            message = "Version stamp associated with the client has expired. Please perform a full sync."
            assert response.json()["error"]["message"] == message
        assert "processstages" in api("GET", "/processstages").text
        assert api("GET", "/processstages", headers={"Prefer": "odata.track-changes"}).status_code == 400


def test_annotations_only_when_asked(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "dynamics")
    path = "/opportunities?$select=_ownerid_value,statecode,actualvalue&$filter=statecode eq 1&$top=1"
    assert not [name for name in api.get(path)["value"][0] if "@Microsoft" in name or "@OData" in name]
    lookup = "Microsoft.Dynamics.CRM.lookuplogicalname"
    asked = api.get(path, headers={"Prefer": f'odata.include-annotations="{lookup}"'})["value"][0]
    assert asked[f"_ownerid_value@{lookup}"] == "systemuser"
    assert not [name for name in asked if "FormattedValue" in name]
    everything = api.get(path, headers={"Prefer": 'odata.include-annotations="*"'})
    assert everything["@Microsoft.Dynamics.CRM.totalrecordcount"] == -1
    record = everything["value"][0]
    assert record["statecode@OData.Community.Display.V1.FormattedValue"] == "Won"
    assert record["actualvalue@OData.Community.Display.V1.FormattedValue"].startswith("$")
    choice = "Microsoft.Dynamics.CRM.StateAttributeMetadata"
    attributes = "/EntityDefinitions(LogicalName='opportunity')/Attributes"
    url = f"{attributes}/{choice}?$select=LogicalName&$expand=OptionSet($select=Options)"
    options = api.get(url)["value"][0]["OptionSet"]["Options"]
    assert [(option["Value"], option["Label"]["UserLocalizedLabel"]["Label"]) for option in options] == [
        (0, "Open"),
        (1, "Won"),
        (2, "Lost"),
    ]


def test_writing(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "dynamics")
    owner = record_id("systemuser", "mei.chua@halden.example")
    body = {"name": "n", "estimatedvalue": 0.1, "ownerid@odata.bind": f"/systemusers({owner})"}
    created = api(
        "POST",
        "/opportunities?$select=name,estimatedvalue,_ownerid_value",
        json=body,
        headers={"Prefer": "return=representation"},
    )
    assert created.status_code == 201
    assert created.json()["_ownerid_value"] == owner and '"estimatedvalue":0.1000' in created.text
    id = created.json()["opportunityid"]
    stale = api("PATCH", f"/opportunities({id})", json={"name": "m"}, headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    for wrong in (
        {"nope": 1},
        {"_ownerid_value": owner},
        {"statecode": "x"},
        {"actualclosedate": "5/5/2026"},
    ):
        assert api("PATCH", f"/opportunities({id})", json=wrong).status_code == 400


def test_sessions_expire_and_throttling_can_be_injected(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "dynamics")
    sandbox.sandbox.intercept = lambda request: throttled(2) if "accounts" in request.url.path else None
    response = api("GET", "/accounts")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "2")
    assert response.json()["error"]["code"] == "0x80072322"
    sandbox.sandbox.dynamics.expire_sessions()
    assert api("GET", "/contacts").status_code == 401


def test_merge_keeps_the_loser_and_moves_its_children(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "dynamics")
    winner, loser = (row["accountid"] for row in api.get("/accounts?$select=name&$top=2")["value"])
    count = "/opportunities?$select=name&$filter=_parentaccountid_value eq "
    expected = len(api.get(count + winner)["value"]) + len(api.get(count + loser)["value"])
    sandbox.sandbox.dynamics.merge("account", winner, loser)
    gone = api.get(f"/accounts({loser})?$select=merged,statecode,_masterid_value")
    assert (gone["merged"], gone["statecode"], gone["_masterid_value"]) == (True, 1, winner)
    assert len(api.get(count + winner)["value"]) == expected


def test_a_delta_link_outlives_a_restart(halden: Company, signed_in: Any) -> None:
    with running(halden, ["dynamics"]) as server:
        link = read(signed_in(server, "dynamics"), DEALS, "odata.track-changes")[1]["@odata.deltaLink"]
        first = server.url
    with running(halden, ["dynamics"]) as server:
        assert read(signed_in(server, "dynamics"), link.replace(first, server.url))[0] == []
