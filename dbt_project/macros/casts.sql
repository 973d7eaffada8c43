{#- Landed text to a typed value; the gates accept exactly what these accept. -#}

{% macro to_decimal(column) -%}
    cast(replace({{ column }}, ',', '') as decimal(18, 4))
{%- endmacro %}

{#- ISO text with any offset, or epoch milliseconds, to a timestamp in UTC. -#}
{% macro to_utc(column) -%}
    case
        when regexp_full_match({{ column }}, '-?[0-9]{10,13}') then make_timestamp(cast({{ column }} as bigint) * 1000)
        else timezone('UTC', cast({{ column }} as timestamptz))
    end
{%- endmacro %}

{#- A calendar day, which some CRMs send as a timestamp at midnight. -#}
{% macro to_day(column) -%}
    cast(left({{ column }}, 10) as date)
{%- endmacro %}

{#- The business day on which a UTC timestamp falls, in the zone of the business unit whose CRM it comes from. -#}
{% macro business_day(column, crm='crm') -%}
    {%- set zones = var('business_timezones') -%}
    {%- set zone -%}
        {%- if zones -%}
            case {{ crm }} {% for name, zone in zones.items() %}when '{{ name }}' then '{{ zone }}' {% endfor -%}
            else '{{ var("business_timezone") }}' end
        {%- else -%}
            '{{ var("business_timezone") }}'
        {%- endif -%}
    {%- endset -%}
    cast(timezone({{ zone }}, timezone('UTC', {{ column }})) as date)
{%- endmacro %}
