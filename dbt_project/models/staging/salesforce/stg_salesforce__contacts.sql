with records as (
    {{ current_records('salesforce', 'contacts') }}
),

final as (
    select
        Id as contact_id,
        AccountId as account_id,
        OwnerId as owner_id,
        FirstName as first_name,
        LastName as last_name,
        lower(trim(Email)) as email,
        Phone as phone,
        Title as job_title,
        waiver_ids,
        is_held_back,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
