with records as (
    {{ current_records('zoho', 'accounts') }}
),

final as (
    select
        id as account_id,
        Parent_Account as parent_account_id,
        Owner as owner_id,
        Account_Name as account_name,
        Industry as industry,
        Billing_Country as country,
        Website as website,
        upper(Currency) as currency_code,
        {{ to_decimal('Annual_Revenue') }} as annual_revenue_amount,
        cast({{ to_decimal('Employees') }} as integer) as employee_count,
        waiver_ids,
        is_held_back,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
