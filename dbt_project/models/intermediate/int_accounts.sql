with salesforce_accounts as (
    select * from {{ ref('stg_salesforce__accounts') }}
),

hubspot_companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

dynamics_accounts as (
    select * from {{ ref('stg_dynamics__accounts') }}
),

dynamics_currencies as (
    select * from {{ ref('stg_dynamics__transactioncurrencies') }}
),

zoho_accounts as (
    select * from {{ ref('stg_zoho__accounts') }}
),

users as (
    select * from {{ ref('int_users') }}
    where is_person
),

aliases as (
    select * from {{ ref('aliases') }}
    where domain = 'industry'
),

from_salesforce as (
    select
        'salesforce' as crm,
        account_id as source_account_id,
        parent_account_id as source_parent_id,
        owner_id,
        account_name,
        industry,
        country,
        website,
        currency_code,
        annual_revenue_amount,
        employee_count,
        waiver_ids,
        is_held_back,
        created_at,
    from salesforce_accounts
),

hubspot_merged_away as (
    select unnest(merged_company_ids) as company_id
    from hubspot_companies
),

from_hubspot as (
    select
        'hubspot' as crm,
        company_id as source_account_id,
        parent_company_id as source_parent_id,
        owner_id,
        company_name as account_name,
        industry,
        country,
        website,
        cast(null as varchar) as currency_code,
        annual_revenue_amount,
        employee_count,
        waiver_ids,
        is_held_back,
        created_at,
    from hubspot_companies
    anti join hubspot_merged_away using (company_id)
),

from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_accounts.account_id as source_account_id,
        dynamics_accounts.parent_account_id as source_parent_id,
        dynamics_accounts.owner_id,
        dynamics_accounts.account_name,
        dynamics_accounts.industry,
        dynamics_accounts.country,
        dynamics_accounts.website,
        dynamics_currencies.currency_code,
        dynamics_accounts.annual_revenue_amount,
        dynamics_accounts.employee_count,
        {{ waiver_ids_of('dynamics_accounts', 'dynamics_currencies') }} as waiver_ids,
        dynamics_accounts.is_held_back,
        dynamics_accounts.created_at,
    from dynamics_accounts
    left join dynamics_currencies on dynamics_currencies.currency_id = dynamics_accounts.currency_id
    where not dynamics_accounts.is_merged
),

from_zoho as (
    select
        'zoho' as crm,
        account_id as source_account_id,
        parent_account_id as source_parent_id,
        owner_id,
        account_name,
        industry,
        country,
        website,
        currency_code,
        annual_revenue_amount,
        employee_count,
        waiver_ids,
        is_held_back,
        created_at,
    from zoho_accounts
),

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
),

final as (
    select
        unioned.crm || ':' || unioned.source_account_id as account_id,
        unioned.crm || ':' || unioned.source_parent_id as parent_account_id,
        users.rep_id,
        unioned.crm,
        coalesce(unioned.account_name, unioned.source_account_id) as account_name,
        coalesce(aliases.canonical_name, unioned.industry) as industry,
        unioned.country,
        unioned.website,
        coalesce(unioned.currency_code, '{{ var("company_currency") }}') as currency_code,
        unioned.annual_revenue_amount,
        unioned.employee_count,
        {{ waiver_ids_of('unioned', 'users') }} as waiver_ids,
        unioned.is_held_back,
        {{ business_day('unioned.created_at', 'unioned.crm') }} as created_on,
    from unioned
    left join users on users.user_id = unioned.crm || ':' || unioned.owner_id
    left join aliases on lower(trim(aliases.alias)) = lower(trim(unioned.industry))
)

select * from final
