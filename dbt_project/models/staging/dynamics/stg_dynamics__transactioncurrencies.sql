with records as (
    {{ current_records('dynamics', 'transactioncurrencies') }}
),

final as (
    select
        transactioncurrencyid as currency_id,
        upper(isocurrencycode) as currency_code,
        currencyname as currency_name,
        cast(replace(exchangerate, ',', '') as decimal(18, 10)) as exchange_rate,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
