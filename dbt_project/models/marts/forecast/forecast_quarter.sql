with opportunities as (
    select * from {{ ref('fct_opportunity') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

quotas as (
    select * from {{ ref('quotas') }}
),

calendar as (
    select
        {{ as_of_date() }} as as_of_date,
        cast(date_trunc('quarter', {{ as_of_date() }}) as date) as this_quarter,
        cast(date_trunc('quarter', {{ as_of_date() }}) + interval 3 month as date) as next_quarter,
        date_diff('day', date_trunc('quarter', {{ as_of_date() }}), {{ as_of_date() }}) as days_into_quarter,
),

-- Every deal and every quota counts twice: once for the company, once for its team.
deals as (
    select
        unnest([
            {level: 'company', entity_id: 'company'},
            {level: 'team', entity_id: team_id}
        ], recursive := true),
        outcome,
        company_amount,
        win_probability,
        waiver_ids,
        created_on,
        closed_on,
        cast(date_trunc('quarter', coalesce(closed_on, expected_close_on)) as date) as quarter,
    from opportunities
    where outcome in ('won', 'open')
),

quarter_quotas as (
    select
        unnest([
            {level: 'company', entity_id: 'company'},
            {level: 'team', entity_id: reps.team_id}
        ], recursive := true),
        cast(date_trunc('quarter', quotas.month) as date) as quarter,
        quotas.quota_amount,
        reps.waiver_ids,
    from quotas
    inner join reps on reps.rep_id = lower(quotas.rep_email)
),

quota_totals as (
    select
        level,
        entity_id,
        quarter,
        sum(quota_amount) as quota_amount,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from quarter_quotas
    group by all
),

entities as (
    select
        'company' as level,
        'company' as entity_id,
        'Company' as entity_name,
    union all
    select distinct
        'team' as level,
        reps.team_id as entity_id,
        reps.team_name as entity_name,
    from reps
    where reps.team_id in (select entity_id from deals union all select entity_id from quota_totals)
),

-- Quarters before the first deal known were not empty, only not recorded.
history as (
    select
        deals.level,
        deals.entity_id,
        deals.quarter,
        sum(deals.company_amount) as total_amount,
        sum(deals.company_amount) filter (
            where deals.closed_on <= deals.quarter + cast(calendar.days_into_quarter as integer)
        ) as amount_by_same_day,
        {{ waiver_ids_of_all(relation='deals') }} as waiver_ids,
    from deals
    cross join calendar
    where
        deals.outcome = 'won'
        and deals.quarter < calendar.this_quarter
        and deals.quarter >= calendar.this_quarter - interval 24 month
        and deals.quarter >= (select min(least(created_on, closed_on)) from deals)
    group by all
),

pace as (
    select
        level,
        entity_id,
        count(*) as history_quarter_count,
        sum(total_amount) as total_amount,
        coalesce(sum(amount_by_same_day), 0) as amount_by_same_day,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from history
    group by all
),

positions as (
    select
        deals.level,
        deals.entity_id,
        deals.quarter,
        sum(deals.company_amount) filter (
            where deals.outcome = 'won' and deals.closed_on <= calendar.as_of_date
        ) as closed_amount,
        sum(deals.company_amount) filter (where deals.outcome = 'open') as open_amount,
        sum(deals.company_amount * deals.win_probability) filter (
            where deals.outcome = 'open'
        ) as weighted_open_amount,
        count(*) filter (
            where deals.outcome = 'open' and deals.win_probability is null
        ) as unweighted_open_count,
        {{ waiver_ids_of_all(relation='deals') }} as waiver_ids,
    from deals
    cross join calendar
    where deals.quarter in (calendar.this_quarter, calendar.next_quarter)
    group by all
),

spine as (
    select
        entities.*,
        methods.method,
        methods.quarter,
        calendar.as_of_date,
    from entities
    cross join calendar
    cross join lateral (
        values
        ('stage_weighted', calendar.this_quarter),
        ('stage_weighted', calendar.next_quarter),
        ('pacing', calendar.this_quarter)
    ) as methods (method, quarter)
),

measured as (
    select
        spine.*,
        coalesce(positions.closed_amount, 0) as closed_amount,
        coalesce(positions.open_amount, 0) as open_amount,
        coalesce(positions.weighted_open_amount, 0) as weighted_open_amount,
        coalesce(positions.unweighted_open_count, 0) as unweighted_open_count,
        quota_totals.quota_amount,
        case when spine.method = 'pacing' then coalesce(pace.history_quarter_count, 0) end as history_quarter_count,
        case when spine.method = 'pacing' then pace.amount_by_same_day end as historical_share_closed_numerator,
        case when spine.method = 'pacing' then pace.total_amount end as historical_share_closed_denominator,
        case
            when spine.method = 'pacing' then {{ waiver_ids_of('positions', 'quota_totals', 'pace') }}
            else {{ waiver_ids_of('positions', 'quota_totals') }}
        end as waiver_ids,
    from spine
    left join positions
        on positions.level = spine.level
        and positions.entity_id = spine.entity_id
        and positions.quarter = spine.quarter
    left join pace
        on pace.level = spine.level
        and pace.entity_id = spine.entity_id
    left join quota_totals
        on quota_totals.level = spine.level
        and quota_totals.entity_id = spine.entity_id
        and quota_totals.quarter = spine.quarter
),

final as (
    select
        quarter,
        level,
        entity_id,
        entity_name,
        method,
        case
            when method = 'stage_weighted' then null
            when coalesce(historical_share_closed_denominator, 0) <= 0
                then 'nothing was won in up to 8 complete past quarters'
            when historical_share_closed_numerator <= 0
                then 'nothing had been won by this day of the quarter in up to 8 complete past quarters'
        end as reason,
        cast(closed_amount as decimal(18, 4)) as closed_amount,
        cast(open_amount as decimal(18, 4)) as open_amount,
        cast(weighted_open_amount as decimal(18, 4)) as weighted_open_amount,
        cast(unweighted_open_count as bigint) as unweighted_open_count,
        cast(history_quarter_count as bigint) as history_quarter_count,
        cast(historical_share_closed_numerator as decimal(18, 4)) as historical_share_closed_numerator,
        cast(historical_share_closed_denominator as decimal(18, 4)) as historical_share_closed_denominator,
        {{ ratio('historical_share_closed_numerator', 'historical_share_closed_denominator') }}
            as historical_share_closed,
        cast(
            case
                when method = 'stage_weighted' then closed_amount + weighted_open_amount
                when historical_share_closed_numerator > 0 and historical_share_closed_denominator > 0
                    then closed_amount * (historical_share_closed_denominator / historical_share_closed_numerator)
            end as decimal(18, 4)
        ) as forecast_amount,
        cast(quota_amount as decimal(18, 4)) as quota_amount,
        waiver_ids,
        as_of_date,
    from measured
)

select * from final
