"""When a deal breaks a rule, said once for all CRMs, in words that each of them translates.

A word is SQL on a landed row, called `record`, or a derived table with the columns that its description names. Where a
CRM keeps these things is in its own module.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from expectations.catalogue import (
    AMOUNT_PLAUSIBLE,
    CLOSE_DATE_NEAR_STAGE_CHANGE,
    CLOSED_AFTER_CREATED,
    CLOSED_NOT_IN_FUTURE,
    CURRENCY_HAS_RATE,
    CURRENCY_IS_ISO,
    CURRENCY_PRESENT,
    LINE_ITEMS_ADD_UP,
    NO_OPEN_DUPLICATE,
    NOT_STALE,
    OWNER_ACTIVE,
    OWNER_ACTIVE_AT_CLOSE,
    PROBABILITY_IN_RANGE,
    PROBABILITY_MATCHES_STAGE,
    SPLITS_ADD_UP,
    UNCHANGED_AFTER_PAY_PERIOD,
    WON_HAS_AMOUNT,
    WON_HAS_CLOSE_DATE,
    WON_HAS_OWNER,
    RuleKind,
)
from expectations.iso import ISO_CURRENCIES
from expectations.rule import Derived, Rule

DAYS_OFF_STAGE_CHANGE = 3
DAYS_UNTIL_PAID = 15
"""After the end of the month in which a deal was closed: then the month's pay is settled."""
DAYS_BETWEEN_DUPLICATES = 30
FAR_OFF = 3.7
"""Robust standard deviations of the amount's logarithm from the median: a little more than the 3.5 that Iglewicz and
Hoaglin advise, as the right tail of deals is long."""
ENOUGH_DEALS = 20
"""Below so many, a group's median says too little of what is usual in it."""
LEAST_SPREAD = 0.1
"""Where nearly all amounts are one list price, ten percent more is no outlier."""
ENOUGH_VISITS = 20
SIZES = (50, 250, 1000)
"""Employees from which on a customer is in the next larger segment."""


@dataclass(frozen=True, kw_only=True)
class Deals:
    """A CRM's words for deals."""

    account: str
    owner: str
    amount: str
    """As text."""
    currency: str
    """Whatever names the currency in the record; null: none."""
    currency_code: str
    has_several_currencies: str
    """Whether a deal without a currency is ambiguous."""
    closes: str
    """As text: when the deal was closed, or is expected to be."""
    closes_on: str
    created_at: str
    is_won: str
    is_closed: str
    """Won or lost; like `is_won`, never null."""
    probability: str
    """In percent."""
    is_against_stage: str
    stages: tuple[str, ...] = ()
    """Streams by which stages, and with them `is_won` and `is_closed`, are understood."""
    stages_needed: tuple[str, ...] = ()
    """Those of them without which they are not."""
    currencies: tuple[str, ...] = ()
    """Streams by which `currency_code` is understood."""
    several_currencies: tuple[str, ...] = ()
    """Streams by which `has_several_currencies` is."""
    staff: Derived
    """The users: `key`, `is_active`, `changed_on`, the day of their last change, which for most was that they left."""
    sizes: Derived
    """The accounts: `key`, `employees`."""
    ends: Derived
    """When deals were won or lost by the CRM's own clock: `deal_key`, `happened_at`."""
    told: Derived
    """What deals were after each change that the CRM remembers: `deal_key`, `happened_at`, `is_closed`, `closes_on`,
    and the facts that pay depends on, as the text `facts`."""
    versions: str
    """The facts in a record, for changes that only the landing remembers."""
    signs: Derived
    """Signs of life: `deal_key`, `happened_at`."""
    visits: Derived
    """How long deals were in stages they have left: `stage`, `days`."""
    stage: str
    credit: Derived | None = None
    """Shares of credit that must add up: `deal_key`, `percent`, their sum."""
    lines: Derived | None = None
    """What the line items of deals add up to: `deal_key`, `amount`."""


def deal_rules(deals: Deals, stream: str) -> tuple[Rule, ...]:
    """All rules on the records of a stream of deals."""
    return (*_closed(deals), *_currency(deals), *_credit(deals), *_statistics(deals), _paid(deals, stream))


