"""Money at risk: what a refused record says and what is published of its deals, in the state database to the cent."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import Engine, insert, select

from expectations.money import add_money_at_risk
from expectations.stewardship.state import open_state, reading, writing
from expectations.stewardship.tables import incident

AS_OF = date(2026, 8, 14)
OPENED = datetime(2026, 8, 14, 2, tzinfo=UTC)

FX_RATES = """currency_code,valid_from,valid_to,rate_to_company
EUR,2020-01-01,2025-12-31,1.5
EUR,2026-01-01,2026-06-30,1.17
EUR,2026-09-01,,9
"""
"""The last rate before the day holds, since the day has none."""

PUBLISHED = """
create schema core; create schema payout;
create table core.fct_opportunity as
    select * from (values
        ('zoho:won', 'zoho:a1', 'zoho:u1', 'won', 1000.00::decimal(18, 4)),
        ('zoho:won too', 'zoho:a1', 'zoho:u2', 'won', 500.00),
        ('zoho:credit note', 'zoho:a2', 'zoho:u2', 'won', -40.00),
        ('zoho:open', 'zoho:a1', 'zoho:u1', 'open', 300.00),
        ('zoho:lost', 'zoho:a1', 'zoho:u1', 'lost', 7777.00),
        ('hubspot:a1', 'hubspot:c1', 'hubspot:u1', 'won', 9999.00)
    ) as t(opportunity_id, account_id, owner_id, outcome, company_amount);
create table payout.payout_ledger as
    select * from (values
        ('zoho:won', 50.01::decimal(18, 2), 1000.00::decimal(28, 8)),
        ('zoho:won', 20.00, 0.00),
        ('zoho:credit note', -3.00, -40.00),
        ('hubspot:a1', 932.99, 9040.00)
    ) as t(deal_id, amount, base_amount);
"""
# 1,000 paid on 10,000: the average rate is a tenth

RECORDS = """
    select
        'zoho' as crm, stream, key, 'v' as version, 'r' as rule, state, amount::decimal(18, 4) as amount, currency_code,
        outcome, deal_key, owner_key, other_key,
    from (values
        ('deals', 'won', 'open', '1200', 'USD', 'won', 'won', 'u1', null),
        ('deals', 'never good', 'open', '100', 'EUR', 'won', 'never good', 'u1', null),
        ('deals', 'without an amount', 'open', null, 'EUR', 'won', 'without an amount', null, null),
        ('deals', 'won too', 'open', null, null, 'won', 'won too', 'u2', null),
        ('deals', 'credit note', 'open', '-40', null, 'won', 'credit note', 'u2', null),
        ('deals', 'without a rate', 'open', '5', 'XXX', 'open', 'without a rate', 'u2', null),
        ('deals', 'open', 'open', '250', 'USD', 'won', 'open', 'u1', null),
        ('deals', 'lost', 'open', '7777', 'USD', 'lost', 'lost', 'u1', null),
        ('deals', 'healed', 'healed', '123', 'USD', 'won', 'won', 'u1', null),
        ('accounts', 'a1', 'noted', null, null, null, null, null, null),
        ('users', 'u2', 'open', null, null, null, null, 'u2', null),
        ('quotes', 'of a deal', 'open', '11', 'USD', null, 'won', null, null),
        ('quotes', 'of no deal', 'open', '11', 'USD', null, 'gone', null, null),
        ('contacts', 'a1', 'open', null, null, null, null, null, null),
        ('accounts', 'a2', 'noted', null, null, null, null, null, 'a1')
    ) as t(stream, key, state, amount, currency_code, outcome, deal_key, owner_key, other_key)
"""

AT_RISK = {
    ("deals", "won"): ("1200", "0", "70.01"),
    ("deals", "never good"): ("117", "0", "11.70"),
    ("deals", "without an amount"): ("0", "0", "0"),
    ("deals", "won too"): ("500", "0", "50"),
    ("deals", "credit note"): ("40", "0", "3"),
    ("deals", "without a rate"): ("0", "0", "0"),
    ("deals", "open"): ("250", "300", "25"),
    ("deals", "lost"): ("0", "0", "0"),
    ("deals", "healed"): ("0", "0", "0"),
    ("accounts", "a1"): ("1500", "300", "70.01"),
    ("accounts", "a2"): ("1540", "300", "73.01"),
    ("users", "u2"): ("540", "0", "3"),
    ("quotes", "of a deal"): ("1000", "0", "70.01"),
    ("quotes", "of no deal"): ("11", "0", "1.10"),
    ("contacts", "a1"): ("0", "0", "0"),
}
"""Won amount, pipeline and payout of each record above."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with a quarantine in the form that the gates give it, and nothing published."""
    (tmp_path / "fx_rates.csv").write_text(FX_RATES)
    for stream in {stream for stream, _ in AT_RISK}:
        path = tmp_path / "quality" / "quarantine" / "zoho" / f"{stream}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        duckdb.sql(f"copy (from ({RECORDS}) where stream = '{stream}') to '{path}' (format parquet)")
    return tmp_path


