{#- The day the numbers are computed for. Parsing and docs work without it; anything that runs does not. -#}
{% macro as_of_date() -%}
    {%- set as_of = var('as_of_date') -%}
    {%- if as_of is none and execute and flags.WHICH != 'generate' -%}
        {{ exceptions.raise_compiler_error("as_of_date is not set: pass --vars '{as_of_date: YYYY-MM-DD}'") }}
    {%- endif -%}
    cast('{{ as_of or "1900-01-01" }}' as date)
{%- endmacro %}
