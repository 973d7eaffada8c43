{#- Numerator over denominator; nothing to divide by is NULL, never 0. -#}
{% macro ratio(numerator, denominator, type='decimal(18, 6)') -%}
    cast({{ numerator }} / nullif({{ denominator }}, 0) as {{ type }})
{%- endmacro %}
