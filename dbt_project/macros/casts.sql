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

{#- The business day on which a UTC timestamp falls: in the zone of the CRM's business unit where one is named. -#}
{% macro business_day(column, crm=none) -%}
    cast(
        timezone('{{ var("business_timezones").get(crm, var("business_timezone")) }}', timezone('UTC', {{ column }})) as date
    )
{%- endmacro %}
