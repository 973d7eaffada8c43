"""When a Zoho CRM record breaks a rule, by stream: SQL on landed text.

What the rules mean is in `catalogue`; those that follow from a stream's declaration are in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import (
    ACCOUNT_HAS_NAME,
    CLOSED_AFTER_CREATED,
    CLOSED_NOT_IN_FUTURE,
    CONTACT_EMAIL_VALID,
    LEAD_HAS_STATUS,
    OWNER_ACTIVE,
    PROBABILITY_IN_RANGE,
    PRODUCT_HAS_NAME,
    STAGE_KNOWN,
    USER_EMAIL_VALID,
    WON_HAS_AMOUNT,
    WON_HAS_CLOSE_DATE,
    WON_HAS_OWNER,
    RuleKind,
)
from expectations.rule import Rule

# Zoho CRM has no flag for won and lost: the stage's forecast type says so. Staging decides the same way.
_STAGE = "exists (select 1 from deal_stages as stage where stage.actual_value = record.Stage and stage.forecast_type"
_IS_WON = f"{_STAGE} = 'Closed Won')"
_IS_CLOSED = f"{_STAGE} in ('Closed Won', 'Closed Lost'))"


def _by_stage(kind: RuleKind, sql: str) -> Rule:
    return kind.fails_when(sql, looks_up=("deal_stages",))


RULES: Mapping[str, tuple[Rule, ...]] = {
    "users": (USER_EMAIL_VALID.fails_when("not coalesce(is_email(email), false)"),),
    "accounts": (ACCOUNT_HAS_NAME.fails_when("Account_Name is null"),),
    "contacts": (CONTACT_EMAIL_VALID.fails_when("not is_email(Email)"),),
    "leads": (LEAD_HAS_STATUS.fails_when("Lead_Status is null"),),
    "deals": (
        _by_stage(WON_HAS_AMOUNT, f"{_IS_WON} and Amount is null"),
        _by_stage(WON_HAS_CLOSE_DATE, f"{_IS_WON} and Closing_Date is null"),
        _by_stage(WON_HAS_OWNER, f"{_IS_WON} and Owner is null"),
        _by_stage(CLOSED_NOT_IN_FUTURE, f"{_IS_CLOSED} and as_day(Closing_Date) > latest_day(_synced_at)"),
        _by_stage(CLOSED_AFTER_CREATED, f"{_IS_CLOSED} and as_day(Closing_Date) < as_instant(Created_Time)::date - 1"),
        PROBABILITY_IN_RANGE.fails_when("as_decimal(Probability) not between 0 and 100"),
        _by_stage(
            STAGE_KNOWN,
            "Stage is not null and not exists (select 1 from deal_stages as stage"
            " where stage.actual_value = record.Stage)",
        ),
        OWNER_ACTIVE.fails_when(
            f"not {_IS_CLOSED} and exists (select 1 from users as owner"
            " where owner.id = record.Owner and owner.status <> 'active')",
            looks_up=("deal_stages", "users"),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("Product_Name is null"),),
}
