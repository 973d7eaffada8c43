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

accounts as (
    select * from {{ ref('int_accounts') }}
),

users as (
    select * from {{ ref('int_users') }}
    where is_person
),

lines as (
    select * from {{ ref('int_opportunity_lines') }}
    where product_id is not null
),

stage_map as (
    select * from {{ ref('stage_map') }}
),

fx_rates as (
    select * from {{ ref('fx_rates') }}
),

salesforce_stage_defaults as (
    select
        stage_name,
        min(win_probability) as win_probability,
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
        hubspot_deals.is_held_back,
        {{ business_day('hubspot_deals.close_at') }} as close_on,
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
        dynamics_currencies.currency_code,
        case
            when dynamics_opportunities.state_code = 1 then dynamics_opportunities.actual_amount
            else coalesce(dynamics_opportunities.estimated_amount, dynamics_opportunities.actual_amount)
        end as native_amount,
        dynamics_opportunities.win_probability,
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

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
),

dated as (
    select
        * replace (coalesce(currency_code, '{{ var("company_currency") }}') as currency_code),
        crm || ':' || source_opportunity_id as opportunity_id,
        -- A deal lost without a day was lost, at the latest, when it last changed.
        case
            when outcome = 'won' then close_on
            when outcome = 'lost' then coalesce(close_on, {{ business_day('modified_at') }})
        end as closed_on,
        case when outcome = 'open' then close_on end as expected_close_on,
        {{ business_day('created_at') }} as created_on,
    from unioned
),

-- Closed deals are worth what their close day's rate says, open ones what the as-of day's does.
in_company_currency as (
    select
        dated.*,
        case
            when dated.currency_code = '{{ var("company_currency") }}' then 1
            else fx_rates.rate_to_company
        end as fx_rate,
    from dated
    left join fx_rates
        on fx_rates.currency_code = dated.currency_code
        and coalesce(dated.closed_on, {{ as_of_date() }})
        between fx_rates.valid_from and coalesce(fx_rates.valid_to, date '9999-12-31')
),

primary_products as (
    select
        opportunity_id,
        product_id,
    from lines
    qualify row_number() over (
        partition by opportunity_id order by line_amount desc nulls last, line_id
    ) = 1
),

final as (
    select
        in_company_currency.opportunity_id,
        accounts.account_id,
        coalesce(users.rep_id, 'unassigned') as rep_id,
        primary_products.product_id as primary_product_id,
        in_company_currency.crm,
        in_company_currency.opportunity_name,
        in_company_currency.opportunity_type,
        in_company_currency.crm_stage,
        case in_company_currency.outcome
            when 'won' then 'Closed Won'
            when 'lost' then 'Closed Lost'
            else coalesce(stage_map.stage, in_company_currency.crm_stage)
        end as stage,
        in_company_currency.outcome,
        in_company_currency.currency_code,
        case in_company_currency.outcome
            when 'won' then 5
            when 'lost' then 6
            else stage_map.stage_order
        end as stage_order,
        in_company_currency.native_amount,
        in_company_currency.fx_rate,
        cast(in_company_currency.native_amount * in_company_currency.fx_rate as decimal(18, 4)) as company_amount,
        cast(
            case in_company_currency.outcome
                when 'won' then 1
                when 'lost' then 0
                else coalesce(in_company_currency.win_probability, stage_map.default_win_probability)
            end as decimal(9, 6)
        ) as win_probability,
        in_company_currency.is_held_back,
        in_company_currency.created_on,
        in_company_currency.expected_close_on,
        in_company_currency.closed_on,
        in_company_currency.modified_at,
    from in_company_currency
    left join accounts
        on accounts.account_id = in_company_currency.crm || ':' || in_company_currency.source_account_id
    left join users on users.user_id = in_company_currency.crm || ':' || in_company_currency.owner_id
    left join primary_products on primary_products.opportunity_id = in_company_currency.opportunity_id
    left join stage_map
        on stage_map.crm = in_company_currency.crm
        and stage_map.crm_stage = in_company_currency.crm_stage
)

select * from final
