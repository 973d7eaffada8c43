with calendar as (
    select * from {{ ref('int_calendar') }}
),

business_units as (
    select * from {{ ref('business_units') }}
),

days_off as (
    select * from {{ source('attain', 'holidays') }}
),

rep_history as (
    select * from {{ ref('int_rep_history') }}
),

users as (
    select * from {{ ref('int_users') }}
),

-- Where a region has no business unit of its own, it keeps the calendar of the CRM that most of its people are in.
crm_of_region as (
    select
        rep_history.region,
        users.crm,
    from rep_history
    inner join users on users.rep_id = rep_history.rep_id
    where {{ as_of_date() }} >= rep_history.valid_from and {{ as_of_date() }} < rep_history.valid_to
    group by rep_history.region, users.crm
    qualify row_number() over (partition by rep_history.region order by count(*) desc, users.crm) = 1
),

regions as (
    select region from rep_history
    union
    select region from business_units
    where region is not null
    union
    select 'Company'
),

region_countries as (
    select
        regions.region,
        coalesce(by_region.country, by_crm.country, company.country) as country,
        case
            when by_region.country is not null then by_region.subdivision
            when by_crm.country is not null then by_crm.subdivision
            else company.subdivision
        end as subdivision,
    from regions
    left join crm_of_region on crm_of_region.region = regions.region
    left join business_units as by_region on by_region.region = regions.region
    left join business_units as by_crm on by_crm.crm = crm_of_region.crm and by_crm.region is null
    left join business_units as company on company.crm is null and company.region is null
),

-- Countries whose days off have been worked out; elsewhere the weekend is Saturday and Sunday.
countries as (
    select distinct country, subdivision
    from days_off
),

final as (
    select
        region_countries.region,
        countries.country,
        days_off.holiday_name,
        case
            when countries.country is null then isodow(calendar.date_on) < 6
            else days_off.date_on is null
        end as is_working_day,
        calendar.date_on,
    from region_countries
    cross join calendar
    left join countries
        on countries.country = region_countries.country
        and countries.subdivision is not distinct from region_countries.subdivision
    left join days_off
        on days_off.country = countries.country
        and days_off.subdivision is not distinct from countries.subdivision
        and days_off.date_on = calendar.date_on
)

select * from final
