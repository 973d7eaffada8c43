{#-
    What a rate of so many cases says of the chance behind it: the bounds of Wilson's interval, 95 %. It stays within 0 and 1
    and holds for few cases too, where the rate itself says next to nothing.
-#}
{% macro wilson_low(numerator, denominator) -%}
    {{ _wilson(numerator, denominator, '-') }}
{%- endmacro %}

{% macro wilson_high(numerator, denominator) -%}
    {{ _wilson(numerator, denominator, '+') }}
{%- endmacro %}

{% macro _wilson(numerator, denominator, side) -%}
    {%- set z = '1.959963984540054' -%}
    {%- set n = 'nullif(cast(' ~ denominator ~ ' as double), 0)' -%}
    cast(
        (
            {{ numerator }} + {{ z }} * {{ z }} / 2
            {{ side }} {{ z }} * sqrt(
                {{ numerator }} * ({{ denominator }} - {{ numerator }}) / {{ n }} + {{ z }} * {{ z }} / 4
            )
        ) / ({{ n }} + {{ z }} * {{ z }}) as decimal(18, 6)
    )
{%- endmacro %}

{#- A rate of so few cases that it should not be read without its interval. -#}
{% macro is_small_sample(denominator) -%}
    coalesce({{ denominator }} between 1 and 4, false)
{%- endmacro %}
