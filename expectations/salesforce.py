"""Rules that are Salesforce's own, by stream: what can be decided on landed records alone.

Rules that follow from a stream's declaration are in `declared`; rules on typed, joined records are dbt tests.
"""

from collections.abc import Mapping

from expectations.rule import Dimension, Rule, Severity

RULES: Mapping[str, tuple[Rule, ...]] = {
    "users": (
        Rule(
            id="user_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not coalesce(is_email(Email), false)",
            reason="the user has no valid e-mail address, by which a rep is known across CRMs",
        ),
    ),
    "accounts": (
        Rule(
            id="account_has_name",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="Name is null",
            reason="the account has no name",
        ),
    ),
    "contacts": (
        Rule(
            id="contact_email_valid",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="not is_email(Email)",
            reason="the contact's e-mail address is not one",
        ),
    ),
    "leads": (
        Rule(
            id="lead_has_status",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.INFO,
            fails_when="Status is null",
            reason="the lead has no status",
        ),
    ),
    "opportunities": (
        Rule(
            id="won_has_amount",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="is_true(IsWon) and Amount is null",
            reason="the opportunity is won and has no amount",
        ),
        Rule(
            id="won_has_close_date",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="is_true(IsWon) and CloseDate is null",
            reason="the opportunity is won and has no close date",
        ),
        Rule(
            id="won_has_owner",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="is_true(IsWon) and OwnerId is null",
            reason="the opportunity is won and has no owner",
        ),
        Rule(
            id="closed_not_in_future",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when="is_true(IsClosed) and as_day(CloseDate) > latest_day(_synced_at)",
            reason="the opportunity is closed on a day that has not come yet",
            forgive_above=0.2,
        ),
        Rule(
            id="closed_after_created",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.WARNING,
            fails_when="is_true(IsClosed) and as_day(CloseDate) < as_instant(CreatedDate)::date - 1",
            reason="the opportunity was closed before it was created",
            forgive_above=0.2,
        ),
        Rule(
            id="probability_in_range",
            dimension=Dimension.VALIDITY,
            severity=Severity.WARNING,
            fails_when="as_decimal(Probability) not between 0 and 100",
            reason="the probability is not between 0 and 100 %",
        ),
        Rule(
            id="stage_known",
            dimension=Dimension.INTEGRITY,
            severity=Severity.INFO,
            fails_when="StageName is not null and not exists (select 1 from opportunity_stages as stage"
            " where record.StageName in (stage.ApiName, stage.MasterLabel))",
            reason="the stage is not in the CRM's own list of stages",
            looks_up=("opportunity_stages",),
            needs=("opportunity_stages",),
        ),
        Rule(
            id="owner_active",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when="not is_true(IsClosed) and exists (select 1 from users as owner"
            " where owner.Id = record.OwnerId and not as_boolean(owner.IsActive))",
            reason="the opportunity is open and its owner is inactive",
            looks_up=("users",),
            needs=("users",),
        ),
        Rule(
            id="line_items_add_up",
            dimension=Dimension.CONSISTENCY,
            severity=Severity.INFO,
            fails_when="abs(as_decimal(Amount) - (select sum(as_decimal(item.TotalPrice))"
            " from opportunity_line_items as item where item.OpportunityId = record.Id)) > 0.01",
            reason="the line items do not add up to the opportunity's amount",
            looks_up=("opportunity_line_items",),
            needs=("opportunity_line_items",),
        ),
    ),
    "products": (
        Rule(
            id="product_has_name",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.WARNING,
            fails_when="Name is null",
            reason="the product has no name",
        ),
    ),
    "opportunity_line_items": (
        Rule(
            id="quantity_not_negative",
            dimension=Dimension.VALIDITY,
            severity=Severity.INFO,
            fails_when="as_decimal(Quantity) < 0",
            reason="the quantity is negative",
        ),
    ),
}
