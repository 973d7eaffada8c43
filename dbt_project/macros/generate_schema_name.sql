{#- A folder's schema is its own name, without the target's in front: analysts read `core.dim_rep`. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
