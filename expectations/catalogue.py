"""The rules on sales records that every install starts with: what each is called, and how bad it is to break it.

When a record breaks one stands in `deals`, `customers` and `reps`, in the words that each CRM's own module declares.
"""

from dataclasses import dataclass

from expectations.rule import Derived, Dimension, Rule, Severity

COMPLETENESS, VALIDITY, UNIQUENESS = Dimension.COMPLETENESS, Dimension.VALIDITY, Dimension.UNIQUENESS
CONSISTENCY, TIMELINESS, INTEGRITY = Dimension.CONSISTENCY, Dimension.TIMELINESS, Dimension.INTEGRITY
WARNING, INFO = Severity.WARNING, Severity.INFO


@dataclass(frozen=True)
class RuleKind:
    """A rule without the condition, which depends on where a CRM keeps its facts."""

    id: str
    dimension: Dimension
    severity: Severity
    reason: str
    forgive_above: float = 1.0

    def fails_when(
        self,
        sql: str,
        *derived: Derived,
        looks_up: tuple[str, ...] = (),
        needs: tuple[str, ...] | None = None,
        other_key: str | None = None,
    ) -> Rule:
        """Complete the rule; without `needs`, it is skipped where a stream that it looks up has no records."""
        needed = (*looks_up, *(stream for table in derived for stream in table.looks_up)) if needs is None else needs
        return Rule(
            id=self.id,
            dimension=self.dimension,
            severity=self.severity,
            fails_when=sql,
            reason=self.reason,
            looks_up=looks_up,
            needs=tuple(dict.fromkeys(needed)),
            forgive_above=self.forgive_above,
            derived=derived,
            other_key=other_key,
        )

    def fails_for(self, found: Derived, *, needs: tuple[str, ...] | None = None) -> Rule:
        """Complete a rule whose bad records are those whose keys are in a derived table's column `key`."""
        return self.fails_when(f"record._key in (select key from {found.name})", found, needs=needs)

    def fails_for_later(self, pairs: Derived, *, needs: tuple[str, ...] | None = None) -> Rule:
        """Complete a rule on pairs: a derived table has each later record's `key`, and the earlier's as `other_key`."""
        return self.fails_when(
            f"record._key in (select key from {pairs.name})",
            pairs,
            needs=needs,
            other_key=f"(select min(pair.other_key) from {pairs.name} as pair where pair.key = record._key)",
        )


