with records as (
    {{ current_records('hubspot', 'deals') }}
),

final as (
    select
        hs_object_id as deal_id,
        hubspot_owner_id as owner_id,
        from_json(company_ids, '["varchar"]') as company_ids,
        string_split(hs_merged_object_ids, ';') as merged_deal_ids,
        pipeline as pipeline_id,
        dealstage as stage_id,
        dealname as deal_name,
        dealtype as deal_type,
        hs_manual_forecast_category as forecast_category,
        upper(deal_currency_code) as currency_code,
        {{ to_decimal('amount') }} as amount,
        {{ to_decimal('hs_deal_stage_probability') }} as win_probability,
        cast(hs_is_closed as boolean) as is_closed,
        cast(hs_is_closed_won as boolean) as is_won,
        waiver_ids,
        is_held_back,
        {{ to_utc('closedate') }} as close_at,
        {{ to_utc('createdate') }} as created_at,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
    from records
)

select * from final
