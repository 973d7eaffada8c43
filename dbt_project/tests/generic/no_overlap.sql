{#- Validity periods of one key never overlap; valid_to is the last day unless it is said to be the day after, empty means open. -#}
{% test no_overlap(model, key_columns, is_valid_to_exclusive=false) %}
{%- set touches = '>' if is_valid_to_exclusive else '>=' %}
{%- set is_empty = '<=' if is_valid_to_exclusive else '<' %}
with periods as (
    select
        {{ key_columns | join(', ') }},
        valid_from,
        valid_to,
        max(coalesce(valid_to, date '9999-12-31')) over (
            partition by {{ key_columns | join(', ') }} order by valid_from, valid_to nulls last
            rows between unbounded preceding and 1 preceding
        ) as previous_valid_to,
    from {{ model }}
)

select *
from periods
where previous_valid_to {{ touches }} valid_from or valid_to {{ is_empty }} valid_from
{% endtest %}
