{#-
    Every accepted version of every record of a stream, the oldest first in version_number; a delete is a version too, whose
    own columns are empty. landed_on is the night that read it. Those of a stream's first read are in_first_read: nobody
    knows since when they hold.
-#}
{% macro accepted_versions(crm, stream) %}
    select
        landed.*,
        judged.waiver_ids,
        commits.as_of_on as landed_on,
        coalesce(landed._deleted = 'true', false) as is_deleted,
        row_number() over (
            partition by landed._key
            order by landed._commit_id, landed._deleted, landed._modified_at nulls first, landed._version desc
        ) as version_number,
        landed._commit_id = min(landed._commit_id) over () as in_first_read,
    from {{ source(crm, stream) }} as landed
    inner join {{ ref('stg_attain__commits') }} as commits
        on commits.crm = '{{ crm }}'
        and commits.stream = '{{ stream }}'
        and commits.commit_id = landed._commit_id
    left join {{ ref('stg_attain__judged_versions') }} as judged
        on judged.crm = '{{ crm }}'
        and judged.stream = '{{ stream }}'
        and judged.record_key = landed._key
        and judged.record_version = landed._version
        and landed._deleted is distinct from 'true'
    where judged.is_held_back is distinct from true
{% endmacro %}
