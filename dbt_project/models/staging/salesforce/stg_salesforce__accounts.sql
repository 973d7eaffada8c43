with records as (
    {{ current_records('salesforce', 'accounts') }}
),

final as (
    select
        Id as account_id,
        ParentId as parent_account_id,
        OwnerId as owner_id,
        Name as account_name,
        Type as account_type,
        Industry as industry,
        BillingCountry as country,
        Website as website,
        upper(CurrencyIsoCode) as currency_code,
        {{ to_decimal('AnnualRevenue') }} as annual_revenue_amount,
        cast({{ to_decimal('NumberOfEmployees') }} as integer) as employee_count,
        waiver_ids,
        is_held_back,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
