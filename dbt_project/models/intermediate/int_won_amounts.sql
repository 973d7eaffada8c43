with salesforce_opportunities as (
    select * from {{ ref('stg_salesforce__opportunities') }}
),

hubspot_deals as (
    select * from {{ ref('stg_hubspot__deals') }}
),

hubspot_stages as (
    select * from {{ ref('stg_hubspot__deal_stages') }}
),

dynamics_opportunities as (
    select * from {{ ref('stg_dynamics__opportunities') }}
),

dynamics_currencies as (
    select * from {{ ref('stg_dynamics__transactioncurrencies') }}
),

zoho_deals as (
    select * from {{ ref('stg_zoho__deals') }}
),

zoho_won_stages as (
    select stage_name
    from {{ ref('stg_zoho__deal_stages') }}
    group by stage_name
    having min(forecast_type) = 'Closed Won'
),

salesforce_landed as (
    {{ landed_records('salesforce', 'opportunities') }}
),

hubspot_landed as (
    {{ landed_records('hubspot', 'deals') }}
),

dynamics_landed as (
    {{ landed_records('dynamics', 'opportunities') }}
),

zoho_landed as (
    {{ landed_records('zoho', 'deals') }}
),

hubspot_merged_deals as (
    select unnest(merged_deal_ids) as deal_id
    from hubspot_deals
),

-- Won deals as they landed, accepted or not. What cannot be read as an amount is none.
landed_won as (
    select
        'salesforce' as crm,
        upper(CurrencyIsoCode) as currency_code,
        try({{ to_decimal('Amount') }}) as amount,
        is_held_back,
    from salesforce_landed
    where try_cast(IsWon as boolean)
    union all by name
    select
        'hubspot' as crm,
        upper(hubspot_landed.deal_currency_code) as currency_code,
        try({{ to_decimal('hubspot_landed.amount') }}) as amount,
        hubspot_landed.is_held_back,
    from hubspot_landed
    left join hubspot_stages on hubspot_stages.stage_id = hubspot_landed.dealstage
    anti join hubspot_merged_deals on hubspot_merged_deals.deal_id = hubspot_landed.hs_object_id
    where
        coalesce(
            try_cast(hubspot_landed.hs_is_closed_won as boolean),
            hubspot_stages.is_closed and hubspot_stages.win_probability = 1
        )
    union all by name
    select
        'dynamics' as crm,
        coalesce(
            dynamics_currencies.currency_code, dynamics_landed._transactioncurrencyid_value
        ) as currency_code,
        try({{ to_decimal('dynamics_landed.actualvalue') }}) as amount,
        dynamics_landed.is_held_back,
    from dynamics_landed
    left join dynamics_currencies
        on dynamics_currencies.currency_id = dynamics_landed._transactioncurrencyid_value
    where try({{ to_decimal('dynamics_landed.statecode') }}) = 1
    union all by name
    select
        'zoho' as crm,
        upper(zoho_landed.Currency) as currency_code,
        try({{ to_decimal('zoho_landed.Amount') }}) as amount,
        zoho_landed.is_held_back,
    from zoho_landed
    semi join zoho_won_stages on zoho_won_stages.stage_name = zoho_landed.Stage
),

staged_won as (
    select
        'salesforce' as crm,
        currency_code,
        amount,
        is_held_back,
    from salesforce_opportunities
    where is_won
    union all by name
    select
        'hubspot' as crm,
        hubspot_deals.currency_code,
        hubspot_deals.amount,
        hubspot_deals.is_held_back,
    from hubspot_deals
    left join hubspot_stages on hubspot_stages.stage_id = hubspot_deals.stage_id
    anti join hubspot_merged_deals on hubspot_merged_deals.deal_id = hubspot_deals.deal_id
    where
        coalesce(hubspot_deals.is_won, hubspot_stages.is_closed and hubspot_stages.win_probability = 1)
    union all by name
    select
        'dynamics' as crm,
        coalesce(dynamics_currencies.currency_code, dynamics_opportunities.currency_id) as currency_code,
        dynamics_opportunities.actual_amount as amount,
        dynamics_opportunities.is_held_back,
    from dynamics_opportunities
    left join dynamics_currencies on dynamics_currencies.currency_id = dynamics_opportunities.currency_id
    where dynamics_opportunities.state_code = 1
    union all by name
    select
        'zoho' as crm,
        zoho_deals.currency_code,
        zoho_deals.amount,
        zoho_deals.is_held_back,
    from zoho_deals
    semi join zoho_won_stages on zoho_won_stages.stage_name = zoho_deals.stage_name
),

by_currency as (
    select
        crm,
        currency_code,
        amount as landed_amount,
        case when is_held_back then amount end as held_back_amount,
    from landed_won
    union all by name
    select
        crm,
        currency_code,
        amount as staged_amount,
        -- An earlier version stands in for one that is held back.
        case when is_held_back then -amount end as held_back_amount,
    from staged_won
),

final as (
    select
        crm,
        coalesce(currency_code, '{{ var("company_currency") }}') as currency_code,
        coalesce(sum(landed_amount), 0) as landed_amount,
        coalesce(sum(held_back_amount), 0) as held_back_amount,
        coalesce(sum(staged_amount), 0) as staged_amount,
    from by_currency
    group by all
)

select * from final
