{#- Which waivers a row owes its values to: their ids as one text, sorted, comma-separated, null when there are none. -#}

{#- A text of ids, some of them perhaps twice, put in order. Almost always there are none, so that is asked first. -#}
{% macro in_order(ids) -%}
    case
        when {{ ids }} <> '' then array_to_string(list_sort(list_distinct(string_split({{ ids }}, ','))), ',')
    end
{%- endmacro %}

{#- Of all the tables that a row is joined from: each named here has a column waiver_ids. -#}
{% macro waiver_ids_of() -%}
    {{ in_order("concat_ws(',', " ~ varargs | join('.waiver_ids, ') ~ ".waiver_ids)") }}
{%- endmacro %}

{#- Of all the rows of a group, or of those that a filter leaves. -#}
{% macro waiver_ids_of_all(filter='', relation='') -%}
    {%- set column = relation ~ '.waiver_ids' if relation else 'waiver_ids' -%}
    {{ in_order("string_agg(" ~ column ~ ", ',')" ~ (" filter (where " ~ filter ~ ")" if filter else "")) }}
{%- endmacro %}
