{#- Hours from one instant to a later one; null where either is missing or they are the wrong way round. -#}
{% macro hours_between(start, stop) -%}
    case
        when {{ start }} <= {{ stop }}
            then cast(epoch_ms({{ stop }} - {{ start }}) / 3600000 as decimal(18, 4))
    end
{%- endmacro %}
