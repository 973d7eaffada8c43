with recursive history as (
    select * from {{ ref('int_rep_history') }}
    where manager_id is not null
),

-- One step up at a time, as long as all the steps hold together. People who manage each other would go round for ever:
-- nobody is met twice on one way up.
steps as (
    select
        manager_id,
        rep_id,
        1 as depth,
        [rep_id, manager_id] as path,
        valid_from,
        valid_to,
    from history
    union all
    select
        history.manager_id,
        steps.rep_id,
        steps.depth + 1 as depth,
        list_append(steps.path, history.manager_id) as path,
        greatest(steps.valid_from, history.valid_from) as valid_from,
        least(steps.valid_to, history.valid_to) as valid_to,
    from steps
    inner join history
        on history.rep_id = steps.manager_id
        and history.valid_from < steps.valid_to
        and history.valid_to > steps.valid_from
    where not list_contains(steps.path, history.manager_id)
),

-- A row of the history ends for other reasons than a new manager, too.
marked as (
    select
        manager_id,
        rep_id,
        depth,
        valid_from,
        valid_to,
        valid_from is distinct from lag(valid_to) over (
            partition by manager_id, rep_id, depth order by valid_from, valid_to
        ) as is_start,
    from steps
),

numbered as (
    select
        *,
        count(*) filter (where is_start) over (
            partition by manager_id, rep_id, depth order by valid_from, valid_to
        ) as period_number,
    from marked
),

final as (
    select
        manager_id,
        rep_id,
        depth,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to,
    from numbered
    group by manager_id, rep_id, depth, period_number
)

select * from final
