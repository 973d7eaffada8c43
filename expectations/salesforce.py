"""When a Salesforce record breaks a rule, by stream: SQL on landed text.

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

RULES: Mapping[str, tuple[Rule, ...]] = {
    "users": (USER_EMAIL_VALID.fails_when("not coalesce(is_email(Email), false)"),),
    "accounts": (ACCOUNT_HAS_NAME.fails_when("Name is null"),),
    "contacts": (CONTACT_EMAIL_VALID.fails_when("not is_email(Email)"),),
    "leads": (LEAD_HAS_STATUS.fails_when("Status is null"),),
    "opportunities": (
        WON_HAS_AMOUNT.fails_when("is_true(IsWon) and Amount is null"),
        WON_HAS_CLOSE_DATE.fails_when("is_true(IsWon) and CloseDate is null"),
        WON_HAS_OWNER.fails_when("is_true(IsWon) and OwnerId is null"),
        CLOSED_NOT_IN_FUTURE.fails_when("is_true(IsClosed) and as_day(CloseDate) > latest_day(_synced_at)"),
        CLOSED_AFTER_CREATED.fails_when(
            "is_true(IsClosed) and as_day(CloseDate) < as_instant(CreatedDate)::date - 1",
        ),
        PROBABILITY_IN_RANGE.fails_when("as_decimal(Probability) not between 0 and 100"),
        STAGE_KNOWN.fails_when(
            "StageName is not null and not exists (select 1 from opportunity_stages as stage"
            " where record.StageName in (stage.ApiName, stage.MasterLabel))",
            looks_up=("opportunity_stages",),
        ),
        OWNER_ACTIVE.fails_when(
            "not is_true(IsClosed) and exists (select 1 from users as owner"
            " where owner.Id = record.OwnerId and not as_boolean(owner.IsActive))",
            looks_up=("users",),
        ),
        LINE_ITEMS_ADD_UP.fails_when(
            "abs(as_decimal(Amount) - (select sum(as_decimal(item.TotalPrice))"
            " from opportunity_line_items as item where item.OpportunityId = record.Id)) > 0.01",
            looks_up=("opportunity_line_items",),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("Name is null"),),
    "opportunity_line_items": (QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(Quantity) < 0"),),
}
