with checks as (
    select * from {{ ref('quality_check_result') }}
),

staged as (
    select * from {{ ref('int_staged_counts') }}
),

won_amounts as (
    select * from {{ ref('int_won_amounts') }}
),

opportunities as (
    select * from {{ ref('fct_opportunity') }}
),

accounts as (
    select * from {{ ref('dim_account') }}
),

leads as (
    select * from {{ ref('fct_lead') }}
),

-- Which stream of a CRM becomes which mart, record by record.
grains as (
    select *
    from (
        values
        ('salesforce', 'opportunities', 'opportunity'),
        ('salesforce', 'accounts', 'account'),
        ('salesforce', 'leads', 'lead'),
        ('hubspot', 'deals', 'opportunity'),
        ('hubspot', 'companies', 'account'),
        ('hubspot', 'leads', 'lead'),
        ('dynamics', 'opportunities', 'opportunity'),
        ('dynamics', 'accounts', 'account'),
        ('dynamics', 'leads', 'lead'),
        ('zoho', 'deals', 'opportunity'),
        ('zoho', 'accounts', 'account'),
        ('zoho', 'leads', 'lead')
    ) as grains (crm, stream, grain)
),

last_runs as (
    select
        crm,
        stream,
        arg_max(run_id, checked_at) as run_id,
    from checks
    group by crm, stream
),

gated as (
    select distinct
        checks.run_id,
        checks.crm,
        checks.stream,
        checks.source_count,
        checks.record_count,
        checks.quarantined_count,
    from checks
    semi join last_runs using (run_id, crm, stream)
),

in_marts as (
    select
        crm,
        'opportunity' as grain,
        count(*) as mart_count,
    from opportunities
    group by crm
    union all
    select
        crm,
        'account' as grain,
        count(*) as mart_count,
    from accounts
    group by crm
    union all
    select
        crm,
        'lead' as grain,
        count(*) as mart_count,
    from leads
    group by crm
),

records as (
    select
        gated.run_id,
        gated.crm,
        gated.stream,
        'records' as measure,
        cast(null as varchar) as currency_code,
        gated.source_count as crm_value,
        gated.record_count as landed_value,
        -- A record that an earlier version of it stands in for is not missing.
        gated.quarantined_count - staged.stand_in_count as held_back_value,
        staged.staged_count as staged_value,
        staged.merged_count as merged_value,
        case when grains.grain is not null then coalesce(in_marts.mart_count, 0) end as mart_value,
    from gated
    inner join staged on staged.crm = gated.crm and staged.stream = gated.stream
    left join grains on grains.crm = gated.crm and grains.stream = gated.stream
    left join in_marts on in_marts.crm = grains.crm and in_marts.grain = grains.grain
),

won_in_marts as (
    select
        crm,
        currency_code,
        coalesce(sum(native_amount), 0) as mart_amount,
    from opportunities
    where outcome = 'won'
    group by all
),

won as (
    select
        crm,
        currency_code,
        coalesce(won_amounts.landed_amount, 0) as landed_value,
        coalesce(won_amounts.held_back_amount, 0) as held_back_value,
        coalesce(won_amounts.staged_amount, 0) as staged_value,
        coalesce(won_in_marts.mart_amount, 0) as mart_value,
    from won_amounts
    full join won_in_marts using (crm, currency_code)
),

amounts as (
    select
        gated.run_id,
        gated.crm,
        gated.stream,
        'won_amount' as measure,
        won.currency_code,
        won.landed_value,
        won.held_back_value,
        won.staged_value,
        0 as merged_value,
        won.mart_value,
    from won
    inner join grains on grains.crm = won.crm and grains.grain = 'opportunity'
    inner join gated on gated.crm = grains.crm and gated.stream = grains.stream
),

unioned as (
    select * from records
    union all by name
    select * from amounts
),

final as (
    select
        run_id,
        crm,
        stream,
        measure,
        currency_code,
        cast(crm_value as decimal(18, 4)) as crm_value,
        cast(landed_value as decimal(18, 4)) as landed_value,
        cast(held_back_value as decimal(18, 4)) as held_back_value,
        cast(staged_value as decimal(18, 4)) as staged_value,
        cast(merged_value as decimal(18, 4)) as merged_value,
        cast(mart_value as decimal(18, 4)) as mart_value,
        cast(
            landed_value - held_back_value - coalesce(merged_value + mart_value, staged_value) as decimal(18, 4)
        ) as difference,
    from unioned
)

select * from final
