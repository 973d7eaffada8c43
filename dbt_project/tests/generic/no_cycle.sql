{#- Nobody is above themselves on any day; names everybody on the way round. valid_to may be empty. -#}
{% test no_cycle(model, child, parent, is_valid_to_exclusive=false) %}
with recursive links as (
    select
        {{ child }} as child,
        {{ parent }} as parent,
        valid_from,
        {%- if is_valid_to_exclusive %}
        valid_to,
        {%- else %}
        coalesce(valid_to + 1, date '9999-12-31') as valid_to,
        {%- endif %}
    from {{ model }}
    where {{ parent }} is not null
),

ways as (
    select child, parent, [child, parent] as way, valid_from, valid_to
    from links
    union all
    select
        ways.child,
        links.parent,
        list_append(ways.way, links.parent) as way,
        greatest(ways.valid_from, links.valid_from) as valid_from,
        least(ways.valid_to, links.valid_to) as valid_to,
    from ways
    inner join links
        on links.child = ways.parent
        and links.valid_from < ways.valid_to
        and links.valid_to > ways.valid_from
    -- on until somebody is met again
    where ways.parent <> ways.child and not list_contains(ways.way[2:], links.parent)
)

select
    array_to_string(way, ' > ') as reports_to,
    valid_from,
    valid_to as valid_until,
from ways
-- each circle once: as seen by the first of its people
where parent = child and child = list_min(way)
order by all
{% endtest %}
