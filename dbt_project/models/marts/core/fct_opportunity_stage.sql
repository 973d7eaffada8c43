with entries as (
    select * from {{ ref('int_opportunity_stage_entries') }}
),

opportunities as (
    select * from {{ ref('fct_opportunity') }}
),

visits as (
    select
        *,
        row_number() over in_order as visit_number,
        lead(entered_at) over in_order as left_at,
        lead(place) over in_order is null as is_current,
        lag(stage_order) over in_order as stage_order_before,
    from entries
    window in_order as (partition by opportunity_id order by place, entered_at, stage_order)
),

final as (
    select
        visits.opportunity_id,
        opportunities.account_id,
        opportunities.rep_id,
        opportunities.team_id,
        opportunities.primary_product_id,
        opportunities.crm,
        opportunities.region,
        visits.stage,
        visits.crm_stage,
        cast(visits.visit_number as integer) as visit_number,
        visits.stage_order,
        {{ hours_between('visits.entered_at', 'visits.left_at') }} as hours_in_stage,
        opportunities.company_amount,
        {{ waiver_ids_of('visits', 'opportunities') }} as waiver_ids,
        visits.is_current,
        coalesce(visits.stage_order < visits.stage_order_before, false) as is_backward,
        visits.entered_at,
        visits.left_at,
    from visits
    inner join opportunities on opportunities.opportunity_id = visits.opportunity_id
)

select * from final
