-- Over an attainment period, lines add up to the tiers applied to the whole credit, rounded once.
{{ config(meta={'dagster': {'ref': {'name': 'payout_ledger'}}}) }}

with totals as (
    select
        payee_id,
        plan_id,
        attainment_period,
        any_value(quota_amount) as quota_amount,
        sum(base_amount) as credited_amount,
        sum(amount) as earned_amount,
    from {{ ref('payout_ledger') }}
    group by all
),

entitlements as (
    select
        totals.payee_id,
        totals.plan_id,
        totals.attainment_period,
        totals.earned_amount,
        round(
            sum(
                tiers.rate * case
                    when tiers.tier_no = 1 and totals.credited_amount < 0 then totals.credited_amount
                    else greatest(
                        least(
                            totals.credited_amount,
                            coalesce(tiers.to_attainment * totals.quota_amount, totals.credited_amount)
                        ) - tiers.from_attainment * totals.quota_amount,
                        0
                    )
                end
            ), 2
        ) as entitled_amount,
    from totals
    inner join {{ ref('plan_tiers') }} as tiers on tiers.plan_id = totals.plan_id
    group by all
)

select *
from entitlements
where earned_amount <> entitled_amount
