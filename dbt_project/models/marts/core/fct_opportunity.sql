with opportunities as (
    select * from {{ ref('int_opportunities') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

final as (
    select
        opportunities.opportunity_id,
        opportunities.account_id,
        opportunities.owner_id,
        opportunities.rep_id,
        reps.team_id,
        opportunities.primary_product_id,
        opportunities.crm,
        opportunities.opportunity_name,
        opportunities.opportunity_type,
        reps.region,
        opportunities.stage,
        opportunities.crm_stage,
        opportunities.outcome,
        opportunities.currency_code,
        opportunities.stage_order,
        opportunities.native_amount,
        cast(opportunities.fx_rate as decimal(18, 10)) as fx_rate,
        opportunities.company_amount,
        opportunities.win_probability,
        cast(opportunities.closed_on - opportunities.created_on as integer) as sales_cycle_days,
        {{ waiver_ids_of('opportunities', 'reps') }} as waiver_ids,
        opportunities.is_held_back,
        opportunities.created_on,
        opportunities.expected_close_on,
        opportunities.closed_on,
        opportunities.modified_at,
    from opportunities
    left join reps on reps.rep_id = opportunities.rep_id
)

select * from final
