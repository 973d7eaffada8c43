-- Every grain adds up to the company, and the company to the opportunities.
{{ config(meta={'dagster': {'ref': {'name': 'kpi_total'}}}) }}

with facts as (
    select
        count(*) as created_count,
        count(*) filter (where outcome = 'won') as won_count,
        coalesce(sum(company_amount) filter (where outcome = 'won'), 0) as won_amount,
        count(*) filter (where outcome = 'lost') as lost_count,
        count(*) filter (where outcome = 'open') as pipeline_count,
        coalesce(sum(company_amount) filter (where outcome = 'open'), 0) as pipeline_amount,
    from {{ ref('fct_opportunity') }}
),

kpis as (
    select
        grain,
        sum(created_count) as created_count,
        sum(won_count) as won_count,
        sum(won_amount) as won_amount,
        sum(lost_count) as lost_count,
        sum(pipeline_count) as pipeline_count,
        sum(pipeline_amount) as pipeline_amount,
    from {{ ref('kpi_total') }}
    group by grain
)

select *
from kpis
cross join facts
where
    kpis.created_count <> facts.created_count
    or kpis.won_count <> facts.won_count
    or kpis.won_amount <> facts.won_amount
    or kpis.lost_count <> facts.lost_count
    or kpis.pipeline_count <> facts.pipeline_count
    or kpis.pipeline_amount <> facts.pipeline_amount
