with records as (
    {{ current_records('dynamics', 'processstages') }}
),

final as (
    select
        processstageid as process_stage_id,
        stagename as stage_name,
        cast({{ to_decimal('stagecategory') }} as integer) as stage_category,
        waiver_ids,
        is_held_back,
    from records
)

select * from final