def _closed(deals: Deals) -> Iterator[Rule]:
    yield _by_stage(deals, WON_HAS_AMOUNT, f"{deals.is_won} and {deals.amount} is null")
    yield _by_stage(deals, WON_HAS_CLOSE_DATE, f"{deals.is_won} and {deals.closes} is null")
    yield _by_stage(deals, WON_HAS_OWNER, f"{deals.is_won} and {deals.owner} is null")
    yield _by_stage(
        deals, CLOSED_NOT_IN_FUTURE, f"{deals.is_closed} and {deals.closes_on} > latest_day(record._synced_at)"
    )
    yield _by_stage(
        deals, CLOSED_AFTER_CREATED, f"{deals.is_closed} and {deals.closes_on} < {deals.created_at}::date - 1"
    )
    ended_on = (
        f"(select max(deal_end.happened_at)::date from {deals.ends.name} as deal_end"
        " where deal_end.deal_key = record._key)"
    )
    yield CLOSE_DATE_NEAR_STAGE_CHANGE.fails_when(
        f"{deals.is_closed} and abs(date_diff('day', {ended_on}, {deals.closes_on})) > {DAYS_OFF_STAGE_CHANGE}"
        f" and {_is_possible(deals)}",
        deals.ends,
        looks_up=deals.stages,
    )
    yield PROBABILITY_IN_RANGE.fails_when(f"{deals.probability} not between 0 and 100")
    yield _by_stage(deals, PROBABILITY_MATCHES_STAGE, deals.is_against_stage)


def _by_stage(deals: Deals, kind: RuleKind, condition: str) -> Rule:
    return kind.fails_when(condition, looks_up=deals.stages, needs=deals.stages_needed)


def _is_possible(deals: Deals) -> str:
    """A close date that breaks neither of the two rules on impossible ones, and so may break another."""
    return f"{deals.closes_on} between {deals.created_at}::date - 1 and latest_day(record._synced_at)"


def _currency(deals: Deals) -> Iterator[Rule]:
    is_iso = f"{deals.currency_code} in (select code from {ISO_CURRENCIES.name})"
    rate_day = f"case when {deals.is_closed} then coalesce({deals.closes_on}, as_of()) else as_of() end"
    yield CURRENCY_PRESENT.fails_when(
        f"{deals.amount} is not null and {deals.currency} is null and {deals.has_several_currencies}",
        looks_up=deals.several_currencies,
        needs=(),
    )
    yield CURRENCY_IS_ISO.fails_when(
        f"{deals.currency_code} is not null and not {is_iso}", ISO_CURRENCIES, looks_up=deals.currencies
    )
    yield CURRENCY_HAS_RATE.fails_when(
        f"{deals.amount} is not null and {is_iso} and exists (select 1 from fx_rates)"
        " and not exists (select 1 from fx_rates as rate"
        f" where rate.currency_code = {deals.currency_code} and {rate_day}"
        " between rate.valid_from::date and coalesce(rate.valid_to::date, date '9999-12-31'))",
        ISO_CURRENCIES,
        looks_up=(*deals.currencies, *deals.stages),
        needs=(*deals.currencies, *deals.stages_needed),
    )


def _credit(deals: Deals) -> Iterator[Rule]:
    owner = f"from {deals.staff.name} as owner where owner.key = {deals.owner} and not owner.is_active"
    for kind, condition in (
        (OWNER_ACTIVE, f"not {deals.is_closed} and exists (select 1 {owner})"),
        (
            OWNER_ACTIVE_AT_CLOSE,
            f"{deals.is_won} and {_is_possible(deals)}"
            f" and exists (select 1 {owner} and owner.changed_on < {deals.closes_on})",
        ),
    ):
        yield kind.fails_when(
            condition,
            deals.staff,
            looks_up=deals.stages,
            needs=(*deals.stages_needed, *deals.staff.looks_up),
        )
    if deals.credit:
        yield SPLITS_ADD_UP.fails_when(
            f"exists (select 1 from {deals.credit.name} as credit"
            " where credit.deal_key = record._key and abs(credit.percent - 100) > 0.01)",
            deals.credit,
        )
    if deals.lines:
        yield LINE_ITEMS_ADD_UP.fails_when(
            f"exists (select 1 from {deals.lines.name} as line_sum where line_sum.deal_key = record._key"
            f" and abs(as_decimal({deals.amount}) - line_sum.amount) > 0.01)",
            deals.lines,
            looks_up=deals.stages,
            needs=deals.lines.looks_up,
        )


def _statistics(deals: Deals) -> Iterator[Rule]:
    yield AMOUNT_PLAUSIBLE.fails_for(_implausible(deals), needs=())
    yield NO_OPEN_DUPLICATE.fails_for_later(_twins(deals), needs=deals.stages_needed)
    yield NOT_STALE.fails_for(_stale(deals), needs=deals.stages_needed)


