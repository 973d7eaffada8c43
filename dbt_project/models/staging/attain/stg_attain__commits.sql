with manifests as (
    select * from {{ source('attain', 'manifests') }}
),

typed as (
    select
        commit_id,
        run_id,
        crm,
        stream,
        rows as row_count,
        source_count as crm_row_count,
        source_count_exact as is_crm_row_count_exact,
        {{ to_utc('committed_at') }} as committed_at,
        cast(coalesce(as_of, left(committed_at, 10)) as date) as as_of_on,
    from manifests
),

-- What is recomputed as of a day sees what was known that day. Before the first night nothing was: there it sees that night.
final as (
    select *
    from typed
    qualify as_of_on <= greatest({{ as_of_date() }}, min(as_of_on) over (partition by crm))
)

select * from final
