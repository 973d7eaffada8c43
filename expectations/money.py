"""What money hangs on the records in the stewards' queues: won amount, pipeline and commission, in company currency.

Worked out from what a gate says a record is worth and from what is published of the deals it touches; which records are
in a queue is decided in `stewardship`.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
from sqlalchemy import Engine, bindparam, select, update

from expectations import scratch
from expectations.scratch import text
from expectations.stewardship.state import reading, writing
from expectations.stewardship.tables import incident, is_open

AT_ONCE = 10_000
"""Incidents that are held in memory together."""
ACCOUNTS = (("salesforce", "accounts"), ("hubspot", "companies"), ("dynamics", "accounts"), ("zoho", "accounts"))
"""The streams whose records are the accounts that published deals name."""

_QUEUED = """
create table queued (
    id bigint,
    crm varchar,
    stream varchar,
    key varchar,
    other_key varchar,
    amount_at_risk decimal(18, 4),
    pipeline_at_risk decimal(18, 4),
    payout_at_risk decimal(18, 4)
)
"""
_NOTHING_PUBLISHED = """
create view deals as
    select ''::varchar as deal_id, ''::varchar as account_id, ''::varchar as owner_id, ''::varchar as outcome,
        0::decimal(18, 4) as amount, 0::decimal(18, 4) as payout
    where false;
create view commission as select 0::decimal(18, 10) as rate;
"""
_PUBLISHED = """
create table deals as
    with facts as (
        select * from published.core.fct_opportunity
        union all by name
        select null::varchar as owner_id where false -- releases before this column was published lack it
    )
    select
        facts.opportunity_id as deal_id,
        facts.account_id,
        facts.owner_id,
        facts.outcome,
        abs(facts.company_amount) as amount,
        cast(lines.payout as decimal(18, 4)) as payout,
    from facts
    left join (
        select deal_id, sum(abs(amount)) as payout from published.payout.payout_ledger group by deal_id
    ) as lines on lines.deal_id = facts.opportunity_id;
create table commission as
    select coalesce(cast(sum(amount) / nullif(sum(base_amount), 0) as decimal(18, 10)), 0) as rate
    from published.payout.payout_ledger;
"""
_AT_RISK = """
with judged as (
    select crm, stream, key, amount, currency_code, outcome, deal_key, owner_key
    from quarantine
    where state in ('open', 'noted')
    union all by name
    select crm, stream, other_key as key
    from quarantine
    where state in ('open', 'noted') and other_key is not null
),

worth as (
    select
        crm,
        stream,
        key,
        any_value(amount) as amount,
        any_value(currency_code) as currency_code,
        any_value(outcome) as outcome,
        any_value(crm || ':' || deal_key) as deal_id,
        any_value(crm || ':' || owner_key) as owner_id,
    from judged
    group by crm, stream, key
),

rates as (
    select
        currency_code,
        arg_max(rate_to_company, valid_from) as rate,
    from read_csv($fx_rates, types = {'valid_from': 'date', 'rate_to_company': 'decimal(18, 10)'})
    where valid_from <= $as_of
    group by currency_code
),

valued as (
    select
        worth.* exclude (amount),
        abs(worth.amount) * case
            when coalesce(worth.currency_code, $company_currency) = $company_currency then 1
            else rates.rate
        end as amount,
        (crm, stream) in (from accounts) as is_account,
    from worth
    left join rates using (currency_code)
),

-- A deal is worth what the refused version says, or what is published of it, whichever is more.
deals_at_risk as (
    select
        valued.crm,
        valued.stream,
        valued.key,
        greatest(
            case when valued.outcome = 'won' then coalesce(valued.amount, deals.amount) end,
            case when deals.outcome = 'won' then deals.amount end
        ) as amount,
        greatest(
            case when valued.outcome = 'open' then coalesce(valued.amount, deals.amount) end,
            case when deals.outcome = 'open' then deals.amount end
        ) as pipeline,
        deals.payout,
    from valued
    left join deals using (deal_id)
    where valued.outcome is not null
),

touched as (
    select crm, stream, key, valued.amount as own_amount, deals.*
    from valued
    left join deals on deals.deal_id = valued.deal_id
    where valued.outcome is null and valued.deal_id is not null
    union all
    select crm, stream, key, valued.amount as own_amount, deals.*
    from valued
    left join deals on deals.owner_id = valued.owner_id
    where valued.outcome is null and valued.deal_id is null and valued.owner_id is not null
    union all
    select crm, stream, key, valued.amount as own_amount, deals.*
    from valued
    left join deals on deals.account_id = valued.crm || ':' || valued.key
    where valued.outcome is null and valued.deal_id is null and valued.owner_id is null and valued.is_account
),

