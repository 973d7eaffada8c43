with credits as (
    select * from {{ ref('int_credits') }}
    where exclusion_reason is not null
),

final as (
    select
        deal_id,
        payee_id,
        plan_id,
        exclusion_reason as reason,
        credit_amount,
        waiver_ids,
        closed_on,
        period_for,
    from credits
)

select * from final
