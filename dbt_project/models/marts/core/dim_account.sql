with accounts as (
    select * from {{ ref('int_accounts') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

by_account as (
    select
        account_id,
        count(*) filter (where outcome = 'won') as won_count,
        sum(company_amount) filter (where outcome = 'won') as won_amount,
        min(closed_on) filter (where outcome = 'won') as first_won_on,
        max(closed_on) filter (where outcome = 'won') as last_won_on,
        {{ waiver_ids_of_all("outcome = 'won'") }} as waiver_ids,
    from opportunities
    where account_id is not null
    group by account_id
),

final as (
    select
        accounts.account_id,
        parents.account_id as parent_account_id,
        accounts.rep_id,
        accounts.crm,
        accounts.account_name,
        accounts.industry,
        accounts.country,
        accounts.website,
        accounts.currency_code,
        accounts.annual_revenue_amount,
        accounts.employee_count,
        coalesce(by_account.won_count, 0) as won_count,
        cast(coalesce(by_account.won_amount, 0) as decimal(18, 4)) as won_amount,
        {{ waiver_ids_of('accounts', 'by_account') }} as waiver_ids,
        accounts.is_held_back,
        accounts.created_on,
        by_account.first_won_on,
        by_account.last_won_on,
    from accounts
    left join accounts as parents on parents.account_id = accounts.parent_account_id
    left join by_account on by_account.account_id = accounts.account_id
)

select * from final
