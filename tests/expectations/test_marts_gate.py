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
    select * from (values ('o1', true, 100.00), ('o2', false, 0.00), ('o3', false, null))
        as t(opportunity_id, is_won, amount);
create table stg_hubspot__deal_stages as
    select * from (values ('closedwon', true, 1.0), ('open', false, 0.5)) as t(stage_id, is_closed, win_probability);
create table stg_hubspot__deals as
    select * from (values
        ('d1', 'closedwon', null::boolean, 50.00, ['d3']),
        ('d2', 'open', false, 70.00, null),
        ('d3', 'open', false, 1.00, null)
    ) as t(deal_id, stage_id, is_won, amount, merged_deal_ids);
create table stg_dynamics__opportunities as
    select * from (values (1, 30.00), (2, null), (null, 9.00)) as t(state_code, actual_amount);
create table stg_zoho__deal_stages as
    select * from (values ('Closed Won', 'Closed Won'), ('Qualification', 'Open')) as t(stage_name, forecast_type);
create table stg_zoho__deals as
    select * from (values ('Closed Won', 8.00), ('Qualification', 3.00)) as t(stage_name, amount);
create table dim_rep as select 'maya' as rep_id;
create table dim_account as select 'a' || i as account_id from range(200) as t(i);
create table fct_opportunity as
    select * from (values
        ('salesforce:o1', 'salesforce', 'won', 100.00, 100.00), ('salesforce:o2', 'salesforce', 'lost', 0.00, 0.00),
        ('salesforce:o3', 'salesforce', 'open', null, null), ('hubspot:d1', 'hubspot', 'won', 50.00, 55.00),
        ('hubspot:d2', 'hubspot', 'open', 70.00, 77.00), ('dynamics:1', 'dynamics', 'won', 30.00, 20.00),
        ('dynamics:2', 'dynamics', 'lost', null, null), ('dynamics:3', 'dynamics', 'open', 9.00, 6.00),
        ('zoho:1', 'zoho', 'won', 8.00, 8.00), ('zoho:2', 'zoho', 'open', 3.00, 3.00)
    ) as t(opportunity_id, crm, outcome, native_amount, company_amount);
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
    "fct_opportunity_complete": "insert into stg_salesforce__opportunities values ('o4', false, 5)",
    "won_amount_reconciles": "update fct_opportunity set native_amount = 31 where opportunity_id = 'dynamics:1'",
    "kpi_month_adds_up": "update kpi_month set won_amount = won_amount + 0.01 where month = date '2026-08-01'",
    "payout_statement_adds_up": "update payout_ledger set amount = 6.26 where line_id = 'l1'",
    "kpi_month_win_rate_within_1": "update kpi_month set win_rate_numerator = 5 where grain = 'product'",
    "kpi_month_lead_conversion_rate_within_1": "update kpi_month set lead_conversion_rate_numerator = 4"
    " where month = date '2026-08-01' and grain = 'company'",
    "dim_account_no_cliff": "delete from dim_account where account_id > 'a179'",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return build(tmp_path / "warehouse.duckdb")


def build(path: Path, change: str = "") -> Path:
    with duckdb.connect(path) as connection:
        connection.execute(BUILT + change)
    return path


def check(warehouse: Path, published: Path | None = None) -> GateResult:
    return check_marts(warehouse, published, run_id="r1", as_of=AS_OF)


def test_marts_that_agree_pass_and_the_result_can_be_kept(warehouse: Path, tmp_path: Path) -> None:
    result = check(warehouse, warehouse)
    assert result.failing == ()
    assert (result.blocks, result.rows) == (False, 10)
    assert {found.severity for found in result.checks} == {Severity.CRITICAL}
    assert results.load(results.save(tmp_path, result)) == result


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
    assert failing["won_amount_reconciles"].sample_keys == ("dynamics",)
    assert failing["won_amount_reconciles"].detail == "dynamics: 30.00 against 31.00"
    assert failing["payout_statement_adds_up"].sample_keys == ("maya",)


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
