-- Currencies and days for which fx_rates has no row.
{{ config(meta={'dagster': {'ref': {'name': 'fct_opportunity'}}}) }}

select
    currency_code,
    coalesce(closed_on, {{ as_of_date() }}) as rate_on,
    count(*) as opportunity_count,
from {{ ref('fct_opportunity') }}
where native_amount is not null and company_amount is null
group by all
order by all
