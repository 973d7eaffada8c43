with records as (
    {{ current_records('hubspot', 'leads') }}
),

final as (
    select
        hs_object_id as lead_id,
        hubspot_owner_id as owner_id,
        from_json(deal_ids, '["varchar"]') as deal_ids,
        hs_lead_name as lead_name,
        hs_lead_type as lead_type,
        hs_lead_source as lead_source,
        hs_pipeline as pipeline_id,
        hs_pipeline_stage as stage_id,
        waiver_ids,
        is_held_back,
        {{ to_utc('hs_createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
