"""Rules that are HubSpot's own, by stream: what can be decided on landed records alone.

Rules that follow from a stream's declaration are in `declared`; rules on typed, joined records are dbt tests.
"""

from collections.abc import Mapping

from expectations.rule import Dimension, Rule, Severity

# HubSpot works the flags out from the stage, and a new deal may not have them yet. Staging decides the same way.
_IS_WON = (
    "coalesce(as_boolean(hs_is_closed_won), exists (select 1 from deal_stages as stage"
    " where stage.id = record.dealstage and is_true(stage.isClosed) and as_decimal(stage.probability) = 1))"
)
_IS_CLOSED = (
    "coalesce(as_boolean(hs_is_closed), exists (select 1 from deal_stages as stage"
    " where stage.id = record.dealstage and is_true(stage.isClosed)))"
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "owners": (
        Rule(
            id="user_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not coalesce(is_email(email), false)",
            reason="the owner has no valid e-mail address, by which a rep is known across CRMs",
        ),
    ),
    "companies": (
        Rule(
            id="account_has_name",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            # HubSpot creates companies from e-mail addresses: for a while such a one is known by its domain alone.
            fails_when="name is null and domain is null",
            reason="the company has neither a name nor a domain",
        ),
    ),
    "contacts": (
        Rule(
            id="contact_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not is_email(email)",
            reason="the contact's e-mail address is not one",
        ),
    ),
    "leads": (
        Rule(
            id="lead_has_status",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.INFO,
            fails_when="hs_pipeline_stage is null",
            reason="the lead has no status",
        ),
    ),
    "deals": (
        Rule(
            id="won_has_amount",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and amount is null",
            reason="the deal is won and has no amount",
            looks_up=("deal_stages",),
        ),
        Rule(
            id="won_has_close_date",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and closedate is null",
            reason="the deal is won and has no close date",
            looks_up=("deal_stages",),
        ),
        Rule(
            id="won_has_owner",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and hubspot_owner_id is null",
            reason="the deal is won and has no owner",
            looks_up=("deal_stages",),
        ),
        Rule(
            id="closed_not_in_future",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when=f"{_IS_CLOSED} and as_instant(closedate)::date > latest_day(_synced_at)",
            reason="the deal is closed on a day that has not come yet",
            looks_up=("deal_stages",),
            forgive_above=0.2,
        ),
        Rule(
            id="closed_after_created",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when=f"{_IS_CLOSED} and as_instant(closedate) < as_instant(createdate) - interval 1 day",
            reason="the deal was closed before it was created",
            looks_up=("deal_stages",),
            forgive_above=0.2,
        ),
        Rule(
            id="probability_in_range",
            dimension=Dimension.VALIDITY,
            severity=Severity.WARNING,
            fails_when="as_decimal(hs_deal_stage_probability) not between 0 and 1",
            reason="the probability is not between 0 and 1",
        ),
        Rule(
            id="owner_active",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when=f"not {_IS_CLOSED} and exists (select 1 from owners as owner"
            " where owner.id = record.hubspot_owner_id and is_true(owner.archived))",
            reason="the deal is open and its owner is archived",
            looks_up=("deal_stages", "owners"),
            needs=("owners",),
        ),
        Rule(
            id="line_items_add_up",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when="abs(as_decimal(amount) - (select sum(item.amount)"
            " from (select unnest(as_ids(deal_ids)) as deal_id, as_decimal(amount) as amount from line_items) as item"
            " where item.deal_id = record.hs_object_id)) > 0.01",
            reason="the line items do not add up to the deal's amount",
            looks_up=("line_items",),
            needs=("line_items",),
        ),
    ),
    "products": (
        Rule(
            id="product_has_name",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="name is null",
            reason="the product has no name",
        ),
    ),
    "line_items": (
        Rule(
            id="quantity_not_negative",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="as_decimal(quantity) < 0",
            reason="the quantity is negative",
        ),
        Rule(
            id="line_item_has_deal",
            dimension=Dimension.INTEGRITY,
            severity=Severity.INFO,
            fails_when="hs_object_id not in (select item.id"
            " from (select hs_object_id as id, unnest(as_ids(deal_ids)) as deal_id from live) as item"
            " where item.deal_id in (select hs_object_id from deals))",
            reason="the line item belongs to no known deal",
            looks_up=("deals",),
            needs=("deals",),
        ),
    ),
}
