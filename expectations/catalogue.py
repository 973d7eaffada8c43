"""The rules on sales records that every install starts with: what each is called, and how bad it is to break it.

When a record breaks one is a matter of the CRM's fields, and stands in the CRM's own module.
"""

from dataclasses import dataclass

from expectations.rule import Dimension, Rule, Severity


@dataclass(frozen=True)
class RuleKind:
    """A rule without the condition that only a CRM's fields can express."""

    id: str
    dimension: Dimension
    severity: Severity
    reason: str
    forgive_above: float = 1.0

    def fails_when(self, sql: str, *, looks_up: tuple[str, ...] = (), needs: tuple[str, ...] | None = None) -> Rule:
        """Complete the rule for a CRM; without `needs`, it is skipped where a stream it looks up has no records."""
        return Rule(
            id=self.id,
            dimension=self.dimension,
            severity=self.severity,
            fails_when=sql,
            reason=self.reason,
            looks_up=looks_up,
            needs=looks_up if needs is None else needs,
            forgive_above=self.forgive_above,
        )


USER_EMAIL_VALID = RuleKind(
    "user_email_valid",
    Dimension.VALIDITY,
    Severity.INFO,
    "the user has no valid e-mail address, by which a rep is known across CRMs",
)
ACCOUNT_HAS_NAME = RuleKind(
    "account_has_name", Dimension.COMPLETENESS, Severity.WARNING, "the account has nothing to call it by"
)
CONTACT_EMAIL_VALID = RuleKind(
    "contact_email_valid", Dimension.VALIDITY, Severity.INFO, "the contact's e-mail address is not one"
)
LEAD_HAS_STATUS = RuleKind("lead_has_status", Dimension.COMPLETENESS, Severity.INFO, "the lead has no status")
WON_HAS_AMOUNT = RuleKind(
    "won_has_amount", Dimension.COMPLETENESS, Severity.WARNING, "the deal is won and has no amount"
)
WON_HAS_CLOSE_DATE = RuleKind(
    "won_has_close_date", Dimension.COMPLETENESS, Severity.WARNING, "the deal is won and has no close date"
)
WON_HAS_OWNER = RuleKind("won_has_owner", Dimension.COMPLETENESS, Severity.WARNING, "the deal is won and has no owner")
CLOSED_NOT_IN_FUTURE = RuleKind(
    "closed_not_in_future",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "the deal is closed on a day that has not come yet",
    forgive_above=0.2,
)
CLOSED_AFTER_CREATED = RuleKind(
    "closed_after_created",
    Dimension.CONSISTENCY,
    Severity.WARNING,
    "the deal was closed before it was created",
    forgive_above=0.2,
)
PROBABILITY_IN_RANGE = RuleKind(
    "probability_in_range", Dimension.VALIDITY, Severity.WARNING, "the probability is below nothing or above certain"
)
STAGE_KNOWN = RuleKind(
    "stage_known", Dimension.INTEGRITY, Severity.INFO, "the stage is not in the CRM's own list of stages"
)
OWNER_ACTIVE = RuleKind("owner_active", Dimension.CONSISTENCY, Severity.INFO, "the deal is open and its owner has left")
LINE_ITEMS_ADD_UP = RuleKind(
    "line_items_add_up", Dimension.CONSISTENCY, Severity.INFO, "the line items do not add up to the deal's amount"
)
PRODUCT_HAS_NAME = RuleKind("product_has_name", Dimension.COMPLETENESS, Severity.WARNING, "the product has no name")
QUANTITY_NOT_NEGATIVE = RuleKind("quantity_not_negative", Dimension.VALIDITY, Severity.INFO, "the quantity is negative")
LINE_ITEM_HAS_DEAL = RuleKind(
    "line_item_has_deal", Dimension.INTEGRITY, Severity.INFO, "the line item belongs to no known deal"
)
