with records as (
    {{ current_records('zoho', 'users') }}
),

final as (
    select
        id as user_id,
        Reporting_To as manager_user_id,
        role as role_id,
        full_name as user_name,
        lower(trim(email)) as email,
        status as user_status,
        coalesce(status, 'active') = 'active' as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('created_time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
