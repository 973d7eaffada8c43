with records as (
    {{ current_records('zoho', 'sales_orders') }}
),

final as (
    select
        id as order_id,
        Deal_Name as deal_id,
        Account_Name as account_id,
        Owner as owner_id,
        SO_Number as order_number,
        Status as order_status,
        upper(Currency) as currency_code,
        from_json(
            Ordered_Items, '[{"id": "varchar", "Product_Name": "varchar", "Quantity": "varchar", "Total": "varchar"}]'
        ) as items,
        {{ to_decimal('Grand_Total') }} as order_amount,
        waiver_ids,
        is_held_back,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
