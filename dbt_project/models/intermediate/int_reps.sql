with users as (
    select * from {{ ref('int_users') }}
    where is_person
),

teams as (
    select * from {{ ref('teams') }}
    where {{ as_of_date() }} between valid_from and coalesce(valid_to, date '9999-12-31')
),

with_manager as (
    select
        users.*,
        nullif(coalesce(managers_by_id.rep_id, managers_by_email.rep_id), users.rep_id) as manager_id,
        -- Where CRMs disagree about a person, an active user speaks first, then the CRMs by name.
        row_number() over (
            partition by users.rep_id order by users.is_active desc, users.crm, users.user_id
        ) as preference,
    from users
    left join users as managers_by_id on managers_by_id.user_id = users.manager_user_id
    left join (select distinct rep_id from users) as managers_by_email
        on managers_by_email.rep_id = users.manager_email
),

people as (
    select
        rep_id,
        arg_min(manager_id, preference) as manager_id,
        arg_min(user_name, preference) as rep_name,
        arg_min(email, preference) as email,
        arg_min(region, preference) as region,
        arg_min(crm_team_name, preference) as crm_team_name,
        string_agg(distinct crm, ', ' order by crm) as crms,
        {{ waiver_ids_of_all() }} as waiver_ids,
        bool_or(is_active) as is_active,
    from with_manager
    group by rep_id
),

with_team as (
    select
        people.* replace ({{ waiver_ids_of('people', 'managers') }} as waiver_ids),
        managers.rep_name as manager_name,
        reports.manager_id is not null as is_manager,
        -- A manager belongs to the team they lead, others to their manager's; without one, the CRM's own team it is.
        case
            when reports.manager_id is not null then people.rep_id
            else coalesce(people.manager_id, people.crm_team_name)
        end as team_id,
    from people
    left join people as managers on managers.rep_id = people.manager_id
    left join (select distinct manager_id from people) as reports on reports.manager_id = people.rep_id
),

final as (
    select
        with_team.rep_id,
        with_team.manager_id,
        coalesce(with_team.team_id, 'unassigned') as team_id,
        with_team.rep_name,
        with_team.email,
        with_team.manager_name,
        case
            when with_team.team_id is null then 'Unassigned'
            else coalesce(teams.team_name, leads.rep_name, with_team.team_id)
        end as team_name,
        coalesce(teams.region, with_team.region, 'Unassigned') as region,
        with_team.crms,
        with_team.waiver_ids,
        with_team.is_manager,
        with_team.is_active,
    from with_team
    left join people as leads on leads.rep_id = with_team.team_id
    left join teams on lower(teams.manager_email) = with_team.team_id
)

select * from final
