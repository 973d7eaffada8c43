with statements as (
    select * from {{ ref('payout_statement') }}
    where month <= {{ as_of_date() }}
),

plans as (
    select * from {{ ref('plans') }}
),

-- A month of pay belongs to the fiscal period that has its middle.
periods as (
    select * from {{ ref('int_periods') }}
),

payees as (
    select
        statements.plan_id,
        statements.payee_id,
        periods.period_type,
        periods.period_name,
        periods.is_running,
        periods.period_start,
        periods.period_end,
        sum(statements.earned_amount) as earned_amount,
        sum(statements.credited_amount) as credited_amount,
        sum(statements.quota_amount) as quota_amount,
        {{ waiver_ids_of_all(relation='statements') }} as waiver_ids,
    from statements
    inner join periods on statements.month + 14 between periods.period_start and periods.period_end
    group by all
),

ranked as (
    select
        *,
        greatest(earned_amount, 0) as positive_amount,
        row_number() over (
            partition by plan_id, period_type, period_start
            order by greatest(earned_amount, 0), payee_id
        ) as place,
        count(*) over (partition by plan_id, period_type, period_start) as of_payees,
    from payees
),

totals as (
    select
        plan_id,
        period_type,
        period_name,
        is_running,
        period_start,
        period_end,
        count(*) as payee_count,
        count(*) filter (where earned_amount <= 0) as payee_at_zero_count,
        count(*) filter (where quota_amount > 0) as payee_with_quota_count,
        count(*) filter (where quota_amount > 0 and credited_amount >= quota_amount) as payee_at_quota_count,
        sum(earned_amount) as earned_amount,
        sum(credited_amount) as credited_amount,
        sum((2 * place - of_payees - 1) * positive_amount) as gini_numerator,
        sum(of_payees * positive_amount) as gini_denominator,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from ranked
    group by all
),

final as (
    select
        totals.plan_id,
        plans.plan_name,
        totals.period_type,
        totals.period_name,
        totals.payee_count,
        totals.payee_at_zero_count,
        totals.payee_at_quota_count,
        totals.payee_with_quota_count,
        cast(totals.earned_amount as decimal(18, 2)) as earned_amount,
        cast(totals.credited_amount as decimal(18, 4)) as credited_amount,
        {{ ratio('totals.payee_at_zero_count', 'totals.payee_count') }} as payees_at_zero_rate,
        {{ ratio('totals.payee_at_quota_count', 'totals.payee_with_quota_count') }} as payees_at_or_over_quota_rate,
        cast(totals.gini_numerator as decimal(18, 2)) as payout_gini_numerator,
        cast(totals.gini_denominator as decimal(18, 2)) as payout_gini_denominator,
        {{ ratio('totals.gini_numerator', 'totals.gini_denominator') }} as payout_gini,
        totals.waiver_ids,
        totals.payee_count < 5 as is_small_sample,
        totals.is_running,
        totals.period_start,
        totals.period_end,
    from totals
    inner join plans on plans.plan_id = totals.plan_id
)

select * from final
