"""The truth about a simulated company that no CRM tells: what deals are worth, who customers are, what is wrong.

Written for tests and backtests of what is computed from the CRMs; how deals move is in `hazards`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from connectors.sandbox.simulation.deals import OFFER_STEP, Deal
from connectors.sandbox.simulation.dirty import dirty_records
from connectors.sandbox.simulation.files import write_rows
from connectors.sandbox.simulation.forecast import Forecast, Span, mean_left_after_discount
from connectors.sandbox.simulation.market import CURRENCY, STEPS
from connectors.sandbox.simulation.simulation import Simulation
from connectors.sandbox.simulation.tempo import quarter_start
from connectors.sandbox.simulation.unit import Unit

MONTHS_AHEAD = 12
QUARTERS_AHEAD = 4
Columns = Mapping[str, tuple[Any, str]]
Rows = Iterator[Sequence[Any]]

WIN_PROBABILITY: Columns = {
    "crm": (str, "CRM that holds the deal"),
    "opportunity_key": (str, "key of the deal"),
    "stage": (str, "stage it really is in: first, second, third or fourth"),
    "is_closed_by_mistake": (bool, "the CRM says lost; the deal will be reopened within days"),
    "probability": (float, "chance that it is won in the end; 0 for one that was forgotten or made twice"),
    "expected_close_on": (date, "day of the mean time until it is won, if it is; empty for one that cannot be won"),
    "expected_amount": (
        float,
        "mean amount if it is won, in its own currency: discounts are still to come in early stages",
    ),
    "currency": (str, "of the deal"),
}
EXPECTED_BOOKINGS: Columns = {
    "period": (str, "month or quarter"),
    "starts_on": (date, "first day"),
    "ends_on": (date, "last day"),
    "crm": (str, "CRM of the region"),
    "region": (str, "region"),
    "currency": (str, "the company's; amounts are converted at the rates of the as-of day"),
    "booked": (float, "won in the period by the as-of moment"),
    "open_deals": (float, "mean of what will be won in the rest of the period from deals open at the as-of moment"),
    "not_yet_created": (float, "mean of what will be won in the period from deals that begin after the as-of moment"),
    "expected": (float, "sum of the three"),
}
IDENTITIES: Columns = {
    "customer": (str, "the customer, whichever CRMs know it"),
    "customer_name": (str, "its own name"),
    "crm": (str, "CRM that holds the account"),
    "account_key": (str, "key of the account; several of one CRM are doubles"),
    "spelling": (str, "name of the account"),
    "is_live": (bool, "the account is in the CRM at the as-of moment; if not, it was deleted or merged"),
}
DIRTY: Columns = {
    "crm": (str, "CRM that holds the record"),
    "stream": (str, "stream that it lands in"),
    "record_key": (str, "the CRM's own id of the record; of a missing quota, the id it would have"),
    "record": (str, "class of the record in lower case"),
    "key": (str, "the company's key of the record"),
    "kind": (str, "what is wrong with it"),
    "rule": (str, "what a rule that finds it may be called"),
    "fields": (str, "JSON list of the record's fields that are wrong"),
    "spoilt_at": (datetime, "from when on the CRM shows it wrong"),
    "healed_at": (datetime, "when it is put right, merged or deleted; later than the as-of moment perhaps, or never"),
    "is_spoilt": (bool, "it is in the CRM, and wrong, at the as-of moment; a missing quota is not in the CRM"),
    "was_good": (bool, "the CRM showed a good version just before"),
    "last_good_at": (datetime, "stamp of that version"),
    "good_values": (str, "JSON object of the wrong fields as that version had them"),
    "good_record": (str, "JSON object of all fields of that version"),
    "spoilt_values": (str, "JSON object of the wrong fields when they first were wrong"),
    "other_crm": (str, "CRM of the record that it doubles or contradicts, if there is one"),
    "other_stream": (str, "stream of that record"),
    "other_key": (str, "that CRM's own id of that record"),
}
RATES: Columns = {
    "currency": (str, "ISO code"),
    "starts_on": (date, "day from which the rate holds"),
    "rate": (float, "units of the currency for one of the company's"),
}


def write_truth(simulation: Simulation, as_of: datetime, folder: Path) -> None:
    """Write the truth as of a moment: one Parquet file for each of `TABLES`, and what their columns mean."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (columns, rows) in TABLES.items():
        write_rows(folder / f"{name}.parquet", columns, rows(simulation, as_of))
    (folder / "README.md").write_text(_described(simulation, as_of), encoding="utf-8")


def win_probabilities(simulation: Simulation, as_of: datetime) -> Rows:
    """Every deal that is open, whatever its CRM says."""
    for unit in simulation.units.values():
        for deal in unit.deals.plans(as_of):
            if deal.is_open(as_of):
                yield _chances(unit, deal, as_of)
            if deal.flaw == "duplicate_open_deal":
                yield from _copies(unit, deal, as_of)


