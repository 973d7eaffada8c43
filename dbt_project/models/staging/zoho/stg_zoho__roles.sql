with records as (
    {{ current_records('zoho', 'roles') }}
),

final as (
    select
        id as role_id,
        reporting_to as parent_role_id,
        name as role_name,
        waiver_ids,
        is_held_back,
    from records
)

select * from final
