-- A won deal is in the ledger or in the exclusions, never in both or neither.
{{ config(meta={'dagster': {'ref': {'name': 'payout_ledger'}}}) }}

with paid as (
    select distinct deal_id from {{ ref('payout_ledger') }}
),

explained as (
    select deal_id from {{ ref('payout_exclusion') }}
)

select
    deals.opportunity_id,
    paid.deal_id is not null as is_paid,
    explained.deal_id is not null as is_explained,
from {{ ref('fct_opportunity') }} as deals
left join paid on paid.deal_id = deals.opportunity_id
left join explained on explained.deal_id = deals.opportunity_id
where deals.outcome = 'won' and (paid.deal_id is null) = (explained.deal_id is null)
