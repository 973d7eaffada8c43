with credits as (
    select * from {{ ref('int_credits') }}
    where exclusion_reason is null
),

plan_tiers as (
    select * from {{ ref('plan_tiers') }}
),

-- The first tier reaches below zero, so that a negative deal gives back what it would have earned.
borders as (
    select
        credits.*,
        plan_tiers.tier_no,
        plan_tiers.from_attainment,
        plan_tiers.to_attainment,
        plan_tiers.rate,
        case
            when plan_tiers.from_attainment = 0 then cast(-1e17 as decimal(28, 8))
            else cast(plan_tiers.from_attainment * credits.quota_amount as decimal(28, 8))
        end as lower_border,
        case
            when plan_tiers.to_attainment is null then cast(1e17 as decimal(28, 8))
            else cast(plan_tiers.to_attainment * credits.quota_amount as decimal(28, 8))
        end as upper_border,
    from credits
    inner join plan_tiers on plan_tiers.plan_id = credits.plan_id
),

slices as (
    select
        *,
        least(greatest(cast(running_before_amount as decimal(28, 8)), lower_border), upper_border) as slice_from,
        least(greatest(cast(running_after_amount as decimal(28, 8)), lower_border), upper_border) as slice_to,
    from borders
),

earned as (
    select
        *,
        cast(slice_to - slice_from as decimal(28, 8)) as base_amount,
        cast(slice_to - slice_from as decimal(28, 8)) * rate as exact_amount,
    from slices
    where slice_to <> slice_from
),

-- Deals climb in the plan's order and cross tiers upwards, or downwards when negative.
entitled as (
    select
        *,
        sum(exact_amount) over climb as entitlement_after,
        sum(exact_amount) over climb - exact_amount as entitlement_before,
    from earned
    window climb as (
        partition by payee_id, plan_id, attainment_period
        order by closed_on, deal_id, case when credit_amount > 0 then tier_no else -tier_no end
        rows unbounded preceding
    )
),

final as (
    select
        concat_ws('|', payee_id, plan_id, attainment_period, deal_id, tier_no) as line_id,
        payee_id,
        plan_id,
        deal_id,
        currency_code,
        case
            when to_attainment is null then printf(
                'tier %d of %s: credit above %g %% of quota', tier_no, plan_id, cast(from_attainment * 100 as double)
            )
            else printf(
                'tier %d of %s: credit from %g %% to %g %% of quota',
                tier_no, plan_id, cast(from_attainment * 100 as double), cast(to_attainment * 100 as double)
            )
        end as reason,
        tier_no,
        slice_from,
        slice_to,
        base_amount,
        rate,
        cast(round(entitlement_after, 2) - round(entitlement_before, 2) as decimal(18, 2)) as amount,
        quota_amount,
        {{ ratio('slice_from', 'quota_amount') }} as attainment_before,
        {{ ratio('slice_to', 'quota_amount') }} as attainment_after,
        waiver_ids,
        closed_on,
        attainment_period,
        period_for,
        -- No period is closed yet, so every line is paid in its own.
        period_for as period_in,
    from entitled
)

select * from final
