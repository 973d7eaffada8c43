with records as (
    {{ current_records('hubspot', 'deal_stages') }}
),

final as (
    select
        id as stage_id,
        pipeline_id,
        label as stage_label,
        pipeline_label,
        cast({{ to_decimal('displayOrder') }} as integer) as stage_order,
        {{ to_decimal('probability') }} as win_probability,
        cast(isClosed as boolean) as is_closed,
        cast(archived as boolean) as is_archived,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdAt') }} as created_at,
        {{ to_utc('updatedAt') }} as modified_at,
    from records
)

select * from final
