with records as (
    {{ current_records('dynamics', 'opportunitysalesprocesses') }}
),

final as (
    select
        businessprocessflowinstanceid as process_id,
        _opportunityid_value as opportunity_id,
        _activestageid_value as active_stage_id,
        string_split(traversedpath, ',') as traversed_stage_ids,
        waiver_ids,
        is_held_back,
        {{ to_utc('activestagestartedon') }} as active_stage_started_at,
        {{ to_utc('createdon') }} as created_at,
    from records
)

select * from final
