import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msal
import pytest
import requests
import trustme
from dynamics_company import ACCOUNTS, BOSS, DEAL, REP, THEN, person, tiny

from connectors.dynamics import STREAMS
from connectors.sandbox.company import Change, ChangeKind, Company, CustomField
from connectors.sandbox.dynamics import CLIENT_ID, CLIENT_SECRET, TENANT_ID, Limits, record_id, records, throttled
from connectors.sandbox.faults import Fault
from connectors.sandbox.server import Server, running
from connectors.sandbox.store import VERSION


@pytest.fixture
def sandbox(halden: Company) -> Iterator[Server]:
    """A sandbox of the test's own."""
    with running(halden, ["dynamics"]) as server:
        yield server


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
    changes = {"%20": "+", "%25": "%2525", "%22": "%2522", "$skiptoken": "$top=1&$skiptoken"}
    for changed in (link.replace(old, new) for old, new in changes.items()):
        assert api("GET", changed, headers=headers).status_code == 400


def test_top_and_page_size(shared: Server, signed_in: Any) -> None:
    api = signed_in(shared, "dynamics")
    assert len(api.get(f"{DEALS}&$top=3")["value"]) == 3
    page = api.get(f"{DEALS}&$top=3", headers={"Prefer": "odata.maxpagesize=50"})
    assert len(page["value"]) == 50 and "@odata.nextLink" in page
    rows, _ = read(api, f"{DEALS}&$orderby=name desc,opportunityid")
    names = [row["name"] for row in rows]
    assert names == sorted(names, key=str.lower, reverse=True)


def deals_of(company: Company) -> int:
    return sum(deal.crm == "dynamics" for deal in company.opportunities)


def test_ties_in_the_order_overlap_unless_the_key_is_added(shared: Server, signed_in: Any, halden: Company) -> None:
    api = signed_in(shared, "dynamics")
    careless, _ = read(api, f"{DEALS}&$orderby=statecode", "odata.maxpagesize=50")
    careful, _ = read(api, f"{DEALS}&$orderby=statecode,opportunityid", "odata.maxpagesize=50")
    assert len(careless) == len(careful) == deals_of(halden)
    found = [len({row["opportunityid"] for row in rows}) for rows in (careful, careless)]
    assert found[0] == deals_of(halden) > found[1]


def test_more_than_5000_rows_come_in_pages_and_are_not_counted(signed_in: Any) -> None:
    accounts = tuple(replace(ACCOUNTS[0], key=f"A{n}") for n in range(6_000))
    with running(tiny(accounts=accounts)) as server:
        api = signed_in(server, "dynamics")
        page = api.get("/accounts?$select=name&$count=true", headers={"Prefer": "odata.maxpagesize=9000"})
        assert (len(page["value"]), page["@odata.count"]) == (5000, 5000)
        rows, _ = read(api, "/accounts?$select=name", "odata.maxpagesize=4000")
        assert len(rows) == 6000
        count = api("GET", "/accounts/$count")
        assert count.content == b"\xef\xbb\xbf5000" and count.headers["content-type"].startswith("text/plain")
        assert api("GET", "/accounts/$count?$filter=name eq 'A1 Ltd'").content.endswith(b"5000")
        assert api("GET", "/leads/$count?$filter=statecode eq 0").content == b"\xef\xbb\xbf0"
        assert api("GET", "/leads/$count?$top=1").status_code == 400


def test_change_tracking(sandbox: Server, signed_in: Any) -> None:
    api = signed_in(sandbox, "dynamics")
    tracking = "odata.maxpagesize=100,odata.track-changes"
    rows, last = read(api, DEALS, tracking)
    assert len(rows) == deals_of(sandbox.sandbox.company)
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


@pytest.fixture
def small() -> Iterator[Server]:
    """A sandbox of the test's own, with one record of every kind."""
    with running(tiny()) as server:
        yield server


