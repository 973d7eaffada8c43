with salesforce_history as (
    select * from {{ ref('stg_salesforce__opportunity_history') }}
),

salesforce_stages as (
    select * from {{ ref('stg_salesforce__opportunity_stages') }}
),

hubspot_history as (
    select * from {{ ref('stg_hubspot__deal_history') }}
    where property = 'dealstage'
),

hubspot_stages as (
    select * from {{ ref('stg_hubspot__deal_stages') }}
),

dynamics_processes as (
    select * from {{ ref('stg_dynamics__opportunitysalesprocesses') }}
),

dynamics_stages as (
    select * from {{ ref('stg_dynamics__processstages') }}
),

dynamics_closes as (
    select * from {{ ref('stg_dynamics__opportunitycloses') }}
),

zoho_history as (
    select * from {{ ref('stg_zoho__stage_history') }}
),

zoho_stages as (
    select * from {{ ref('stg_zoho__deal_stages') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

stage_map as (
    select * from {{ ref('stage_map') }}
),

salesforce_outcomes as (
    select
        stage_name,
        case when bool_or(is_won) then 'won' when bool_or(is_closed) then 'lost' else 'open' end as outcome,
    from salesforce_stages
    group by stage_name
),

from_salesforce as (
    select
        'salesforce' as crm,
        salesforce_history.opportunity_id as source_opportunity_id,
        salesforce_history.stage_name as crm_stage,
        coalesce(salesforce_outcomes.outcome, 'open') as outcome,
        salesforce_history.waiver_ids,
        salesforce_history.changed_at as entered_at,
        0 as place,
    from salesforce_history
    left join salesforce_outcomes on salesforce_outcomes.stage_name = salesforce_history.stage_name
),

from_hubspot as (
    select
        'hubspot' as crm,
        hubspot_history.deal_id as source_opportunity_id,
        coalesce(hubspot_stages.stage_label, hubspot_history.value) as crm_stage,
        case
            when hubspot_stages.is_closed and hubspot_stages.win_probability = 1 then 'won'
            when hubspot_stages.is_closed then 'lost'
            else 'open'
        end as outcome,
        {{ waiver_ids_of('hubspot_history', 'hubspot_stages') }} as waiver_ids,
        hubspot_history.changed_at as entered_at,
        0 as place,
    from hubspot_history
    left join hubspot_stages on hubspot_stages.stage_id = hubspot_history.value
),

dynamics_steps as (
    select
        opportunity_id,
        unnest(traversed_stage_ids) as process_stage_id,
        generate_subscripts(traversed_stage_ids, 1) as place,
        len(traversed_stage_ids) as step_count,
        waiver_ids,
        created_at,
        active_stage_started_at,
    from dynamics_processes
),

-- Dynamics tells the way a deal took, but only when it began and when it came where it is now.
from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_steps.opportunity_id as source_opportunity_id,
        dynamics_stages.stage_name as crm_stage,
        'open' as outcome,
        {{ waiver_ids_of('dynamics_steps', 'dynamics_stages') }} as waiver_ids,
        case
            when dynamics_steps.place = 1 then dynamics_steps.created_at
            when dynamics_steps.place = dynamics_steps.step_count then dynamics_steps.active_stage_started_at
        end as entered_at,
        dynamics_steps.place,
    from dynamics_steps
    inner join dynamics_stages on dynamics_stages.process_stage_id = dynamics_steps.process_stage_id
),

zoho_outcomes as (
    select
        stage_name,
        case min(forecast_type) when 'Closed Won' then 'won' when 'Closed Lost' then 'lost' else 'open' end as outcome,
    from zoho_stages
    group by stage_name
),

from_zoho as (
    select
        'zoho' as crm,
        zoho_history.deal_id as source_opportunity_id,
        zoho_history.stage_name as crm_stage,
        coalesce(zoho_outcomes.outcome, 'open') as outcome,
        zoho_history.waiver_ids,
        zoho_history.changed_at as entered_at,
        0 as place,
    from zoho_history
    left join zoho_outcomes on zoho_outcomes.stage_name = zoho_history.stage_name
),

from_history as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
),

-- History as the company names the stages; of deals that are not ours any more nothing is told.
named as (
    select
        opportunities.opportunity_id,
        from_history.crm_stage,
        case from_history.outcome
            when 'won' then 'Closed Won'
            when 'lost' then 'Closed Lost'
            else coalesce(stage_map.stage, from_history.crm_stage)
        end as stage,
        from_history.outcome,
        case from_history.outcome
            when 'won' then 5
            when 'lost' then 6
            else stage_map.stage_order
        end as stage_order,
        from_history.waiver_ids,
        from_history.place,
        from_history.entered_at,
    from from_history
    inner join opportunities
        on opportunities.opportunity_id = from_history.crm || ':' || from_history.source_opportunity_id
    left join stage_map
        on stage_map.crm = from_history.crm
        and stage_map.crm_stage = from_history.crm_stage
),

last_closes as (
    select
        'dynamics:' || opportunity_id as opportunity_id,
        max(closed_at) as closed_at,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from dynamics_closes
    group by opportunity_id
),

-- What a deal is now comes last: its history may lack the close, or be missing altogether.
present as (
    select
        opportunities.opportunity_id,
        opportunities.crm_stage,
        opportunities.stage,
        opportunities.outcome,
        opportunities.stage_order,
        case when opportunities.outcome <> 'open' then last_closes.waiver_ids end as waiver_ids,
        1000 as place,
        case
            when opportunities.outcome = 'open' then opportunities.modified_at
            else coalesce(last_closes.closed_at, cast(opportunities.closed_on as timestamp), opportunities.modified_at)
        end as entered_at,
    from opportunities
    left join last_closes on last_closes.opportunity_id = opportunities.opportunity_id
),

unioned as (
    select * from named
    union all by name
    select * from present
),

-- A change of something else than the stage is no new entry; the first is one even where the CRM names no stage.
final as (
    select *
    from unioned
    window in_order as (partition by opportunity_id order by place, entered_at, stage_order)
    qualify
        row_number() over in_order = 1
        or stage is distinct from lag(stage) over in_order
)

select * from final