@pytest.fixture
def engine(home: Path) -> Engine:
    """The stewards' database with an open incident for each record, one that is settled, and one on a stream."""
    engine = open_state(f"sqlite:///{home / 'quality' / 'steward.db'}")
    rows = [_incident(stream, key) for stream, key in AT_RISK if key != "a2"]
    rows.append({**_incident("accounts", "a2", queue="duplicates"), "other_key": "a1"})
    rows += [_incident("deals", "won", state="resolved"), _incident("deals", None, queue="checks")]
    with writing(engine) as connection:
        connection.execute(insert(incident), rows)
    return engine


def _incident(stream: str, key: str | None, *, queue: str = "records", state: str = "new") -> dict[str, object]:
    words = {field: "r" for field in ("rule", "dimension", "reason", "opened_run", "last_seen_run")}
    told = {
        "queue": queue,
        "crm": "zoho",
        "stream": stream,
        "key": key,
        "other_key": None,
        "identity": key or "",
        "state": state,
    }
    return {**words, **told, "severity": "warning", "is_crash": False, "opened_at": OPENED, "last_seen_at": OPENED}


def publish(home: Path, change: str = "") -> None:
    path = home / "published" / "current" / "attain.duckdb"
    path.parent.mkdir(parents=True)
    with duckdb.connect(path) as db:
        db.execute(PUBLISHED + change)


def add(engine: Engine, home: Path) -> int:
    return add_money_at_risk(engine, home, fx_rates=home / "fx_rates.csv", company_currency="USD", as_of=AS_OF)


def at_risk(engine: Engine) -> Mapping[tuple[str, str], tuple[Decimal, Decimal, Decimal]]:
    columns = (incident.c.amount_at_risk, incident.c.pipeline_at_risk, incident.c.payout_at_risk)
    query = select(incident.c.stream, incident.c.key, *columns).where(columns[0].is_not(None))
    with reading(engine) as connection:
        return {
            (stream, key): (amount, pipeline, payout)
            for stream, key, amount, pipeline, payout in connection.execute(query)
        }


def test_every_record_has_the_money_of_the_deals_it_touches(engine: Engine, home: Path) -> None:
    publish(home)
    assert add(engine, home) == len(AT_RISK)
    assert at_risk(engine) == {record: tuple(map(Decimal, money)) for record, money in AT_RISK.items()}


def test_before_anything_is_published_a_deal_is_worth_what_it_says_itself(engine: Engine, home: Path) -> None:
    add(engine, home)
    found = at_risk(engine)
    assert found["deals", "never good"] == (Decimal(117), 0, 0)
    assert found["deals", "won too"] == (0, 0, 0)
    assert found["accounts", "a1"] == (0, 0, 0)


def test_only_what_has_changed_is_written_again(engine: Engine, home: Path) -> None:
    publish(home)
    add(engine, home)
    assert add(engine, home) == 0
    path = home / "published" / "current" / "attain.duckdb"
    with duckdb.connect(path) as db:
        db.execute("update payout.payout_ledger set amount = 51.01 where amount = 50.01")
    before = at_risk(engine)
    changed = add(engine, home)
    after = at_risk(engine)
    assert {record for record in after if after[record] != before[record]} == {
        *(("deals", key) for key in ("won", "never good", "won too", "open")),
        *(("quotes", key) for key in ("of a deal", "of no deal")),
        *(("accounts", key) for key in ("a1", "a2")),
    }
    assert changed == 8
    assert after["deals", "won"] == (1200, 0, Decimal("71.01"))
    assert after["quotes", "of no deal"] == (11, 0, Decimal("1.1011"))


def test_a_release_without_owners_still_says_what_it_has(engine: Engine, home: Path) -> None:
    publish(home, "alter table core.fct_opportunity drop column owner_id")
    add(engine, home)
    found = at_risk(engine)
    assert found["deals", "won"] == tuple(map(Decimal, AT_RISK["deals", "won"]))
    assert found["users", "u2"] == (0, 0, 0)
