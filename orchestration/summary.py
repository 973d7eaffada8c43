"""What a run ends with in the shell: headline KPIs, the forecast, one commission statement, where the files lie.

Read from the published file alone, as any other reader would; nothing is computed that a mart does not hold.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestration.publish import PUBLISHED_FILE

HEADLINE = """
    select
        entity_name as "who",
        won_count as "won",
        won_amount as "won amount",
        lost_count as "lost",
        win_rate as "win rate",
        average_deal_size as "avg deal",
        average_sales_cycle_days as "days",
        pipeline_count as "open"
    from kpi.kpi_total
    where grain in ('company', 'region')
    order by grain, won_amount desc, entity_name
"""

FORECAST = """
    select
        year(quarter) || ' Q' || quarter(quarter) as "quarter",
        replace(method, '_', '-') as "method",
        closed_amount as "closed",
        weighted_open_amount as "weighted",
        forecast_amount as "forecast",
        quota_amount as "quota"
    from forecast.forecast_quarter
    where level = 'company'
    order by forecast_quarter.quarter, method desc
"""

LATEST_STATEMENT = """
    select payee_id, payee_name, month, earned_amount, currency_code
    from payout.payout_statement
    where line_count > 0
    order by month desc, earned_amount desc, payee_id
    limit 1
"""

STATEMENT_LINES = """
    select
        opportunity_name as "deal",
        tier_no as "tier",
        base_amount as "credited",
        rate as "rate",
        amount as "commission"
    from payout.payout_ledger as ledger
    inner join core.fct_opportunity on opportunity_id = deal_id
    where payee_id = $payee_id and period_for = $month
    order by ledger.closed_on, deal_id, tier_no
"""


def published_summary(home: Path) -> RenderableType:
    """Render the headline tables of the current release."""
    with duckdb.connect(str(home / PUBLISHED_FILE), read_only=True) as db:
        return Group(
            _table(db, "Headline KPIs, all time, company currency", HEADLINE, whole),
            _table(db, "Forecast for the company", FORECAST, whole),
            _statement(db),
        )


def published_files(home: Path) -> RenderableType:
    """Say where the published files lie, and how to ask about the rest."""
    folder = (home / PUBLISHED_FILE).parent
    return Text(
        f"Published to {folder}:\n"
        "  attain.duckdb            every mart, read-only\n"
        "  <schema>/<mart>.parquet  one file for each mart\n"
        "  manifest.json            run, as-of date, row counts",
        style="green",
    )


def _statement(db: duckdb.DuckDBPyConnection) -> RenderableType:
    latest = db.execute(LATEST_STATEMENT).fetchone()
    if latest is None:
        return Text("No commission has been earned yet: no rep with a plan and a quota has won a deal.")
    payee_id, name, month, earned, currency = latest
    title = f"One commission statement: {name}, {month:%B %Y}, {earned:,.2f} {currency}"
    return _table(db, title, STATEMENT_LINES, cents, {"payee_id": payee_id, "month": month})


def whole(amount: Decimal) -> str:
    """Write an amount without its cents, to be read at a glance."""
    return f"{amount:,.0f}"


def cents(amount: Decimal) -> str:
    """Write an amount to the cent, as it is paid."""
    return f"{amount:,.2f}"


def _table(
    db: duckdb.DuckDBPyConnection,
    title: str,
    query: str,
    money: Callable[[Decimal], str],
    parameters: Mapping[str, Any] | None = None,
) -> Table:
    result = db.execute(query, dict(parameters or {}))
    names = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name, values in zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        is_number = any(isinstance(value, int | float | Decimal) for value in values)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        table.add_row(*_texts(names, row, money))
    return table


def _texts(names: Sequence[str], row: Sequence[Any], money: Callable[[Decimal], str]) -> list[str]:
    """Write shares as percentages, counts and amounts with their thousands apart, and what is not known as a dash."""

    def text(name: str, value: Any) -> str:
        match value:
            case None:
                return "-"
            case Decimal() if "rate" in name:
                return f"{value:.2%}"
            case Decimal() if "days" in name:
                return f"{value:.0f}"
            case Decimal():
                return money(value)
            case int():
                return f"{value:,}"
            case _:
                return str(value)

    return [text(name, value) for name, value in zip(names, row, strict=True)]
