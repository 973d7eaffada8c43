{#- A year of nights is too much to read every night; what a run found never changes once it is over. -#}
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id',
    on_schema_change='append_new_columns'
) }}
{%- set last_run = run_query('select max(run_id) from ' ~ this).columns[0].values()[0] if is_incremental() %}

with results as (
    select * from {{ source('attain', 'check_results') }}
    {%- if last_run %}
    -- From the last run known on: its gate before publishing came after it was built. By file, so that others stay shut.
    where filename >= '{{ env_var("ATTAIN_HOME", "../data") }}/quality/results/{{ last_run }}'
    {%- endif %}
),

final as (
    select
        run_id,
        waiver_id,
        crm,
        stream,
        rule,
        dimension,
        severity,
        status,
        reason,
        detail,
        nullif(array_to_string(fields, ','), '') as fields,
        nullif(array_to_string(sample_keys, ','), '') as sample_keys,
        records as record_count,
        source_count,
        evaluated as evaluated_count,
        failed as failed_count,
        {{ ratio('failed', 'evaluated') }} as failed_rate,
        quarantined as quarantined_count,
        superseded as superseded_count,
        blocks as is_blocking,
        as_of as as_of_date,
        newest_at,
        checked_at,
    from results
)

select * from final