@pytest.mark.parametrize(
    ("limits", "code", "text"),
    [
        (
            Limits(requests=2),
            "0x80072322",
            "Number of requests exceeded the limit of 2 over time window of 300 seconds.",
        ),
        (
            Limits(execution_seconds=0),
            "0x80072321",
            "Combined execution time of incoming requests exceeded limit of 0 ",
        ),
        (Limits(concurrent=0), "0x80072326", "Number of concurrent requests exceeded the limit of 0."),
    ],
)
def test_service_protection(small: Server, signed_in: Any, limits: Limits, code: str, text: str) -> None:
    api = signed_in(small, "dynamics")
    small.sandbox.dynamics.protect(limits)
    answers = [api("GET", "/accounts") for _ in range(5)]
    served = [answer for answer in answers if answer.ok]
    assert len(served) == (2 if limits.requests == 2 else 0)
    assert not served or served[1].headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "0"
    refused = answers[len(served) :]
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].json()["error"]["code"] == code and refused[0].json()["error"]["message"].startswith(text)
    waits = [int(answer.headers["Retry-After"]) for answer in refused]
    assert 1 <= waits[0] < waits[-1]  # who goes on sending waits longer


def test_service_protection_forgets(small: Server, signed_in: Any) -> None:
    api = signed_in(small, "dynamics")
    small.sandbox.dynamics.protect(Limits(requests=1, window_seconds=1))
    assert [api("GET", "/accounts").status_code for _ in range(2)] == [200, 429]
    time.sleep(1.01)
    assert api("GET", "/accounts").ok


def test_every_kind_of_fault_is_worded_as_dataverse_does(small: Server, signed_in: Any) -> None:
    api, vendor = signed_in(small, "dynamics"), small.sandbox.dynamics
    headers = {"Prefer": "odata.maxpagesize=1,odata.track-changes"}
    first = api.get("/accounts?$select=name", headers=headers)
    *_, last = read(api, "/accounts?$select=name", headers["Prefer"])
    found = {}
    for name, path in (("plain", "/accounts"), ("page", first["@odata.nextLink"]), ("delta", last["@odata.deltaLink"])):
        for kind in Fault:
            if kind is not Fault.EXPIRED:
                small.sandbox.intercept = lambda request, kind=kind: vendor.fault(kind, request)
                answer = api("GET", path, headers=headers)
                found[name, kind] = (answer.status_code, answer.headers.get("Retry-After"))
    for name in ("plain", "page", "delta"):
        assert found[name, Fault.TOO_MANY] == (429, "1") and found[name, Fault.TOO_MANY_BARE] == (429, None)
        assert found[name, Fault.SERVER_ERROR] == (503, None)
        assert found[name, Fault.LOST_CURSOR] == ((200 if name == "plain" else 400), None)
        assert found[name, Fault.DAILY_LIMIT] == (200, None)  # there is no such thing
    small.sandbox.intercept = lambda request: vendor.fault(Fault.EXPIRED, request)
    assert api("GET", "/accounts").status_code == 401


def wide(server: Server) -> str:
    names = ",".join(["name"] * 7_000)
    return f"/accounts?$select={names}&$top=1"


def test_urls_over_32_kb_are_refused_unless_they_come_in_a_batch(small: Server, signed_in: Any) -> None:
    api = signed_in(small, "dynamics")
    answer = api("GET", wide(small))
    assert answer.status_code == 414 and "<html>" in answer.text
    inner = f"GET /api/data/v9.2{wide(small)} HTTP/1.1\r\nAccept: application/json"
    body = f"--b\r\nContent-Type: application/http\r\n\r\n{inner}\r\n\r\n--b--\r\n"
    answer = api("POST", "/$batch", data=body, headers={"Content-Type": "multipart/mixed; boundary=b"})
    assert answer.headers["content-type"] == "multipart/mixed; boundary=batchresponse_1"
    assert "HTTP/1.1 200 OK" in answer.text and '"name":"A' in answer.text
    for broken in (inner.replace("GET", "PUT"), inner.replace("name", "nope", 1), f"GET /{'x' * 65_600} HTTP/1.1"):
        body = f"--b\r\nContent-Type: application/http\r\n\r\n{broken}\r\n\r\n--b--\r\n"
        answer = api("POST", "/$batch", data=body, headers={"Content-Type": "multipart/mixed; boundary=b"})
        assert answer.status_code == 400 or "HTTP/1.1 400" in answer.text
    assert api("POST", "/$batch", data="x", headers={"Content-Type": "text/plain"}).status_code == 400


def test_wrong_headers_are_refused(small: Server, signed_in: Any) -> None:
    api = signed_in(small, "dynamics")
    assert api("GET", "/accounts", headers={"OData-MaxVersion": "3.0"}).status_code == 400
    assert api("GET", "/accounts", headers={"Accept": "text/html"}).status_code == 415


