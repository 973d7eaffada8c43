{#- Validity periods of one key follow each other day by day; valid_to is the last day unless it is said to be the day after. -#}
{% test no_gap(model, key_columns, is_valid_to_exclusive=false) %}
with periods as (
    select
        {{ key_columns | join(', ') }},
        valid_from,
        valid_to,
        max(coalesce(valid_to, date '9999-12-31')) over (
            partition by {{ key_columns | join(', ') }} order by valid_from
            rows between unbounded preceding and 1 preceding
        ) as previous_valid_to,
    from {{ model }}
)

select *
from periods
where valid_from > previous_valid_to {{- '' if is_valid_to_exclusive else ' + interval 1 day' }}
{% endtest %}
