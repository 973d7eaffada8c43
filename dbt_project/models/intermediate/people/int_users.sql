with salesforce_users as (
    select * from {{ ref('stg_salesforce__users') }}
),

hubspot_owners as (
    select * from {{ ref('stg_hubspot__owners') }}
),

hubspot_users as (
    select * from {{ ref('stg_hubspot__users') }}
),

dynamics_users as (
    select * from {{ ref('stg_dynamics__systemusers') }}
),

dynamics_business_units as (
    select * from {{ ref('stg_dynamics__businessunits') }}
),

zoho_users as (
    select * from {{ ref('stg_zoho__users') }}
),

zoho_roles as (
    select * from {{ ref('stg_zoho__roles') }}
),

user_versions as (
    select * from {{ ref('int_user_versions') }}
),

from_salesforce as (
    select
        'salesforce' as crm,
        user_id as source_user_id,
        manager_user_id as source_manager_id,
        email,
        cast(null as varchar) as manager_email,
        user_name,
        region,
        team_name as crm_team_name,
        waiver_ids,
        coalesce(is_active, true) as is_active,
        coalesce(user_type, 'Standard') = 'Standard' as is_person,
    from salesforce_users
),

hubspot_users_by_email as (
    select *
    from hubspot_users
    where email is not null
    qualify row_number() over (partition by email order by user_id) = 1
),

from_hubspot_owners as (
    select
        'hubspot' as crm,
        hubspot_owners.owner_id as source_user_id,
        cast(null as varchar) as source_manager_id,
        hubspot_owners.email,
        hubspot_users_by_email.manager_email,
        coalesce(hubspot_owners.owner_name, hubspot_users_by_email.user_name) as user_name,
        hubspot_users_by_email.region,
        hubspot_owners.team_name as crm_team_name,
        {{ waiver_ids_of('hubspot_owners', 'hubspot_users_by_email') }} as waiver_ids,
        hubspot_owners.is_active,
        coalesce(hubspot_owners.owner_type, 'PERSON') = 'PERSON' as is_person,
    from hubspot_owners
    left join hubspot_users_by_email on hubspot_users_by_email.email = hubspot_owners.email
),

-- A user who owns nothing may still manage people. Owner and user ids are different series, hence the prefix.
from_hubspot_users as (
    select
        'hubspot' as crm,
        'user-' || hubspot_users_by_email.user_id as source_user_id,
        cast(null as varchar) as source_manager_id,
        hubspot_users_by_email.email,
        hubspot_users_by_email.manager_email,
        hubspot_users_by_email.user_name,
        hubspot_users_by_email.region,
        cast(null as varchar) as crm_team_name,
        hubspot_users_by_email.waiver_ids,
        true as is_active,
        true as is_person,
    from hubspot_users_by_email
    anti join hubspot_owners on hubspot_owners.email = hubspot_users_by_email.email
),

from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_users.user_id as source_user_id,
        dynamics_users.manager_user_id as source_manager_id,
        dynamics_users.email,
        cast(null as varchar) as manager_email,
        dynamics_users.user_name,
        dynamics_business_units.business_unit_name as region,
        cast(null as varchar) as crm_team_name,
        {{ waiver_ids_of('dynamics_users', 'dynamics_business_units') }} as waiver_ids,
        dynamics_users.is_active,
        true as is_person,
    from dynamics_users
    left join dynamics_business_units
        on dynamics_business_units.business_unit_id = dynamics_users.business_unit_id
),

-- The role is the region, but for the one on top, which everybody reports to.
from_zoho as (
    select
        'zoho' as crm,
        zoho_users.user_id as source_user_id,
        zoho_users.manager_user_id as source_manager_id,
        zoho_users.email,
        cast(null as varchar) as manager_email,
        zoho_users.user_name,
        zoho_roles.role_name as region,
        cast(null as varchar) as crm_team_name,
        {{ waiver_ids_of('zoho_users', 'zoho_roles') }} as waiver_ids,
        zoho_users.is_active,
        true as is_person,
    from zoho_users
    left join zoho_roles
        on zoho_roles.role_id = zoho_users.role_id
        and zoho_roles.parent_role_id is not null
),

-- Somebody whom a CRM has forgotten still owns what they did there.
deleted as (
    select * from user_versions
    where is_latest and is_deleted
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
        coalesce(email, crm || ':' || source_user_id) as rep_id,
        crm || ':' || source_manager_id as manager_user_id,
        crm,
        email,
        manager_email,
        coalesce(user_name, email, crm || ':' || source_user_id) as user_name,
        region,
        crm_team_name,
        waiver_ids,
        is_active,
        is_person,
    from unioned
    union all by name
    select
        deleted.user_id,
        deleted.rep_id,
        deleted.manager_user_id,
        deleted.crm,
        deleted.email,
        deleted.manager_email,
        deleted.user_name,
        deleted.region,
        deleted.crm_team_name,
        deleted.waiver_ids,
        deleted.is_active,
        deleted.is_person,
    from deleted
    anti join unioned on unioned.crm || ':' || unioned.source_user_id = deleted.user_id
    -- an owner and a user of HubSpot are one person; one of the two is enough
    anti join hubspot_owners
        on deleted.user_id like 'hubspot:user-%' and hubspot_owners.email = deleted.email
)

select * from final
