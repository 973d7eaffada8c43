with records as (
    {{ current_records('salesforce', 'users') }}
),

final as (
    select
        Id as user_id,
        ManagerId as manager_user_id,
        Name as user_name,
        lower(trim(Email)) as email,
        Username as username,
        Title as job_title,
        Division as region,
        Department as team_name,
        UserType as user_type,
        cast(IsActive as boolean) as is_active,
        waiver_ids,
        is_held_back,
        {{ to_utc('CreatedDate') }} as created_at,
        {{ to_utc('SystemModstamp') }} as modified_at,
    from records
)

select * from final
