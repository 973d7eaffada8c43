with opportunities as (
    select * from {{ ref('int_opportunities') }}
),

leads as (
    select * from {{ ref('int_leads') }}
),

days_in_data as (
    select created_on as day from opportunities
    union all
    select closed_on from opportunities
    union all
    select expected_close_on from opportunities
    union all
    select created_on from leads
),

bounds as (
    select
        date_trunc('year', least(coalesce(min(day), {{ as_of_date() }}), {{ as_of_date() }})) as first_day,
        {{ as_of_date() }} + interval 2 year as last_day,
    from days_in_data
),

days as (
    select cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as date_on
    from bounds
),

final as (
    select
        date_on,
        strftime(date_on, '%Y-%m') as month_name,
        year(date_on) || '-Q' || quarter(date_on) as quarter_name,
        cast(year(date_on) as integer) as year,
        cast(quarter(date_on) as integer) as quarter_of_year,
        cast(month(date_on) as integer) as month_of_year,
        cast(isodow(date_on) as integer) as day_of_week,
        cast(date_on - cast(date_trunc('quarter', date_on) as date) as integer) + 1 as day_of_quarter,
        isodow(date_on) >= 6 as is_weekend,
        date_on = {{ as_of_date() }} as is_as_of_date,
        cast(date_trunc('month', date_on) as date) as month,
        cast(date_trunc('quarter', date_on) as date) as quarter,
    from days
)

select * from final
