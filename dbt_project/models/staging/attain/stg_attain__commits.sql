with manifests as (
    select * from {{ source('attain', 'manifests') }}
),

final as (
    select
        commit_id,
        run_id,
        crm,
        stream,
        rows as row_count,
        source_count as crm_row_count,
        source_count_exact as is_crm_row_count_exact,
        {{ to_utc('committed_at') }} as committed_at,
    from manifests
)

select * from final
