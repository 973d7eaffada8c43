with history as (
    select * from {{ ref('int_rep_history') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

territories as (
    select * from {{ ref('int_territories') }}
),

final as (
    select
        history.rep_id || ':' || history.valid_from as rep_version_id,
        history.rep_id,
        history.manager_id,
        history.team_id,
        history.territory_id,
        reps.rep_name,
        managers.rep_name as manager_name,
        history.team_name,
        history.region,
        coalesce(territories.territory_name, history.territory_id) as territory_name,
        history.title,
        {{ waiver_ids_of('history', 'reps', 'managers', 'territories') }} as waiver_ids,
        history.is_manager,
        history.is_active,
        {{ as_of_date() }} >= history.valid_from and {{ as_of_date() }} < history.valid_to as is_current,
        history.valid_from,
        history.valid_to,
    from history
    left join reps on reps.rep_id = history.rep_id
    left join reps as managers on managers.rep_id = history.manager_id
    left join territories on territories.territory_id = history.territory_id
)

select * from final
