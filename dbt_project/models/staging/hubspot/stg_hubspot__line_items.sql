with records as (
    {{ current_records('hubspot', 'line_items') }}
),

final as (
    select
        hs_object_id as line_id,
        hs_product_id as product_id,
        from_json(deal_ids, '["varchar"]') as deal_ids,
        name as line_name,
        upper(hs_line_item_currency_code) as currency_code,
        {{ to_decimal('quantity') }} as quantity,
        {{ to_decimal('price') }} as unit_price_amount,
        {{ to_decimal('amount') }} as line_amount,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
