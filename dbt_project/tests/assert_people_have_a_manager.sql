-- Active people who sell, report to nobody and manage nobody: the region's numbers have them, no manager's do.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'dim_rep'}}}) }}

select
    rep_id,
    rep_name,
    crms,
from {{ ref('dim_rep') }}
where is_active and manager_id is null and not is_manager
order by rep_id
