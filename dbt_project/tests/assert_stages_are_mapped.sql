-- Open stages of a CRM for which stage_map has no row; the CRM's own label stands in meanwhile.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_opportunity'}}}) }}

select
    crm,
    crm_stage,
    count(*) as opportunity_count,
from {{ ref('fct_opportunity') }}
where outcome = 'open' and stage_order is null and crm_stage is not null
group by all
order by all
