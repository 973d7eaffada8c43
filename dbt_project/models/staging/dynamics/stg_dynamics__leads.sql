with records as (
    {{ current_records('dynamics', 'leads') }}
),

final as (
    select
        leadid as lead_id,
        _masterid_value as master_lead_id,
        _qualifyingopportunityid_value as opportunity_id,
        _ownerid_value as owner_id,
        fullname as lead_name,
        companyname as company_name,
        lower(trim(emailaddress1)) as email,
        leadsourcecode as lead_source,
        cast({{ to_decimal('statecode') }} as integer) as state_code,
        cast({{ to_decimal('statuscode') }} as integer) as status_code,
        coalesce(cast(merged as boolean), false) as is_merged,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
