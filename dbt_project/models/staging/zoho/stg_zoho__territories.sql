with records as (
    {{ current_records('zoho', 'territories') }}
),

final as (
    select
        id as territory_id,
        reporting_to as parent_territory_id,
        manager as manager_user_id,
        name as territory_name,
        waiver_ids,
        is_held_back,
        {{ to_utc('created_time') }} as created_at,
        {{ to_utc('modified_time') }} as modified_at,
    from records
)

select * from final
