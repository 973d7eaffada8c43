with measures as (
    select * from {{ ref('int_kpi_measures') }}
),

totals as (
    select
        grain,
        entity_id,
        entity_name,
        cast(sum(created_count) as bigint) as created_count,
        cast(sum(won_count) as bigint) as won_count,
        cast(sum(won_amount) as decimal(18, 4)) as won_amount,
        cast(sum(lost_count) as bigint) as lost_count,
        cast(sum(positive_won_count) as bigint) as win_rate_numerator,
        cast(sum(positive_won_count + lost_count) as bigint) as win_rate_denominator,
        cast(sum(positive_won_amount) as decimal(18, 4)) as average_deal_size_numerator,
        cast(sum(positive_won_count) as bigint) as average_deal_size_denominator,
        cast(sum(won_cycle_days) as bigint) as average_sales_cycle_days_numerator,
        cast(sum(won_with_cycle_count) as bigint) as average_sales_cycle_days_denominator,
        cast(sum(converted_lead_count) as bigint) as lead_conversion_rate_numerator,
        cast(sum(lead_count) as bigint) as lead_conversion_rate_denominator,
        cast(sum(pipeline_count) as bigint) as pipeline_count,
        cast(sum(pipeline_amount) as decimal(18, 4)) as pipeline_amount,
        {{ waiver_ids_of_all() }} as waiver_ids,
    from measures
    group by grain, entity_id, entity_name
),

final as (
    select
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
        waiver_ids,
        {{ is_small_sample('win_rate_denominator') }} as is_win_rate_small_sample,
        {{ is_small_sample('lead_conversion_rate_denominator') }} as is_lead_conversion_rate_small_sample,
    from totals
)

select * from final
