with records as (
    {{ current_records('dynamics', 'territories') }}
),

final as (
    select
        territoryid as territory_id,
        _parentterritoryid_value as parent_territory_id,
        _managerid_value as manager_user_id,
        name as territory_name,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
