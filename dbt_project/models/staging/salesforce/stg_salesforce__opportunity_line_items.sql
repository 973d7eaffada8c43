with records as (
    {{ current_records('salesforce', 'opportunity_line_items') }}
),

final as (
    select
        Id as line_id,
        OpportunityId as opportunity_id,
        Product2Id as product_id,
        {{ to_decimal('Quantity') }} as quantity,
        {{ to_decimal('UnitPrice') }} as unit_price_amount,
        {{ to_decimal('TotalPrice') }} as line_amount,
        waiver_ids,
        is_held_back,
        {{ to_day('ServiceDate') }} as service_on,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
