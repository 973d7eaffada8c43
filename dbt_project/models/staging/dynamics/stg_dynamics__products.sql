with records as (
    {{ current_records('dynamics', 'products') }}
),

final as (
    select
        productid as product_id,
        _parentproductid_value as parent_product_id,
        name as product_name,
        productnumber as product_code,
        {{ to_decimal('price') }} as price_amount,
        coalesce({{ to_decimal('statecode') }} <> 1, true) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
