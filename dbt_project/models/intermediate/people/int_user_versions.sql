with landed as (
    select * from {{ ref('int_user_versions__unioned') }}
),

-- A delete says nothing but that it is one: the rest is what was last known.
known as (
    select
        user_id,
        version_number,
        is_deleted,
        modified_at,
        modified_on,
        landed_on,
        last_value(
            case
                when not is_deleted
                    then {
                        manager_user_id: manager_user_id,
                        territory_id: territory_id,
                        crm: crm,
                        manager_email: manager_email,
                        email: email,
                        user_name: user_name,
                        region: region,
                        crm_team_name: crm_team_name,
                        title: title,
                        waiver_ids: waiver_ids,
                        is_active: is_active,
                        is_person: is_person
                    }
            end ignore nulls
        ) over so_far as said,
        max(modified_at) over before as modified_before_at,
    from landed
    window
        so_far as (partition by user_id order by version_number),
        before as (
            partition by user_id order by version_number
            rows between unbounded preceding and 1 preceding
        )
),

-- What is known first holds back in time. What came later holds from the day it was changed; where the stamp has not
-- moved, or there is none, from the day it landed.
dated as (
    select
        *,
        case
            when row_number() over user_versions = 1 then date '1900-01-01'
            -- what a night has read held that night, whatever the CRM's clock says
            when modified_at > modified_before_at or (modified_before_at is null and modified_at is not null)
                then least(modified_on, landed_on)
            else landed_on
        end as effective_on,
    from known
    where said is not null
    window user_versions as (partition by user_id order by version_number)
),

ordered as (
    select
        *,
        max(effective_on) over (partition by user_id order by version_number) as valid_from,
    from dated
),

last_of_day as (
    select *
    from ordered
    qualify row_number() over (partition by user_id, valid_from order by version_number desc) = 1
),

-- One person keeps one id, whatever their address was before.
final as (
    select
        user_id,
        coalesce(last_value(said.email) over whole, user_id) as rep_id,
        said.manager_user_id,
        said.territory_id,
        said.crm,
        said.email,
        said.manager_email,
        said.user_name,
        said.region,
        said.crm_team_name,
        said.title,
        said.waiver_ids,
        not is_deleted and said.is_active as is_active,
        last_value(said.is_person) over whole as is_person,
        is_deleted,
        row_number() over newest_first = 1 as is_latest,
        valid_from,
        lead(valid_from, 1, date '9999-12-31') over oldest_first as valid_to,
    from last_of_day
    window
        oldest_first as (partition by user_id order by version_number),
        newest_first as (partition by user_id order by version_number desc),
        whole as (
            partition by user_id order by version_number
            rows between unbounded preceding and unbounded following
        )
)

select * from final
