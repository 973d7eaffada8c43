with records as (
    {{ current_records('dynamics', 'businessunits') }}
),

final as (
    select
        businessunitid as business_unit_id,
        _parentbusinessunitid_value as parent_business_unit_id,
        name as business_unit_name,
        not coalesce(cast(isdisabled as boolean), false) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
