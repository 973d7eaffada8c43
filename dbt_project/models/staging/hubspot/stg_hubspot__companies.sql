with records as (
    {{ current_records('hubspot', 'companies') }}
),

final as (
    select
        hs_object_id as company_id,
        hs_parent_company_id as parent_company_id,
        hubspot_owner_id as owner_id,
        string_split(hs_merged_object_ids, ';') as merged_company_ids,
        name as company_name,
        domain as website,
        industry,
        country,
        {{ to_decimal('annualrevenue') }} as annual_revenue_amount,
        cast({{ to_decimal('numberofemployees') }} as integer) as employee_count,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
