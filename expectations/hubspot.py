"""Where HubSpot keeps what the rules look at, and which rules each stream has: SQL on landed text.

When a record breaks a rule is said in `deals`, `customers` and `reps`; what follows from a stream's declaration alone,
in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import (
    ACTIVITY_HAS_PARENT,
    LINE_ITEM_HAS_DEAL,
    PRODUCT_HAS_NAME,
    QUANTITY_NOT_NEGATIVE,
    USER_EMAIL_VALID,
)
from expectations.customers import Accounts, Contacts, Leads, account_rules, contact_rules, lead_rules
from expectations.deals import Deals, deal_rules
from expectations.reps import Employment, Hierarchy, hierarchy_rules, one_quota_at_a_time, rep_has_quota
from expectations.rule import Derived, Rule, Worth

# HubSpot works the flags out from the stage, and a new deal may not have them yet. Staging decides the same way.
_IS_WON = (
    "coalesce(as_boolean(record.hs_is_closed_won), exists (select 1 from deal_stages as stage_row"
    " where stage_row.id = record.dealstage and is_true(stage_row.isClosed)"
    " and as_decimal(stage_row.probability) = 1))"
)
_IS_CLOSED = (
    "coalesce(as_boolean(record.hs_is_closed), exists (select 1 from deal_stages as stage_row"
    " where stage_row.id = record.dealstage and is_true(stage_row.isClosed)))"
)
_ENGAGEMENTS = ("tasks", "calls", "meetings", "emails")

DEALS = Deals(
    account="as_ids(record.company_ids)[1]",
    owner="record.hubspot_owner_id",
    amount="record.amount",
    currency="record.deal_currency_code",
    currency_code="upper(record.deal_currency_code)",
    has_several_currencies="exists (select 1 from account_info as portal"
    " where len(as_ids(portal.additionalCurrencies)) > 0)",
    several_currencies=("account_info",),
    closes="record.closedate",
    closes_on="as_instant(record.closedate)::date",
    created_at="as_instant(record.createdate)",
    is_won=_IS_WON,
    is_closed=_IS_CLOSED,
    stage="record.dealstage",
    probability="as_decimal(record.hs_deal_stage_probability) * 100",
    is_against_stage="exists (select 1 from deal_stages as stage_row where stage_row.id = record.dealstage"
    " and abs(as_decimal(stage_row.probability) - as_decimal(record.hs_deal_stage_probability)) >= 0.01)",
    stages=("deal_stages",),
    staff=Derived(
        name="deal_owners",
        sql="select person.id as key, not is_true(person.archived) as is_active,"
        " as_instant(person.updatedAt)::date as changed_on from owners as person",
        looks_up=("owners",),
    ),
    sizes=Derived(
        name="account_sizes",
        sql="select company.hs_object_id as key, as_decimal(company.numberofemployees) as employees"
        " from companies as company",
        looks_up=("companies",),
    ),
    ends=Derived(
        name="deal_ends",
        sql="select change.deal_id as deal_key, as_instant(change.timestamp) as happened_at from deal_history as change"
        " where change.property = 'dealstage'",
        looks_up=("deal_history",),
    ),
    told=Derived(
        name="deals_told",
        # Each change tells of one property; what was saved together has one timestamp, the rest stayed as it was.
        sql="""
            select known.deal_key, known.happened_at,
                known.stage in (select stage_row.id from deal_stages as stage_row where is_true(stage_row.isClosed))
                    as is_closed,
                as_instant(known.closes)::date as closes_on,
                concat_ws(
                    ' | ', known.stage, coalesce(known.amount, '-'), coalesce(known.closes, '-'), known.owner
                ) as facts
            from (
                select saved.deal_key, saved.happened_at,
                    last_value(saved.stage ignore nulls) over so_far as stage,
                    last_value(saved.amount ignore nulls) over so_far as amount,
                    last_value(saved.closes ignore nulls) over so_far as closes,
                    last_value(saved.owner ignore nulls) over so_far as owner
                from (
                    select change.deal_id as deal_key, as_instant(change.timestamp) as happened_at,
                        max(change.value) filter (where change.property = 'dealstage') as stage,
                        max(change.value) filter (where change.property = 'amount') as amount,
                        max(change.value) filter (where change.property = 'closedate') as closes,
                        max(change.value) filter (where change.property = 'hubspot_owner_id') as owner
                    from deal_history as change group by all
                ) as saved
                window so_far as (
                    partition by saved.deal_key order by saved.happened_at
                    rows between unbounded preceding and current row
                )
            ) as known
        """,
        looks_up=("deal_history", "deal_stages"),
    ),
    versions="concat_ws(' | ', record.dealstage, coalesce(record.amount, '-'), coalesce(record.closedate, '-'),"
    " record.hubspot_owner_id)",
    signs=Derived(
        name="deal_signs",
        sql=" union all ".join(
            (
                "select change.deal_id as deal_key, as_instant(change.timestamp) as happened_at"
                " from deal_history as change",
                *(
                    f"select unnest(as_ids(activity.deal_ids)) as deal_key, as_instant(activity.{stamp}) as happened_at"
                    f" from {stream} as activity"
                    for stream in _ENGAGEMENTS
                    for stamp in ("hs_createdate", "hs_timestamp")
                ),
            )
        ),
        looks_up=("deal_history", *_ENGAGEMENTS),
    ),
    visits=Derived(
        name="stage_visits",
        sql="""
            select entered.stage, date_diff('day', entered.happened_at, entered.left_at) as days
            from (
                select change.value as stage, as_instant(change.timestamp) as happened_at,
                    lead(as_instant(change.timestamp)) over (
                        partition by change.deal_id order by as_instant(change.timestamp)
                    ) as left_at
                from deal_history as change where change.property = 'dealstage'
            ) as entered
            where entered.left_at is not null
        """,
        looks_up=("deal_history",),
    ),
    credit=Derived(
        name="deal_credit",
        sql="select split.hs_deal_id as deal_key, sum(as_decimal(split.hs_deal_split_percentage)) * 100 as percent"
        " from deal_splits as split group by split.hs_deal_id",
        looks_up=("deal_splits",),
    ),
    lines=Derived(
        name="deal_lines",
        sql="select line_item.deal_key, sum(line_item.amount) as amount"
        " from (select unnest(as_ids(item.deal_ids)) as deal_key, as_decimal(item.amount) as amount"
        " from line_items as item) as line_item group by line_item.deal_key",
        looks_up=("line_items",),
    ),
)
ACCOUNTS = Accounts(
    name="record.name",
    # HubSpot creates companies from e-mail addresses: for a while such a one is known by its domain alone.
    has_no_name="record.name is null and record.domain is null",
    website="record.domain",
    parent="record.hs_parent_company_id",
    country="record.country",
    created_at="as_instant(record.createdate)",
)
CONTACTS = Contacts(
    first_name="record.firstname",
    last_name="record.lastname",
    email="record.email",
    phone="record.phone",
    account="record.associatedcompanyid",
    accounts="companies",
    accounts_key="hs_object_id",
    created_at="as_instant(record.createdate)",
)
LEADS = Leads(
    person="record.hs_lead_name",
    status="record.hs_pipeline_stage",
    created_at="as_instant(record.hs_createdate)",
    is_done="coalesce(len(as_ids(record.deal_ids)) > 0, false)",
)
HIERARCHY = Hierarchy(
    person="lower(record.hs_email)",
    manager="lower(record.manager_email)",
    email="record.hs_email",
    is_active="exists (select 1 from owners as owner"
    " where lower(owner.email) = lower(record.hs_email) and not is_true(owner.archived))",
    looks_up=("owners",),
    sellers=Derived(
        name="sellers",
        sql="select lower(owner.email) as person from owners as owner"
        " where owner.id in (select deal.hubspot_owner_id from deals as deal)"
        " or owner.userId in (select target.hs_assignee_user_id from goal_targets as target)",
        looks_up=("owners", "deals", "goal_targets"),
    ),
)
EMPLOYMENT = Employment(
    person="coalesce(record.userId, record.userIdIncludingInactive)",
    since="as_instant(record.createdAt)::date",
    until="case when is_true(record.archived) then as_instant(record.updatedAt)::date end",
    quotas=Derived(
        name="quotas_of_people",
        sql="select target.hs_assignee_user_id as owner, as_instant(target.hs_start_datetime)::date as starts_on,"
        " as_instant(target.hs_end_datetime)::date as ends_on from goal_targets as target",
        looks_up=("goal_targets",),
    ),
)
# An association that could not be read is null, and says nothing; none at all is an empty list.
_ACTIVITIES = ACTIVITY_HAS_PARENT.fails_when(
    "len(as_ids(record.deal_ids)) = 0 and len(as_ids(record.company_ids)) = 0"
    " and len(as_ids(record.contact_ids)) = 0 and len(as_ids(record.lead_ids)) = 0"
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "owners": (
        USER_EMAIL_VALID.fails_when("not coalesce(is_email(record.email), false)"),
        rep_has_quota(EMPLOYMENT),
    ),
    "users": tuple(hierarchy_rules(HIERARCHY)),
    "companies": tuple(account_rules(ACCOUNTS)),
    "contacts": tuple(contact_rules(CONTACTS)),
    "leads": tuple(lead_rules(LEADS)),
    "deals": deal_rules(DEALS, "deals"),
    "products": (PRODUCT_HAS_NAME.fails_when("record.name is null"),),
    "line_items": (
        QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(record.quantity) < 0"),
        # the lines of orders are line items too, of no deal
        LINE_ITEM_HAS_DEAL.fails_when(
            "coalesce(len(as_ids(record.order_ids)), 0) = 0"
            " and not coalesce(list_has_any(as_ids(record.deal_ids),"
            " (select list(deal.hs_object_id) from deals as deal)), false)",
            looks_up=("deals",),
        ),
    ),
    "goal_targets": (
        one_quota_at_a_time(
            owner="record.hs_assignee_user_id",
            # what a goal is about stands in its name only, before the period
            kind="regexp_extract(lower(record.hs_goal_name), '^[^0-9]*')",
            starts_on="as_instant(record.hs_start_datetime)::date",
            ends_on="as_instant(record.hs_end_datetime)::date",
        ),
    ),
    **dict.fromkeys(_ENGAGEMENTS, (_ACTIVITIES,)),
}

_FIRST_DEAL = "as_ids(record.deal_ids)[1]"
MONEY: Mapping[str, Worth] = {
    "users": Worth(
        owner_key="(select min(owner.id) from owners as owner where lower(owner.email) = lower(record.hs_email))",
        looks_up=("owners",),
    ),
    "owners": Worth(owner_key="record.id"),
    "deals": Worth(
        amount="as_decimal(record.amount)",
        currency=DEALS.currency_code,
        outcome=f"case when {_IS_WON} then 'won' when {_IS_CLOSED} then 'lost' else 'open' end",
        deal_key="record.hs_object_id",
        owner_key="record.hubspot_owner_id",
        looks_up=("deal_stages",),
    ),
    "deal_splits": Worth(
        amount="as_decimal(record.hs_deal_split_amount)",
        deal_key="record.hs_deal_id",
        owner_key="record.hubspot_owner_id",
    ),
    "line_items": Worth(
        amount="as_decimal(record.amount)",
        currency="upper(record.hs_line_item_currency_code)",
        deal_key=_FIRST_DEAL,
    ),
    "leads": Worth(deal_key=_FIRST_DEAL),
    "goal_targets": Worth(
        owner_key="(select min(owner.id) from owners as owner where owner.userId = record.hs_assignee_user_id)",
        looks_up=("owners",),
    ),
    **dict.fromkeys(_ENGAGEMENTS, Worth(deal_key=_FIRST_DEAL)),
}
