-- Assignments of somebody, to somebody, or to a territory that no CRM knows: a typing error would leave people where they were.
{{ config(meta={'dagster': {'ref': {'name': 'rep_assignments'}}}) }}

with assignments as (
    select * from {{ ref('rep_assignments') }}
),

people as (
    select lower(rep_id) as rep_id from {{ ref('int_rep_history') }}
),

territories as (
    select lower(territory_name) as territory_name from {{ ref('int_territories') }}
)

select
    rep_email,
    manager_email,
    territory,
    valid_from,
from assignments
where
    lower(rep_email) not in (select rep_id from people)
    or lower(manager_email) not in (select rep_id from people)
    or (
        lower(territory) not in (select territory_name from territories)
        -- an organisation without territories in its CRMs may use names of its own
        and exists (select * from territories)
    )
