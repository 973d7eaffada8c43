-- Every month of every grain adds up to what closed in it.
{{ config(meta={'dagster': {'ref': {'name': 'kpi_month'}}}) }}

with facts as (
    select
        cast(date_trunc('month', closed_on) as date) as month,
        count(*) filter (where outcome = 'won') as won_count,
        coalesce(sum(company_amount) filter (where outcome = 'won'), 0) as won_amount,
        count(*) filter (where outcome = 'lost') as lost_count,
    from {{ ref('fct_opportunity') }}
    where closed_on is not null
    group by all
),

grains as (
    select unnest(['company', 'region', 'team', 'rep', 'product']) as grain
),

kpis as (
    select
        month,
        grain,
        sum(won_count) as won_count,
        sum(won_amount) as won_amount,
        sum(lost_count) as lost_count,
    from {{ ref('kpi_month') }}
    group by all
)

select
    facts.*,
    grains.grain,
    kpis.won_count as kpi_won_count,
    kpis.won_amount as kpi_won_amount,
    kpis.lost_count as kpi_lost_count,
from facts
cross join grains
left join kpis on kpis.month = facts.month and kpis.grain = grains.grain
where
    kpis.won_count is distinct from facts.won_count
    or kpis.won_amount is distinct from facts.won_amount
    or kpis.lost_count is distinct from facts.lost_count
