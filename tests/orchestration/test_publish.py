"""Publishing: all or nothing, in one switch, and no reader loses the file it has open."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.publish import PUBLISHED_FILE, RELEASES_KEPT, publish
from orchestration.resources import Run
from orchestration.warehouse import Mart

MARTS = (Mart("core", "dim_rep"), Mart("kpi", "kpi_month"))


def build_warehouse(home: Path, amount: str) -> None:
    home.mkdir(exist_ok=True)
    with duckdb.connect(str(home / "warehouse.duckdb")) as db:
        db.execute("create schema if not exists core")
        db.execute("create schema if not exists kpi")
        db.execute("create or replace table core.dim_rep as select 'ann@x' as rep_id")
        db.execute(f"create or replace table kpi.kpi_month as select {amount}::decimal(18, 4) as won_amount")
        db.execute("comment on column kpi.kpi_month.won_amount is 'Value won, in the company''s currency.'")


def run(home: Path, number: int) -> Run:
    return Run(home=home, run_id=f"2026081{number}T020000-abc", as_of=date(2026, 8, 14))


def won_amount(home: Path) -> object:
    with duckdb.connect(str(home / PUBLISHED_FILE), read_only=True) as db:
        (amount,) = db.execute("select won_amount from kpi.kpi_month").fetchone() or (None,)
        return amount


def test_money_and_descriptions_arrive_unchanged(tmp_path: Path) -> None:
    build_warehouse(tmp_path, "12345678901234.56")
    release = publish(tmp_path, MARTS, run(tmp_path, 1))
    assert [(mart.name, mart.rows) for mart in release.marts] == [("dim_rep", 1), ("kpi_month", 1)]
    assert won_amount(tmp_path) == Decimal("12345678901234.5600")
    with duckdb.connect(str(tmp_path / PUBLISHED_FILE), read_only=True) as db:
        comment = db.execute("select comment from duckdb_columns() where column_name = 'won_amount'").fetchone()
    assert comment == ("Value won, in the company's currency.",)
    parquet = tmp_path / "published" / "current" / "kpi" / "kpi_month.parquet"
    assert duckdb.sql(f"select typeof(won_amount) from '{parquet}'").fetchone() == ("DECIMAL(18,4)",)


def test_a_reader_keeps_what_it_has_open_while_others_see_the_new_release(tmp_path: Path) -> None:
    build_warehouse(tmp_path, "1")
    publish(tmp_path, MARTS, run(tmp_path, 1))
    with duckdb.connect(str((tmp_path / PUBLISHED_FILE).resolve()), read_only=True) as reader:
        for number in range(2, 8):
            build_warehouse(tmp_path, str(number))
            publish(tmp_path, MARTS, run(tmp_path, number))
        assert reader.execute("select won_amount from kpi.kpi_month").fetchone() == (1,)
    assert won_amount(tmp_path) == 7
    assert len(list((tmp_path / "published" / "releases").iterdir())) == RELEASES_KEPT


def test_a_publication_that_fails_half_way_leaves_the_last_one(tmp_path: Path) -> None:
    build_warehouse(tmp_path, "1")
    publish(tmp_path, MARTS, run(tmp_path, 1))
    build_warehouse(tmp_path, "2")
    with pytest.raises(duckdb.CatalogException):
        publish(tmp_path, [*MARTS, Mart("payout", "not_built")], run(tmp_path, 2))
    assert won_amount(tmp_path) == 1

    publish(tmp_path, MARTS, run(tmp_path, 3))
    assert won_amount(tmp_path) == 2
    assert not list((tmp_path / "published" / "releases").glob(".*")), "the failed draft is cleared away"
