with credits as (
    select * from {{ ref('int_credits') }}
    where exclusion_reason is null
),

ledger as (
    select * from {{ ref('payout_ledger') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

assignments as (
    select * from {{ ref('plan_assignments') }}
),

plans as (
    select * from {{ ref('plans') }}
),

plan_tiers as (
    select * from {{ ref('plan_tiers') }}
),

quotas as (
    select * from {{ ref('quotas') }}
),

-- A payee has a statement for every month on a plan, earned or not; the plan shown is the month's last.
months_on_plan as (
    select
        reps.rep_id as payee_id,
        reps.rep_name as payee_name,
        reps.waiver_ids,
        assignments.plan_id,
        assignments.valid_from,
        cast(
            unnest(
                generate_series(
                    date_trunc('month', assignments.valid_from),
                    least(coalesce(assignments.valid_to, {{ as_of_date() }}), {{ as_of_date() }}),
                    interval 1 month
                )
            ) as date
        ) as month,
    from assignments
    inner join reps on reps.rep_id = lower(assignments.rep_email)
),

spine as (
    select
        months_on_plan.*,
        plans.currency_code,
        plans.boundary,
        plans.tier_scope,
        cast(date_trunc(plans.tier_scope, months_on_plan.month) as date) as attainment_period,
    from months_on_plan
    inner join plans on plans.plan_id = months_on_plan.plan_id
    qualify row_number() over (
        partition by months_on_plan.payee_id, months_on_plan.month
        order by months_on_plan.valid_from desc
    ) = 1
),

month_credits as (
    select
        payee_id,
        period_for as month,
        count(*) as deal_count,
        sum(credit_amount) as credited_amount,
    from credits
    group by all
),

month_lines as (
    select
        payee_id,
        period_for as month,
        count(*) as line_count,
        sum(amount) as earned_amount,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from ledger
    group by all
),

period_quotas as (
    select
        spine.payee_id,
        spine.month,
        sum(quotas.quota_amount) as period_quota_amount,
        sum(quotas.quota_amount) filter (where quotas.month = spine.month) as quota_amount,
    from spine
    inner join quotas
        on lower(quotas.rep_email) = spine.payee_id
        and cast(date_trunc(spine.tier_scope, quotas.month) as date) = spine.attainment_period
    group by all
),

period_credits as (
    select
        spine.payee_id,
        spine.month,
        sum(credits.credit_amount) as period_credited_amount,
        {{ waiver_ids_of_all(relation='credits') }} as waiver_ids,
    from spine
    inner join credits
        on credits.payee_id = spine.payee_id
        and credits.plan_id = spine.plan_id
        and credits.attainment_period = spine.attainment_period
        and credits.period_for <= spine.month
    group by all
),

measured as (
    select
        spine.* replace ({{ waiver_ids_of('spine', 'month_lines', 'period_credits') }} as waiver_ids),
        coalesce(month_lines.line_count, 0) as line_count,
        coalesce(month_credits.deal_count, 0) as deal_count,
        period_quotas.quota_amount,
        coalesce(month_credits.credited_amount, 0) as credited_amount,
        coalesce(period_credits.period_credited_amount, 0) as period_credited_amount,
        coalesce(period_quotas.period_quota_amount, 0) as period_quota_amount,
        coalesce(month_lines.earned_amount, 0) as earned_amount,
    from spine
    left join month_credits on month_credits.payee_id = spine.payee_id and month_credits.month = spine.month
    left join month_lines on month_lines.payee_id = spine.payee_id and month_lines.month = spine.month
    left join period_quotas on period_quotas.payee_id = spine.payee_id and period_quotas.month = spine.month
    left join period_credits on period_credits.payee_id = spine.payee_id and period_credits.month = spine.month
),

tiers_reached as (
    select
        measured.payee_id,
        measured.month,
        max(plan_tiers.tier_no) as tier_no,
    from measured
    inner join plan_tiers
        on plan_tiers.plan_id = measured.plan_id
        and case
            when plan_tiers.from_attainment = 0 then true
            when measured.boundary = 'lower_inclusive'
                then measured.period_credited_amount >= plan_tiers.from_attainment * measured.period_quota_amount
            else measured.period_credited_amount > plan_tiers.from_attainment * measured.period_quota_amount
        end
    where measured.period_quota_amount > 0
    group by all
),

final as (
    select
        measured.payee_id,
        measured.plan_id,
        measured.payee_name,
        measured.currency_code,
        tiers_reached.tier_no,
        cast(measured.line_count as bigint) as line_count,
        cast(measured.deal_count as bigint) as deal_count,
        cast(measured.quota_amount as decimal(18, 2)) as quota_amount,
        cast(measured.credited_amount as decimal(18, 4)) as credited_amount,
        cast(measured.period_credited_amount as decimal(18, 4)) as attainment_rate_numerator,
        cast(measured.period_quota_amount as decimal(18, 2)) as attainment_rate_denominator,
        {{ ratio('measured.period_credited_amount', 'measured.period_quota_amount') }} as attainment_rate,
        cast(measured.earned_amount as decimal(18, 2)) as earned_amount,
        measured.waiver_ids,
        measured.month,
        measured.attainment_period,
    from measured
    left join tiers_reached
        on tiers_reached.payee_id = measured.payee_id
        and tiers_reached.month = measured.month
)

select * from final