WON_HAS_AMOUNT = RuleKind("won_has_amount", COMPLETENESS, WARNING, "the deal is won and has no amount")
WON_HAS_CLOSE_DATE = RuleKind("won_has_close_date", COMPLETENESS, WARNING, "the deal is won and has no close date")
WON_HAS_OWNER = RuleKind("won_has_owner", COMPLETENESS, WARNING, "the deal is won and has no owner")
CLOSED_NOT_IN_FUTURE = RuleKind(
    "closed_not_in_future",
    CONSISTENCY,
    WARNING,
    "the deal is closed on a day that has not come yet",
    forgive_above=0.2,
)
CLOSED_AFTER_CREATED = RuleKind(
    "closed_after_created", CONSISTENCY, WARNING, "the deal was closed before it was created", forgive_above=0.2
)
CLOSE_DATE_NEAR_STAGE_CHANGE = RuleKind(
    "close_date_near_stage_change",
    TIMELINESS,
    INFO,
    "the close date is more than three days from the day on which the deal was set to won or lost",
)
PROBABILITY_IN_RANGE = RuleKind(
    "probability_in_range", VALIDITY, WARNING, "the probability is below nothing or above certain"
)
PROBABILITY_MATCHES_STAGE = RuleKind(
    "probability_matches_stage", CONSISTENCY, INFO, "the probability is not the one that the stage stands for"
)
STAGE_KNOWN = RuleKind("stage_known", INTEGRITY, INFO, "the stage is not in the CRM's own list of stages")
AMOUNT_PLAUSIBLE = RuleKind(
    "amount_plausible",
    VALIDITY,
    INFO,
    "the amount is far from what the owner's deals and those with customers of that size amount to",
)
CURRENCY_PRESENT = RuleKind(
    "currency_present", COMPLETENESS, WARNING, "the deal has an amount without a currency, and there are several"
)
CURRENCY_IS_ISO = RuleKind("currency_is_iso", VALIDITY, WARNING, "the deal's currency is not an ISO 4217 code in use")
CURRENCY_HAS_RATE = RuleKind(
    "currency_has_rate",
    COMPLETENESS,
    WARNING,
    "no exchange rate is known for the deal's currency and day",
    forgive_above=0.2,
)
SPLITS_ADD_UP = RuleKind("splits_add_up", CONSISTENCY, INFO, "the credit for the deal does not add up to 100 percent")
OWNER_ACTIVE = RuleKind("owner_active", CONSISTENCY, INFO, "the deal is open and its owner has left")
OWNER_ACTIVE_AT_CLOSE = RuleKind(
    "owner_active_at_close", CONSISTENCY, INFO, "the deal was won after its owner had left"
)
UNCHANGED_AFTER_PAY_PERIOD = RuleKind(
    "unchanged_after_pay_period",
    TIMELINESS,
    INFO,
    "amount, close date, owner or stage of a closed deal changed more than 15 days after the month it was closed in",
)
NO_OPEN_DUPLICATE = RuleKind(
    "no_open_duplicate",
    UNIQUENESS,
    INFO,
    "another open deal with the same account and amount was created within 30 days",
)
NOT_STALE = RuleKind(
    "not_stale", TIMELINESS, INFO, "nothing has happened on the open deal for longer than 95 % of deals take"
)
LINE_ITEMS_ADD_UP = RuleKind(
    "line_items_add_up", CONSISTENCY, INFO, "the line items do not add up to the deal's amount"
)
LINE_ITEM_HAS_DEAL = RuleKind("line_item_has_deal", INTEGRITY, INFO, "the line item belongs to no known deal")
QUANTITY_NOT_NEGATIVE = RuleKind("quantity_not_negative", VALIDITY, INFO, "the quantity is negative")
PRODUCT_HAS_NAME = RuleKind("product_has_name", COMPLETENESS, WARNING, "the product has no name")

ACCOUNT_HAS_NAME = RuleKind("account_has_name", COMPLETENESS, WARNING, "the account has nothing to call it by")
COUNTRY_VALID = RuleKind("country_valid", VALIDITY, INFO, "the country is neither a country's name nor its ISO code")
NO_DUPLICATE = RuleKind(
    "no_duplicate", UNIQUENESS, INFO, "an older record seems to be the same, perhaps in another spelling"
)
CONTACT_EMAIL_VALID = RuleKind("contact_email_valid", VALIDITY, INFO, "the contact's e-mail address is not one")
CONTACT_HAS_ACCOUNT = RuleKind("contact_has_account", INTEGRITY, INFO, "the contact belongs to no known account")
PHONE_VALID = RuleKind("phone_valid", VALIDITY, INFO, "the phone number cannot be dialled")
LEAD_EMAIL_VALID = RuleKind("lead_email_valid", VALIDITY, INFO, "the lead's e-mail address is not one")
LEAD_HAS_STATUS = RuleKind("lead_has_status", COMPLETENESS, INFO, "the lead has had no status for a day")
ACTIVITY_HAS_PARENT = RuleKind(
    "activity_has_parent", INTEGRITY, INFO, "the activity is about no known account, contact, lead or deal"
)

USER_EMAIL_VALID = RuleKind(
    "user_email_valid", VALIDITY, INFO, "the user has no valid e-mail address, by which a rep is known across CRMs"
)
REP_HAS_MANAGER = RuleKind(
    "rep_has_manager", COMPLETENESS, INFO, "somebody sells, has no manager that is known and leads nobody"
)
NO_MANAGER_CYCLE = RuleKind("no_manager_cycle", CONSISTENCY, INFO, "the user is, in the end, their own manager")
ONE_MANAGER_AT_A_TIME = RuleKind(
    "one_manager_at_a_time", UNIQUENESS, INFO, "the same e-mail address is two active users under two managers"
)
REP_HAS_QUOTA = RuleKind(
    "rep_has_quota", COMPLETENESS, INFO, "days on which the rep was at work are covered by no quota"
)
ONE_QUOTA_AT_A_TIME = RuleKind(
    "one_quota_at_a_time", UNIQUENESS, INFO, "the period overlaps that of another quota of the same owner"
)
