"""When a Dynamics 365 record breaks a rule, by stream: SQL on landed text.

What the rules mean is in `catalogue`; those that follow from a stream's declaration are in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import (
    ACCOUNT_HAS_NAME,
    CLOSED_AFTER_CREATED,
    CLOSED_NOT_IN_FUTURE,
    CONTACT_EMAIL_VALID,
    LEAD_HAS_STATUS,
    LINE_ITEMS_ADD_UP,
    OWNER_ACTIVE,
    PROBABILITY_IN_RANGE,
    PRODUCT_HAS_NAME,
    QUANTITY_NOT_NEGATIVE,
    STAGE_KNOWN,
    USER_EMAIL_VALID,
    WON_HAS_AMOUNT,
    WON_HAS_CLOSE_DATE,
    WON_HAS_OWNER,
)
from expectations.rule import Rule

_IS_OPEN = "as_decimal(statecode) = 0"
_IS_WON = "as_decimal(statecode) = 1"
_IS_CLOSED = "as_decimal(statecode) in (1, 2)"

RULES: Mapping[str, tuple[Rule, ...]] = {
    "systemusers": (USER_EMAIL_VALID.fails_when("not coalesce(is_email(internalemailaddress), false)"),),
    "accounts": (ACCOUNT_HAS_NAME.fails_when("name is null"),),
    "contacts": (CONTACT_EMAIL_VALID.fails_when("not is_email(emailaddress1)"),),
    "leads": (LEAD_HAS_STATUS.fails_when("statecode is null"),),
    "opportunities": (
        WON_HAS_AMOUNT.fails_when(f"{_IS_WON} and actualvalue is null"),
        WON_HAS_CLOSE_DATE.fails_when(f"{_IS_WON} and actualclosedate is null"),
        WON_HAS_OWNER.fails_when(f"{_IS_WON} and _ownerid_value is null"),
        CLOSED_NOT_IN_FUTURE.fails_when(f"{_IS_CLOSED} and as_day(actualclosedate) > latest_day(_synced_at)"),
        CLOSED_AFTER_CREATED.fails_when(
            f"{_IS_CLOSED} and as_day(actualclosedate) < as_instant(createdon)::date - 1",
        ),
        PROBABILITY_IN_RANGE.fails_when("as_decimal(closeprobability) not between 0 and 100"),
        STAGE_KNOWN.fails_when(
            "stageid is not null"
            " and not exists (select 1 from processstages as stage where stage.processstageid = record.stageid)",
            looks_up=("processstages",),
        ),
        OWNER_ACTIVE.fails_when(
            f"{_IS_OPEN} and exists (select 1 from systemusers as owner"
            " where owner.systemuserid = record._ownerid_value and is_true(owner.isdisabled))",
            looks_up=("systemusers",),
        ),
        LINE_ITEMS_ADD_UP.fails_when(
            f"abs(as_decimal(case when {_IS_WON} then actualvalue else estimatedvalue end)"
            " - (select sum(as_decimal(item.extendedamount)) from opportunityproducts as item"
            " where item._opportunityid_value = record.opportunityid)) > 0.01",
            looks_up=("opportunityproducts",),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("name is null"),),
    "opportunityproducts": (QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(quantity) < 0"),),
}
