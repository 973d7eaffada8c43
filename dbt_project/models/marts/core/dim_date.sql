with calendar as (
    select * from {{ ref('int_calendar') }}
    where date_on <= {{ as_of_date() }} + interval 2 year
),

company_days as (
    select * from {{ ref('int_working_days') }}
    where region = 'Company'
),

final as (
    select
        strftime(calendar.date_on, '%Y-%m') as month_name,
        year(calendar.date_on) || '-Q' || quarter(calendar.date_on) as quarter_name,
        calendar.fiscal_period,
        calendar.fiscal_quarter,
        company_days.holiday_name,
        cast(year(calendar.date_on) as integer) as year,
        cast(quarter(calendar.date_on) as integer) as quarter_of_year,
        cast(month(calendar.date_on) as integer) as month_of_year,
        cast(isodow(calendar.date_on) as integer) as day_of_week,
        cast(calendar.date_on - cast(date_trunc('quarter', calendar.date_on) as date) as integer) + 1 as day_of_quarter,
        calendar.fiscal_year,
        calendar.fiscal_quarter_of_year,
        calendar.fiscal_period_of_year,
        calendar.fiscal_week_of_year,
        cast(count(*) filter (where company_days.is_working_day) over month_so_far as integer) as working_day_of_month,
        cast(count(*) filter (where company_days.is_working_day) over period_so_far as integer) as working_day_of_period,
        isodow(calendar.date_on) >= 6 as is_weekend,
        company_days.is_working_day,
        calendar.date_on = {{ as_of_date() }} as is_as_of_date,
        calendar.date_on,
        cast(date_trunc('month', calendar.date_on) as date) as month,
        cast(date_trunc('quarter', calendar.date_on) as date) as quarter,
        calendar.fiscal_period_start_on,
        calendar.fiscal_period_end_on,
        calendar.fiscal_quarter_start_on,
        calendar.fiscal_quarter_end_on,
        calendar.fiscal_year_start_on,
        calendar.fiscal_year_end_on,
    from calendar
    inner join company_days on company_days.date_on = calendar.date_on
    window
        month_so_far as (partition by date_trunc('month', calendar.date_on) order by calendar.date_on),
        period_so_far as (partition by calendar.fiscal_period_start_on order by calendar.date_on)
)

select * from final
