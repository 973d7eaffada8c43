-- Every opportunity has exactly one present stage in its history, and it is the one in fct_opportunity.
select
    opportunities.opportunity_id,
    opportunities.stage,
    visits.stage as stage_in_history,
    count(visits.opportunity_id) as present_count,
from {{ ref('fct_opportunity') }} as opportunities
left join {{ ref('fct_opportunity_stage') }} as visits
    on visits.opportunity_id = opportunities.opportunity_id
    and visits.is_current
group by all
having count(visits.opportunity_id) <> 1 or visits.stage is distinct from opportunities.stage
