-- Tiers of a plan start at 0, touch each other and end open.
{{ config(meta={'dagster': {'ref': {'name': 'plan_tiers'}}}) }}

with tiers as (
    select
        *,
        lag(to_attainment) over plan as previous_to,
        lead(tier_no) over plan as next_tier_no,
        row_number() over plan as expected_tier_no,
    from {{ ref('plan_tiers') }}
    window plan as (partition by plan_id order by tier_no)
)

select
    plans.plan_id,
    tiers.* exclude (plan_id),
from {{ ref('plans') }} as plans
left join tiers on tiers.plan_id = plans.plan_id
where
    tiers.tier_no is null
    or tiers.tier_no <> tiers.expected_tier_no
    or tiers.from_attainment is distinct from coalesce(tiers.previous_to, 0)
    or tiers.to_attainment <= tiers.from_attainment
    or (tiers.to_attainment is null) <> (tiers.next_tier_no is null)
