{#- The fiscal calendar's arithmetic: from the vars alone, and the same for every day. -#}

{#- The settings, checked: a typing error must not become another calendar. -#}
{% macro fiscal() -%}
    {%- set patterns = {'months': none, '4-4-5': [4, 4, 5], '4-5-4': [4, 5, 4], '5-4-4': [5, 4, 4], '13-period': none} -%}
    {%- set choices = {
        'fiscal_calendar': patterns.keys() | list,
        'fiscal_year_start_month': range(1, 13) | list,
        'fiscal_year_named_by': ['end', 'start'],
        'fiscal_year_end_weekday': range(1, 8) | list,
        'fiscal_year_end_rule': ['nearest', 'last'],
    } -%}
    {%- set settings = {} -%}
    {%- for name, allowed in choices.items() -%}
        {%- set value = var(name) -%}
        {%- set value = value | int if allowed[0] is number else value -%}
        {%- if value not in allowed -%}
            {{ exceptions.raise_compiler_error("dbt var " ~ name ~ " is " ~ var(name) ~ "; it must be one of " ~ allowed | join(", ")) }}
        {%- endif -%}
        {%- do settings.update({name: value}) -%}
    {%- endfor -%}
    {%- do settings.update({'pattern': patterns[settings['fiscal_calendar']]}) -%}
    {{- return(settings) -}}
{%- endmacro %}

{#- The first day of the fiscal year that starts around the given first of a month. -#}
{% macro fiscal_year_start(month_start) -%}
    {%- set fiscal = fiscal() -%}
    {%- set weekday = fiscal['fiscal_year_end_weekday'] -%}
    {%- if fiscal['fiscal_calendar'] == 'months' -%}
        cast({{ month_start }} as date)
    {%- elif fiscal['fiscal_year_end_rule'] == 'last' -%}
        {#- back from the month's last day to the weekday, and on to the day after -#}
        cast({{ month_start }} as date) - cast((isodow(cast({{ month_start }} as date) - 1) - {{ weekday }} + 7) % 7 as integer)
    {%- else -%}
        {#- the same from three days later, which is the nearest one -#}
        cast({{ month_start }} as date) + 3
        - cast((isodow(cast({{ month_start }} as date) + 2) - {{ weekday }} + 7) % 7 as integer)
    {%- endif -%}
{%- endmacro %}
