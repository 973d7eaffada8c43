with records as (
    {{ current_records('hubspot', 'deal_history') }}
),

final as (
    select
        id as history_id,
        deal_id,
        property,
        value,
        waiver_ids,
        is_held_back,
        {{ to_utc('timestamp') }} as changed_at,
    from records
)

select * from final
