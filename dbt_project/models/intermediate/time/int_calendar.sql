{%- set fiscal = fiscal() -%}
{%- set dated = {
    'salesforce__opportunities': ['created_at', 'close_on'],
    'salesforce__leads': ['created_at'],
    'hubspot__deals': ['created_at', 'close_at'],
    'hubspot__leads': ['created_at'],
    'dynamics__opportunities': ['created_at', 'actual_close_on'],
    'dynamics__leads': ['created_at'],
    'zoho__deals': ['created_at', 'close_on'],
    'zoho__leads': ['created_at'],
} -%}

with first_days as (
    {%- for model, columns in dated.items() %}
    select least({% for column in columns %}min(cast({{ column }} as date)){{ ', ' if not loop.last }}{% endfor %}) as day
    from {{ ref('stg_' ~ model) }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
),

-- A date that somebody mistyped must not bring a calendar of centuries.
bounds as (
    select
        cast(date_trunc('year', greatest(
            least(coalesce(min(day), {{ as_of_date() }}), {{ as_of_date() }}),
            {{ as_of_date() }} - interval 30 year
        )) as date) as first_day,
        cast({{ as_of_date() }} + interval 2 year as date) as last_day,
    from first_days
),

years as (
    select unnest(generate_series(year(first_day) - 1, year(last_day) + 1)) as year
    from bounds
),

year_starts as (
    select make_date(year, {{ fiscal['fiscal_year_start_month'] }}, 1) as month_start
    from years
),

fiscal_years as (
    select
        year(month_start{{ ' + interval 11 month' if fiscal['fiscal_year_named_by'] == 'end' }}) as fiscal_year,
        {{ fiscal_year_start('month_start') }} as fiscal_year_start_on,
        {{ fiscal_year_start('(month_start + interval 1 year)') }} - 1 as fiscal_year_end_on,
    from year_starts
),

days as (
    select
        fiscal_years.*,
        cast(unnest(generate_series(fiscal_year_start_on, fiscal_year_end_on, interval 1 day)) as date) as date_on,
    from fiscal_years
    inner join bounds
        on fiscal_years.fiscal_year_end_on >= bounds.first_day
        and fiscal_years.fiscal_year_start_on <= bounds.last_day
),

with_weeks as (
    select
        *,
        (date_on - fiscal_year_start_on) // 7 + 1 as fiscal_week_of_year,
        -- A 53rd week belongs to the period of the 52nd.
        least((date_on - fiscal_year_start_on) // 7, 51) as weeks_before,
    from days
),

with_periods as (
    select
        *,
        {%- if fiscal['fiscal_calendar'] == 'months' %}
        date_diff('month', fiscal_year_start_on, date_on) + 1 as fiscal_period_of_year,
        {%- elif fiscal['fiscal_calendar'] == '13-period' %}
        weeks_before // 4 + 1 as fiscal_period_of_year,
        {%- else %}
        weeks_before // 13 * 3 + case
            when weeks_before % 13 < {{ fiscal['pattern'][0] }} then 1
            when weeks_before % 13 < {{ fiscal['pattern'][0] + fiscal['pattern'][1] }} then 2
            else 3
        end as fiscal_period_of_year,
        {%- endif %}
    from with_weeks
),

-- Thirteen periods make quarters of three, three, three and four.
with_quarters as (
    select
        *,
        least((fiscal_period_of_year - 1) // 3 + 1, 4) as fiscal_quarter_of_year,
    from with_periods
),

final as (
    select
        'FY' || fiscal_year || '-P' || lpad(cast(fiscal_period_of_year as varchar), 2, '0') as fiscal_period,
        'FY' || fiscal_year || '-Q' || fiscal_quarter_of_year as fiscal_quarter,
        cast(fiscal_year as integer) as fiscal_year,
        cast(fiscal_quarter_of_year as integer) as fiscal_quarter_of_year,
        cast(fiscal_period_of_year as integer) as fiscal_period_of_year,
        cast(fiscal_week_of_year as integer) as fiscal_week_of_year,
        date_on,
        min(date_on) over (partition by fiscal_year, fiscal_period_of_year) as fiscal_period_start_on,
        max(date_on) over (partition by fiscal_year, fiscal_period_of_year) as fiscal_period_end_on,
        min(date_on) over (partition by fiscal_year, fiscal_quarter_of_year) as fiscal_quarter_start_on,
        max(date_on) over (partition by fiscal_year, fiscal_quarter_of_year) as fiscal_quarter_end_on,
        fiscal_year_start_on,
        fiscal_year_end_on,
    from with_quarters
)

select * from final
