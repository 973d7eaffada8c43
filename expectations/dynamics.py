"""Rules that are Dynamics 365's own, by stream: what can be decided on landed records alone.

Rules that follow from a stream's declaration are in `declared`; rules on typed, joined records are dbt tests.
"""

from collections.abc import Mapping

from expectations.rule import Dimension, Rule, Severity

_IS_OPEN = "as_decimal(statecode) = 0"
_IS_WON = "as_decimal(statecode) = 1"
_IS_CLOSED = "as_decimal(statecode) in (1, 2)"

RULES: Mapping[str, tuple[Rule, ...]] = {
    "systemusers": (
        Rule(
            id="user_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not coalesce(is_email(internalemailaddress), false)",
            reason="the user has no valid e-mail address, by which a rep is known across CRMs",
        ),
    ),
    "accounts": (
        Rule(
            id="account_has_name",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="name is null",
            reason="the account has no name",
        ),
    ),
    "contacts": (
        Rule(
            id="contact_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not is_email(emailaddress1)",
            reason="the contact's e-mail address is not one",
        ),
    ),
    "leads": (
        Rule(
            id="lead_has_status",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.INFO,
            fails_when="statecode is null",
            reason="the lead has no status",
        ),
    ),
    "opportunities": (
        Rule(
            id="won_has_amount",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and actualvalue is null",
            reason="the opportunity is won and has no actual revenue",
        ),
        Rule(
            id="won_has_close_date",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and actualclosedate is null",
            reason="the opportunity is won and has no close date",
        ),
        Rule(
            id="won_has_owner",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when=f"{_IS_WON} and _ownerid_value is null",
            reason="the opportunity is won and has no owner",
        ),
        Rule(
            id="closed_not_in_future",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when=f"{_IS_CLOSED} and as_day(actualclosedate) > latest_day(_synced_at)",
            reason="the opportunity is closed on a day that has not come yet",
            forgive_above=0.2,
        ),
        Rule(
            id="closed_after_created",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when=f"{_IS_CLOSED} and as_day(actualclosedate) < as_instant(createdon)::date - 1",
            reason="the opportunity was closed before it was created",
            forgive_above=0.2,
        ),
        Rule(
            id="probability_in_range",
            dimension=Dimension.VALIDITY,
            severity=Severity.WARNING,
            fails_when="as_decimal(closeprobability) not between 0 and 100",
            reason="the probability is not between 0 and 100 %",
        ),
        Rule(
            id="stage_known",
            dimension=Dimension.INTEGRITY,
            severity=Severity.INFO,
            fails_when="stageid is not null"
            " and not exists (select 1 from processstages as stage where stage.processstageid = record.stageid)",
            reason="the stage is not in the CRM's own list of stages",
            looks_up=("processstages",),
            needs=("processstages",),
        ),
        Rule(
            id="owner_active",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when=f"{_IS_OPEN} and exists (select 1 from systemusers as owner"
            " where owner.systemuserid = record._ownerid_value and is_true(owner.isdisabled))",
            reason="the opportunity is open and its owner is disabled",
            looks_up=("systemusers",),
            needs=("systemusers",),
        ),
        Rule(
            id="line_items_add_up",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when=f"abs(as_decimal(case when {_IS_WON} then actualvalue else estimatedvalue end)"
            " - (select sum(as_decimal(item.extendedamount)) from opportunityproducts as item"
            " where item._opportunityid_value = record.opportunityid)) > 0.01",
            reason="the line items do not add up to the opportunity's revenue",
            looks_up=("opportunityproducts",),
            needs=("opportunityproducts",),
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
    "opportunityproducts": (
        Rule(
            id="quantity_not_negative",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="as_decimal(quantity) < 0",
            reason="the quantity is negative",
        ),
    ),
}
