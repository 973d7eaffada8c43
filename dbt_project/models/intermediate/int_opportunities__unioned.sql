with salesforce_opportunities as (
    select * from {{ ref('stg_salesforce__opportunities') }}
),

salesforce_stages as (
    select * from {{ ref('stg_salesforce__opportunity_stages') }}
),

hubspot_deals as (
    select * from {{ ref('stg_hubspot__deals') }}
),

hubspot_stages as (
    select * from {{ ref('stg_hubspot__deal_stages') }}
),

hubspot_companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

dynamics_opportunities as (
    select * from {{ ref('stg_dynamics__opportunities') }}
),

dynamics_stages as (
    select * from {{ ref('stg_dynamics__processstages') }}
),

dynamics_currencies as (
    select * from {{ ref('stg_dynamics__transactioncurrencies') }}
),

dynamics_accounts as (
    select * from {{ ref('stg_dynamics__accounts') }}
),

zoho_deals as (
    select * from {{ ref('stg_zoho__deals') }}
),

zoho_stages as (
    select * from {{ ref('stg_zoho__deal_stages') }}
),

salesforce_stage_defaults as (
    select
        stage_name,
        min(win_probability) as win_probability,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from salesforce_stages
    group by stage_name
),

from_salesforce as (
    select
        'salesforce' as crm,
        salesforce_opportunities.opportunity_id as source_opportunity_id,
        salesforce_opportunities.account_id as source_account_id,
        salesforce_opportunities.owner_id,
        salesforce_opportunities.opportunity_name,
        salesforce_opportunities.opportunity_type,
        salesforce_opportunities.stage_name as crm_stage,
        case
            when salesforce_opportunities.is_won then 'won'
            when salesforce_opportunities.is_closed then 'lost'
            else 'open'
        end as outcome,
        salesforce_opportunities.currency_code,
        salesforce_opportunities.amount as native_amount,
        coalesce(
            salesforce_opportunities.win_probability, salesforce_stage_defaults.win_probability
        ) as win_probability,
        {{ waiver_ids_of('salesforce_opportunities', 'salesforce_stage_defaults') }} as waiver_ids,
        salesforce_opportunities.is_held_back,
        salesforce_opportunities.close_on,
        salesforce_opportunities.created_at,
        salesforce_opportunities.modified_at,
    from salesforce_opportunities
    left join salesforce_stage_defaults
        on salesforce_stage_defaults.stage_name = salesforce_opportunities.stage_name
),

hubspot_merged_deals as (
    select unnest(merged_deal_ids) as deal_id
    from hubspot_deals
),

hubspot_merged_companies as (
    select
        company_id as survivor_id,
        unnest(merged_company_ids) as company_id,
        waiver_ids,
    from hubspot_companies
),

from_hubspot as (
    select
        'hubspot' as crm,
        hubspot_deals.deal_id as source_opportunity_id,
        -- The first company associated is the deal's.
        coalesce(hubspot_merged_companies.survivor_id, hubspot_deals.company_ids[1]) as source_account_id,
        hubspot_deals.owner_id,
        hubspot_deals.deal_name as opportunity_name,
        hubspot_deals.deal_type as opportunity_type,
        coalesce(hubspot_stages.stage_label, hubspot_deals.stage_id) as crm_stage,
        -- HubSpot calculates the deal's flags from its stage; a new deal may not have them yet.
        case
            when coalesce(
                hubspot_deals.is_won, hubspot_stages.is_closed and hubspot_stages.win_probability = 1
            ) then 'won'
            when coalesce(hubspot_deals.is_closed, hubspot_stages.is_closed) then 'lost'
            else 'open'
        end as outcome,
        hubspot_deals.currency_code,
        hubspot_deals.amount as native_amount,
        coalesce(hubspot_deals.win_probability, hubspot_stages.win_probability) as win_probability,
        {{ waiver_ids_of('hubspot_deals', 'hubspot_stages', 'hubspot_merged_companies') }} as waiver_ids,
        hubspot_deals.is_held_back,
        {{ business_day('hubspot_deals.close_at', "'hubspot'") }} as close_on,
        hubspot_deals.created_at,
        hubspot_deals.modified_at,
    from hubspot_deals
    left join hubspot_stages on hubspot_stages.stage_id = hubspot_deals.stage_id
    left join hubspot_merged_companies on hubspot_merged_companies.company_id = hubspot_deals.company_ids[1]
    anti join hubspot_merged_deals on hubspot_merged_deals.deal_id = hubspot_deals.deal_id
),

