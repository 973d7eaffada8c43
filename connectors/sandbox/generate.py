"""The company that demo and tests know: Halden Robotics, small, in memory, as of one moment, and nearly clean.

It happens between 2024-08-01 and 2026-08-14, in four regions with a CRM each. Nothing here is anybody's real data; how
it comes about is in `simulation`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from random import Random

from connectors.sandbox.company import Company, Opportunity
from connectors.sandbox.simulation.simulation import Simulation

FIRST_DAY = date(2024, 8, 1)
LAST_MOMENT = datetime(2026, 8, 14, 18, tzinfo=UTC)
SCALE = 0.09


def generate(seed: int = 1) -> Company:
    """The company, complete; the same for the same seed, with one deal for each CRM that is wrong on purpose."""
    simulation = Simulation(seed, SCALE, opened_at=LAST_MOMENT, dirt=0, starts_on=FIRST_DAY)
    company = simulation.company()
    spoilt = {_spoilt(seed, crm, company.opportunities) for crm in company.crms}
    deals = (_without_close_date(deal) if deal.key in spoilt else deal for deal in company.opportunities)
    return replace(company, opportunities=tuple(deals))


def _spoilt(seed: int, crm: str, deals: Sequence[Opportunity]) -> str:
    """The key of one of the deals of a CRM won of late."""
    won = [deal.key for deal in deals if deal.crm == crm and deal.stage == "won"]
    return Random(f"{seed}:{crm}:spoilt").choice(won[len(won) // 2 :])


def _without_close_date(deal: Opportunity) -> Opportunity:
    *history, last = deal.history
    return replace(deal, close_date=None, is_dirty=True, history=(*history, replace(last, close_date=None)))
