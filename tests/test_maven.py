"""A real export of 8,800 opportunities, served as each CRM in turn, ends in the same KPIs; skipped if absent."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from nights import Night

from connectors.sandbox.folder import read
from connectors.sandbox.server import running
from orchestration.settings import STREAMS

Row = tuple[object, ...]


@pytest.fixture(scope="module", params=list(STREAMS))
def published(request: pytest.FixtureRequest, maven_crm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a night publishes of the export, served as one CRM."""
    home = tmp_path_factory.mktemp(request.param)
    with running(read(maven_crm, request.param)) as server:
        night = Night(server, home)
    assert night.outcome.is_success, night.errors
    assert not night.warnings, "nothing of the export is bad enough to be held back"
    return home / "published" / "current" / "attain.duckdb"


def one(published: Path, query: str) -> Row:
    with duckdb.connect(str(published), read_only=True) as db:
        return db.execute(query).fetchone() or ()


def test_headline_kpis(published: Path) -> None:
    won, amount, lost, win_rate, average = one(
        published,
        "select won_count, won_amount, lost_count, win_rate, average_deal_size from kpi.kpi_total"
        " where grain = 'company'",
    )
    assert (won, amount, lost) == (4238, Decimal("10005534"), 2473)
    assert round(Decimal(str(win_rate)), 4) == Decimal("0.6315")
    assert round(Decimal(str(average)), 2) == Decimal("2360.91")


@pytest.mark.parametrize("grain", ["company", "region", "team", "rep", "product"])
def test_every_grain_and_the_months_add_up_to_the_total(published: Path, grain: str) -> None:
    query = "select sum(won_count), sum(won_amount), sum(lost_count) from kpi.{} where grain = '{}'"
    assert one(published, query.format("kpi_month", grain)) == (4238, Decimal("10005534"), 2473)
    assert one(published, query.format("kpi_total", grain)) == (4238, Decimal("10005534"), 2473)


def test_all_people_and_regions_are_there(published: Path) -> None:
    counts = one(
        published,
        "select count(*) filter (not is_manager), count(*) filter (is_manager), count(distinct region)"
        " from core.dim_rep where rep_id <> 'unassigned'",
    )
    assert counts == (35, 6, 3)


def test_no_opportunity_is_lost_and_none_is_given_to_a_wrong_account(published: Path, maven_crm: Path) -> None:
    assert one(published, "select count(*), count(*) filter (account_id is null) from core.fct_opportunity") == (
        8800,
        1425,
    )
    csv = f"read_csv('{maven_crm}/sales_pipeline.csv', all_varchar = true)"
    wrong = one(
        published,
        f"""
        with exported as (
            select account, count(*) as deals, sum(coalesce(close_value::decimal(18, 4), 0)) as value
            from {csv} where account is not null group by all
        ),
        built as (
            select account_name, count(*) as deals, sum(coalesce(company_amount, 0)) as value
            from core.fct_opportunity inner join core.dim_account using (account_id) group by all
        )
        select count(*) from exported full join built on account = account_name
        where exported.deals is distinct from built.deals or exported.value is distinct from built.value
        """,
    )
    assert wrong == (0,)


def test_a_misspelt_product_is_counted_under_its_own_name(published: Path, maven_crm: Path) -> None:
    assert one(published, "select count(*) from core.dim_product where product_name = 'GTXPro'") == (0,)
    csv = f"read_csv('{maven_crm}/sales_pipeline.csv', all_varchar = true)"
    (exported,) = one(published, f"select count(*) from {csv} where product in ('GTXPro', 'GTX Pro')")
    built = one(
        published,
        "select count(*) from core.fct_opportunity as deal inner join core.dim_product as product"
        " on product.product_id = deal.primary_product_id where product_name = 'GTX Pro'",
    )
    (crm,) = one(published, "select any_value(crm) from core.fct_opportunity")
    # Zoho's deals name no products: its orders do, and the export has none
    assert built == ((0 if crm == "zoho" else exported),)


def test_each_rep_has_won_what_the_export_says(published: Path, maven_crm: Path) -> None:
    csv = f"read_csv('{maven_crm}/sales_pipeline.csv', all_varchar = true)"
    differing = one(
        published,
        f"""
        with exported as (
            select sales_agent, count(*) as won, sum(close_value::decimal(18, 4)) as amount
            from {csv} where deal_stage = 'Won' group by all
        ),
        built as (select entity_name, won_count, won_amount from kpi.kpi_total where grain = 'rep' and won_count > 0)
        select count(*) from exported full join built on sales_agent = entity_name
        where won is distinct from won_count or amount is distinct from won_amount
        """,
    )
    assert differing == (0,)


def test_nothing_depends_on_how_a_crm_names_things(published: Path) -> None:
    outcomes: Mapping[object, object] = dict(
        [
            one(published, f"select outcome, count(*) from core.fct_opportunity where outcome = '{o}' group by all")
            for o in ("won", "lost", "open")
        ]
    )
    assert outcomes == {"won": 4238, "lost": 2473, "open": 2089}
