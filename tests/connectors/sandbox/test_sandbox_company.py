import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests
import trustme
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox import dynamics, hubspot
from connectors.sandbox.company import Company, Outcome
from connectors.sandbox.folder import FolderError, read
from connectors.sandbox.generate import generate
from connectors.sandbox.salesforce import double
from connectors.sandbox.server import VENDORS, Sandbox, Server, running
from connectors.sandbox.wire import dumps


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_generated_company_is_the_same_every_time_and_sound(seed: int) -> None:
    company = generate(seed)
    assert company == generate(seed)
    assert company != generate(seed + 1)
    stages = {(crm, stage.key): stage for crm, all in company.stages.items() for stage in all}
    people = {(crm, rep.email) for rep in company.reps for crm in rep.crms}
    accounts = {account.key: account for account in company.accounts}
    for deal in company.opportunities:
        stage = stages[deal.crm, deal.stage]
        assert deal.amount == sum(line.amount for line in deal.lines)
        assert 1 <= len(deal.lines) <= 3
        assert (deal.crm, deal.owner_email) in people
        assert accounts[deal.account_key].crm == deal.crm
        assert deal.created_at <= deal.stage_changed_at <= deal.modified_at <= datetime(2026, 8, 14, 18, tzinfo=UTC)
        if stage.outcome is Outcome.OPEN:
            assert date(2026, 8, 14) - timedelta(days=45) <= deal.close_date <= date(2027, 12, 31)
        elif not deal.is_dirty:
            assert deal.created_at.date() <= deal.close_date <= date(2026, 8, 14)
            assert deal.modified_at + timedelta(minutes=5) >= datetime.combine(deal.close_date, time(), UTC)
    assert Counter(deal.crm for deal in company.dirty) == dict.fromkeys(VENDORS, 1)
    assert all(deal.close_date is None and deal.stage == "won" for deal in company.dirty)


SIZES = (40, 150, 250, 270), (45, 200, 300, 280)


def test_generated_company_has_the_size_it_should(halden: Company) -> None:
    for crm in VENDORS:
        part = halden.within(crm)
        sizes = [len(records) for records in (part.accounts, part.contacts, part.leads, part.opportunities)]
        assert all(low <= size <= high for size, low, high in zip(sizes, *SIZES, strict=True)), sizes
        stages = Counter(deal.stage for deal in halden.opportunities if deal.crm == crm)
        assert 0.25 < stages["won"] / (stages["won"] + stages["lost"]) < 0.55
        assert all(stages[step] >= 2 for step in ("first", "second", "third", "fourth"))
    assert min(deal.created_at for deal in halden.opportunities) < datetime(2024, 10, 1, tzinfo=UTC)
    leads = [lead for lead in halden.leads if lead.opportunity_key]
    assert len(leads) > 100
    assert all(lead.created_at <= lead.modified_at for lead in halden.leads)


OBJECTS = {
    "salesforce": ("Opportunity", "Account"),
    "hubspot": ("deals", "companies"),
    "dynamics": ("opportunity", "account"),
    "zoho": ("Deals", "Accounts"),
}


def test_ids_do_not_collide(halden: Company) -> None:
    store = Sandbox(halden).store
    for crm, (deals, accounts) in OBJECTS.items():
        part = halden.within(crm)
        assert store.count(f"{crm}.{deals}") == len(part.opportunities)
        assert store.count(f"{crm}.{accounts}") == len(part.accounts)
    store.close()


