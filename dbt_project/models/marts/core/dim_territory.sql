with recursive territories as (
    select * from {{ ref('int_territories') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

-- From the top down; territories that are above each other are never met.
levels as (
    select
        territory_id,
        territory_name as territory_path,
        1 as level,
    from territories
    where parent_territory_id is null or parent_territory_id not in (select territory_id from territories)
    union all
    select
        territories.territory_id,
        levels.territory_path || ' > ' || territories.territory_name as territory_path,
        levels.level + 1 as level,
    from levels
    inner join territories on territories.parent_territory_id = levels.territory_id
),

members as (
    select
        territory_id,
        count(*) as rep_count,
    from reps
    where is_active
    group by territory_id
),

final as (
    select
        territories.territory_id,
        parents.territory_id as parent_territory_id,
        managers.rep_id as manager_id,
        territories.territory_name,
        coalesce(levels.territory_path, territories.territory_name) as territory_path,
        territories.crm,
        cast(coalesce(levels.level, 1) as integer) as level,
        coalesce(members.rep_count, 0) as rep_count,
        {{ waiver_ids_of('territories', 'managers') }} as waiver_ids,
        territories.is_active,
    from territories
    left join territories as parents on parents.territory_id = territories.parent_territory_id
    left join levels on levels.territory_id = territories.territory_id
    left join reps as managers on managers.rep_id = territories.manager_id
    left join members on members.territory_id = territories.territory_id
)

select * from final
