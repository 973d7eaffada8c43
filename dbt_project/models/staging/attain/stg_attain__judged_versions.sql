with quarantine as (
    select * from {{ source('attain', 'quarantine') }}
    where state in ('open', 'superseded', 'waived', 'released')
),

final as (
    select
        key as record_key,
        version as record_version,
        crm,
        stream,
        string_agg(distinct waiver_id, ',' order by waiver_id) filter (
            where state in ('waived', 'released')
        ) as waiver_ids,
        bool_or(state in ('open', 'superseded')) as is_held_back,
    from quarantine
    group by key, version, crm, stream
)

select * from final
