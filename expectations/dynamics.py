"""Where Dynamics 365 keeps what the rules look at, and which rules each stream has: SQL on landed text.

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

_IS_WON = "coalesce(as_decimal(record.statecode) = 1, false)"
_IS_CLOSED = "coalesce(as_decimal(record.statecode) in (1, 2), false)"
_AMOUNT = f"case when {_IS_WON} then record.actualvalue else coalesce(record.estimatedvalue, record.actualvalue) end"
_ACTIVITY_STREAMS = ("tasks", "phonecalls", "appointments", "emails")
_REGARDING = "record._regardingobjectid_value"

DEALS = Deals(
    account="coalesce(record._parentaccountid_value, record._customerid_value)",
    owner="record._ownerid_value",
    amount=f"({_AMOUNT})",
    currency="record._transactioncurrencyid_value",
    # As in staging, a currency that cannot be read is not taken for ours: its id is no code, and has no rate.
    currency_code="coalesce((select max(upper(currency.isocurrencycode)) from transactioncurrencies as currency"
    " where currency.transactioncurrencyid = record._transactioncurrencyid_value),"
    " record._transactioncurrencyid_value)",
    currencies=("transactioncurrencies",),
    has_several_currencies="(select count(*) > 1 from transactioncurrencies)",
    several_currencies=("transactioncurrencies",),
    closes=f"(case when {_IS_CLOSED} then record.actualclosedate else record.estimatedclosedate end)",
    closes_on=f"as_day(case when {_IS_CLOSED} then record.actualclosedate else record.estimatedclosedate end)",
    created_at="as_instant(record.createdon)",
    is_won=_IS_WON,
    is_closed=_IS_CLOSED,
    stage="'any'",
    probability="as_decimal(record.closeprobability)",
    # a stage has no probability of its own, but an end has
    is_against_stage="case as_decimal(record.statecode) when 1 then as_decimal(record.closeprobability) <> 100"
    " when 2 then as_decimal(record.closeprobability) <> 0 else as_decimal(record.closeprobability) = 100 end",
    staff=Derived(
        name="deal_owners",
        sql="select person.systemuserid as key, not is_true(person.isdisabled) as is_active,"
        " as_instant(person.modifiedon)::date as changed_on from systemusers as person",
        looks_up=("systemusers",),
    ),
    sizes=Derived(
        name="account_sizes",
        sql="select account.accountid as key, as_decimal(account.numberofemployees) as employees"
        " from accounts as account",
        looks_up=("accounts",),
    ),
    ends=Derived(
        name="deal_ends",
        # when the closing was entered; the day it is said to have been is the deal's close date once more
        sql="select deal_close._opportunityid_value as deal_key, as_instant(deal_close.createdon) as happened_at"
        " from opportunitycloses as deal_close",
        looks_up=("opportunitycloses",),
    ),
    told=Derived(
        name="deals_told",
        # A deal's last closing tells what it was worth then; changes in between only the landing remembers.
        sql=f"""
            select deal_close._opportunityid_value as deal_key, as_instant(deal_close.createdon) as happened_at,
                true as is_closed, as_instant(deal_close.actualend)::date as closes_on,
                as_decimal(deal_close.actualrevenue)::varchar as facts
            from opportunitycloses as deal_close
            qualify row_number() over (
                partition by deal_close._opportunityid_value order by as_instant(deal_close.createdon) desc
            ) = 1
            union all
            select record.opportunityid, as_instant(record.modifiedon), true, as_day(record.actualclosedate),
                as_decimal(record.actualvalue)::varchar
            from live as record where {_IS_WON}
        """,
        looks_up=("opportunitycloses",),
    ),
    versions=f"concat_ws(' | ', record.statecode, coalesce({_AMOUNT}, '-'), coalesce(record.actualclosedate, '-'),"
    " record._ownerid_value)",
    signs=Derived(
        name="deal_signs",
        sql=" union all ".join(
            (
                # the deal itself is stamped by mass updates too
                "select process._opportunityid_value as deal_key,"
                " as_instant(process.activestagestartedon) as happened_at from opportunitysalesprocesses as process",
                *(
                    f"select activity._regardingobjectid_value as deal_key, as_instant(activity.{stamp}) as happened_at"
                    f" from {stream} as activity"
                    for stream in _ACTIVITY_STREAMS
                    for stamp in ("createdon", "scheduledstart")
                ),
            )
        ),
        looks_up=("opportunitysalesprocesses", *_ACTIVITY_STREAMS),
    ),
    visits=Derived(
        name="stage_visits",
        # Dataverse does not keep when a deal was in which stage: the way from the first to the last stands for each.
        sql="select 'any' as stage, date_diff('day', as_instant(record.createdon), as_instant(deal_close.createdon))"
        " as days from live as record join opportunitycloses as deal_close"
        " on deal_close._opportunityid_value = record.opportunityid",
        looks_up=("opportunitycloses",),
    ),
    lines=Derived(
        name="deal_lines",
        sql="select item._opportunityid_value as deal_key, sum(as_decimal(item.extendedamount)) as amount"
        " from opportunityproducts as item group by item._opportunityid_value",
        looks_up=("opportunityproducts",),
    ),
)
ACCOUNTS = Accounts(
    name="record.name",
    has_no_name="record.name is null",
    website="record.websiteurl",
    parent="record._parentaccountid_value",
    country="record.address1_country",
    created_at="as_instant(record.createdon)",
    is_merged="is_true(record.merged)",
)
CONTACTS = Contacts(
    first_name="record.firstname",
    last_name="record.lastname",
    email="record.emailaddress1",
    phone="record.telephone1",
    account="record._parentcustomerid_value",
    accounts="accounts",
    accounts_key="accountid",
    created_at="as_instant(record.createdon)",
    is_merged="is_true(record.merged)",
)
LEADS = Leads(
    person="concat_ws(' ', record.fullname, record.companyname)",
    email="record.emailaddress1",
    country="record.address1_country",
    status="record.statecode",
    created_at="as_instant(record.createdon)",
    is_done="(is_true(record.merged) or coalesce(as_decimal(record.statecode) = 1, false))",
)
HIERARCHY = Hierarchy(
    person="record.systemuserid",
    manager="record._parentsystemuserid_value",
    email="record.internalemailaddress",
    is_active="not is_true(record.isdisabled)",
    sellers=Derived(
        name="sellers",
        sql="select deal._ownerid_value as person from opportunities as deal"
        " union select goal._goalownerid_value from goals as goal",
        looks_up=("opportunities", "goals"),
    ),
)
EMPLOYMENT = Employment(
    person="record.systemuserid",
    since="as_instant(record.createdon)::date",
    until="case when is_true(record.isdisabled) then as_instant(record.modifiedon)::date end",
    quotas=Derived(
        name="quotas_of_people",
        sql="select goal._goalownerid_value as owner, as_day(goal.goalstartdate) as starts_on,"
        " as_day(goal.goalenddate) as ends_on from goals as goal",
        looks_up=("goals",),
    ),
)
_ACTIVITIES = activity_has_parent(
    (_REGARDING, "opportunities", "opportunityid"),
    (_REGARDING, "accounts", "accountid"),
    (_REGARDING, "contacts", "contactid"),
    (_REGARDING, "leads", "leadid"),
    needs=("opportunities", "accounts", "contacts", "leads"),
    is_about_something_else="coalesce(record._regardingobjectid_value_type"
    " not in ('opportunity', 'account', 'contact', 'lead'), false)",
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "systemusers": (
        USER_EMAIL_VALID.fails_when("not coalesce(is_email(record.internalemailaddress), false)"),
        *hierarchy_rules(HIERARCHY),
        rep_has_quota(EMPLOYMENT),
    ),
    "accounts": tuple(account_rules(ACCOUNTS)),
    "contacts": tuple(contact_rules(CONTACTS)),
    "leads": tuple(lead_rules(LEADS)),
    "opportunities": (
        *deal_rules(DEALS, "opportunities"),
        STAGE_KNOWN.fails_when(
            "record.stageid is not null and not exists (select 1 from processstages as stage_row"
            " where stage_row.processstageid = record.stageid)",
            looks_up=("processstages",),
        ),
    ),
    "products": (PRODUCT_HAS_NAME.fails_when("record.name is null"),),
    "opportunityproducts": (
        QUANTITY_NOT_NEGATIVE.fails_when("as_decimal(record.quantity) < 0"),
        LINE_ITEM_HAS_DEAL.fails_when(
            "not exists (select 1 from opportunities as deal where deal.opportunityid = record._opportunityid_value)",
            looks_up=("opportunities",),
        ),
    ),
    "goals": (
        one_quota_at_a_time(
            owner="record._goalownerid_value",
            kind="record._metricid_value",
            starts_on="as_day(record.goalstartdate)",
            ends_on="as_day(record.goalenddate)",
        ),
    ),
    **dict.fromkeys(_ACTIVITY_STREAMS, (_ACTIVITIES,)),
}

MONEY: Mapping[str, Worth] = {
    "systemusers": Worth(owner_key="record.systemuserid"),
    "opportunities": Worth(
        amount=f"as_decimal({DEALS.amount})",
        currency=DEALS.currency_code,
        outcome=f"case when {_IS_WON} then 'won' when {_IS_CLOSED} then 'lost' else 'open' end",
        deal_key="record.opportunityid",
        owner_key="record._ownerid_value",
        looks_up=("transactioncurrencies",),
    ),
    "opportunityproducts": Worth(
        amount="as_decimal(record.extendedamount)",
        currency="(select max(upper(currency.isocurrencycode)) from opportunities as deal"
        " join transactioncurrencies as currency"
        " on currency.transactioncurrencyid = deal._transactioncurrencyid_value"
        " where deal.opportunityid = record._opportunityid_value)",
        deal_key="record._opportunityid_value",
        looks_up=("opportunities", "transactioncurrencies"),
    ),
    "leads": Worth(deal_key="record._qualifyingopportunityid_value"),
    "goals": Worth(owner_key="record._goalownerid_value"),
    **dict.fromkeys(
        _ACTIVITY_STREAMS,
        Worth(deal_key=f"case when record._regardingobjectid_value_type = 'opportunity' then {_REGARDING} end"),
    ),
}
