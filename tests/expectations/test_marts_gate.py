"""The gate before publishing: marts that agree pass, and every way to disagree is named."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from expectations import results
from expectations.marts import check_marts
from expectations.rule import GateResult, Severity, Status

AS_OF = date(2026, 8, 14)

BUILT = """
create table stg_salesforce__opportunities as
    select * from (values ('o1', 'USD', true, 100.00), ('o2', 'USD', false, 0.00), ('o3', null, false, null))
        as t(opportunity_id, currency_code, is_won, amount);
create table stg_hubspot__deal_stages as
    select * from (values ('closedwon', true, 1.0), ('open', false, 0.5)) as t(stage_id, is_closed, win_probability);
create table stg_hubspot__deals as
    select * from (values
        ('d1', 'closedwon', null::boolean, 50.00, ['d3']),
        ('d2', 'open', false, 70.00, null),
        ('d3', 'open', false, 1.00, null)
    ) as t(deal_id, stage_id, is_won, amount, merged_deal_ids);
alter table stg_hubspot__deals add column currency_code varchar default 'EUR';
create table stg_dynamics__opportunities as
    select * from (values (1, 30.00, 'c1'), (2, null, 'c1'), (null, 9.00, 'c9'))
        as t(state_code, actual_amount, currency_id);
create table stg_dynamics__transactioncurrencies as select 'c1' as currency_id, 'AUD' as currency_code;
create table stg_zoho__deal_stages as
    select * from (values ('Closed Won', 'Closed Won'), ('Qualification', 'Open')) as t(stage_name, forecast_type);
create table stg_zoho__deals as
    select * from (values ('Closed Won', 'USD', 8.00), ('Qualification', null, 3.00))
        as t(stage_name, currency_code, amount);
create table dim_rep as select 'maya' as rep_id;
create table int_users as
    select * from (values
        ('salesforce:u1', 'salesforce', 'maya', 'salesforce:u9', null),
        ('salesforce:u9', 'salesforce', 'bo', null, null),
        ('hubspot:u1', 'hubspot', 'maya', null, 'bo'),
        ('zoho:u1', 'zoho', 'maya', null, null)
    ) as t(user_id, crm, rep_id, manager_user_id, manager_email);
alter table int_users add column is_active boolean default true;
create table dim_account as select 'a' || i as account_id, 'Customer ' || i as account_name from range(200) as t(i);
update dim_account set account_name = 'The Nörth Mill GmbH' where account_id = 'a1';
update dim_account set account_name = 'north mill, inc.' where account_id = 'a2';
create table fct_opportunity as
    select * from (values
        ('salesforce:o1', 'salesforce', 'won', 'USD', 100.00, 100.00, 'a1', 'North Mill - Atlas Arm'),
        ('salesforce:o2', 'salesforce', 'lost', 'USD', 0.00, 0.00, 'a1', 'North Mill - Atlas Arm'),
        ('salesforce:o3', 'salesforce', 'open', 'USD', null, null, 'a1', 'North Mill - Atlas Arm'),
        ('hubspot:d1', 'hubspot', 'won', 'EUR', 50.00, 55.00, 'a4', 'North Mill - Atlas Arm'),
        ('hubspot:d2', 'hubspot', 'open', 'EUR', 70.00, 77.00, 'a2', 'North Mill - Atlas Arm'),
        ('dynamics:1', 'dynamics', 'won', 'AUD', 30.00, 20.00, null, 'North Mill - Atlas Arm'),
        ('dynamics:2', 'dynamics', 'lost', 'AUD', null, null, null, 'Loss'),
        ('dynamics:3', 'dynamics', 'open', 'c9', 9.00, 6.00, null, 'Hope'),
        ('zoho:1', 'zoho', 'won', 'USD', 8.00, 8.00, 'a2', 'Spare parts for the winter'),
        ('zoho:2', 'zoho', 'open', 'USD', 3.00, 3.00, 'a2', 'North Mill - Atlas Arm')
    ) as t(opportunity_id, crm, outcome, currency_code, native_amount, company_amount, account_id, opportunity_name);
