with records as (
    {{ current_records('dynamics', 'opportunityproducts') }}
),

final as (
    select
        opportunityproductid as line_id,
        _opportunityid_value as opportunity_id,
        _productid_value as product_id,
        productdescription as line_name,
        {{ to_decimal('quantity') }} as quantity,
        {{ to_decimal('priceperunit') }} as unit_price_amount,
        {{ to_decimal('extendedamount') }} as line_amount,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
