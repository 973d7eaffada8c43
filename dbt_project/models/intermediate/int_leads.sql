with salesforce_leads as (
    select * from {{ ref('stg_salesforce__leads') }}
),

hubspot_leads as (
    select * from {{ ref('stg_hubspot__leads') }}
),

dynamics_leads as (
    select * from {{ ref('stg_dynamics__leads') }}
),

zoho_leads as (
    select * from {{ ref('stg_zoho__leads') }}
),

users as (
    select * from {{ ref('int_users') }}
    where is_person
),

lead_status_map as (
    select * from {{ ref('lead_status_map') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

from_salesforce as (
    select
        'salesforce' as crm,
        lead_id as source_lead_id,
        owner_id,
        opportunity_id as source_opportunity_id,
        lead_name,
        lead_status as crm_status,
        lead_source,
        coalesce(is_converted, false) as is_converted,
        waiver_ids,
        is_held_back,
        created_at,
        converted_on,
    from salesforce_leads
),

-- HubSpot has no flag: a lead has converted once a deal is associated with it.
from_hubspot as (
    select
        'hubspot' as crm,
        lead_id as source_lead_id,
        owner_id,
        list_sort(deal_ids)[1] as source_opportunity_id,
        lead_name,
        stage_id as crm_status,
        lead_source,
        coalesce(len(deal_ids), 0) > 0 as is_converted,
        waiver_ids,
        is_held_back,
        created_at,
        cast(null as date) as converted_on,
    from hubspot_leads
),

from_dynamics as (
    select
        'dynamics' as crm,
        lead_id as source_lead_id,
        owner_id,
        opportunity_id as source_opportunity_id,
        lead_name,
        cast(state_code as varchar) as crm_status,
        lead_source,
        coalesce(state_code = 1, false) as is_converted,
        waiver_ids,
        is_held_back,
        created_at,
        cast(null as date) as converted_on,
    from dynamics_leads
    where not is_merged
),

from_zoho as (
    select
        'zoho' as crm,
        lead_id as source_lead_id,
        owner_id,
        deal_id as source_opportunity_id,
        lead_name,
        lead_status as crm_status,
        lead_source,
        is_converted,
        waiver_ids,
        is_held_back,
        created_at,
        {{ business_day('converted_at', "'zoho'") }} as converted_on,
    from zoho_leads
),

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
),

final as (
    select
        unioned.crm || ':' || unioned.source_lead_id as lead_id,
        coalesce(users.rep_id, 'unassigned') as rep_id,
        opportunities.opportunity_id,
        unioned.crm,
        unioned.lead_name,
        unioned.crm_status,
        coalesce(lead_status_map.lead_status, unioned.crm_status) as lead_status,
        unioned.lead_source,
        unioned.is_converted,
        {{ waiver_ids_of('unioned', 'users', 'opportunities') }} as waiver_ids,
        unioned.is_held_back,
        {{ business_day('unioned.created_at', 'unioned.crm') }} as created_on,
        unioned.converted_on,
    from unioned
    left join users on users.user_id = unioned.crm || ':' || unioned.owner_id
    left join lead_status_map
        on lead_status_map.crm = unioned.crm
        and lead_status_map.crm_status = unioned.crm_status
    left join opportunities
        on opportunities.opportunity_id = unioned.crm || ':' || unioned.source_opportunity_id
)

select * from final
