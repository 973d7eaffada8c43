"""What can be wrong with records on purpose: every kind of dirt, whose records it spoils, where and how.

Declarations, and how one of them becomes the flaw of a record; which records are spoilt is decided where they are made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from connectors.sandbox.company import (
    Account,
    Activity,
    Contact,
    Lead,
    Line,
    Opportunity,
    Quota,
    Record,
    Rep,
    Split,
)
from connectors.sandbox.simulation.life import Flaw
from connectors.sandbox.simulation.market import CENT, CRMS, LATE_CURRENCY

LATER = 0.5
"""Share of the flaws that come into a record that was good at first, where they need not come in at a certain time."""
LATEST = timedelta(days=120)
HEALED = 1 / 3
HEALED_WITHIN = (2 * 86400, 40 * 86400)
"""Seconds after which somebody puts right what is wrong, if anybody does."""
PAY_PERIOD = timedelta(days=80)
"""So long after it was won, what a deal is worth has been paid out."""
INVALID_EMAILS = ("", "@", " at example", "@@example..com")
INVALID_PHONES = ("call me", "0", "12345678901234567890")
INVALID_COUNTRIES = ("Untied States", "Atlantis", "XX")
INVALID_CURRENCY = "XXA"
ORPHAN_ORDINAL = 99

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Dirt:
    """One kind of it."""

    kind: str
    record: type
    rule: str
    """What a rule that finds it may be called."""
    fields: tuple[str, ...]
    """Of the record: those that are wrong."""
    spoil: Callable[[Any, float], Values] | None = None
    """From the record as it ought to be, and a number between 0 and 1, to the wrong values; None: made elsewhere."""
    crms: tuple[str, ...] = CRMS
    """Where it can be: the others do not keep the field, work it out themselves, or insist on it."""
    is_at_close: bool = False
    """Whether only a deal that is won can have it."""
    is_for_good: bool = False
    """Whether nobody ever puts it right."""


def _one_of(options: Sequence[Any], luck: float) -> Any:
    return options[int(luck * len(options))]


def _invalid_email(record: Contact | Lead, luck: float) -> Values:
    return {"email": record.email.partition("@")[0] + _one_of(INVALID_EMAILS, luck)}


def _nowhere(record: Contact | Activity, kind: str) -> str:
    """The key of something that is not there."""
    return f"{record.crm}:{kind}:gone:{record.key.partition(':')[2]}"


def _against_stage(deal: Opportunity, luck: float) -> Values:
    return {"probability": {"won": 10, "lost": 90}.get(deal.stage, 100)}


def _hundredfold(deal: Opportunity, luck: float) -> Values:
    return _repriced(deal, Decimal(100))


def raised(deal: Opportunity, luck: float) -> Values:
    """A deal whose prices somebody raises by a fifth."""
    return _repriced(deal, Decimal("1.2"))


def _repriced(deal: Opportunity, factor: Decimal) -> Values:
    lines = tuple(replace(line, unit_price=((line.unit_price or 0) * factor).quantize(CENT)) for line in deal.lines)
    return {"lines": lines, "amount": sum((line.amount or Decimal(0) for line in lines), Decimal(0))}


def _ninety_percent(deal: Opportunity, luck: float) -> Values:
    return {"splits": (Split(rep_email=deal.owner_email or "", percent=Decimal(90)),)}


def _with_orphan(deal: Opportunity, luck: float) -> Values:
    orphan = Line(product="Care Plan", quantity=1, unit_price=Decimal("99.00"), ordinal=ORPHAN_ORDINAL, is_orphan=True)
    return {"lines": (*deal.lines, orphan)}


def _closed(days: int) -> Callable[[Opportunity, float], Values]:
    """A close date so many days from the one it was won on."""
    return lambda deal, luck: {"close_date": deal.close_date and deal.close_date + timedelta(days=days)}


def _before_created(deal: Opportunity, luck: float) -> Values:
    return {"close_date": deal.created_at.date() - timedelta(days=5)}


def _without_parent(activity: Activity, luck: float) -> Values:
    return dict.fromkeys(("account_key", "contact_key", "opportunity_key", "lead_key"))


WITH_LINES = ("salesforce", "hubspot", "dynamics")
WITH_PLAIN_LOOKUPS = WITH_TYPED_PROBABILITY = WITH_LEAD_ADDRESSES = ("salesforce", "dynamics", "zoho")

DEALS = (
    Dirt(
        kind="won_without_amount",
        record=Opportunity,
        rule="won_has_amount",
        fields=("amount",),
        spoil=lambda deal, luck: {"amount": None},
        is_at_close=True,
    ),
    Dirt(
        kind="won_without_close_date",
        record=Opportunity,
        rule="won_has_close_date",
        fields=("close_date",),
        spoil=lambda deal, luck: {"close_date": None},
        is_at_close=True,
    ),
    Dirt(
        kind="won_without_owner",
        record=Opportunity,
        rule="won_has_owner",
        fields=("owner_email",),
        spoil=lambda deal, luck: {"owner_email": None},
        crms=("hubspot",),
        is_at_close=True,
    ),
    Dirt(
        kind="closed_off_stage_change",
        record=Opportunity,
        rule="close_date_near_stage_change",
        fields=("close_date",),
        spoil=_closed(-20),
        is_at_close=True,
    ),
    Dirt(
        kind="closed_before_created",
        record=Opportunity,
        rule="closed_after_created",
        fields=("close_date",),
        spoil=_before_created,
        is_at_close=True,
    ),
    Dirt(
        kind="closed_in_future",
        record=Opportunity,
        rule="closed_not_in_future",
        fields=("close_date",),
        spoil=_closed(1100),
        is_at_close=True,
    ),
    Dirt(
        kind="currency_without_rate",
        record=Opportunity,
        rule="currency_has_rate",
        fields=("currency",),
        spoil=lambda deal, luck: {"currency": LATE_CURRENCY},
        is_at_close=True,
    ),
    Dirt(
        kind="owner_inactive_at_close",
        record=Opportunity,
        rule="owner_active_at_close",
        fields=("owner_email", "splits"),
        is_at_close=True,
    ),
    Dirt(
        kind="edited_after_pay_period",
        record=Opportunity,
        rule="unchanged_after_pay_period",
        fields=("amount", "lines"),
        spoil=raised,
        is_at_close=True,
        is_for_good=True,
    ),
    Dirt(
        kind="amount_differs_between_crms",
        record=Opportunity,
        rule="amount_same_in_crms",
        fields=("amount",),
        is_at_close=True,
        is_for_good=True,
    ),
    Dirt(
        kind="probability_against_stage",
        record=Opportunity,
        rule="probability_matches_stage",
        fields=("probability",),
        spoil=_against_stage,
        crms=WITH_TYPED_PROBABILITY,
    ),
    Dirt(
        kind="amount_outlier",
        record=Opportunity,
        rule="amount_plausible",
        fields=("amount", "lines"),
        spoil=_hundredfold,
    ),
    Dirt(
        kind="currency_missing",
        record=Opportunity,
        rule="currency_present",
        fields=("currency",),
        spoil=lambda deal, luck: {"currency": None},
        crms=("hubspot",),
    ),
    Dirt(
        kind="currency_invalid",
        record=Opportunity,
        rule="currency_is_iso",
        fields=("currency",),
        spoil=lambda deal, luck: {"currency": INVALID_CURRENCY},
        crms=("dynamics", "zoho"),
    ),
    Dirt(
        kind="lines_do_not_add_up",
        record=Opportunity,
        rule="line_items_add_up",
        fields=("amount",),
        spoil=lambda deal, luck: {"amount": (deal.amount or 0) + Decimal(1000)},
        crms=WITH_LINES,
    ),
    Dirt(
        kind="line_item_orphan",
        record=Line,
        rule="line_item_has_deal",
        fields=("is_orphan",),
        spoil=_with_orphan,
        crms=("hubspot", "dynamics"),
        is_for_good=True,
    ),
    Dirt(
        kind="splits_not_100",
        record=Opportunity,
        rule="splits_add_up",
        fields=("splits",),
        spoil=_ninety_percent,
        crms=WITH_LINES,
    ),
    Dirt(kind="duplicate_open_deal", record=Opportunity, rule="no_open_duplicate", fields=()),
    Dirt(kind="stale_open_deal", record=Opportunity, rule="not_stale", fields=("stage",), is_for_good=True),
)
OTHERS = (
    Dirt(
        kind="country_invalid",
        record=Account,
        rule="country_valid",
        fields=("country",),
        spoil=lambda record, luck: {"country": _one_of(INVALID_COUNTRIES, luck)},
    ),
    Dirt(kind="duplicate_account", record=Account, rule="no_duplicate", fields=()),
    Dirt(kind="email_invalid", record=Contact, rule="contact_email_valid", fields=("email",), spoil=_invalid_email),
    Dirt(
        kind="phone_invalid",
        record=Contact,
        rule="phone_valid",
        fields=("phone",),
        spoil=lambda contact, luck: {"phone": _one_of(INVALID_PHONES, luck)},
    ),
    Dirt(
        kind="contact_orphan",
        record=Contact,
        rule="contact_has_account",
        fields=("account_key",),
        spoil=lambda contact, luck: {"account_key": _nowhere(contact, "account")},
    ),
    Dirt(kind="duplicate_contact", record=Contact, rule="no_duplicate", fields=()),
    Dirt(
        kind="lead_without_status",
        record=Lead,
        rule="lead_has_status",
        fields=("status",),
        spoil=lambda lead, luck: {"status": None},
        crms=("hubspot", "zoho"),
    ),
    Dirt(
        kind="email_invalid",
        record=Lead,
        rule="lead_email_valid",
        fields=("email",),
        spoil=_invalid_email,
        crms=WITH_LEAD_ADDRESSES,
    ),
    Dirt(
        kind="country_invalid",
        record=Lead,
        rule="country_valid",
        fields=("country",),
        spoil=lambda record, luck: {"country": _one_of(INVALID_COUNTRIES, luck)},
        crms=WITH_LEAD_ADDRESSES,
    ),
    Dirt(kind="duplicate_lead", record=Lead, rule="no_duplicate", fields=()),
    Dirt(
        kind="activity_orphan",
        record=Activity,
        rule="activity_has_parent",
        fields=("account_key", "contact_key", "opportunity_key", "lead_key"),
        spoil=_without_parent,
    ),
    Dirt(
        kind="activity_parent_gone",
        record=Activity,
        rule="activity_has_parent",
        fields=("account_key", "contact_key", "opportunity_key", "lead_key"),
        spoil=lambda activity, luck: {
            **_without_parent(activity, luck),
            "opportunity_key": _nowhere(activity, "opportunity"),
        },
        crms=WITH_PLAIN_LOOKUPS,
    ),
    Dirt(kind="manager_gap", record=Rep, rule="rep_has_manager", fields=("manager_email",)),
    Dirt(kind="manager_cycle", record=Rep, rule="no_manager_cycle", fields=("manager_email",)),
    Dirt(kind="manager_overlap", record=Rep, rule="one_manager_at_a_time", fields=("manager_email",)),
    Dirt(kind="quota_missing", record=Quota, rule="rep_has_quota", fields=()),
    Dirt(kind="quota_overlaps", record=Quota, rule="one_quota_at_a_time", fields=("starts_on", "ends_on")),
)
KINDS: Mapping[tuple[type, str], Dirt] = {(dirt.record, dirt.kind): dirt for dirt in (*DEALS, *OTHERS)}
"""By class of record and name."""


def is_spoilt(seed: int, key: str, share: float) -> bool:
    """Whether something is to be wrong with a record."""
    return share > 0 and Random(f"{seed}:{key}:dirt").random() < share


def some_flaw(seed: int, record: Record, crm: str) -> Flaw:
    """One of the flaws that records of this class get anywhere in their lives."""
    random = Random(f"{seed}:{record_name(record)}:flaw")
    kinds = [dirt for dirt in OTHERS if dirt.spoil and isinstance(record, dirt.record) and crm in dirt.crms]
    return flaw(random, random.choice(kinds), coming(random, record.created_at, LATEST))


def coming(random: Random, created_at: datetime, within: timedelta) -> datetime:
    """When a flaw comes into a record: half of them are there from the start."""
    if random.random() >= LATER:
        return created_at
    return created_at + timedelta(seconds=random.randint(60, max(61, int(within.total_seconds()))))


def flaw(random: Random, dirt: Dirt, since: datetime, spoil: Callable[[Any], Values] | None = None) -> Flaw:
    """A flaw that comes in at a moment, and is put right or not."""
    healed_at = since + timedelta(seconds=random.randint(*HEALED_WITHIN))
    until = healed_at if random.random() < HEALED and not dirt.is_for_good else None
    luck, declared = random.random(), dirt.spoil
    if spoil is None and declared is not None:
        return Flaw(dirt.kind, since, until, lambda record: declared(record, luck))
    return Flaw(dirt.kind, since, until, spoil)


def record_name(record: Record) -> str:
    """A key that tells apart records of all classes."""
    return f"{type(record).__name__}:{getattr(record, 'key', None) or getattr(record, 'email', '')}"
