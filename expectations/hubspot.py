"""When a HubSpot record breaks a rule, by stream: SQL on landed text.

What the rules mean is in `catalogue`; those that follow from a stream's declaration are in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import (
    ACCOUNT_HAS_NAME,
    CLOSED_AFTER_CREATED,
    CLOSED_NOT_IN_FUTURE,
    CONTACT_EMAIL_VALID,
    LEAD_HAS_STATUS,
    LINE_ITEM_HAS_DEAL,
    LINE_ITEMS_ADD_UP,
    OWNER_ACTIVE,
    PROBABILITY_IN_RANGE,
    PRODUCT_HAS_NAME,
    QUANTITY_NOT_NEGATIVE,
    USER_EMAIL_VALID,
    WON_HAS_AMOUNT,
    WON_HAS_CLOSE_DATE,
    WON_HAS_OWNER,
    RuleKind,
)
from expectations.rule import Rule

# HubSpot works the flags out from the stage, and a new deal may not have them yet. Staging decides the same way.
_IS_WON = (
    "coalesce(as_boolean(hs_is_closed_won), exists (select 1 from deal_stages as stage"
    " where stage.id = record.dealstage and is_true(stage.isClosed) and as_decimal(stage.probability) = 1))"
)
_IS_CLOSED = (
    "coalesce(as_boolean(hs_is_closed), exists (select 1 from deal_stages as stage"
    " where stage.id = record.dealstage and is_true(stage.isClosed)))"
)


def _by_stage(kind: RuleKind, sql: str) -> Rule:
    """Complete a rule that looks at the stages if there are any, and holds without them too."""
    return kind.fails_when(sql, looks_up=("deal_stages",), needs=())


RULES: Mapping[str, tuple[Rule, ...]] = {
    "owners": (USER_EMAIL_VALID.fails_when("not coalesce(is_email(email), false)"),),
    # HubSpot creates companies from e-mail addresses: for a while such a one is known by its domain alone.
    "companies": (ACCOUNT_HAS_NAME.fails_when("name is null and domain is null"),),
    "contacts": (CONTACT_EMAIL_VALID.fails_when("not is_email(email)"),),
    "leads": (LEAD_HAS_STATUS.fails_when("hs_pipeline_stage is null"),),
    "deals": (
        _by_stage(WON_HAS_AMOUNT, f"{_IS_WON} and amount is null"),
        _by_stage(WON_HAS_CLOSE_DATE, f"{_IS_WON} and closedate is null"),
        _by_stage(WON_HAS_OWNER, f"{_IS_WON} and hubspot_owner_id is null"),
        _by_stage(CLOSED_NOT_IN_FUTURE, f"{_IS_CLOSED} and as_instant(closedate)::date > latest_day(_synced_at)"),
        _by_stage(
            CLOSED_AFTER_CREATED,
            f"{_IS_CLOSED} and as_instant(closedate) < as_instant(createdate) - interval 1 day",
        ),
        PROBABILITY_IN_RANGE.fails_when("as_decimal(hs_deal_stage_probability) not between 0 and 1"),
        OWNER_ACTIVE.fails_when(
            f"not {_IS_CLOSED} and exists (select 1 from owners as owner"
            " where owner.id = record.hubspot_owner_id and is_true(owner.archived))",
            looks_up=("deal_stages", "owners"),
            needs=("owners",),
        ),
        LINE_ITEMS_ADD_UP.fails_when(
            "abs(as_decimal(amount) - (select sum(item.amount)"
            " from (select unnest(as_ids(deal_ids)) as deal_id, as_decimal(amount) as amount from line_items) as item"
            " where item.deal_id = record.hs_object_id)) > 0.01",
            looks_up=("line_items",),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("name is null"),),
    "line_items": (
        QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(quantity) < 0"),
        # the lines of orders are line items too, of no deal
        LINE_ITEM_HAS_DEAL.fails_when(
            "coalesce(len(as_ids(order_ids)), 0) = 0 and hs_object_id not in (select item.id"
            " from (select hs_object_id as id, unnest(as_ids(deal_ids)) as deal_id from live) as item"
            " where item.deal_id in (select hs_object_id from deals))",
            looks_up=("deals",),
        ),
    ),
}
