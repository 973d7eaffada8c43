with records as (
    {{ current_records('salesforce', 'products') }}
),

final as (
    select
        Id as product_id,
        Name as product_name,
        ProductCode as product_code,
        Family as product_family,
        cast(IsActive as boolean) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
