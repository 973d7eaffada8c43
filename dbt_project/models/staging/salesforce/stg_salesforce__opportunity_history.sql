with records as (
    {{ current_records('salesforce', 'opportunity_history') }}
),

final as (
    select
        Id as history_id,
        OpportunityId as opportunity_id,
        StageName as stage_name,
        {{ to_decimal('Amount') }} as amount,
        waiver_ids,
        is_held_back,
        {{ to_day('CloseDate') }} as close_on,
        {{ to_utc('CreatedDate') }} as changed_at,
    from records
)

select * from final
