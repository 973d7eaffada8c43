{#- Validity periods of one key never overlap; valid_to is the last day, empty means open. -#}
{% test no_overlap(model, key_columns) %}
with periods as (
    select
        {{ key_columns | join(', ') }},
        valid_from,
        valid_to,
        lag(coalesce(valid_to, date '9999-12-31')) over (
            partition by {{ key_columns | join(', ') }} order by valid_from, valid_to nulls last
        ) as previous_valid_to,
    from {{ model }}
)

select *
from periods
where previous_valid_to >= valid_from or valid_to < valid_from
{% endtest %}