def _implausible(deals: Deals) -> Derived:
    """Deals whose amount is far off in every group that has enough of them to compare with."""
    larger = " + ".join(f"({deals.sizes.name}.employees >= {size})::int" for size in SIZES)
    return Derived(
        name="implausible_deals",
        sql=f"""
            with {deals.sizes.name} as ({deals.sizes.sql}),
            worth as (
                select record._key as key, {deals.owner} as owner, {deals.account} as account,
                    {deals.currency_code} as currency, ln(as_decimal({deals.amount})) as size
                from live as record where as_decimal({deals.amount}) > 0
            ),
            grouped as (
                select worth.key, worth.size, worth.currency, 'owner ' || worth.owner as peers from worth
                union all
                select worth.key, worth.size, worth.currency, 'segment ' || ({larger}) as peers
                from worth join {deals.sizes.name} on {deals.sizes.name}.key = worth.account
            ),
            centred as (
                select key, size - median(size) over peers_of as off, count(*) over peers_of as peers_count,
                    currency, peers
                from grouped where peers is not null window peers_of as (partition by peers, currency)
            ),
            scaled as (
                select key, abs(off) / greatest(
                    1.4826 * median(abs(off)) over (partition by peers, currency), {LEAST_SPREAD}
                ) as score
                from centred where peers_count >= {ENOUGH_DEALS}
            )
            select key from scaled group by key having min(score) > {FAR_OFF}
        """,
        looks_up=tuple(dict.fromkeys((*deals.sizes.looks_up, *deals.currencies, *deals.stages))),
    )


def _twins(deals: Deals) -> Derived:
    """Open deals that look like an older one."""
    return Derived(
        name="twin_deals",
        sql=f"""
            with open_deals as (
                select record._key as key, {deals.account} as account, as_decimal({deals.amount}) as amount,
                    {deals.currency} as currency, {deals.created_at} as created_at
                from live as record where not {deals.is_closed} and as_decimal({deals.amount}) <> 0
            )
            select later.key, arg_min(earlier.key, (earlier.created_at, earlier.key)) as other_key
            from open_deals as later
            join open_deals as earlier
                on earlier.account = later.account
                and earlier.amount = later.amount
                and earlier.currency is not distinct from later.currency
                and (earlier.created_at, earlier.key) < (later.created_at, later.key)
                and later.created_at <= earlier.created_at + interval {DAYS_BETWEEN_DUPLICATES} day
            group by later.key
        """,
        looks_up=deals.stages,
    )


def _stale(deals: Deals) -> Derived:
    """Open deals on which nothing has happened for longer than nearly all deals take in that stage."""
    return Derived(
        name="stale_deals",
        sql=f"""
            with signs as ({deals.signs.sql}),
            visits as ({deals.visits.sql}),
            last_signs as (
                select deal_key, max(happened_at) as happened_at from signs
                where happened_at::date <= as_of() group by deal_key
            ),
            paces as (
                select stage, quantile_cont(days, 0.95) as days from visits
                group by stage having count(*) >= {ENOUGH_VISITS}
            ),
            waiting as (
                select record._key as key, {deals.stage} as stage,
                    date_diff('day', greatest({deals.created_at}, last_signs.happened_at), as_of()::timestamp) as days
                from live as record
                left join last_signs on last_signs.deal_key = record._key
                where not {deals.is_closed}
            )
            select waiting.key from waiting join paces on paces.stage = waiting.stage where waiting.days > paces.days
        """,
        looks_up=tuple(dict.fromkeys((*deals.signs.looks_up, *deals.visits.looks_up, *deals.stages))),
    )


def _paid(deals: Deals, stream: str) -> Rule:
    """Changes to a closed deal that came after its month was paid, told by the CRM's history or by our own."""
    late = f"""
        lagged as (
            select deal_key, happened_at, facts, lag(facts) over earlier as facts_before,
                lag(is_closed) over earlier as was_closed, lag(closes_on) over earlier as closed_on
            from steps window earlier as (partition by source, deal_key order by happened_at, told_in, is_closed)
        )
        select distinct deal_key as key from lagged
        where was_closed and facts is distinct from facts_before
            and happened_at::date > last_day(closed_on) + {DAYS_UNTIL_PAID}
    """
    landed = f"""
        select 'landing' as source, record._commit_id as told_in, record._key as deal_key,
            as_instant(record._modified_at) as happened_at,
            {deals.is_closed} as is_closed, {deals.closes_on} as closes_on, {deals.versions} as facts
        from "landed_{stream}" as record where not is_true(record._deleted)
    """
    found = Derived(
        name="late_changes",
        sql=f"""
            with told as ({deals.told.sql}),
            steps as (
                select 'history' as source, '' as told_in, deal_key, happened_at, is_closed, closes_on, facts from told
                union all by name
                {landed}
            ),
            {late}
        """,
        looks_up=tuple(dict.fromkeys((*deals.told.looks_up, *deals.stages))),
    )
    return UNCHANGED_AFTER_PAY_PERIOD.fails_for(found, needs=deals.stages_needed)
