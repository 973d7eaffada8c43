with opportunities as (
    select * from {{ ref('fct_opportunity') }}
),

leads as (
    select * from {{ ref('fct_lead') }}
),

quotas as (
    select * from {{ ref('quotas') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

products as (
    select * from {{ ref('dim_product') }}
),

won as (
    select
        cast(date_trunc('month', closed_on) as date) as month,
        rep_id,
        coalesce(primary_product_id, 'unassigned') as product_id,
        count(*) as won_count,
        sum(company_amount) as won_amount,
        count(*) filter (where company_amount > 0) as positive_won_count,
        sum(company_amount) filter (where company_amount > 0) as positive_won_amount,
        count(*) filter (where sales_cycle_days >= 0) as won_with_cycle_count,
        sum(sales_cycle_days) filter (where sales_cycle_days >= 0) as won_cycle_days,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from opportunities
    where outcome = 'won'
    group by all
),

lost as (
    select
        cast(date_trunc('month', closed_on) as date) as month,
        rep_id,
        coalesce(primary_product_id, 'unassigned') as product_id,
        count(*) as lost_count,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from opportunities
    where outcome = 'lost'
    group by all
),

pipeline as (
    select
        cast(date_trunc('month', expected_close_on) as date) as month,
        rep_id,
        coalesce(primary_product_id, 'unassigned') as product_id,
        count(*) as pipeline_count,
        sum(company_amount) as pipeline_amount,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from opportunities
    where outcome = 'open'
    group by all
),

created as (
    select
        cast(date_trunc('month', created_on) as date) as month,
        rep_id,
        coalesce(primary_product_id, 'unassigned') as product_id,
        count(*) as created_count,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from opportunities
    group by all
),

leads_created as (
    select
        cast(date_trunc('month', created_on) as date) as month,
        rep_id,
        count(*) as lead_count,
        count(*) filter (where is_converted) as converted_lead_count,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from leads
    group by all
),

rep_quotas as (
    select
        quotas.month,
        reps.rep_id,
        quotas.quota_amount,
        reps.waiver_ids,
    from quotas
    inner join reps on reps.rep_id = lower(quotas.rep_email)
),

-- Leads and quotas have no product, and so no row at that grain.
unioned as (
    select * from won
    union all by name
    select * from lost
    union all by name
    select * from pipeline
    union all by name
    select * from created
    union all by name
    select * from leads_created
    union all by name
    select * from rep_quotas
),

by_grain as (
    select
        unioned.* exclude (rep_id, product_id),
        unnest([
            {grain: 'company', entity_id: 'company', entity_name: 'Company'},
            {grain: 'region', entity_id: reps.region, entity_name: reps.region},
            {grain: 'team', entity_id: reps.team_id, entity_name: reps.team_name},
            {grain: 'rep', entity_id: reps.rep_id, entity_name: reps.rep_name},
            {
                grain: 'product',
                entity_id: unioned.product_id,
                entity_name: coalesce(products.product_name, 'Unassigned')
            }
        ], recursive := true),
    from unioned
    left join reps on reps.rep_id = unioned.rep_id
    left join products on products.product_id = unioned.product_id
),

final as (
    select
        month,
        grain,
        entity_id,
        entity_name,
        coalesce(sum(created_count), 0) as created_count,
        coalesce(sum(won_count), 0) as won_count,
        coalesce(sum(won_amount), 0) as won_amount,
        coalesce(sum(lost_count), 0) as lost_count,
        coalesce(sum(positive_won_count), 0) as positive_won_count,
        coalesce(sum(positive_won_amount), 0) as positive_won_amount,
        coalesce(sum(won_with_cycle_count), 0) as won_with_cycle_count,
        coalesce(sum(won_cycle_days), 0) as won_cycle_days,
        coalesce(sum(pipeline_count), 0) as pipeline_count,
        coalesce(sum(pipeline_amount), 0) as pipeline_amount,
        case when grain <> 'product' then coalesce(sum(lead_count), 0) end as lead_count,
        case when grain <> 'product' then coalesce(sum(converted_lead_count), 0) end as converted_lead_count,
        sum(quota_amount) as quota_amount,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from by_grain
    where entity_id is not null
    group by month, grain, entity_id, entity_name
)

select * from final
