"""Where Salesforce keeps what the rules look at, and which rules each stream has: SQL on landed text.

When a record breaks a rule is said in `deals`, `customers` and `reps`; what follows from a stream's declaration alone,
in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import (
    LINE_ITEM_HAS_DEAL,
    PRODUCT_HAS_NAME,
    QUANTITY_NOT_NEGATIVE,
    STAGE_KNOWN,
    USER_EMAIL_VALID,
)
from expectations.customers import (
    Accounts,
    Contacts,
    Leads,
    account_rules,
    activity_has_parent,
    contact_rules,
    lead_rules,
)
from expectations.deals import Deals, deal_rules
from expectations.reps import Employment, Hierarchy, hierarchy_rules, one_quota_at_a_time, rep_has_quota
from expectations.rule import Derived, Rule, Worth

_OPEN_SPLIT = "is_true(split_type.IsTotalValidated)"
_PERIOD_END = "(select max(as_day(period.EndDate)) from periods as period where period.Id = record.PeriodId)"
_STAGE = "stage_row.ApiName = record.StageName or stage_row.MasterLabel = record.StageName"

DEALS = Deals(
    account="record.AccountId",
    owner="record.OwnerId",
    amount="record.Amount",
    currency="record.CurrencyIsoCode",
    currency_code="upper(record.CurrencyIsoCode)",
    has_several_currencies="(select count(*) > 1 from currency_types)",
    several_currencies=("currency_types",),
    closes="record.CloseDate",
    closes_on="as_day(record.CloseDate)",
    created_at="as_instant(record.CreatedDate)",
    is_won="is_true(record.IsWon)",
    is_closed="is_true(record.IsClosed)",
    stage="record.StageName",
    probability="as_decimal(record.Probability)",
    is_against_stage="as_decimal(record.Probability) is not null"
    f" and exists (select 1 from opportunity_stages as stage_row where {_STAGE})"
    f" and not exists (select 1 from opportunity_stages as stage_row where ({_STAGE})"
    " and abs(as_decimal(stage_row.DefaultProbability) - as_decimal(record.Probability)) < 1)",
    stages=("opportunity_stages",),
    staff=Derived(
        name="deal_owners",
        sql="select person.Id as key, is_true(person.IsActive) as is_active,"
        " as_instant(person.SystemModstamp)::date as changed_on from users as person",
        looks_up=("users",),
    ),
    sizes=Derived(
        name="account_sizes",
        sql="select account.Id as key, as_decimal(account.NumberOfEmployees) as employees from accounts as account",
        looks_up=("accounts",),
    ),
    ends=Derived(
        name="deal_ends",
        sql="select record._key as deal_key, as_instant(record.LastStageChangeDate) as happened_at from live as record",
    ),
    told=Derived(
        name="deals_told",
        sql="""
            select step.OpportunityId as deal_key, as_instant(step.CreatedDate) as happened_at,
                exists (
                    select 1 from opportunity_stages as stage_row
                    where is_true(stage_row.IsClosed) and step.StageName in (stage_row.ApiName, stage_row.MasterLabel)
                ) as is_closed,
                as_day(step.CloseDate) as closes_on,
                concat_ws(' | ', step.StageName, coalesce(step.Amount, '-'), coalesce(step.CloseDate, '-')) as facts
            from opportunity_history as step
        """,
        looks_up=("opportunity_history", "opportunity_stages"),
    ),
    versions="concat_ws(' | ', record.StageName, coalesce(record.Amount, '-'), coalesce(record.CloseDate, '-'),"
    " record.OwnerId)",
    signs=Derived(
        name="deal_signs",
        sql="""
            select task.WhatId as deal_key, as_instant(task.CreatedDate) as happened_at from tasks as task
            union all
            select task.WhatId, as_day(task.ActivityDate)::timestamp from tasks as task
            union all
            select event.WhatId, as_instant(event.CreatedDate) from events as event
            union all
            select event.WhatId, as_day(event.ActivityDate)::timestamp from events as event
            union all
            select step.OpportunityId, as_instant(step.CreatedDate) from opportunity_history as step
        """,
        looks_up=("tasks", "events", "opportunity_history"),
    ),
    visits=Derived(
        name="stage_visits",
        sql="""
            select entered.stage, date_diff('day', entered.happened_at, entered.left_at) as days
            from (
                select step.stage, step.happened_at,
                    lead(step.happened_at) over (partition by step.deal_key order by step.happened_at) as left_at
                from (
                    select change.OpportunityId as deal_key, change.StageName as stage,
                        as_instant(change.CreatedDate) as happened_at
                    from opportunity_history as change
                    qualify change.StageName is distinct from lag(change.StageName) over (
                        partition by change.OpportunityId order by as_instant(change.CreatedDate)
                    )
                ) as step
            ) as entered
            where entered.left_at is not null
        """,
        looks_up=("opportunity_history",),
    ),
    credit=Derived(
        name="deal_credit",
        sql="select split.OpportunityId as deal_key, sum(as_decimal(split.SplitPercentage)) as percent"
        " from opportunity_splits as split join opportunity_split_types as split_type"
        f" on split_type.Id = split.SplitTypeId and {_OPEN_SPLIT}"
        " group by split.OpportunityId, split.SplitTypeId",
        looks_up=("opportunity_splits", "opportunity_split_types"),
    ),
    lines=Derived(
        name="deal_lines",
        sql="select item.OpportunityId as deal_key, sum(as_decimal(item.TotalPrice)) as amount"
        " from opportunity_line_items as item group by item.OpportunityId",
        looks_up=("opportunity_line_items",),
    ),
)
ACCOUNTS = Accounts(
    name="record.Name",
    has_no_name="record.Name is null",
    website="record.Website",
    parent="record.ParentId",
    country="record.BillingCountry",
    created_at="as_instant(record.CreatedDate)",
)
CONTACTS = Contacts(
    first_name="record.FirstName",
    last_name="record.LastName",
    email="record.Email",
    phone="record.Phone",
    account="record.AccountId",
    accounts="accounts",
    accounts_key="Id",
    created_at="as_instant(record.CreatedDate)",
)
LEADS = Leads(
    person="concat_ws(' ', record.FirstName, record.LastName, record.Company)",
    email="record.Email",
    country="record.Country",
    status="record.Status",
    created_at="as_instant(record.CreatedDate)",
    is_done="is_true(record.IsConverted)",
)
HIERARCHY = Hierarchy(
    person="record.Id",
    manager="record.ManagerId",
    email="record.Email",
    is_active="is_true(record.IsActive)",
    sellers=Derived(
        name="sellers",
        sql="select deal.OwnerId as person from opportunities as deal"
        " union select quota.QuotaOwnerId from forecasting_quotas as quota",
        looks_up=("opportunities", "forecasting_quotas"),
    ),
)
EMPLOYMENT = Employment(
    person="record.Id",
    since="as_instant(record.CreatedDate)::date",
    until="case when not is_true(record.IsActive) then as_instant(record.SystemModstamp)::date end",
    quotas=Derived(
        name="quotas_of_people",
        sql="select quota.QuotaOwnerId as owner, as_day(quota.StartDate) as starts_on,"
        " as_day(period.EndDate) as ends_on from forecasting_quotas as quota"
        " join periods as period on period.Id = quota.PeriodId",
        looks_up=("forecasting_quotas", "periods"),
    ),
)
# the first three characters of an id tell what it belongs to
_ACTIVITIES = activity_has_parent(
    ("record.WhatId", "opportunities", "Id"),
    ("record.WhatId", "accounts", "Id"),
    ("record.AccountId", "accounts", "Id"),
    ("record.WhoId", "contacts", "Id"),
    ("record.WhoId", "leads", "Id"),
    needs=("opportunities", "accounts", "contacts", "leads"),
    is_about_something_else="coalesce(left(record.WhatId, 3) not in ('001', '006'), false)",
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "users": (
        USER_EMAIL_VALID.fails_when("not coalesce(is_email(record.Email), false)"),
        *hierarchy_rules(HIERARCHY),
        rep_has_quota(EMPLOYMENT),
    ),
    "accounts": tuple(account_rules(ACCOUNTS)),
    "contacts": tuple(contact_rules(CONTACTS)),
    "leads": tuple(lead_rules(LEADS)),
    "opportunities": (
        *deal_rules(DEALS, "opportunities"),
        STAGE_KNOWN.fails_when(
            "record.StageName is not null and not exists (select 1 from opportunity_stages as stage_row"
            f" where {_STAGE})",
            looks_up=("opportunity_stages",),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("record.Name is null"),),
    "opportunity_line_items": (
        QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(record.Quantity) < 0"),
        LINE_ITEM_HAS_DEAL.fails_when(
            "not exists (select 1 from opportunities as deal where deal.Id = record.OpportunityId)",
            looks_up=("opportunities",),
        ),
    ),
    "forecasting_quotas": (
        one_quota_at_a_time(
            owner="record.QuotaOwnerId",
            kind="record.IsAmount",
            starts_on="as_day(record.StartDate)",
            ends_on=_PERIOD_END,
            looks_up=("periods",),
        ),
    ),
    "tasks": (_ACTIVITIES,),
    "events": (_ACTIVITIES,),
}

MONEY: Mapping[str, Worth] = {
    "users": Worth(owner_key="record.Id"),
    "opportunities": Worth(
        amount="as_decimal(record.Amount)",
        currency=DEALS.currency_code,
        outcome=f"case when {DEALS.is_won} then 'won' when {DEALS.is_closed} then 'lost' else 'open' end",
        deal_key="record.Id",
        owner_key="record.OwnerId",
    ),
    "opportunity_line_items": Worth(
        amount="as_decimal(record.TotalPrice)",
        currency="(select max(upper(deal.CurrencyIsoCode)) from opportunities as deal"
        " where deal.Id = record.OpportunityId)",
        deal_key="record.OpportunityId",
        looks_up=("opportunities",),
    ),
    "opportunity_splits": Worth(
        amount="as_decimal(record.SplitAmount)", deal_key="record.OpportunityId", owner_key="record.SplitOwnerId"
    ),
    "leads": Worth(deal_key="record.ConvertedOpportunityId"),
    "tasks": Worth(deal_key="case when starts_with(record.WhatId, '006') then record.WhatId end"),
    "events": Worth(deal_key="case when starts_with(record.WhatId, '006') then record.WhatId end"),
    "forecasting_quotas": Worth(owner_key="record.QuotaOwnerId"),
}
