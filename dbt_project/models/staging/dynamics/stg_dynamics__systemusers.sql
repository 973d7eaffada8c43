with records as (
    {{ current_records('dynamics', 'systemusers') }}
),

final as (
    select
        systemuserid as user_id,
        _parentsystemuserid_value as manager_user_id,
        _businessunitid_value as business_unit_id,
        fullname as user_name,
        lower(trim(internalemailaddress)) as email,
        domainname as username,
        title as job_title,
        not coalesce(cast(isdisabled as boolean), false) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