def test_a_cookie_binds_a_client_to_one_server(small: Server, signed_in: Any) -> None:
    api = signed_in(small, "dynamics")
    assert "ARRAffinity=" in api("GET", "/WhoAmI").headers["Set-Cookie"]
    assert "Set-Cookie" not in api("GET", "/WhoAmI").headers


def test_attributes_say_what_can_be_selected(small: Server, signed_in: Any) -> None:
    api, path = signed_in(small, "dynamics"), "/EntityDefinitions(LogicalName='opportunity')/Attributes"
    attributes = {row["LogicalName"]: row for row in api.get(path)["value"]}
    kinds = {name: row["AttributeTypeName"]["Value"] for name, row in attributes.items()}
    assert (kinds["ownerid"], kinds["owneridtype"], kinds["owneridname"]) == (
        "OwnerType",
        "EntityNameType",
        "VirtualType",
    )
    assert attributes["owneridname"]["AttributeOf"] == "ownerid" and not attributes["isprivate"]["IsValidForRead"]
    assert attributes["new_weighted_value"]["SourceType"] == 1 and attributes["name"]["SourceType"] == 0
    for name in ("owneridtype", "owneridname", "ownerid", "isprivate"):
        assert api("GET", f"/opportunities?$select={name}").status_code == 400
    targets = api.get(f"{path}/Microsoft.Dynamics.CRM.LookupAttributeMetadata?$select=LogicalName,Targets")["value"]
    assert {row["LogicalName"]: row["Targets"] for row in targets}["ownerid"] == ["systemuser", "team"]
    assert api("GET", f"{path}/Microsoft.Dynamics.CRM.NopeAttributeMetadata").status_code == 404


def test_secured_columns_come_empty_and_hidden_ones_not_at_all(small: Server, signed_in: Any) -> None:
    api, vendor = signed_in(small, "dynamics"), small.sandbox.dynamics
    vendor.secure("opportunity", "estimatedvalue")
    vendor.hide("opportunity", "stepname")
    (row,) = api.get("/opportunities")["value"]
    assert row["estimatedvalue"] is None and row["actualvalue"] and "stepname" not in row
    assert api("GET", "/opportunities?$select=stepname").status_code == 400
    path = "/EntityDefinitions(LogicalName='opportunity')/Attributes?$select=LogicalName,IsSecured"
    shown = {row["LogicalName"]: row for row in api.get(path)["value"]}
    assert shown["estimatedvalue"]["IsSecured"] and "stepname" not in shown
    user = api.get("/WhoAmI")["UserId"]
    function = "Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()"
    (privilege,) = api.get(f"/systemusers({user})/{function}")["AttributePrivileges"]
    assert privilege == {"AttributeId": shown["estimatedvalue"]["MetadataId"], "CanRead": 0}
    assert api("GET", f"/systemusers({record_id('x', 'y')})/{function}").status_code == 404


def test_a_formula_moves_neither_the_stamp_nor_the_version(small: Server, signed_in: Any) -> None:
    api, vendor = signed_in(small, "dynamics"), small.sandbox.dynamics
    before, last = read(api, "/opportunities", "odata.track-changes")
    deal = replace(DEAL, custom={**DEAL.custom, "weighted_value": Decimal(7), "competitor": "Other"})
    vendor.apply(Change(at=THEN, crm="dynamics", kind=ChangeKind.FORMULA, record=deal))
    (after,) = api.get("/opportunities")["value"]
    assert {name for name in after if after[name] != before[0][name]} == {"new_weighted_value"}
    assert read(api, last["@odata.deltaLink"])[0] == []


def apply(server: Server, kind: ChangeKind, record: Any, into: Any = None) -> None:
    server.sandbox.dynamics.apply(Change(at=THEN, crm="dynamics", kind=kind, record=record, into=into))


