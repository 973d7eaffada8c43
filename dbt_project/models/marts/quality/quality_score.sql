with results as (
    select * from {{ ref('quality_check_result') }}
),

-- A day counts by its last run. What the gate before publishing says of the marts is no matter of a CRM's records.
last_runs as (
    select
        crm,
        stream,
        as_of_date,
        arg_max(run_id, checked_at) as run_id,
    from results
    where crm <> 'warehouse'
    group by crm, stream, as_of_date
),

checks as (
    select
        crm,
        stream,
        rule,
        dimension,
        evaluated_count,
        failed_count,
        string_split(fields, ',') as fields,
        severity = 'critical' or rule = 'cursor_parseable' or starts_with(rule, 'refers_') as is_on_critical_field,
        status in ('passed', 'failed', 'waived') as has_run,
        as_of_date as day,
    from results
    semi join last_runs using (crm, stream, as_of_date, run_id)
),

weights as (
    select * from {{ ref('quality_weights') }}
),

measured as (
    select
        crm,
        coalesce(stream, '(all)') as stream,
        dimension,
        day,
        sum(evaluated_count) as evaluated_count,
        sum(failed_count) as failed_count,
    from checks
    where has_run and evaluated_count > 0
    group by grouping sets ((crm, stream, dimension, day), (crm, dimension, day))
),

weighted as (
    select
        measured.*,
        1 - measured.failed_count / measured.evaluated_count as score,
        weights.weight / sum(weights.weight) over (partition by measured.crm, measured.stream, measured.day) as weight,
    from measured
    left join weights
        on weights.dimension = measured.dimension
        and measured.day between weights.valid_from and coalesce(weights.valid_to, date '9999-12-31')
),

scored as (
    select
        crm,
        stream,
        coalesce(dimension, '(all)') as dimension,
        day,
        sum(evaluated_count) as evaluated_count,
        sum(failed_count) as failed_count,
        sum(weight) as weight,
        case when dimension is null then sum(weight * score) else any_value(score) end as score,
    from weighted
    group by grouping sets ((crm, stream, dimension, day), (crm, stream, day))
),

-- Keys, what cannot be done without, cursors and references: each is the field of a check that is there for it.
critical_fields as (
    select distinct
        crm,
        stream,
        unnest(fields) as field,
        day,
    from checks
    where is_on_critical_field
),

-- That a field is delivered says nothing yet of what is in it.
looked_at as (
    select distinct
        crm,
        stream,
        dimension,
        unnest(fields) as field,
        day,
    from checks
    where has_run and not starts_with(rule, 'delivers_')
),

critical_counts as (
    select
        crm,
        coalesce(stream, '(all)') as stream,
        day,
        count(*) as critical_field_count,
    from critical_fields
    group by grouping sets ((crm, stream, day), (crm, day))
),

covered_counts as (
    select
        crm,
        coalesce(stream, '(all)') as stream,
        coalesce(dimension, '(all)') as dimension,
        day,
        count(distinct (stream, field)) as covered_field_count,
    from looked_at
    semi join critical_fields using (crm, stream, field, day)
    group by grouping sets ((crm, stream, dimension, day), (crm, stream, day), (crm, dimension, day), (crm, day))
),

final as (
    select
        scored.crm,
        scored.stream,
        scored.dimension,
        cast(scored.evaluated_count as bigint) as evaluated_count,
        cast(scored.failed_count as bigint) as failed_count,
        cast(scored.weight as decimal(9, 6)) as weight,
        cast(scored.score as decimal(9, 6)) as score,
        cast(
            scored.score - last_value(scored.score) over (
                partition by scored.crm, scored.stream, scored.dimension
                order by scored.day
                range between unbounded preceding and interval 30 days preceding
            ) as decimal(9, 6)
        ) as score_30d_change,
        coalesce(critical_counts.critical_field_count, 0) as critical_field_count,
        coalesce(covered_counts.covered_field_count, 0) as covered_field_count,
        {{ ratio(
            'coalesce(covered_counts.covered_field_count, 0)', 'critical_counts.critical_field_count', 'decimal(9, 6)'
        ) }} as coverage,
        scored.day,
    from scored
    left join critical_counts
        on critical_counts.crm = scored.crm
        and critical_counts.stream = scored.stream
        and critical_counts.day = scored.day
    left join covered_counts
        on covered_counts.crm = scored.crm
        and covered_counts.stream = scored.stream
        and covered_counts.dimension = scored.dimension
        and covered_counts.day = scored.day
)

select * from final
