with salesforce_users as (
    {{ accepted_versions('salesforce', 'users') }}
),

hubspot_owners as (
    {{ accepted_versions('hubspot', 'owners') }}
),

hubspot_users as (
    {{ accepted_versions('hubspot', 'users') }}
),

dynamics_users as (
    {{ accepted_versions('dynamics', 'systemusers') }}
),

dynamics_business_units as (
    select * from {{ ref('stg_dynamics__businessunits') }}
),

zoho_users as (
    {{ accepted_versions('zoho', 'users') }}
),

zoho_roles as (
    select * from {{ ref('stg_zoho__roles') }}
),

from_salesforce as (
    select
        'salesforce' as crm,
        _key as source_user_id,
        ManagerId as source_manager_id,
        lower(trim(Email)) as email,
        Name as user_name,
        Division as region,
        Department as crm_team_name,
        Title as title,
        waiver_ids,
        version_number,
        coalesce(cast(IsActive as boolean), true) as is_active,
        coalesce(UserType, 'Standard') = 'Standard' as is_person,
        is_deleted,
        {{ to_utc('SystemModstamp') }} as modified_at,
        {{ business_day(to_utc('SystemModstamp'), "'salesforce'") }} as modified_on,
        landed_on,
    from salesforce_users
),

from_hubspot_owners as (
    select
        'hubspot' as crm,
        _key as source_user_id,
        lower(trim(email)) as email,
        nullif(concat_ws(' ', firstName, lastName), '') as user_name,
        coalesce(
            list_filter(
                from_json(teams, '[{"name": "varchar", "primary": "boolean"}]'), lambda team: team."primary"
            )[1].name,
            from_json(teams, '[{"name": "varchar", "primary": "boolean"}]')[1].name
        ) as crm_team_name,
        waiver_ids,
        version_number,
        not coalesce(cast(archived as boolean), false) as is_active,
        coalesce(type, 'PERSON') = 'PERSON' as is_person,
        is_deleted,
        {{ to_utc('updatedAt') }} as modified_at,
        {{ business_day(to_utc('updatedAt'), "'hubspot'") }} as modified_on,
        landed_on,
    from hubspot_owners
),

-- Who manages whom is with the user; whether they may enter, with the owner of the same e-mail.
from_hubspot_users as (
    select
        'hubspot' as crm,
        'user-' || _key as source_user_id,
        lower(trim(manager_email)) as manager_email,
        lower(trim(hs_email)) as email,
        nullif(concat_ws(' ', hs_given_name, hs_family_name), '') as user_name,
        region,
        hs_job_title as title,
        waiver_ids,
        version_number,
        cast(null as boolean) as is_active,
        true as is_person,
        is_deleted,
        {{ to_utc('hs_lastmodifieddate') }} as modified_at,
        {{ business_day(to_utc('hs_lastmodifieddate'), "'hubspot'") }} as modified_on,
        landed_on,
    from hubspot_users
),

from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_users._key as source_user_id,
        dynamics_users._parentsystemuserid_value as source_manager_id,
        lower(trim(dynamics_users.internalemailaddress)) as email,
        dynamics_users.fullname as user_name,
        dynamics_business_units.business_unit_name as region,
        dynamics_users.title,
        'dynamics:' || dynamics_users._territoryid_value as territory_id,
        {{ waiver_ids_of('dynamics_users', 'dynamics_business_units') }} as waiver_ids,
        dynamics_users.version_number,
        not coalesce(cast(dynamics_users.isdisabled as boolean), false) as is_active,
        true as is_person,
        dynamics_users.is_deleted,
        {{ to_utc('dynamics_users.modifiedon') }} as modified_at,
        {{ business_day(to_utc('dynamics_users.modifiedon'), "'dynamics'") }} as modified_on,
        dynamics_users.landed_on,
    from dynamics_users
    left join dynamics_business_units
        on dynamics_business_units.business_unit_id = dynamics_users._businessunitid_value
),

-- The role is the region, but for the one on top, which everybody reports to.
from_zoho as (
    select
        'zoho' as crm,
        zoho_users._key as source_user_id,
        zoho_users.Reporting_To as source_manager_id,
        lower(trim(zoho_users.email)) as email,
        zoho_users.full_name as user_name,
        zoho_roles.role_name as region,
        {{ waiver_ids_of('zoho_users', 'zoho_roles') }} as waiver_ids,
        zoho_users.version_number,
        coalesce(zoho_users.status, 'active') = 'active' as is_active,
        true as is_person,
        zoho_users.is_deleted,
        {{ to_utc('zoho_users.Modified_Time') }} as modified_at,
        {{ business_day(to_utc('zoho_users.Modified_Time'), "'zoho'") }} as modified_on,
        zoho_users.landed_on,
    from zoho_users
    left join zoho_roles
        on zoho_roles.role_id = zoho_users.role
        and zoho_roles.parent_role_id is not null
),

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot_owners
    union all by name
    select * from from_hubspot_users
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
),

final as (
    select
        crm || ':' || source_user_id as user_id,
        crm || ':' || source_manager_id as manager_user_id,
        territory_id,
        crm,
        email,
        manager_email,
        coalesce(user_name, email, crm || ':' || source_user_id) as user_name,
        region,
        crm_team_name,
        title,
        waiver_ids,
        version_number,
        is_active,
        is_person,
        is_deleted,
        modified_at,
        modified_on,
        landed_on,
    from unioned
)

select * from final
