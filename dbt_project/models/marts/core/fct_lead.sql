with leads as (
    select * from {{ ref('int_leads') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

reps as (
    select * from {{ ref('dim_rep') }}
),

final as (
    select
        leads.lead_id,
        leads.opportunity_id,
        leads.rep_id,
        reps.team_id,
        leads.crm,
        leads.lead_name,
        leads.lead_source,
        leads.lead_status,
        leads.crm_status,
        reps.region,
        {{ waiver_ids_of('leads', 'reps') }} as waiver_ids,
        leads.is_converted,
        coalesce(opportunities.outcome = 'won', false) as has_won_opportunity,
        leads.is_held_back,
        leads.created_on,
        leads.converted_on,
    from leads
    left join opportunities on opportunities.opportunity_id = leads.opportunity_id
    left join reps on reps.rep_id = leads.rep_id
)

select * from final
