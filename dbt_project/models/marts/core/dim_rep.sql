with reps as (
    select * from {{ ref('int_reps') }}
),

-- Of whatever has no known owner.
unassigned as (
    select
        'unassigned' as rep_id,
        'unassigned' as team_id,
        'Unassigned' as rep_name,
        'Unassigned' as team_name,
        'Unassigned' as region,
        'none' as crms,
        false as is_manager,
        false as is_active,
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
        territory_id,
        rep_name,
        email,
        manager_name,
        team_name,
        region,
        title,
        crms,
        waiver_ids,
        is_manager,
        is_active,
    from unioned
)

select * from final
