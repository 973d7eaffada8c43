with records as (
    {{ current_records('dynamics', 'accounts') }}
),

final as (
    select
        accountid as account_id,
        _masterid_value as master_account_id,
        _parentaccountid_value as parent_account_id,
        _ownerid_value as owner_id,
        _transactioncurrencyid_value as currency_id,
        name as account_name,
        industrycode as industry,
        address1_country as country,
        websiteurl as website,
        {{ to_decimal('revenue') }} as annual_revenue_amount,
        cast({{ to_decimal('numberofemployees') }} as integer) as employee_count,
        coalesce(cast(merged as boolean), false) as is_merged,
        waiver_ids,
        is_held_back,
        {{ to_utc('createdon') }} as created_at,
        {{ to_utc('modifiedon') }} as modified_at,
    from records
)

select * from final
