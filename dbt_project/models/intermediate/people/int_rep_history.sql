with users as (
    select * from {{ ref('int_user_versions') }}
    where is_person
),

user_territories as (
    select * from {{ ref('int_user_territories') }}
),

territories as (
    select * from {{ ref('int_territories') }}
),

teams as (
    select
        lower(manager_email) as manager_email,
        team_name,
        region,
        valid_from,
        coalesce(valid_to + 1, date '9999-12-31') as valid_to,
    from {{ ref('teams') }}
),

assignments as (
    select
        lower(rep_email) as rep_email,
        lower(manager_email) as manager_email,
        team_name,
        region,
        territory,
        valid_from,
        coalesce(valid_to + 1, date '9999-12-31') as valid_to,
    from {{ ref('rep_assignments') }}
),

reps as (
    select
        rep_id,
        arg_min(user_name, preference) as rep_name,
    from (
        select
            rep_id,
            user_name,
            row_number() over (
                partition by rep_id order by is_active desc nulls last, crm, user_id
            ) as preference,
        from users
        where is_latest
    )
    group by rep_id
),

rep_territories as (
    select
        users.rep_id,
        user_territories.*,
    from user_territories
    inner join users on users.user_id = user_territories.user_id and users.is_latest
),

---------- what the CRMs and the assignments say of each person, from one change of either to the next

changes as (
    select rep_id, valid_from as changed_on from users
    union
    select rep_id, unnest([valid_from, valid_to]) from rep_territories
    union
    select reps.rep_id, unnest([assignments.valid_from, assignments.valid_to])
    from reps
    inner join assignments on assignments.rep_email = lower(reps.rep_id)
),

spans as (
    select
        rep_id,
        changed_on as valid_from,
        lead(changed_on, 1, date '9999-12-31') over (partition by rep_id order by changed_on) as valid_to,
    from changes
    where changed_on < date '9999-12-31'
),

users_by_span as (
    select
        spans.rep_id,
        spans.valid_from,
        nullif(coalesce(managers_by_id.rep_id, managers_by_email.rep_id), spans.rep_id) as manager_id,
        users.region,
        users.crm_team_name,
        users.title,
        users.crm,
        users.territory_id,
        users.waiver_ids,
        users.is_active,
        -- Where CRMs disagree about a person, an active user speaks first, then the CRMs by name.
        row_number() over (
            partition by spans.rep_id, spans.valid_from order by users.is_active desc nulls last, users.crm, users.user_id
        ) as preference,
    from spans
    inner join users
        on users.rep_id = spans.rep_id
        and users.valid_from <= spans.valid_from
        and users.valid_to > spans.valid_from
    left join users as managers_by_id on managers_by_id.user_id = users.manager_user_id and managers_by_id.is_latest
    left join reps as managers_by_email on managers_by_email.rep_id = users.manager_email
),

said_by_crms as (
    select
        rep_id,
        valid_from,
        arg_min(manager_id, preference) as manager_id,
        arg_min(region, preference) as region,
        arg_min(crm_team_name, preference) as crm_team_name,
        arg_min(title, preference) as title,
        arg_min(crm, preference) as crm,
        arg_min(territory_id, preference) as territory_id,
        {{ waiver_ids_of_all() }} as waiver_ids,
        coalesce(bool_or(is_active), true) as is_active,
    from users_by_span
    group by rep_id, valid_from
),

-- Of several territories, the one given last.
territories_by_span as (
    select
        spans.rep_id,
        spans.valid_from,
        arg_max(rep_territories.territory_id, (rep_territories.valid_from, rep_territories.assignment_id)) as territory_id,
        {{ waiver_ids_of_all(relation='rep_territories') }} as waiver_ids,
    from spans
    inner join rep_territories
        on rep_territories.rep_id = spans.rep_id
        and rep_territories.valid_from <= spans.valid_from
        and rep_territories.valid_to > spans.valid_from
    group by spans.rep_id, spans.valid_from
),

-- Territories are assigned by name: the one of the person's own CRM before another's.
assigned_territories as (
    select
        said_by_crms.rep_id,
        said_by_crms.valid_from,
        arg_min(territories.territory_id, (territories.crm <> said_by_crms.crm, territories.territory_id)) as territory_id,
    from said_by_crms
    inner join assignments
        on assignments.rep_email = lower(said_by_crms.rep_id)
        and assignments.valid_from <= said_by_crms.valid_from
        and assignments.valid_to > said_by_crms.valid_from
    inner join territories on lower(territories.territory_name) = lower(assignments.territory)
    group by said_by_crms.rep_id, said_by_crms.valid_from
),

placed as (
    select
        spans.rep_id,
        coalesce(nullif(assigned_managers.rep_id, spans.rep_id), said_by_crms.manager_id) as manager_id,
        assignments.team_name as assigned_team_name,
        assignments.region as assigned_region,
        said_by_crms.region,
        said_by_crms.crm_team_name,
        said_by_crms.title,
        coalesce(
            assigned_territories.territory_id,
            assignments.territory,
            said_by_crms.territory_id,
            territories_by_span.territory_id
        ) as territory_id,
        {{ waiver_ids_of('said_by_crms', 'territories_by_span') }} as waiver_ids,
        said_by_crms.is_active,
        spans.valid_from,
        spans.valid_to,
    from spans
    inner join said_by_crms on said_by_crms.rep_id = spans.rep_id and said_by_crms.valid_from = spans.valid_from
    left join territories_by_span
        on territories_by_span.rep_id = spans.rep_id and territories_by_span.valid_from = spans.valid_from
    left join assigned_territories
        on assigned_territories.rep_id = spans.rep_id and assigned_territories.valid_from = spans.valid_from
    left join assignments
        on assignments.rep_email = lower(spans.rep_id)
        and assignments.valid_from <= spans.valid_from
        and assignments.valid_to > spans.valid_from
    left join reps as assigned_managers on lower(assigned_managers.rep_id) = assignments.manager_email
),

