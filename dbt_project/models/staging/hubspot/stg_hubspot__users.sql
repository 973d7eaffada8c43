with records as (
    {{ current_records('hubspot', 'users') }}
),

final as (
    select
        hs_object_id as user_id,
        nullif(concat_ws(' ', hs_given_name, hs_family_name), '') as user_name,
        lower(trim(hs_email)) as email,
        hs_job_title as job_title,
        lower(trim(manager_email)) as manager_email,
        region,
        waiver_ids,
        is_held_back,
        {{ to_utc('hs_createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
