"""Where Zoho CRM keeps what the rules look at, and which rules each stream has: SQL on landed text.

When a record breaks a rule is said in `deals`, `customers` and `reps`; what follows from a stream's declaration alone,
in `declared`.
"""

from collections.abc import Mapping

from expectations.catalogue import PRODUCT_HAS_NAME, STAGE_KNOWN, USER_EMAIL_VALID
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

# Zoho CRM has no flag for won and lost: the stage's forecast type says so. Staging decides the same way.
_STAGE = "from deal_stages as stage_row where stage_row.actual_value = record.Stage"
_IS_WON = f"exists (select 1 {_STAGE} and stage_row.forecast_type = 'Closed Won')"
_IS_CLOSED = f"exists (select 1 {_STAGE} and stage_row.forecast_type in ('Closed Won', 'Closed Lost'))"

DEALS = Deals(
    account="record.Account_Name",
    owner="record.Owner",
    amount="record.Amount",
    currency="record.Currency",
    currency_code="upper(record.Currency)",
    has_several_currencies="(select count(*) > 1 from currencies)",
    several_currencies=("currencies",),
    closes="record.Closing_Date",
    closes_on="as_day(record.Closing_Date)",
    created_at="as_instant(record.Created_Time)",
    is_won=_IS_WON,
    is_closed=_IS_CLOSED,
    stage="record.Stage",
    probability="as_decimal(record.Probability)",
    is_against_stage="as_decimal(record.Probability) is not null"
    f" and exists (select 1 {_STAGE}) and not exists (select 1 {_STAGE}"
    " and abs(as_decimal(stage_row.probability) - as_decimal(record.Probability)) < 1)",
    stages=("deal_stages",),
    stages_needed=("deal_stages",),
    staff=Derived(
        name="deal_owners",
        sql="select person.id as key, coalesce(person.status = 'active', false) as is_active,"
        " as_instant(person.Modified_Time)::date as changed_on from users as person",
        looks_up=("users",),
    ),
    sizes=Derived(
        name="account_sizes",
        sql="select account.id as key, as_decimal(account.Employees) as employees from accounts as account",
        looks_up=("accounts",),
    ),
    ends=Derived(
        name="deal_ends",
        # a row of the history is written for the last time when the deal moves on
        sql="select step.Potential_Name as deal_key, as_instant(step.Modified_Time) as happened_at"
        " from stage_history as step where step.Moved_To__s <> step.Stage",
        looks_up=("stage_history",),
    ),
    told=Derived(
        name="deals_told",
        sql="""
            select step.Potential_Name as deal_key,
                coalesce(
                    lag(as_instant(step.Modified_Time)) over (
                        partition by step.Potential_Name
                        order by as_instant(step.Modified_Time), step.Moved_To__s is null
                    ),
                    as_instant(step.Modified_Time)
                ) as happened_at,
                step.Stage in (
                    select stage_row.actual_value from deal_stages as stage_row
                    where stage_row.forecast_type in ('Closed Won', 'Closed Lost')
                ) as is_closed,
                as_day(step.Closing_Date) as closes_on,
                concat_ws(' | ', step.Stage, coalesce(step.Amount, '-'), coalesce(step.Closing_Date, '-')) as facts
            from stage_history as step
        """,
        looks_up=("stage_history", "deal_stages"),
    ),
    versions="concat_ws(' | ', record.Stage, coalesce(record.Amount, '-'), coalesce(record.Closing_Date, '-'),"
    " record.Owner)",
    signs=Derived(
        name="deal_signs",
        sql=" union all ".join(
            f"select sign.{deal} as deal_key, as_instant(sign.{stamp}) as happened_at from {stream} as sign"
            for stream, deal, stamp in (
                ("stage_history", "Potential_Name", "Modified_Time"),
                ("tasks", "What_Id", "Created_Time"),
                ("tasks", "What_Id", "Closed_Time"),
                ("calls", "What_Id", "Created_Time"),
                ("calls", "What_Id", "Call_Start_Time"),
                ("events", "What_Id", "Created_Time"),
                ("events", "What_Id", "Start_DateTime"),
            )
        ),
        looks_up=("stage_history", "tasks", "calls", "events"),
    ),
    visits=Derived(
        name="stage_visits",
        sql="select step.Stage as stage, sum(as_decimal(step.Stage_Duration_Calendar_Days)) as days"
        " from stage_history as step group by step.Potential_Name, step.Stage"
        " having bool_or(step.Moved_To__s <> step.Stage)",
        looks_up=("stage_history",),
    ),
)
ACCOUNTS = Accounts(
    name="record.Account_Name",
    has_no_name="record.Account_Name is null",
    website="record.Website",
    parent="record.Parent_Account",
    country="record.Billing_Country",
    created_at="as_instant(record.Created_Time)",
)
CONTACTS = Contacts(
    first_name="record.First_Name",
    last_name="record.Last_Name",
    email="record.Email",
    phone="record.Phone",
    account="record.Account_Name",
    accounts="accounts",
    accounts_key="id",
    created_at="as_instant(record.Created_Time)",
)
LEADS = Leads(
    person="concat_ws(' ', record.First_Name, record.Last_Name, record.Company)",
    email="record.Email",
    country="record.Country",
    status="record.Lead_Status",
    created_at="as_instant(record.Created_Time)",
    is_done="is_true(record.Converted__s)",
)
HIERARCHY = Hierarchy(
    person="record.id",
    manager="record.Reporting_To",
    email="record.email",
    is_active="coalesce(record.status = 'active', false)",
    sellers=Derived(
        name="sellers",
        sql="select deal.Owner as person from deals as deal union select quota.User from forecast_quotas as quota",
        looks_up=("deals", "forecast_quotas"),
    ),
)
EMPLOYMENT = Employment(
    person="record.id",
    since="as_instant(record.created_time)::date",
    until="case when record.status <> 'active' then as_instant(record.Modified_Time)::date end",
    quotas=Derived(
        name="quotas_of_people",
        sql="select quota.User as owner, as_day(quota.Start_Date) as starts_on, as_day(quota.End_Date) as ends_on"
        " from forecast_quotas as quota",
        looks_up=("forecast_quotas",),
    ),
)
_ACTIVITIES = activity_has_parent(
    *(("record.What_Id", stream, "id") for stream in ("deals", "accounts", "quotes", "sales_orders", "invoices")),
    ("record.What_Id", "campaigns", "id"),
    ("record.Who_Id", "contacts", "id"),
    ("record.Who_Id", "leads", "id"),
    needs=("deals", "accounts", "contacts", "leads"),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "users": (
        USER_EMAIL_VALID.fails_when("not coalesce(is_email(record.email), false)"),
        *hierarchy_rules(HIERARCHY),
        rep_has_quota(EMPLOYMENT),
    ),
    "accounts": tuple(account_rules(ACCOUNTS)),
    "contacts": tuple(contact_rules(CONTACTS)),
    "leads": tuple(lead_rules(LEADS)),
    "deals": (
        *deal_rules(DEALS, "deals"),
        STAGE_KNOWN.fails_when(
            f"record.Stage is not null and not exists (select 1 {_STAGE})", looks_up=("deal_stages",)
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("record.Product_Name is null"),),
    "forecast_quotas": (
        one_quota_at_a_time(
            owner="record.User",
            kind="null",
            starts_on="as_day(record.Start_Date)",
            ends_on="as_day(record.End_Date)",
        ),
    ),
    **dict.fromkeys(("tasks", "calls", "events"), (_ACTIVITIES,)),
}

_DEAL_OF_ACTIVITY = "(select max(deal.id) from deals as deal where deal.id = record.What_Id)"
MONEY: Mapping[str, Worth] = {
    "users": Worth(owner_key="record.id"),
    "deals": Worth(
        amount="as_decimal(record.Amount)",
        currency=DEALS.currency_code,
        outcome=f"case when {_IS_WON} then 'won' when {_IS_CLOSED} then 'lost' else 'open' end",
        deal_key="record.id",
        owner_key="record.Owner",
        looks_up=("deal_stages",),
    ),
    "leads": Worth(deal_key="record.Converted_Deal"),
    "forecast_quotas": Worth(owner_key="record.User"),
    **dict.fromkeys(("tasks", "calls", "events"), Worth(deal_key=_DEAL_OF_ACTIVITY, looks_up=("deals",))),
}
