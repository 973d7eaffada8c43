with records as (
    {{ current_records('dynamics', 'contacts') }}
),

final as (
    select
        contactid as contact_id,
        _masterid_value as master_contact_id,
        _parentcustomerid_value as account_id,
        _ownerid_value as owner_id,
        firstname as first_name,
        lastname as last_name,
        lower(trim(emailaddress1)) as email,
        telephone1 as phone,
        jobtitle as job_title,
        coalesce(cast(merged as boolean), false) as is_merged,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
