with records as (
    {{ current_records('zoho', 'deal_stages') }}
),

final as (
    select
        id as stage_id,
        pipeline_id,
        pipeline_name,
        actual_value as stage_name,
        forecast_type,
        cast({{ to_decimal('sequence_number') }} as integer) as stage_order,
        cast({{ to_decimal('probability') }} / 100 as decimal(9, 6)) as win_probability,
        waiver_ids,
        is_held_back,
    from records
)

select * from final
