with records as (
    {{ current_records('salesforce', 'opportunity_stages') }}
),

final as (
    select
        Id as stage_id,
        ApiName as stage_name,
        MasterLabel as stage_label,
        ForecastCategoryName as forecast_category,
        cast({{ to_decimal('SortOrder') }} as integer) as stage_order,
        cast({{ to_decimal('DefaultProbability') }} / 100 as decimal(9, 6)) as win_probability,
        cast(IsActive as boolean) as is_active,
        cast(IsClosed as boolean) as is_closed,
        cast(IsWon as boolean) as is_won,
        waiver_ids,
        is_held_back,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
