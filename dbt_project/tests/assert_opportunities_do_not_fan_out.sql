-- As many opportunities in the fact as accepted in staging, less those merged into another one.
{{ config(meta={'dagster': {'ref': {'name': 'fct_opportunity'}}}) }}

with accepted as (
    select 'salesforce:' || opportunity_id as opportunity_id from {{ ref('stg_salesforce__opportunities') }}
    union all
    select 'hubspot:' || deals.deal_id
    from {{ ref('stg_hubspot__deals') }} as deals
    anti join (
        select unnest(merged_deal_ids) as deal_id from {{ ref('stg_hubspot__deals') }}
    ) as merged on merged.deal_id = deals.deal_id
    union all
    select 'dynamics:' || opportunity_id from {{ ref('stg_dynamics__opportunities') }}
    union all
    select 'zoho:' || deal_id from {{ ref('stg_zoho__deals') }}
)

select
    coalesce(accepted.opportunity_id, facts.opportunity_id) as opportunity_id,
    facts.opportunity_id is null as is_lost,
from accepted
full join {{ ref('fct_opportunity') }} as facts on facts.opportunity_id = accepted.opportunity_id
where accepted.opportunity_id is null or facts.opportunity_id is null
