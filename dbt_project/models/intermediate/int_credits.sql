with opportunities as (
    select * from {{ ref('fct_opportunity') }}
    where outcome = 'won'
),

assignments as (
    select * from {{ ref('plan_assignments') }}
),

plans as (
    select * from {{ ref('plans') }}
),

quotas as (
    select * from {{ ref('quotas') }}
),

planned as (
    select
        opportunities.opportunity_id as deal_id,
        opportunities.rep_id as payee_id,
        plans.plan_id,
        plans.currency_code,
        opportunities.company_amount as credit_amount,
        opportunities.waiver_ids,
        opportunities.closed_on,
        cast(date_trunc('month', opportunities.closed_on) as date) as period_for,
        cast(date_trunc(plans.tier_scope, opportunities.closed_on) as date) as attainment_period,
    from opportunities
    left join assignments
        on lower(assignments.rep_email) = opportunities.rep_id
        and opportunities.closed_on between assignments.valid_from and coalesce(assignments.valid_to, date '9999-12-31')
    left join plans on plans.plan_id = assignments.plan_id
),

period_quotas as (
    select
        plans.plan_id,
        lower(quotas.rep_email) as payee_id,
        cast(date_trunc(plans.tier_scope, quotas.month) as date) as attainment_period,
        cast(sum(quotas.quota_amount) as decimal(18, 2)) as quota_amount,
    from quotas
    cross join plans
    group by all
),

judged as (
    select
        planned.*,
        period_quotas.quota_amount,
        case
            when planned.payee_id = 'unassigned' then 'no known owner'
            when planned.closed_on is null then 'no close day'
            when planned.closed_on > {{ as_of_date() }} then 'closes after the as-of date'
            when planned.credit_amount is null then 'no amount in the company currency'
            when planned.credit_amount = 0 then 'amount is zero'
            when planned.plan_id is null then 'owner has no plan on the close day'
            when coalesce(period_quotas.quota_amount, 0) <= 0 then 'owner has no quota in the period'
        end as exclusion_reason,
    from planned
    left join period_quotas
        on period_quotas.plan_id = planned.plan_id
        and period_quotas.payee_id = planned.payee_id
        and period_quotas.attainment_period = planned.attainment_period
),

final as (
    select
        deal_id,
        payee_id,
        plan_id,
        currency_code,
        exclusion_reason,
        credit_amount,
        quota_amount,
        case
            when exclusion_reason is null then sum(credit_amount) over climb - credit_amount
        end as running_before_amount,
        case when exclusion_reason is null then sum(credit_amount) over climb end as running_after_amount,
        -- What a deal earns depends on all that climbed before it, so it owes itself to their waivers too.
        case
            when exclusion_reason is null then {{ in_order("string_agg(waiver_ids, ',') over climb") }}
            else waiver_ids
        end as waiver_ids,
        closed_on,
        period_for,
        attainment_period,
    from judged
    window climb as (
        partition by payee_id, plan_id, attainment_period, exclusion_reason is null
        order by closed_on, deal_id
        rows unbounded preceding
    )
)

select * from final
