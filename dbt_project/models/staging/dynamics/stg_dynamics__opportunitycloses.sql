with records as (
    {{ current_records('dynamics', 'opportunitycloses') }}
),

final as (
    select
        activityid as close_id,
        _opportunityid_value as opportunity_id,
        {{ to_decimal('actualrevenue') }} as actual_amount,
        waiver_ids,
        is_held_back,
        {{ to_utc('actualend') }} as closed_at,
    from records
)

select * from final
