{#-
    The latest accepted version of every live record of a stream: committed, not quarantined, not deleted.
    A record whose newest version is in quarantine keeps its last good one and says so in is_held_back.
-#}
{% macro current_records(crm, stream) %}
    select *
    from (
        select
            landed.*,
            quarantined.key is not null as is_quarantined,
            first_value(landed._deleted = 'true') over newest_first as is_deleted,
            first_value(quarantined.key is not null) over newest_first as is_held_back
        from {{ source(crm, stream) }} as landed
        semi join {{ ref('stg_attain__commits') }} as commits
            on commits.crm = '{{ crm }}'
            and commits.stream = '{{ stream }}'
            and commits.commit_id = landed._commit_id
        left join (
            select distinct
                key,
                version,
            from {{ source('attain', 'quarantine') }}
            where crm = '{{ crm }}' and stream = '{{ stream }}'
        ) as quarantined
            on quarantined.key = landed._key
            and quarantined.version = landed._version
            and landed._deleted is distinct from 'true'
        window newest_first as (
            partition by landed._key
            order by landed._commit_id desc, landed._deleted desc, landed._modified_at desc nulls last, landed._version
        )
    )
    where not is_quarantined and is_deleted is distinct from true
    qualify row_number() over (
        partition by _key
        order by _commit_id desc, _deleted desc, _modified_at desc nulls last, _version
    ) = 1
{% endmacro %}
