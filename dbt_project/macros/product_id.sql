{#- A product's id: its canonical name in lower case with dashes. -#}
{% macro product_id(name) -%}
    regexp_replace(lower(trim({{ name }})), '\s+', '-', 'g')
{%- endmacro %}
