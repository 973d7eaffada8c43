-- Lines add up to statements, and credits to what the lines were paid on.
{{ config(meta={'dagster': {'ref': {'name': 'payout_statement'}}}) }}

with lines as (
    select
        payee_id,
        period_for as month,
        sum(amount) as earned_amount,
        sum(base_amount) as credited_amount,
        count(*) as line_count,
    from {{ ref('payout_ledger') }}
    group by all
)

select *
from lines
full join {{ ref('payout_statement') }} as statements using (payee_id, month)
where
    coalesce(lines.earned_amount, 0) is distinct from statements.earned_amount
    or coalesce(lines.credited_amount, 0) is distinct from statements.credited_amount
    or coalesce(lines.line_count, 0) is distinct from statements.line_count