FILES = {
    "accounts.csv": "account,sector,year_established,revenue,employees,office_location,subsidiary_of\n"
    'Acme,technolgy,1996,"1,100.04",2822,United States,\nBolt,retail,2000,1.5,10,Kenya,Acme\n',
    "products.csv": "product,series,sales_price\nGTX Pro,GTX,4821\n",
    "sales_teams.csv": "sales_agent,manager,regional_office\nAnna Snelling,Dustin Brinkmann,Central\n"
    "Mei-Mei Johns,Cara Losch,East\n",
    "sales_pipeline.csv": "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
    "A1,Anna Snelling,GTXPro,Acme,Won,10/20/2016,3/1/2017,1054\n"
    "A2,Mei-Mei Johns,GTX Pro,,Lost,2016-10-25,2017-03-11,0\n"
    "A3,Anna Snelling,GTX Pro,Bolt,Engaging,11/3/2016,,\n"
    "A4,Anna Snelling,GTX Pro,Bolt,Prospecting,,,\n",
}


def write(folder: Path, **changes: tuple[str, str]) -> Path:
    for name, text in FILES.items():
        old, new = changes.get(name.removesuffix(".csv"), ("", ""))
        (folder / name).write_text(text.replace(old, new, 1) if old else text)
    return folder


def test_folder_is_read_with_its_dirt(tmp_path: Path) -> None:
    company = read(write(tmp_path), "hubspot")
    won, lost, engaging, prospecting = company.opportunities
    assert won.amount == Decimal("1054") and won.close_date == date(2017, 3, 1)
    assert lost.account_key is None and lost.created_at == datetime(2016, 10, 25, 12, tzinfo=UTC)
    assert engaging.amount is None and engaging.close_date is None
    assert prospecting.created_at.date() == date(2017, 3, 11)
    assert [(product.name, product.price) for product in company.products] == [
        ("GTX Pro", Decimal(4821)),
        ("GTXPro", None),
    ]
    assert company.accounts[0].industry == "technolgy"
    assert company.accounts[0].revenue == Decimal("1100040000.00")
    assert company.accounts[1].parent_key == "Acme"
    assert {rep.email: (rep.manager_email, rep.region) for rep in company.reps} == {
        "dustin.brinkmann@sandbox.example": (None, "Central"),
        "cara.losch@sandbox.example": (None, "East"),
        "anna.snelling@sandbox.example": ("dustin.brinkmann@sandbox.example", "Central"),
        "mei-mei.johns@sandbox.example": ("cara.losch@sandbox.example", "East"),
    }
    assert [stage.key for stage in company.stages["hubspot"]] == ["Prospecting", "Engaging", "Won", "Lost"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("sales_pipeline", "3/1/2017", "31/1/2017", "line 2, column close_date.*31/1/2017.*M/D/YYYY"),
        ("sales_pipeline", "1054", "a lot", "line 2, column close_value.*'a lot'.*1234.50"),
        ("sales_pipeline", "1054", "NaN", "line 2, column close_value"),
        ("sales_pipeline", "A2", "A1", "line 3, column opportunity_id.*second time"),
        ("sales_pipeline", "Acme", "Akme", "line 2, column account.*'Akme'.*accounts.csv; add"),
        ("sales_pipeline", "Anna Snelling", "Anna", "line 2, column sales_agent.*sales_teams.csv; add"),
        ("sales_pipeline", "Won", "", "line 2, column deal_stage.*empty"),
        ("sales_pipeline", ",1054", "", "line 2: has 7 cells"),
        ("sales_pipeline", "close_value", "value", "line 1: column close_value is missing"),
        ("accounts", "Bolt", "Acme", "line 3, column account.*second time"),
        ("accounts", "2822", "28.5", "line 2, column employees.*whole"),
    ],
)
def test_folder_error_says_where_and_what_to_do(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    with pytest.raises(FolderError, match=f"{file}.csv, {message}"):
        read(write(tmp_path, **{file: (old, new)}), "salesforce")


def test_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "products.csv").unlink()
    with pytest.raises(FolderError, match="products.csv is missing"):
        read(tmp_path, "salesforce")


def test_all_crms_tell_the_same_facts(tmp_path: Path) -> None:
    write(tmp_path)
    told = set()
    for crm in VENDORS:
        store = Sandbox(read(tmp_path, crm)).store
        told.add(frozenset(fact(crm, deal) for deal in store.find(f"{crm}.{OBJECTS[crm][0]}")))
        store.close()
    (facts,) = told
    assert len(facts) == 4


