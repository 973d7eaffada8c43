with records as (
    {{ current_records('salesforce', 'leads') }}
),

final as (
    select
        Id as lead_id,
        OwnerId as owner_id,
        ConvertedAccountId as account_id,
        ConvertedContactId as contact_id,
        ConvertedOpportunityId as opportunity_id,
        nullif(concat_ws(' ', FirstName, LastName), '') as lead_name,
        Company as company_name,
        lower(trim(Email)) as email,
        Status as lead_status,
        LeadSource as lead_source,
        Country as country,
        cast(IsConverted as boolean) as is_converted,
        waiver_ids,
        is_held_back,
        {{ to_day('ConvertedDate') }} as converted_on,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
