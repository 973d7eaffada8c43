with unioned as (
    select * from {{ ref('int_opportunities__unioned') }}
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

line_waivers as (
    select
        opportunity_id,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from lines
    where waiver_ids is not null
    group by opportunity_id
),

final as (
    select
        in_company_currency.opportunity_id,
        accounts.account_id,
        in_company_currency.crm || ':' || in_company_currency.owner_id as owner_id,
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
        {{ waiver_ids_of('in_company_currency', 'accounts', 'users', 'line_waivers') }} as waiver_ids,
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
    left join line_waivers on line_waivers.opportunity_id = in_company_currency.opportunity_id
    left join stage_map
        on stage_map.crm = in_company_currency.crm
        and stage_map.crm_stage = in_company_currency.crm_stage
)

select * from final
