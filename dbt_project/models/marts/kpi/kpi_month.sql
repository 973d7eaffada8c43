with measures as (
    select * from {{ ref('int_kpi_measures') }}
    where month is not null
),

typed as (
    select
        month,
        grain,
        entity_id,
        entity_name,
        cast(created_count as bigint) as created_count,
        cast(won_count as bigint) as won_count,
        cast(won_amount as decimal(18, 4)) as won_amount,
        cast(lost_count as bigint) as lost_count,
        cast(positive_won_count as bigint) as win_rate_numerator,
        cast(positive_won_count + lost_count as bigint) as win_rate_denominator,
        cast(positive_won_amount as decimal(18, 4)) as average_deal_size_numerator,
        cast(positive_won_count as bigint) as average_deal_size_denominator,
        cast(won_cycle_days as bigint) as average_sales_cycle_days_numerator,
        cast(won_with_cycle_count as bigint) as average_sales_cycle_days_denominator,
        cast(converted_lead_count as bigint) as lead_conversion_rate_numerator,
        cast(lead_count as bigint) as lead_conversion_rate_denominator,
        cast(pipeline_count as bigint) as pipeline_count,
        cast(pipeline_amount as decimal(18, 4)) as pipeline_amount,
        cast(quota_amount as decimal(18, 4)) as quota_amount,
        waiver_ids,
    from measures
),

final as (
    select
        month,
        grain,
        entity_id,
        entity_name,
        created_count,
        won_count,
        won_amount,
        lost_count,
        win_rate_numerator,
        win_rate_denominator,
        {{ ratio('win_rate_numerator', 'win_rate_denominator') }} as win_rate,
        {{ wilson_low('win_rate_numerator', 'win_rate_denominator') }} as win_rate_low,
        {{ wilson_high('win_rate_numerator', 'win_rate_denominator') }} as win_rate_high,
        average_deal_size_numerator,
        average_deal_size_denominator,
        {{ ratio('average_deal_size_numerator', 'average_deal_size_denominator', 'decimal(18, 4)') }}
            as average_deal_size,
        average_sales_cycle_days_numerator,
        average_sales_cycle_days_denominator,
        {{ ratio('average_sales_cycle_days_numerator', 'average_sales_cycle_days_denominator', 'decimal(18, 2)') }}
            as average_sales_cycle_days,
        lead_conversion_rate_numerator,
        lead_conversion_rate_denominator,
        {{ ratio('lead_conversion_rate_numerator', 'lead_conversion_rate_denominator') }} as lead_conversion_rate,
        {{ wilson_low('lead_conversion_rate_numerator', 'lead_conversion_rate_denominator') }} as lead_conversion_rate_low,
        {{ wilson_high('lead_conversion_rate_numerator', 'lead_conversion_rate_denominator') }} as lead_conversion_rate_high,
        pipeline_count,
        pipeline_amount,
        quota_amount,
        case when grain <> 'product' then won_amount end as quota_attainment_rate_numerator,
        case when grain <> 'product' then coalesce(quota_amount, 0) end as quota_attainment_rate_denominator,
        {{ ratio('won_amount', 'quota_amount') }} as quota_attainment_rate,
        waiver_ids,
        {{ is_small_sample('win_rate_denominator') }} as is_win_rate_small_sample,
        {{ is_small_sample('lead_conversion_rate_denominator') }} as is_lead_conversion_rate_small_sample,
    from typed
)

select * from final
