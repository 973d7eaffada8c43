{#- The order in which a stream's versions of a record hold: what landed last comes first. -#}
{% macro newest_first() -%}
    partition by landed._key
    order by landed._commit_id desc, landed._deleted desc, landed._modified_at desc nulls last, landed._version
{%- endmacro %}

{#- What has landed of a stream and counts: every version of every record that a manifest names. -#}
{% macro committed_records(crm, stream) %}
    {{ source(crm, stream) }} as landed
    semi join {{ ref('stg_attain__commits') }} as commits
        on commits.crm = '{{ crm }}'
        and commits.stream = '{{ stream }}'
        and commits.commit_id = landed._commit_id
{% endmacro %}

{#-
    The latest accepted version of every live record of a stream: committed, not held back, not deleted.
    A record whose newest version is held back keeps its last good one and says so in is_held_back; one that is accepted
    only because somebody waived a rule names the waivers in waiver_ids.
-#}
{% macro current_records(crm, stream) %}
    select *
    from (
        select
            landed.*,
            coalesce(judged.is_held_back, false) as is_refused,
            judged.waiver_ids,
            first_value(landed._deleted = 'true') over newest_first as is_deleted,
            first_value(coalesce(judged.is_held_back, false)) over newest_first as is_held_back
        from {{ committed_records(crm, stream) }}
        left join {{ ref('stg_attain__judged_versions') }} as judged
            on judged.crm = '{{ crm }}'
            and judged.stream = '{{ stream }}'
            and judged.record_key = landed._key
            and judged.record_version = landed._version
            and landed._deleted is distinct from 'true'
        window newest_first as ({{ newest_first() }})
    ) as landed
    where not is_refused and is_deleted is distinct from true
        -- one that was deleted and came back refused is what it was before the delete, not the delete's empty row
        and landed._deleted is distinct from 'true'
    qualify row_number() over ({{ newest_first() }}) = 1
{% endmacro %}

{#- The latest version of every live record of a stream, whatever the gate says of it; for reconciling only. -#}
{% macro landed_records(crm, stream) %}
    select
        landed.*,
        coalesce(judged.is_held_back, false) as is_held_back
    from (
        select landed.*
        from {{ committed_records(crm, stream) }}
        qualify row_number() over ({{ newest_first() }}) = 1
    ) as landed
    left join {{ ref('stg_attain__judged_versions') }} as judged
        on judged.crm = '{{ crm }}'
        and judged.stream = '{{ stream }}'
        and judged.record_key = landed._key
        and judged.record_version = landed._version
    where landed._deleted is distinct from 'true'
{% endmacro %}
