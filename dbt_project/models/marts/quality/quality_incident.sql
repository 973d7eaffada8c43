with incidents as (
    select * from {{ source('attain', 'incidents') }}
),

final as (
    select
        incident_id,
        waiver_id,
        key as record_key,
        other_key as other_record_key,
        queue,
        crm,
        stream,
        rule,
        dimension,
        severity,
        reason,
        state,
        resolution,
        comment,
        assignee,
        amount_at_risk,
        pipeline_at_risk,
        payout_at_risk,
        {{ hours_between('occurred_at', 'opened_at') }} as detection_hours,
        {{ hours_between('opened_at', 'acknowledged_at') }} as acknowledgement_hours,
        {{ hours_between('opened_at', 'resolved_at') }} as resolution_hours,
        state <> 'resolved' as is_open,
        coalesce(state <> 'resolved' and due_at < {{ as_of_date() }}, false) as is_overdue,
        occurred_at,
        opened_at,
        acknowledged_at,
        assigned_at,
        resolved_at,
        due_at,
        last_seen_at,
    from incidents
)

select * from final
