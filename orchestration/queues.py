"""Brings the stewards' database in line with what a gate found: rules, incidents, the money that hangs on them.

What an incident is and when it closes is in `expectations.stewardship`; what a gate finds, in `expectations.gate`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
from sqlalchemy import Engine

from expectations.money import add_money_at_risk
from expectations.rule import GateResult, Rule
from expectations.stewardship.export import export
from expectations.stewardship.intake import record_gate
from expectations.stewardship.rulebook import record_rules
from expectations.stewardship.state import StateUnusable, open_state
from orchestration.resources import Run
from orchestration.settings import Settings
from orchestration.warehouse import FX_RATES


@contextmanager
def stewards_database(settings: Settings) -> Iterator[Engine]:
    """Open the stewards' database for one step; a night that cannot reach it fails, since no waiver would hold."""
    try:
        engine = open_state(settings.state_url)
    except StateUnusable as error:
        raise dg.Failure(str(error)) from error
    try:
        yield engine
    finally:
        engine.dispose()


def record(
    engine: Engine,
    settings: Settings,
    run: Run,
    results: Sequence[GateResult],
    rules: Mapping[str, Sequence[Rule]] | None = None,
) -> None:
    """Put what the gates of one CRM found before the stewards; `rules` are those it was judged by, by stream."""
    now = datetime.now(ZoneInfo(settings.timezone))  # a waiver's last day is one of business time
    if rules:
        record_rules(engine, results[0].crm, rules, run_id=run.run_id, at=now)
    for result in results:
        record_gate(engine, run.home, result, now)
    add_money_at_risk(engine, run.home, fx_rates=FX_RATES, company_currency=settings.currency, as_of=run.as_of)
    export(run.home, engine)
