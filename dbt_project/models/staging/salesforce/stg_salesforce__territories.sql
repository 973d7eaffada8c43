with records as (
    {{ current_records('salesforce', 'territories') }}
),

-- Only organisations with forecasting by territory have the field.
with_optional_columns as (
    select * from records
    union all by name
    select cast(null as varchar) as ForecastUserId where false
),

final as (
    select
        Id as territory_id,
        ParentTerritory2Id as parent_territory_id,
        Territory2ModelId as model_id,
        ForecastUserId as forecast_user_id,
        Name as territory_name,
        waiver_ids,
        is_held_back,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from with_optional_columns
)

select * from final
