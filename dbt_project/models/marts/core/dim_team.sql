with history as (
    select * from {{ ref('int_rep_history') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

-- What a team is called today, or was when it was last heard of.
last_known as (
    select
        team_id,
        arg_max(team_name, (valid_from, rep_id)) as team_name,
        arg_max(region, (rep_id = team_id, valid_from, rep_id)) as region,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to,
    from history
    where valid_from <= {{ as_of_date() }}
    group by team_id
),

members as (
    select
        team_id,
        count(*) filter (where is_active) as active_member_count,
        count(*) as member_count,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from reps
    where rep_id <> 'unassigned'
    group by team_id
),

final as (
    select
        last_known.team_id,
        leaders.rep_id as manager_id,
        leaders.manager_id as parent_team_id,
        last_known.team_name,
        leaders.rep_name as manager_name,
        last_known.region,
        coalesce(members.member_count, 0) as member_count,
        coalesce(members.active_member_count, 0) as active_member_count,
        {{ waiver_ids_of('members', 'leaders') }} as waiver_ids,
        coalesce(members.active_member_count, 0) > 0 as is_active,
        last_known.valid_from,
        last_known.valid_to,
    from last_known
    left join reps as leaders on leaders.rep_id = last_known.team_id and leaders.rep_id <> 'unassigned'
    left join members on members.team_id = last_known.team_id
)

select * from final
