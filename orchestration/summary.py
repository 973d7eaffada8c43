"""What a run ends with in the shell: headline KPIs, the forecast, one commission statement, where the files lie.

Read from the published file alone, as any other reader would; nothing is computed that a mart does not hold.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Group, RenderableType
from rich.table import Table

from orchestration.publish import PUBLISHED_FILE


def published_summary(home: Path) -> RenderableType:
    """Render the headline tables of the current release."""
    with duckdb.connect(str(home / PUBLISHED_FILE), read_only=True) as db:
        return Group(_headline(db), _forecast(db), _statement(db))


def _headline(db: duckdb.DuckDBPyConnection) -> Table:
    return _table(
        db,
        "Headline KPIs, all time",
        """
        select
            entity_name as "who",
            won_count as "won",
            won_amount as "won amount",
            lost_count as "lost",
            win_rate as "win rate",
            average_deal_size as "average deal",
            average_sales_cycle_days as "days to win",
            lead_conversion_rate as "lead conversion",
            pipeline_count as "open"
        from kpi.kpi_total
        where grain in ('company', 'region')
        order by grain, won_amount desc, entity_name
        """,
    )


def _forecast(db: duckdb.DuckDBPyConnection) -> Table:
    return _table(
        db,
        "Forecast for the company",
        """
        select
            quarter as "quarter from",
            method as "method",
            closed_amount as "closed",
            weighted_open_amount as "open, weighted",
            forecast_amount as "forecast",
            quota_amount as "quota"
        from forecast.forecast_quarter
        where level = 'company'
        order by quarter, method desc
        """,
    )


def _statement(db: duckdb.DuckDBPyConnection) -> Table:
    return _table(
        db,
        "One commission statement, line by line",
        """
        with latest as (
            select payee_id, period_for
            from payout.payout_ledger
            group by payee_id, period_for
            order by period_for desc, sum(amount) desc, payee_id
            limit 1
        )
        select
            payee_id as "payee",
            period_for as "month",
            deal_id as "deal",
            tier_no as "tier",
            base_amount as "credited",
            ledger.rate as "rate",
            amount as "commission"
        from payout.payout_ledger as ledger
        inner join latest using (payee_id, period_for)
        order by closed_on, deal_id, tier_no
        """,
    )


def _table(db: duckdb.DuckDBPyConnection, title: str, query: str) -> Table:
    result = db.execute(query)
    rows = result.fetchall()
    table = Table(title=title, title_justify="left", title_style="bold")
    for column, values in zip(result.description or (), zip(*rows, strict=True) if rows else (), strict=False):
        table.add_column(column[0], justify="right" if _is_number(values) else "left")
    for row in rows:
        table.add_row(*(_text(value, column[0]) for value, column in zip(row, result.description or (), strict=True)))
    if not rows:
        table.add_row("nothing yet")
    return table


def _is_number(values: Sequence[Any]) -> bool:
    return any(isinstance(value, int | float | Decimal) for value in values)


def _text(value: Any, column: str) -> str:
    """Write a share as a percentage, money and counts with thousands separated."""
    if value is None:
        return "-"
    if isinstance(value, float | Decimal) and any(word in column for word in ("rate", "conversion", "attainment")):
        return f"{value:.2%}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float | Decimal):
        return f"{value:,.2f}"
    return str(value)
