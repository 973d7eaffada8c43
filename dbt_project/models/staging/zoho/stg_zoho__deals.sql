with records as (
    {{ current_records('zoho', 'deals') }}
),

final as (
    select
        id as deal_id,
        Account_Name as account_id,
        Owner as owner_id,
        Deal_Name as deal_name,
        Type as deal_type,
        Pipeline as pipeline_name,
        Stage as stage_name,
        upper(Currency) as currency_code,
        {{ to_decimal('Amount') }} as amount,
        cast({{ to_decimal('Probability') }} / 100 as decimal(9, 6)) as win_probability,
        waiver_ids,
        is_held_back,
        {{ to_day('Closing_Date') }} as close_on,
        {{ to_utc('Created_Time') }} as created_at,
        {{ to_utc('Modified_Time') }} as modified_at,
    from records
)

select * from final
