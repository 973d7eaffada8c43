{%- set fiscal = fiscal() -%}
{%- set is_calendar_year = fiscal['fiscal_calendar'] == 'months' and fiscal['fiscal_year_start_month'] == 1 -%}

with calendar as (
    select * from {{ ref('int_calendar') }}
),

company_days as (
    select * from {{ ref('int_working_days') }}
    where region = 'Company'
),

days as (
    select
        calendar.*,
        company_days.is_working_day,
    from calendar
    inner join company_days on company_days.date_on = calendar.date_on
),

-- Under the calendar year, periods have the names that everybody uses.
periods as (
    select
        'month' as period_type,
        fiscal_period_start_on as period_start,
        fiscal_period_end_on as period_end,
        fiscal_year,
        fiscal_period_of_year as period_of_year,
        {{ "strftime(fiscal_period_start_on, '%Y-%m')" if is_calendar_year else 'any_value(fiscal_period)' }} as period_name,
        count(*) filter (where is_working_day) as working_days,
        count(*) filter (where is_working_day and date_on <= {{ as_of_date() }}) as elapsed_working_days,
    from days
    group by all
    union all by name
    select
        'quarter' as period_type,
        fiscal_quarter_start_on as period_start,
        fiscal_quarter_end_on as period_end,
        fiscal_year,
        fiscal_quarter_of_year as period_of_year,
        {{ "fiscal_year || '-Q' || fiscal_quarter_of_year" if is_calendar_year else 'any_value(fiscal_quarter)' }} as period_name,
        count(*) filter (where is_working_day) as working_days,
        count(*) filter (where is_working_day and date_on <= {{ as_of_date() }}) as elapsed_working_days,
    from days
    group by all
    union all by name
    select
        'year' as period_type,
        fiscal_year_start_on as period_start,
        fiscal_year_end_on as period_end,
        fiscal_year,
        1 as period_of_year,
        {{ '' if is_calendar_year else "'FY' || " }}cast(fiscal_year as varchar) as period_name,
        count(*) filter (where is_working_day) as working_days,
        count(*) filter (where is_working_day and date_on <= {{ as_of_date() }}) as elapsed_working_days,
    from days
    group by all
),

with_earlier as (
    select
        periods.*,
        lag(periods.period_start) over (partition by periods.period_type order by periods.period_start) as prior_period_start,
        year_before.period_start as prior_year_start,
        {{ as_of_date() }} between periods.period_start and periods.period_end as is_running,
    from periods
    left join periods as year_before
        on year_before.period_type = periods.period_type
        and year_before.fiscal_year = periods.fiscal_year - 1
        and year_before.period_of_year = periods.period_of_year
),

final as (
    select
        period_type,
        period_name,
        cast(fiscal_year as integer) as fiscal_year,
        cast(period_of_year as integer) as period_of_year,
        cast(period_end - period_start + 1 as integer) as days,
        cast(working_days as integer) as working_days,
        case when is_running then cast({{ as_of_date() }} - period_start + 1 as integer) end as elapsed_days,
        case when is_running then cast(elapsed_working_days as integer) end as elapsed_working_days,
        is_running,
        period_start,
        period_end,
        prior_period_start,
        prior_year_start,
    from with_earlier
)

select * from final
