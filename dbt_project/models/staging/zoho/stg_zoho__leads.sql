with records as (
    {{ current_records('zoho', 'leads') }}
),

final as (
    select
        id as lead_id,
        Converted_Deal as deal_id,
        Owner as owner_id,
        Full_Name as lead_name,
        Company as company_name,
        lower(trim(Email)) as email,
        Lead_Source as lead_source,
        Lead_Status as lead_status,
        coalesce(cast(Converted__s as boolean), false) as is_converted,
        waiver_ids,
        is_held_back,
        {{ to_utc('Converted_Date_Time') }} as converted_at,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