-- Other records are worth the deals they belong to; where none is published, what they say themselves.
others_at_risk as (
    select
        crm,
        stream,
        key,
        case
            when count(deal_id) > 0 then sum(amount) filter (where outcome = 'won')
            else any_value(own_amount)
        end as amount,
        sum(amount) filter (where outcome = 'open') as pipeline,
        sum(payout) as payout,
    from touched
    group by crm, stream, key
),

unioned as (
    select * from deals_at_risk
    union all by name
    select * from others_at_risk
),

-- A pair is worth what both its records are.
sides as (
    select id, crm, stream, key from queued
    union all
    select id, crm, stream, other_key as key from queued where other_key is not null
),

at_risk as (
    select
        sides.id,
        cast(coalesce(sum(unioned.amount), 0) as decimal(18, 4)) as amount,
        cast(coalesce(sum(unioned.pipeline), 0) as decimal(18, 4)) as pipeline,
        cast(
            coalesce(
                sum(coalesce(unioned.payout, cast(unioned.amount * commission.rate as decimal(18, 4)))), 0
            ) as decimal(18, 4)
        ) as payout,
    from sides
    cross join commission
    left join unioned using (crm, stream, key)
    group by sides.id
)

select at_risk.id, at_risk.amount, at_risk.pipeline, at_risk.payout
from at_risk
inner join queued using (id)
where
    at_risk.amount is distinct from queued.amount_at_risk
    or at_risk.pipeline is distinct from queued.pipeline_at_risk
    or at_risk.payout is distinct from queued.payout_at_risk
"""


def add_money_at_risk(engine: Engine, home: Path, *, fx_rates: Path, company_currency: str, as_of: date) -> int:
    """Write to every open incident on a record what money hangs on it; returns how many had to be changed.

    `amount_at_risk` is won, `pipeline_at_risk` open amount, both of all deals that the record touches and in
    `company_currency` by the rate of `as_of` or the last one before it (`fx_rates`: the seed of that name).
    `payout_at_risk` is what the published ledger pays for them, or, for a deal that it does not have, the won amount at
    the ledger's average rate. All are positive; a record that touches no deal has zeros, and a pair what both
    its records have.
    """
    with TemporaryDirectory(prefix="attain-money-") as folder, scratch.connect(Path(folder) / "money.duckdb") as db:
        _add_queued(db, engine)
        _add_quarantine(db, home / "quality" / "quarantine")
        _add_published(db, home / "published" / "current" / "attain.duckdb")
        db.execute("create table accounts (crm varchar, stream varchar)")
        db.executemany("insert into accounts values (?, ?)", ACCOUNTS)
        db.execute(_AT_RISK, {"fx_rates": str(fx_rates), "company_currency": company_currency, "as_of": as_of})
        return sum(_write(engine, changed) for changed in _batches(db))


def _add_queued(db: duckdb.DuckDBPyConnection, engine: Engine) -> None:
    """Copy the open incidents on records into the table `queued`."""
    db.execute(_QUEUED)
    columns = [incident.c[name] for (name, *_) in db.execute("describe queued").fetchall()]
    query = select(*columns).where(is_open, incident.c.key.is_not(None))
    with reading(engine) as connection:
        for rows in connection.execution_options(yield_per=AT_ONCE).execute(query).mappings().partitions():
            db.register("batch", pa.Table.from_pylist([dict(row) for row in rows]))
            db.execute("insert into queued by name from batch")


def _add_quarantine(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    files = text(str(folder / "*" / "*.parquet"))
    db.execute(
        "create view quarantine as"
        " select crm, stream, key, other_key, amount, currency_code, outcome, deal_key, owner_key, state"
        f" from read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    )


def _add_published(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Create `deals` and `commission` from what BI reads now; before the first publication both say nothing."""
    if not path.exists():
        db.execute(_NOTHING_PUBLISHED)
        return
    db.execute(f"attach {text(str(path))} as published (read_only)")
    db.execute(_PUBLISHED)


def _batches(db: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[int, Decimal, Decimal, Decimal]]]:
    while rows := db.fetchmany(AT_ONCE):
        yield rows


def _write(engine: Engine, changed: list[tuple[int, Decimal, Decimal, Decimal]]) -> int:
    statement = (
        update(incident)
        .where(incident.c.id == bindparam("incident"))
        .values(
            amount_at_risk=bindparam("amount"),
            pipeline_at_risk=bindparam("pipeline"),
            payout_at_risk=bindparam("payout"),
        )
    )
    names = ("incident", "amount", "pipeline", "payout")
    with writing(engine) as connection:
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in changed])
    return len(changed)
