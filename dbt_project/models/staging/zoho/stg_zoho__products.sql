with records as (
    {{ current_records('zoho', 'products') }}
),

final as (
    select
        id as product_id,
        Product_Name as product_name,
        Product_Code as product_code,
        Product_Category as product_family,
        {{ to_decimal('Unit_Price') }} as price_amount,
        coalesce(cast(Product_Active as boolean), true) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
