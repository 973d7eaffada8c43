with records as (
    {{ current_records('zoho', 'stage_history') }}
),

final as (
    select
        id as history_id,
        Potential_Name as deal_id,
        Stage as stage_name,
        {{ to_decimal('Amount') }} as amount,
        waiver_ids,
        is_held_back,
        {{ to_day('Closing_Date') }} as close_on,
        {{ to_utc('Modified_Time') }} as changed_at,
    from records
)

select * from final