---------- the team follows from who manages whom, so it changes with other people's rows and with the teams' names

leaderships as (
    select distinct manager_id as rep_id, valid_from, valid_to
    from placed
    where manager_id is not null
),

team_changes as (
    select rep_id, valid_from as changed_on from placed
    union
    select rep_id, unnest([valid_from, valid_to]) from leaderships
    union
    select placed.rep_id, unnest([teams.valid_from, teams.valid_to])
    from placed
    inner join teams on teams.manager_email in (lower(placed.rep_id), lower(placed.manager_id))
    union
    select placed.rep_id, unnest([teams.valid_from, teams.valid_to])
    from placed
    inner join teams on teams.team_name = placed.assigned_team_name
),

team_spans as (
    select
        rep_id,
        changed_on as valid_from,
        lead(changed_on, 1, date '9999-12-31') over (partition by rep_id order by changed_on) as valid_to,
    from team_changes
    where changed_on < date '9999-12-31'
),

managing as (
    select distinct team_spans.rep_id, team_spans.valid_from
    from team_spans
    inner join leaderships
        on leaderships.rep_id = team_spans.rep_id
        and leaderships.valid_from <= team_spans.valid_from
        and leaderships.valid_to > team_spans.valid_from
),

-- A manager belongs to the team they lead, others to their manager's; without one, the CRM's own team it is.
-- Somebody who is assigned to a team by its name belongs to that one.
with_team as (
    select
        placed.* exclude (valid_from, valid_to),
        team_spans.valid_from,
        team_spans.valid_to,
        managing.rep_id is not null as is_manager,
        case
            when placed.assigned_team_name is not null then coalesce(named_teams.manager_email, placed.assigned_team_name)
            when managing.rep_id is not null then placed.rep_id
            else coalesce(placed.manager_id, placed.crm_team_name)
        end as team_id,
    from team_spans
    inner join placed
        on placed.rep_id = team_spans.rep_id
        and placed.valid_from <= team_spans.valid_from
        and placed.valid_to > team_spans.valid_from
    left join managing on managing.rep_id = team_spans.rep_id and managing.valid_from = team_spans.valid_from
    left join (
        select team_name, valid_from, valid_to, min(manager_email) as manager_email
        from teams
        group by team_name, valid_from, valid_to
    ) as named_teams
        on named_teams.team_name = placed.assigned_team_name
        and named_teams.valid_from <= team_spans.valid_from
        and named_teams.valid_to > team_spans.valid_from
    -- two leaders of teams of one name on one day: the first by address
    qualify row_number() over (
        partition by team_spans.rep_id, team_spans.valid_from order by named_teams.manager_email
    ) = 1
),

named as (
    select
        with_team.rep_id,
        with_team.manager_id,
        coalesce(with_team.team_id, 'unassigned') as team_id,
        with_team.territory_id,
        case
            when with_team.team_id is null then 'Unassigned'
            else coalesce(with_team.assigned_team_name, teams.team_name, leaders.rep_name, with_team.team_id)
        end as team_name,
        coalesce(with_team.assigned_region, teams.region, with_team.region, 'Unassigned') as region,
        with_team.title,
        with_team.waiver_ids,
        with_team.is_manager,
        with_team.is_active,
        with_team.valid_from,
        with_team.valid_to,
    from with_team
    left join reps as leaders on leaders.rep_id = with_team.team_id
    left join teams
        on teams.manager_email = lower(with_team.team_id)
        and teams.valid_from <= with_team.valid_from
        and teams.valid_to > with_team.valid_from
),

---------- neighbours that say the same are one row

marked as (
    select
        *,
        (manager_id, team_id, territory_id, team_name, region, title, waiver_ids, is_manager, is_active) as said,
        lag(said) over (partition by rep_id order by valid_from) is distinct from said as is_change,
    from named
),

numbered as (
    select
        *,
        count(*) filter (where is_change) over (partition by rep_id order by valid_from) as change_number,
    from marked
),

merged as (
    select
        rep_id,
        manager_id,
        team_id,
        territory_id,
        team_name,
        region,
        title,
        waiver_ids,
        is_manager,
        is_active,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to,
    from numbered
    group by
        rep_id, manager_id, team_id, territory_id, team_name, region, title, waiver_ids, is_manager, is_active, change_number
),

final as (
    select * from merged
    union all by name
    select
        'unassigned' as rep_id,
        'unassigned' as team_id,
        'Unassigned' as team_name,
        'Unassigned' as region,
        false as is_manager,
        false as is_active,
        date '1900-01-01' as valid_from,
        date '9999-12-31' as valid_to,
)

select * from final
