with records as (
    {{ current_records('hubspot', 'owners') }}
),

owners as (
    select * replace (from_json(teams, '[{"name": "varchar", "primary": "boolean"}]') as teams)
    from records
),

final as (
    select
        id as owner_id,
        coalesce(userId, userIdIncludingInactive) as hubspot_user_id,
        nullif(concat_ws(' ', firstName, lastName), '') as owner_name,
        lower(trim(email)) as email,
        type as owner_type,
        coalesce(
            list_filter(teams, lambda team: team."primary")[1].name,
            teams[1].name
        ) as team_name,
        not coalesce(cast(archived as boolean), false) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdAt') }} as created_at,
        {{ to_utc('updatedAt') }} as modified_at,
    from owners
)

select * from final
