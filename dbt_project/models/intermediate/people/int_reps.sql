with users as (
    select * from {{ ref('int_users') }}
    where is_person
),

history as (
    select * from {{ ref('int_rep_history') }}
    where {{ as_of_date() }} >= valid_from and {{ as_of_date() }} < valid_to
),

ranked as (
    select
        *,
        -- Where CRMs disagree about a person, an active user speaks first, then the CRMs by name.
        row_number() over (partition by rep_id order by is_active desc, crm, user_id) as preference,
    from users
),

people as (
    select
        rep_id,
        arg_min(user_name, preference) as rep_name,
        arg_min(email, preference) as email,
        string_agg(distinct crm, ', ' order by crm) as crms,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from ranked
    group by rep_id
),

final as (
    select
        people.rep_id,
        history.manager_id,
        history.team_id,
        history.territory_id,
        people.rep_name,
        people.email,
        managers.rep_name as manager_name,
        history.team_name,
        history.region,
        history.title,
        people.crms,
        {{ waiver_ids_of('people', 'history', 'managers') }} as waiver_ids,
        history.is_manager,
        history.is_active,
    from people
    inner join history on history.rep_id = people.rep_id
    left join people as managers on managers.rep_id = history.manager_id
)

select * from final
