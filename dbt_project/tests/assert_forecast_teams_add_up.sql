-- Stage-weighted forecasts of the teams add up to the company's.
{{ config(meta={'dagster': {'ref': {'name': 'forecast_quarter'}}}) }}

select
    quarter,
    sum(forecast_amount) filter (where level = 'team') as teams_amount,
    sum(forecast_amount) filter (where level = 'company') as company_amount,
from {{ ref('forecast_quarter') }}
where method = 'stage_weighted'
group by quarter
having abs(coalesce(teams_amount, 0) - company_amount) > 0.005