def fact(crm: str, deal: dict) -> tuple:
    if crm == "salesforce":
        return (
            deal["Name"],
            deal["Amount"],
            deal["CloseDate"],
            deal["IsWon"],
            deal["IsClosed"],
            deal["Probability"],
        )
    if crm == "hubspot":
        close = deal["closedate"] and deal["closedate"][:10]
        odds = deal["hs_deal_stage_probability"] * 100
        return deal["dealname"], deal["amount"], close, deal["hs_is_closed_won"], deal["hs_is_closed"], odds
    if crm == "zoho":
        won, lost = deal["Stage"] == "Closed Won", deal["Stage"] == "Closed Lost"
        return deal["Deal_Name"], deal["Amount"], deal["Closing_Date"], won, won or lost, deal["Probability"]
    close = deal["actualclosedate"] or deal["estimatedclosedate"]
    state = deal["statecode"]
    return deal["name"], deal["estimatedvalue"], close, state == 1, state > 0, deal["closeprobability"]


def test_server_leaves_no_thread_and_counts_requests(halden: Company) -> None:
    before = set(threading.enumerate())
    with running(halden, ["hubspot"]) as server:
        assert set(server.environment()) == {"HUBSPOT_URL", "HUBSPOT_ACCESS_TOKEN"}
        assert requests.get(f"{server.url}/services/data").status_code == 404
        assert "HUBSPOT_URL=" + server.url in requests.get(server.url).text
        assert server.requests["GET /services/data"] == 1
    assert set(threading.enumerate()) == before


def test_unknown_crm_is_refused(halden: Company) -> None:
    with pytest.raises(ValueError, match="does not speak pipedrive"), running(halden, ["pipedrive"]):
        pass


def test_tls(halden: Company, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with running(halden, certfile=tmp_path / "server.pem") as server, requests.Session() as session:
        session.trust_env, session.verify = False, str(tmp_path / "ca.pem")
        assert server.environment()["DYNAMICS_AUTHORITY_URL"].startswith("https://127.0.0.1:")
        tenant = server.environment()["DYNAMICS_TENANT_ID"]
        answer = session.get(f"{server.url}/{tenant}/v2.0/.well-known/openid-configuration").json()
        assert answer["token_endpoint"].startswith(server.url)


def test_intercept_answers_in_the_crms_place(sandbox: Server) -> None:
    sandbox.sandbox.intercept = lambda request: hubspot.rate_limited("DAILY", retry_after=3)
    response = requests.get(f"{sandbox.url}/crm/v3/owners")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert response.json()["policyName"] == "DAILY"


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=2)


@given(AMOUNTS)
def test_no_digit_of_an_amount_is_lost(amount: Decimal) -> None:
    assert Decimal(double(amount)) == amount
    assert Decimal(hubspot.sent(hubspot.TABLES["deals"].columns["amount"], amount)) == amount
    assert Decimal(dynamics.sent(dynamics.ENTITIES["opportunity"].table.columns["actualvalue"], amount)) == amount
    sent = json.loads(dumps({"text": 'a\n\u2028"\x00', "amount": [amount, None, True]}), parse_float=Decimal)
    assert sent == {"text": 'a\n\u2028"\x00', "amount": [amount, None, True]}


def test_serve_says_where_and_ends_with_ctrl_c() -> None:
    program = (
        "from connectors.sandbox.generate import generate; from connectors.sandbox.server import serve;"
        "serve(generate(), on_start=lambda server: print(server.url, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert requests.get(process.stdout.readline().strip()).ok
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_several_threads_can_read_at_once(shared: Server) -> None:
    found: list[int] = []

    def read_all() -> None:
        found.extend(shared.store.count(table) for table in shared.store.tables)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 * len(shared.store.tables)
