"""The simulated company: the same at a moment and through time, sound, as wrong as it says, and its truth true."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.sandbox.company import (
    Account,
    Change,
    ChangeKind,
    Contact,
    Invoice,
    Lead,
    LeadStatus,
    Opportunity,
    Record,
    Rep,
    Territory,
)
from connectors.sandbox.simulation import DirtyRecord, Simulation, dirty_records, write, write_truth
from connectors.sandbox.simulation.dirt import KINDS
from connectors.sandbox.simulation.hazards import PACE, finished
from connectors.sandbox.simulation.life import record_key
from connectors.sandbox.simulation.market import CRMS, MAIN_ITEMS, STEPS
from connectors.sandbox.simulation.period import Period
from connectors.sandbox.simulation.truth import expected_bookings, win_probabilities

OPENED_AT = datetime(2026, 8, 14, 18, tzinfo=UTC)
REFERENCES = {
    "owner_email": "Rep",
    "rep_email": "Rep",
    "account_key": "Account",
    "contact_key": "Contact",
    "lead_key": "Lead",
    "opportunity_key": "Opportunity",
    "campaign_key": "Campaign",
    "order_key": "Order",
}
Key = tuple[str, str]


def key(record: Record) -> Key:
    return type(record).__name__, record_key(record)


def references(record: Record) -> Iterable[Key]:
    named = ((kind, getattr(record, name, None)) for name, kind in REFERENCES.items())
    yield from ((kind, value) for kind, value in named if value is not None)
    parent = getattr(record, "parent_key", None)
    yield from [(type(record).__name__, parent)] if parent else []
    yield from (("Rep", split.rep_email) for split in getattr(record, "splits", ()))
    yield from (("Product", line.product) for line in getattr(record, "lines", ()))


def replay(state: dict[Key, Record], changes: Iterable[Change]) -> dict[Key, Record]:
    for change in changes:
        if change.kind in (ChangeKind.SAVED, ChangeKind.RESTORED, ChangeKind.FORMULA):
            state[key(change.record)] = change.record
        else:
            state.pop(key(change.record), None)
        if change.into is not None:
            state[key(change.into)] = change.into
    return state


@pytest.mark.parametrize(
    ("seed", "opened_at", "days"),
    [
        (1, datetime(2023, 9, 1, tzinfo=UTC), 45),
        (2, datetime(2025, 3, 1, 11, 3, 4, tzinfo=UTC), 150),
        (3, OPENED_AT, 40),
        (4, datetime(2027, 8, 1, tzinfo=UTC), 90),
    ],
)
def test_what_was_and_what_happened_make_what_is(seed: int, opened_at: datetime, days: int) -> None:
    until = opened_at + timedelta(days=days)
    before = Simulation(seed, 0.02, opened_at=opened_at, dirt=0.1)
    after = Simulation(seed, 0.02, opened_at=until, dirt=0.1)
    for crm in CRMS:
        state = {key(record): record for record in before.records(crm)}
        at_once = list(before.changes(crm, opened_at, until))
        assert [change.at for change in at_once] == sorted(change.at for change in at_once)
        expected = {key(record): record for record in after.records(crm)}
        assert replay(dict(state), at_once) == expected
        noons = [opened_at + timedelta(days=day) for day in range(days + 1)]
        day_by_day = [
            change for start, end in zip(noons, noons[1:], strict=False) for change in after.changes(crm, start, end)
        ]
        assert day_by_day == at_once


def test_records_are_made_in_an_order_in_which_references_hold_and_go_on_holding() -> None:
    simulation = Simulation(5, 0.05, opened_at=datetime(2025, 3, 1, tzinfo=UTC), dirt=0)
    for crm in CRMS:
        state: dict[Key, Record] = {}
        for record in simulation.records(crm):
            assert key(record) not in state
            assert record.created_at <= record.modified_at <= simulation.opened_at
            assert isinstance(record, Territory) or set(references(record)) <= state.keys()
            state[key(record)] = record
        for change in simulation.changes(crm, simulation.opened_at, simulation.opened_at + timedelta(days=120)):
            is_new = change.kind in (ChangeKind.SAVED, ChangeKind.RESTORED)
            assert not is_new or set(references(change.record)) <= state.keys() | {key(change.record)}
            assert change.record.modified_at <= change.at
            replay(state, [change])
        assert all(set(references(record)) <= state.keys() for record in state.values())
        emails = Counter(record.email for record in state.values() if isinstance(record, Contact | Rep))
        assert max(emails.values()) == 1


def test_everything_happens_that_happens_to_records() -> None:
    simulation = Simulation(1, 0.1, opened_at=datetime(2023, 10, 1, tzinfo=UTC), dirt=0)
    until = simulation.opened_at + timedelta(days=420)
    changes = [change for crm in CRMS for change in simulation.changes(crm, simulation.opened_at, until)]
    assert {change.kind for change in changes} == set(ChangeKind)
    merged = [change for change in changes if change.kind is ChangeKind.MERGED]
    assert {type(change.record) for change in merged} == {Account, Contact, Lead}
    assert all(change.into is not None for change in merged)

    late = [change.at - change.record.modified_at for change in changes if change.kind is ChangeKind.SAVED]
    assert timedelta(0) < max(late) <= timedelta(minutes=5)
    stamps = Counter(
        (change.crm, change.at) for change in changes if isinstance(change.record, Opportunity) and change.at.hour == 19
    )
    assert max(stamps.values()) >= 12, "a review marks most open deals at the same moment"

    seen: dict[Key, Record] = {}
    reopened = refigured = 0
    for change in changes:
        before, now = seen.get(key(change.record)), change.record
        seen[key(now)] = now
        if isinstance(before, Opportunity) and isinstance(now, Opportunity):
            reopened += before.stage == "lost" and now.stage in STEPS[:4]
            if change.kind is ChangeKind.FORMULA and before.stage != "lost":
                assert now.modified_at == before.modified_at
                refigured += now.custom["weighted_value"] != before.custom["weighted_value"]
    assert reopened > 3 and refigured > 20
    leavers = {
        change.record.email for change in changes if isinstance(change.record, Rep) and not change.record.is_active
    }
    assert leavers
    for record in seen.values():
        if isinstance(record, Opportunity) and record.stage in STEPS[:4]:
            assert record.owner_email not in leavers
    assert any(isinstance(record, Lead) and record.status is LeadStatus.QUALIFIED for record in seen.values())
    assert {record.status for record in seen.values() if isinstance(record, Invoice)} == {"Open", "Paid", "Void"}


def test_a_clean_company_is_sound() -> None:
    company = Simulation(2, 0.05, dirt=0).company()
    stages = set()
    for deal in company.opportunities:
        assert deal.amount == sum((line.amount or Decimal(0) for line in deal.lines), Decimal(0))
        assert not deal.splits or sum(split.percent for split in deal.splits if not split.is_overlay) == 100
        last = deal.history[-1]
        assert (last.stage, last.amount, last.close_date, last.owner_email) == (
            deal.stage,
            deal.amount,
            deal.close_date,
            deal.owner_email,
        )
        assert [step.at for step in deal.history] == sorted(step.at for step in deal.history)
        assert set(deal.custom) == {field.name for field in company.custom_fields if field.record == "opportunity"}
        stages.add(deal.stage)
    assert stages == set(STEPS)
    orders = {order.opportunity_key: order for order in company.orders}
    won = {deal.key: deal for deal in company.opportunities if deal.stage == "won"}
    assert orders.keys() <= won.keys()
    assert all(order.amount == won[key].amount for key, order in orders.items())
    assert any(len(invoice.payments) == 2 for invoice in company.invoices)
    assert all(sum(payment.amount for payment in invoice.payments) <= invoice.amount for invoice in company.invoices)
    assert len({rate.starts_on for rate in company.dated_rates if rate.currency == "EUR"}) > 36
    for crm in CRMS:
        part = company.within(crm)
        assert all((part.quotas, part.trainings, part.surveys, part.campaign_members, part.price_books))


@pytest.fixture(scope="module")
def spoilt() -> Simulation:
    """A company in which a fifth of everything is wrong."""
    return Simulation(3, 0.15, opened_at=OPENED_AT, dirt=0.2)


@pytest.fixture(scope="module")
def listed(spoilt: Simulation) -> list[DirtyRecord]:
    """What is or was wrong in it."""
    return list(dirty_records(spoilt, OPENED_AT))


def test_every_kind_of_dirt_is_there_in_every_crm_that_can_have_it(listed: list[DirtyRecord]) -> None:
    found = {(row.crm, row.record, row.kind) for row in listed}
    expected = {(crm, dirt.record.__name__.lower(), dirt.kind) for dirt in KINDS.values() for crm in dirt.crms}
    assert found <= expected
    rare = {"owner_inactive_at_close"}
    assert {name for name in expected - found if name[2] not in rare} == set()
    assert rare <= {kind for _, _, kind in found}
    for kind in {row.kind for row in listed} - {"duplicate_open_deal"}:  # two open deals do not stay alike for long
        assert any(row.is_spoilt for row in listed if row.kind == kind), kind
    assert all(row.spoilt_at <= OPENED_AT for row in listed)
    keys = Counter((row.crm, row.stream, row.record_key, row.kind) for row in listed)
    assert max(keys.values()) == 1


def test_what_is_listed_as_wrong_is_wrong_and_nothing_else(spoilt: Simulation, listed: list[DirtyRecord]) -> None:
    company = spoilt.company()
    wrong: dict[str, set[str]] = {}
    for row in listed:
        if row.is_spoilt:
            wrong.setdefault(row.kind, set()).add(row.key)
    deals = {deal.key: deal for deal in company.opportunities}
    of_deals = {dirt.kind for dirt in KINDS.values() if dirt.record is Opportunity}
    marked = {name for name, deal in deals.items() if deal.is_dirty}
    assert marked == set().union(*(keys for kind, keys in wrong.items() if kind in of_deals))

    won = {name: deal for name, deal in deals.items() if deal.stage == "won"}
    assert wrong["won_without_amount"] == {name for name, deal in won.items() if deal.amount is None}
    assert wrong["won_without_close_date"] == {name for name, deal in won.items() if deal.close_date is None}
    assert wrong["won_without_owner"] == {name for name, deal in deals.items() if deal.owner_email is None}
    assert wrong["currency_missing"] == {name for name, deal in deals.items() if deal.currency is None}
    assert wrong["currency_invalid"] == {name for name, deal in deals.items() if deal.currency == "XXA"}
    assert wrong["probability_against_stage"] == {n for n, deal in deals.items() if deal.probability is not None}
    split = {name for name, deal in deals.items() if sum(part.percent for part in deal.splits) == 90}
    assert wrong["splits_not_100"] == split
    orphans = {f"{n}:{line.ordinal}" for n, deal in deals.items() for line in deal.lines if line.is_orphan}
    assert wrong["line_item_orphan"] == orphans
    assert wrong["lead_without_status"] == {lead.key for lead in company.leads if lead.status is None}
    invalid = {person.key for person in (*company.contacts, *company.leads) if "@" not in person.email.strip("@")}
    assert invalid <= wrong["email_invalid"]
    accounts, contacts = ({record.key for record in records} for records in (company.accounts, company.contacts))
    assert wrong["contact_orphan"] == {person.key for person in company.contacts if person.account_key not in accounts}
    assert wrong["duplicate_account"] == {name for name in accounts if name.endswith((":second", ":double"))}
    assert wrong["duplicate_contact"] == {name for name in contacts if name.endswith((":second", ":double"))}
    gone = {activity.key for activity in company.activities if activity.opportunity_key not in {None, *deals}}
    assert wrong["activity_parent_gone"] == gone
    parents = ("account_key", "contact_key", "opportunity_key", "lead_key")
    alone = {task.key for task in company.activities if not any(getattr(task, name) for name in parents)}
    assert wrong["activity_orphan"] == alone
    quotas = {quota.key for quota in company.quotas}
    assert not quotas & wrong["quota_missing"] and wrong["quota_overlaps"] <= quotas


def test_the_truth_knows_the_last_good_version_and_when_a_record_is_healed(listed: list[DirtyRecord]) -> None:
    once_good = [row for row in listed if row.was_good]
    assert {row.kind for row in once_good} >= {"amount_outlier", "country_invalid", "lead_without_status"}
    for row in listed:
        assert row.was_good is (row.good_record is not None) is (row.last_good_at is not None)
        assert row.healed_at is None or row.spoilt_at < row.healed_at
        assert not row.is_spoilt or row.healed_at is None or row.healed_at > OPENED_AT
    for row in once_good:
        good, values = json.loads(row.good_record or ""), json.loads(row.good_values or "")
        assert row.last_good_at and row.last_good_at < row.spoilt_at
        assert good["key" if row.record != "rep" else "email"] == row.key
        assert values == {name: good[name] for name in json.loads(row.fields)}
        if row.kind == "amount_outlier":
            assert Decimal(json.loads(row.spoilt_values or "")["amount"]) == Decimal(good["amount"]) * 100
    healed = [row for row in listed if row.healed_at and row.healed_at <= OPENED_AT]
    assert 0.1 < len(healed) / len(listed) < 0.6


def test_dirt_changes_nothing_else() -> None:
    clean, dirty = (Simulation(4, 0.03, opened_at=OPENED_AT, dirt=dirt) for dirt in (0, 0.1))
    rows = list(dirty_records(dirty, OPENED_AT + timedelta(days=200)))
    wrong = {(row.record, row.key) for row in rows}
    wrong |= {("opportunity", name.rpartition(":")[0]) for record, name in wrong if record == "line"}
    forgotten = {(row.crm, row.key.rpartition(":")[2]) for row in rows if row.kind == "stale_open_deal"}
    before = {key(record): record for crm in CRMS for record in clean.records(crm)}
    after = {key(record): record for crm in CRMS for record in dirty.records(crm)}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert len(changed) > 50
    for kind, name in changed:
        crm, *parts = name.split(":")
        assert (kind.lower(), name) in wrong or any((crm, part) in forgotten for part in parts), name


def test_deals_end_as_their_true_probability_says() -> None:
    as_of, chances, outcomes = datetime(2025, 4, 15, 12, tzinfo=UTC), [], []
    for seed in range(1, 4):
        simulation = Simulation(seed, 0.2, opened_at=as_of, dirt=0)
        deals = {deal.key: deal for unit in simulation.units.values() for deal in unit.deals.plans(as_of)}
        for _, name, _, _, probability, *_ in win_probabilities(simulation, as_of):
            chances.append(probability)
            outcomes.append(deals[name].is_won)
    deviation = math.sqrt(sum(chance * (1 - chance) for chance in chances))
    assert len(chances) > 500 and min(chances) < 0.3 and max(chances) > 0.85
    assert abs(sum(outcomes) - sum(chances)) < 3 * deviation
    likely = [outcome for chance, outcome in zip(chances, outcomes, strict=True) if chance > 0.7]
    unlikely = [outcome for chance, outcome in zip(chances, outcomes, strict=True) if chance < 0.45]
    assert sum(likely) / len(likely) > 0.65 > 0.5 > sum(unlikely) / len(unlikely)


def test_quarters_bring_what_the_truth_expects_of_open_and_of_new_deals() -> None:
    as_of = datetime(2025, 4, 15, 12, tzinfo=UTC)
    expected: Counter[tuple[Any, str]] = Counter()
    booked: Counter[tuple[Any, str]] = Counter()
    squares: Counter[tuple[Any, str]] = Counter()
    for seed in range(1, 4):
        simulation = Simulation(seed, 0.2, opened_at=as_of, dirt=0)
        rates = simulation.rates_on(as_of.date())
        spans = [row for row in expected_bookings(simulation, as_of) if row[0] == "quarter"][:3]
        ends = {row[1]: row[2] for row in spans}
        for period, start, _, _, _, _, _, still_open, new, _ in expected_bookings(simulation, as_of):
            if period == "quarter" and start in ends:
                expected[start, "open"] += still_open
                expected[start, "new"] += new
        for unit in simulation.units.values():
            for deal in unit.deals.plans(as_of + timedelta(days=300)):
                if deal.is_won and deal.closed_at and deal.closed_at > as_of:
                    closed_on, amount = deal.closed_at.date(), float(deal.amount(2) / rates[deal.account.currency])
                    age = "open" if deal.created_at <= as_of else "new"
                    for start, end in ends.items():
                        if start <= closed_on <= end:
                            booked[start, age] += amount
                            squares[start, age] += amount * amount
    assert len(expected) == 6
    for name, mean in expected.items():
        assert abs(booked[name] - mean) < 3 * math.sqrt(squares[name]), name


def test_the_chance_to_be_won_within_days_adds_up_to_one() -> None:
    assert finished(0, 0) == 0 and finished(2, 1000) == pytest.approx(1)
    assert finished(3, PACE[3]) == pytest.approx(1 - math.exp(-1))
    mean = sum((1 - finished(0, day + 0.5)) for day in range(1500))
    assert mean == pytest.approx(sum(PACE), rel=0.001)


def test_time_runs_by_business_days_and_comes_back_from_where_it_went() -> None:
    pace = Period(OPENED_AT.date(), OPENED_AT.date() + timedelta(days=400)).pace
    friday, monday = datetime(2026, 9, 4, 17, tzinfo=UTC), datetime(2026, 9, 7, 8, tzinfo=UTC)
    assert pace.until(friday) == pytest.approx(pace.until(monday))
    for days in range(0, 300, 7):
        moment = datetime(2026, 8, 17, 12, tzinfo=UTC) + timedelta(days=days)
        amount = pace.until(moment)
        assert pace.until(pace.moment(amount)) == pytest.approx(amount, abs=1e-3)


def test_customers_of_several_crms_have_several_spellings(tmp_path: Path) -> None:
    simulation = Simulation(1, 0.1, opened_at=OPENED_AT)
    write_truth(simulation, OPENED_AT, tmp_path)
    identities = f"'{tmp_path}/identities.parquet'"
    shared = duckdb.sql(
        f"select customer, count(distinct spelling) from {identities} group by all having count(distinct crm) > 1"
    ).fetchall()
    assert len(shared) >= 10 and sum(spellings > 1 for _, spellings in shared) > len(shared) * 0.8
    doubles = duckdb.sql(f"select count(*) from {identities} where account_key like '%:double'").fetchone()
    assert doubles and doubles[0] >= 3
    known = duckdb.sql(f"select account_key from {identities} where is_live").fetchall()
    assert {name for (name,) in known} == {account.key for account in simulation.company().accounts}
    described = (tmp_path / "README.md").read_text()
    for file in tmp_path.glob("*.parquet"):
        columns = duckdb.sql(f"from '{file}'").columns
        assert columns and all(f"| {column} |" in described for column in columns)
        assert duckdb.sql(f"from '{file}' limit 1").fetchall()


def test_what_is_written_is_what_the_crms_hold(tmp_path: Path) -> None:
    simulation = Simulation(1, 0.02, opened_at=OPENED_AT)
    counts = write(simulation, tmp_path)
    company = simulation.company()
    assert counts["opportunity"] == len(company.opportunities)
    assert len(list(tmp_path.glob("*.parquet"))) == len(counts) == 16
    rows = duckdb.sql(
        f"select key, amount, cast(lines as json)->>'$[0].product' from '{tmp_path}/opportunity.parquet' order by key"
    ).fetchall()
    told = [(deal.key, deal.amount, deal.lines[0].product) for deal in company.opportunities]
    assert rows == sorted(told)
    assert {product for _, _, product in rows} <= {item.name for item in MAIN_ITEMS}
