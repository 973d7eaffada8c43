with records as (
    {{ current_records('zoho', 'contacts') }}
),

final as (
    select
        id as contact_id,
        Account_Name as account_id,
        Owner as owner_id,
        First_Name as first_name,
        Last_Name as last_name,
        lower(trim(Email)) as email,
        Phone as phone,
        Title as job_title,
        waiver_ids,
        is_held_back,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
