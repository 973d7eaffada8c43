with records as (
    {{ current_records('salesforce', 'opportunities') }}
),

final as (
    select
        Id as opportunity_id,
        AccountId as account_id,
        OwnerId as owner_id,
        Name as opportunity_name,
        StageName as stage_name,
        Type as opportunity_type,
        LeadSource as lead_source,
        ForecastCategoryName as forecast_category,
        upper(CurrencyIsoCode) as currency_code,
        {{ to_decimal('Amount') }} as amount,
        cast({{ to_decimal('Probability') }} / 100 as decimal(9, 6)) as win_probability,
        cast(IsClosed as boolean) as is_closed,
        cast(IsWon as boolean) as is_won,
        waiver_ids,
        is_held_back,
        {{ to_day('CloseDate') }} as close_on,
        {{ to_utc('LastStageChangeDate') }} as stage_changed_at,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
