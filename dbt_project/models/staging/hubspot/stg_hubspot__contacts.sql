with records as (
    {{ current_records('hubspot', 'contacts') }}
),

final as (
    select
        hs_object_id as contact_id,
        associatedcompanyid as company_id,
        hubspot_owner_id as owner_id,
        firstname as first_name,
        lastname as last_name,
        lower(trim(email)) as email,
        phone,
        jobtitle as job_title,
        lifecyclestage as lifecycle_stage,
        hs_lead_status as lead_status,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdate') }} as created_at,
        {{ to_utc('lastmodifieddate') }} as modified_at,
    from records
)

select * from final
