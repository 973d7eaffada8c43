with user_territories as (
    {{ accepted_versions('salesforce', 'user_territories') }}
),

-- A delete says nothing but that it is one: the rest is what was last known.
known as (
    select
        _key as assignment_id,
        last_value(UserId ignore nulls) over so_far as user_id,
        last_value(Territory2Id ignore nulls) over so_far as territory_id,
        waiver_ids,
        version_number,
        not is_deleted and coalesce(cast(IsActive as boolean), true) as is_active,
        row_number() over so_far = 1 and in_first_read as is_known_first,
        {{ business_day(to_utc('SystemModstamp'), "'salesforce'") }} as modified_on,
        landed_on,
    from user_territories
    window so_far as (partition by _key order by version_number)
),

dated as (
    select
        *,
        max(
            case
                when is_known_first then date '1900-01-01'
                else least(modified_on, landed_on)
            end
        ) over (partition by assignment_id order by version_number) as valid_from,
    from known
),

last_of_day as (
    select *
    from dated
    qualify row_number() over (partition by assignment_id, valid_from order by version_number desc) = 1
),

periods as (
    select
        *,
        lead(valid_from, 1, date '9999-12-31') over (partition by assignment_id order by valid_from) as valid_to,
    from last_of_day
),

final as (
    select
        'salesforce:' || assignment_id as assignment_id,
        'salesforce:' || user_id as user_id,
        'salesforce:' || territory_id as territory_id,
        waiver_ids,
        valid_from,
        valid_to,
    from periods
    where is_active and user_id is not null
)

select * from final