alter table fct_opportunity add column created_on date default date '2026-07-01';
alter table fct_opportunity add column closed_on date default date '2026-08-01';
create table kpi_month as
    select * from (values
        (date '2026-07-01', 'company', 'company', 10, 1, 55.00, 0, 1, 1, 0, 0),
        (date '2026-08-01', 'company', 'company', 0, 3, 128.00, 2, 2, 4, 1, 3),
        (date '2026-08-01', 'product', 'p1', 0, 2, 120.00, 2, 2, 4, null, null)
    ) as t(month, grain, entity_id, created_count, won_count, won_amount, lost_count,
        win_rate_numerator, win_rate_denominator, lead_conversion_rate_numerator, lead_conversion_rate_denominator);
create table forecast_quarter as
    select date '2026-07-01' as quarter, 'company' as level, 'company' as entity_id, 'pacing' as method;
create table payout_ledger as
    select * from (values ('l1', 'maya', 6.25), ('l2', 'maya', 1.75)) as t(line_id, payee_id, amount);
alter table payout_ledger add column period_for date default date '2026-08-01';
create table payout_statement as
    select * from (values ('maya', date '2026-08-01', 8.00), ('maya', date '2026-07-01', 0.00))
        as t(payee_id, month, earned_amount);
"""

BREAKS = {
    "dim_rep_rep_id_present": "insert into dim_rep values (null)",
    "dim_rep_key_unique": "insert into dim_rep values ('maya')",
    "kpi_month_key_unique": "insert into kpi_month select * from kpi_month where grain = 'product'",
    "forecast_quarter_method_present": "update forecast_quarter set method = null",
    "payout_ledger_key_unique": "update payout_ledger set line_id = 'l1'",
    "fct_opportunity_complete": "insert into stg_salesforce__opportunities values ('o4', 'USD', false, 5)",
    "won_amount_reconciles": "update fct_opportunity set currency_code = 'NZD' where opportunity_id = 'dynamics:1'",
    "amount_same_in_crms": "update fct_opportunity set opportunity_name = 'North Mill: Atlas Arm',"
    " closed_on = date '2026-07-30' where opportunity_id = 'zoho:1'",
    "kpi_month_adds_up": "update kpi_month set won_amount = won_amount + 0.01 where month = date '2026-08-01'",
    "payout_statement_adds_up": "update payout_ledger set amount = 6.26 where line_id = 'l1'",
    "kpi_month_win_rate_within_1": "update kpi_month set win_rate_numerator = 5 where grain = 'product'",
    "kpi_month_lead_conversion_rate_within_1": "update kpi_month set lead_conversion_rate_numerator = 4"
    " where month = date '2026-08-01' and grain = 'company'",
    "dim_account_no_cliff": "delete from dim_account where account_id > 'a179'",
    "one_manager_in_crms": "update int_users set manager_email = 'cy' where crm = 'hubspot'",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return build(tmp_path / "warehouse.duckdb")


def build(path: Path, change: str = "") -> Path:
    with duckdb.connect(path) as connection:
        connection.execute(BUILT + change)
    return path


def check(warehouse: Path, published: Path | None = None) -> GateResult:
    return check_marts(warehouse, published, run_id="r1", as_of=AS_OF, company_currency="USD")


def test_marts_that_agree_pass_and_the_result_can_be_kept(warehouse: Path, tmp_path: Path) -> None:
    result = check(warehouse, warehouse)
    assert result.failing == ()
    assert (result.blocks, result.records) == (False, 10)
    noted = {found.rule for found in result.checks if found.severity is not Severity.CRITICAL}
    assert noted == {"amount_same_in_crms", "one_manager_in_crms"}
    assert results.load(results.save(tmp_path, [result])) == (result,)


@pytest.mark.parametrize("group", range(3))
def test_each_disagreement_is_found_and_nothing_else_and_blocks(tmp_path: Path, group: int) -> None:
    breaks = dict(list(BREAKS.items())[group::3])
    published = build(tmp_path / "published.duckdb")
    result = check(build(tmp_path / "warehouse.duckdb", ";".join(breaks.values())), published)
    assert {(found.rule, found.status) for found in result.failing} == {(rule, Status.FAILED) for rule in breaks}
    assert result.blocks


def test_a_disagreement_says_where_and_by_how_much(tmp_path: Path) -> None:
    change = BREAKS["won_amount_reconciles"] + "; " + BREAKS["payout_statement_adds_up"]
    failing = {found.rule: found for found in check(build(tmp_path / "w.duckdb", change)).failing}
    assert failing["won_amount_reconciles"].sample_keys == ("dynamics AUD", "dynamics NZD")
    assert failing["won_amount_reconciles"].detail == (
        "dynamics AUD: 30.00 against 0.00; dynamics NZD: None against 30.00"
    )
    assert failing["payout_statement_adds_up"].sample_keys == ("maya",)


def test_one_deal_with_two_amounts_is_told_and_blocks_nothing(tmp_path: Path) -> None:
    result = check(build(tmp_path / "w.duckdb", BREAKS["amount_same_in_crms"]))
    (found,) = result.failing
    assert (found.severity, result.blocks) == (Severity.INFO, False)
    assert found.detail == "salesforce:o1 and zoho:1: 100.00 USD against 8.00 USD"


@pytest.mark.parametrize(
    "change",
    [
        "update fct_opportunity set native_amount = 8 where opportunity_id = 'salesforce:o1';"
        "update stg_salesforce__opportunities set amount = 8 where amount = 100",
        "update fct_opportunity set closed_on = date '2026-08-05' where opportunity_id = 'zoho:1'",
        "update dim_account set account_name = 'South Mill' where account_id = 'a2'",
        "update fct_opportunity set opportunity_name = 'North Mill - Scout Cart' where opportunity_id = 'zoho:1'",
    ],
    ids=["the same amount", "another week", "another customer", "another product"],
)
def test_deals_that_only_look_alike_are_not_told(tmp_path: Path, change: str) -> None:
    result = check(build(tmp_path / "w.duckdb", f"{BREAKS['amount_same_in_crms']};{change}"))
    assert "amount_same_in_crms" not in {found.rule for found in result.failing}


def test_a_deal_in_two_currencies_is_compared_in_the_company_s_own(tmp_path: Path) -> None:
    euros = "update fct_opportunity set currency_code = 'EUR', company_amount = {} where opportunity_id = 'zoho:1'"
    for company_amount, is_told in (("99.50", False), ("90.00", True)):
        change = f"{BREAKS['amount_same_in_crms']};{euros.format(company_amount)}"
        result = check(build(tmp_path / f"{company_amount}.duckdb", change))
        assert ("amount_same_in_crms" in {found.rule for found in result.failing}) is is_told


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = tmp_path / "100% of Sales #1 & $more"
    folder.mkdir()
    assert check(build(folder / "ware house.duckdb")).failing == ()


def test_marts_in_schemas_of_their_own_are_found(tmp_path: Path) -> None:
    moved = "create schema main_core; create table main_core.dim_rep as from dim_rep; drop table main.dim_rep;"
    assert check(build(tmp_path / "warehouse.duckdb", moved)).failing == ()


def test_a_mart_that_was_not_built_could_not_be_checked(tmp_path: Path) -> None:
    result = check(build(tmp_path / "warehouse.duckdb", "drop table dim_rep"))
    assert {(found.rule, found.status) for found in result.failing} == {
        ("dim_rep_rep_id_present", Status.COULD_NOT_CHECK),
        ("dim_rep_key_unique", Status.COULD_NOT_CHECK),
        ("one_manager_in_crms", Status.COULD_NOT_CHECK),
    }
    assert result.blocks


def test_a_small_table_may_shrink_and_a_first_publish_has_nothing_to_compare_with(tmp_path: Path) -> None:
    published = build(tmp_path / "published.duckdb", "insert into dim_rep select 'r' || i from range(98) as t(i)")
    warehouse = build(tmp_path / "warehouse.duckdb")
    assert check(warehouse, published).failing == ()
    assert check(warehouse, tmp_path / "never").failing == ()


def test_files_that_cannot_be_read_block(warehouse: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"not a database" * 1000)
    for result in (check(broken), check(tmp_path / "none.duckdb"), check(warehouse, broken)):
        assert [found.status for found in result.failing] == [Status.COULD_NOT_CHECK]
        assert result.blocks


def test_the_warehouse_is_left_as_it_was(warehouse: Path) -> None:
    before = warehouse.read_bytes()
    check(warehouse, warehouse)
    assert warehouse.read_bytes() == before
    assert [path.name for path in warehouse.parent.iterdir()] == [warehouse.name]
