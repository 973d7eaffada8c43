with records as (
    {{ current_records('hubspot', 'products') }}
),

final as (
    select
        hs_object_id as product_id,
        name as product_name,
        hs_sku as product_code,
        hs_product_type as product_type,
        {{ to_decimal('price') }} as price_amount,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
