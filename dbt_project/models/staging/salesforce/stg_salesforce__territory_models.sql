with records as (
    {{ current_records('salesforce', 'territory_models') }}
),

final as (
    select
        Id as model_id,
        Name as model_name,
        State as model_state,
        waiver_ids,
        is_held_back,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
