with records as (
    {{ current_records('dynamics', 'opportunities') }}
),

final as (
    select
        opportunityid as opportunity_id,
        coalesce(_parentaccountid_value, _customerid_value) as account_id,
        _ownerid_value as owner_id,
        stageid as process_stage_id,
        _transactioncurrencyid_value as currency_id,
        name as opportunity_name,
        stepname as step_name,
        msdyn_forecastcategory as forecast_category,
        cast({{ to_decimal('statecode') }} as integer) as state_code,
        cast({{ to_decimal('statuscode') }} as integer) as status_code,
        {{ to_decimal('estimatedvalue') }} as estimated_amount,
        {{ to_decimal('actualvalue') }} as actual_amount,
        cast({{ to_decimal('closeprobability') }} / 100 as decimal(9, 6)) as win_probability,
        waiver_ids,
        is_held_back,
        {{ to_day('estimatedclosedate') }} as estimated_close_on,
        {{ to_day('actualclosedate') }} as actual_close_on,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