def test_parts_of_a_record_come_and_go_with_it(small: Server) -> None:
    def lines() -> int:
        return small.store.count("dynamics.opportunityproduct")

    apply(small, ChangeKind.SAVED, replace(DEAL, lines=DEAL.lines[:1], splits=()))
    assert (lines(), small.store.count("dynamics.new_opportunitysplit")) == (1, 0)
    apply(small, ChangeKind.SAVED, DEAL)
    assert (lines(), small.store.count("dynamics.new_opportunitysplit")) == (2, 2)
    apply(small, ChangeKind.DELETED, DEAL)
    assert (lines(), small.store.count("dynamics.opportunity")) == (0, 0)
    version = small.store.version
    apply(small, ChangeKind.PURGED, DEAL)
    assert small.store.version == version
    apply(small, ChangeKind.RESTORED, DEAL)
    assert (lines(), small.store.count("dynamics.opportunity")) == (2, 1)
    version = small.store.version
    apply(small, ChangeKind.SAVED, DEAL)
    assert small.store.version == version


def test_a_merge_keeps_the_loser_inactive(small: Server, signed_in: Any) -> None:
    apply(small, ChangeKind.MERGED, ACCOUNTS[0], into=replace(ACCOUNTS[1], name="Both"))
    rows = signed_in(small, "dynamics").get("/accounts?$select=name,merged,statecode,_masterid_value")["value"]
    told = {row["accountid"]: row for row in rows}
    winner, loser = (record_id("account", key) for key in ("A2", "A1"))
    assert told[winner]["name"] == "Both" and not told[winner]["merged"]
    assert (told[loser]["merged"], told[loser]["statecode"], told[loser]["_masterid_value"]) == (True, 1, winner)


def test_a_reopened_deal_has_an_end_for_each_time_it_ended(small: Server) -> None:
    first, won = DEAL.history
    steps = (first, won, replace(first, at=THEN + timedelta(days=60)), replace(won, at=THEN + timedelta(days=90)))
    apply(small, ChangeKind.SAVED, replace(DEAL, history=steps))
    ends = small.store.find("dynamics.opportunityclose", order_by="actualend")
    assert [row["subject"] for row in ends] == ["Opportunity won"] * 2
    (process,) = small.store.find("dynamics.opportunitysalesprocess")
    assert len(process["traversedpath"].split(",")) == 2 and process["statecode"] == 1


def test_a_rep_who_changes_teams_brings_the_new_team_along(small: Server) -> None:
    apply(small, ChangeKind.SAVED, replace(person(REP, BOSS), team="Team Two", region="Nord", is_active=False))
    assert {row["name"] for row in small.store.find("dynamics.team")} == {"Team Nair", "Team Two"}
    assert {row["name"] for row in small.store.find("dynamics.businessunit")} == {"Tiny", "APAC", "Nord"}
    user = small.store.get("dynamics.systemuser", record_id("systemuser", REP))
    assert user and user["isdisabled"] is True


def test_custom_fields_of_every_kind(signed_in: Any) -> None:
    values = {
        "text": "NA",
        "long_text": 'a\n"b", 🤖',
        "number": Decimal("1.5"),
        "money": Decimal("2.25"),
        "date": THEN.date(),
        "boolean": False,
        "choice": "Red",
    }
    fields = tuple(CustomField(record="account", name=f"a_{kind}", kind=kind) for kind in values)
    account = replace(ACCOUNTS[0], custom={f"a_{kind}": value for kind, value in values.items()})
    world = tiny(accounts=(account,), custom_fields=(*tiny().custom_fields, *fields))
    with running(world) as server:
        api = signed_in(server, "dynamics")
        (row,) = api.get("/accounts")["value"]
        assert [row[f"new_a_{kind}"] for kind in list(values)[:-1]] == [
            "NA",
            'a\n"b", 🤖',
            1.5,
            2.25,
            "2026-03-01",
            False,
        ]
        path = "/EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata"
        choice = next(r for r in api.get(path)["value"] if r["LogicalName"] == "new_a_choice")["OptionSet"]["Options"]
        assert [(o["Value"], o["Label"]["UserLocalizedLabel"]["Label"]) for o in choice] == [
            (row["new_a_choice"], "Red")
        ]


def test_what_is_loaded_is_what_is_rendered_and_each_row_once(small: Server) -> None:
    told = [(entity, row) for entity, row in records(tiny())]
    tables = small.sandbox.dynamics.entities
    assert len({(entity, row[tables[entity].key]) for entity, row in told}) == len(told)
    assert sum(small.store.count(entity.table.name) for entity in tables.values()) == len(told)
    for entity, row in told:
        kept = small.store.get(tables[entity].table.name, row[tables[entity].key])
        assert kept and kept[VERSION] and set(row) <= set(kept)