def _chances(unit: Unit, deal: Deal, as_of: datetime) -> Sequence[Any]:
    step, pace = deal.step(as_of), unit.period.pace
    can_win = deal.closed_at is not None
    expected_at = pace.moment(pace.until(as_of) + deal.odds.days_left(step)) if can_win else None
    return (
        unit.crm,
        deal.key,
        STEPS[step],
        deal.mistake is not None and deal.mistake[0] <= as_of < deal.mistake[1],
        deal.odds.win(step) if can_win else 0.0,
        expected_at.date() if expected_at else None,
        expected_amount(deal, step),
        deal.account.currency,
    )


def _copies(unit: Unit, deal: Deal, as_of: datetime) -> Rows:
    _, copy = unit.pipeline.lives(deal)
    if copy.at(as_of) is not None:
        yield (unit.crm, copy.key, STEPS[0], False, 0.0, None, 0.0, deal.account.currency)


def expected_amount(deal: Deal, step: int) -> float:
    """What a deal in a stage is worth on average, if it is won; what people typed wrong does not count."""
    amount = float(deal.amount(step))
    return amount if step >= OFFER_STEP else amount * mean_left_after_discount()


def expected_bookings(simulation: Simulation, as_of: datetime) -> Rows:
    """The coming months and quarters of every region, beginning with those that are running."""
    rates = simulation.rates_on(as_of.date())
    spans = [*_spans("month", as_of.date()), *_spans("quarter", as_of.date())]
    for unit in simulation.units.values():
        forecast = Forecast(unit, as_of, rates)
        booked, open_deals = dict.fromkeys(spans, 0.0), dict.fromkeys(spans, 0.0)
        for deal in unit.deals.plans(as_of):
            if deal.closed_at and deal.closed_at < spans[-QUARTERS_AHEAD - 1].start:
                continue
            for span in spans:
                if deal.is_won and deal.closed_at and deal.closed_at <= as_of and span.holds(deal.closed_at):
                    booked[span] += float(deal.amount(OFFER_STEP)) / float(rates[deal.account.currency])
                elif deal.is_open(as_of) and deal.closed_at:
                    step = deal.step(as_of)
                    amount = expected_amount(deal, step) / float(rates[deal.account.currency])
                    open_deals[span] += amount * forecast.win_within(deal.odds, step, span)
        for span in spans:
            parts = (booked[span], open_deals[span], forecast.not_yet_created(span))
            where = (unit.crm, unit.region.name, CURRENCY)
            yield (span.period, span.starts_on, span.ends_on, *where, *parts, sum(parts))


def _spans(period: str, day: date) -> Iterator[Span]:
    months = 1 if period == "month" else 3
    start = day.replace(day=1) if period == "month" else quarter_start(day)
    for _ in range(MONTHS_AHEAD + 1 if period == "month" else QUARTERS_AHEAD + 1):
        following = (start + timedelta(days=31 * months)).replace(day=1)
        yield Span(period, _midnight(start), _midnight(following))
        start = following


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


def identities(simulation: Simulation, as_of: datetime) -> Rows:
    """Every account there has been, with the customer it stands for."""
    for unit in simulation.units.values():
        for plan in unit.accounts.plans(as_of):
            for life in unit.accounts.accounts(plan):
                if life.changes[0].at <= as_of:
                    record, customer = life.at(as_of), plan.customer
                    name = getattr(record or life.changes[0].record, "name", None)
                    yield (customer.id, customer.name, unit.crm, life.key, name, record is not None)


def dirty(simulation: Simulation, as_of: datetime) -> Rows:
    """Every record that is or was wrong on purpose, with its last good version; doubles count, planted or not."""
    for found in dirty_records(simulation, as_of):
        yield [getattr(found, name) for name in DIRTY]


def rates(simulation: Simulation, as_of: datetime) -> Rows:
    """The exchange rates of all months."""
    for rate in simulation.dated_rates:
        yield (rate.currency, rate.starts_on, float(rate.rate))


TABLES: Mapping[str, tuple[Columns, Callable[[Simulation, datetime], Rows]]] = {
    "win_probability": (WIN_PROBABILITY, win_probabilities),
    "expected_bookings": (EXPECTED_BOOKINGS, expected_bookings),
    "identities": (IDENTITIES, identities),
    "dirty": (DIRTY, dirty),
    "rates": (RATES, rates),
}


def _described(simulation: Simulation, as_of: datetime) -> str:
    lines = [f"# The truth about {simulation.name} as of {as_of:%Y-%m-%d %H:%M} UTC, seed {simulation.seed}", ""]
    for name, (columns, rows) in TABLES.items():
        lines += [f"## {name}.parquet", "", rows.__doc__ or "", "", "| column | meaning |", "|---|---|"]
        lines += [f"| {column} | {description} |" for column, (_, description) in columns.items()] + [""]
    return "\n".join(lines)