from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_opportunities.opportunity_id as source_opportunity_id,
        coalesce(dynamics_accounts.master_account_id, dynamics_opportunities.account_id) as source_account_id,
        dynamics_opportunities.owner_id,
        dynamics_opportunities.opportunity_name,
        cast(null as varchar) as opportunity_type,
        coalesce(dynamics_opportunities.step_name, dynamics_stages.stage_name) as crm_stage,
        case dynamics_opportunities.state_code
            when 1 then 'won'
            when 2 then 'lost'
            else 'open'
        end as outcome,
        -- A currency that cannot be read is no reason to take the amount for ours: its id will lack a rate, loudly.
        coalesce(dynamics_currencies.currency_code, dynamics_opportunities.currency_id) as currency_code,
        case
            when dynamics_opportunities.state_code = 1 then dynamics_opportunities.actual_amount
            else coalesce(dynamics_opportunities.estimated_amount, dynamics_opportunities.actual_amount)
        end as native_amount,
        dynamics_opportunities.win_probability,
        {{ waiver_ids_of('dynamics_opportunities', 'dynamics_stages', 'dynamics_currencies', 'dynamics_accounts') }}
            as waiver_ids,
        dynamics_opportunities.is_held_back,
        case
            when dynamics_opportunities.state_code in (1, 2) then dynamics_opportunities.actual_close_on
            else dynamics_opportunities.estimated_close_on
        end as close_on,
        dynamics_opportunities.created_at,
        dynamics_opportunities.modified_at,
    from dynamics_opportunities
    left join dynamics_stages
        on dynamics_stages.process_stage_id = dynamics_opportunities.process_stage_id
    left join dynamics_currencies on dynamics_currencies.currency_id = dynamics_opportunities.currency_id
    left join dynamics_accounts
        on dynamics_accounts.account_id = dynamics_opportunities.account_id
        and dynamics_accounts.is_merged
),

-- A stage may be in several pipelines, and means the same in each.
zoho_stages_by_name as (
    select
        stage_name,
        min(forecast_type) as forecast_type,
        min(win_probability) as win_probability,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from zoho_stages
    group by stage_name
),

from_zoho as (
    select
        'zoho' as crm,
        zoho_deals.deal_id as source_opportunity_id,
        zoho_deals.account_id as source_account_id,
        zoho_deals.owner_id,
        zoho_deals.deal_name as opportunity_name,
        zoho_deals.deal_type as opportunity_type,
        zoho_deals.stage_name as crm_stage,
        case zoho_stages_by_name.forecast_type
            when 'Closed Won' then 'won'
            when 'Closed Lost' then 'lost'
            else 'open'
        end as outcome,
        zoho_deals.currency_code,
        zoho_deals.amount as native_amount,
        coalesce(zoho_deals.win_probability, zoho_stages_by_name.win_probability) as win_probability,
        {{ waiver_ids_of('zoho_deals', 'zoho_stages_by_name') }} as waiver_ids,
        zoho_deals.is_held_back,
        zoho_deals.close_on,
        zoho_deals.created_at,
        zoho_deals.modified_at,
    from zoho_deals
    left join zoho_stages_by_name on zoho_stages_by_name.stage_name = zoho_deals.stage_name
),

final as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
)

select * from final
