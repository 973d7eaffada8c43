with reps as (
    select * from {{ ref('int_reps') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

leads as (
    select * from {{ ref('int_leads') }}
),

owned as (
    select rep_id from opportunities
    union
    select rep_id from leads
),

-- Only there when an opportunity or a lead has no known owner.
unassigned as (
    select
        rep_id,
        'unassigned' as team_id,
        'Unassigned' as rep_name,
        'Unassigned' as team_name,
        'Unassigned' as region,
        'none' as crms,
        false as is_manager,
        false as is_active,
    from owned
    where rep_id = 'unassigned'
),

unioned as (
    select * from reps
    union all by name
    select * from unassigned
),

final as (
    select
        rep_id,
        manager_id,
        team_id,
        rep_name,
        email,
        manager_name,
        team_name,
        region,
        crms,
        waiver_ids,
        is_manager,
        is_active,
    from unioned
)

select * from final
