with salesforce_territories as (
    select * from {{ ref('stg_salesforce__territories') }}
),

salesforce_models as (
    select * from {{ ref('stg_salesforce__territory_models') }}
),

dynamics_territories as (
    select * from {{ ref('stg_dynamics__territories') }}
),

zoho_territories as (
    select * from {{ ref('stg_zoho__territories') }}
),

users as (
    select * from {{ ref('int_users') }}
),

unioned as (
    select
        'salesforce' as crm,
        salesforce_territories.territory_id as source_territory_id,
        salesforce_territories.parent_territory_id as source_parent_id,
        salesforce_territories.forecast_user_id as source_manager_id,
        salesforce_territories.territory_name,
        {{ waiver_ids_of('salesforce_territories', 'salesforce_models') }} as waiver_ids,
        coalesce(salesforce_models.model_state, 'Active') = 'Active' as is_active,
    from salesforce_territories
    left join salesforce_models on salesforce_models.model_id = salesforce_territories.model_id
    union all by name
    select
        'dynamics' as crm,
        territory_id as source_territory_id,
        parent_territory_id as source_parent_id,
        manager_user_id as source_manager_id,
        territory_name,
        waiver_ids,
        true as is_active,
    from dynamics_territories
    union all by name
    select
        'zoho' as crm,
        territory_id as source_territory_id,
        parent_territory_id as source_parent_id,
        manager_user_id as source_manager_id,
        territory_name,
        waiver_ids,
        true as is_active,
    from zoho_territories
),

final as (
    select
        unioned.crm || ':' || unioned.source_territory_id as territory_id,
        unioned.crm || ':' || unioned.source_parent_id as parent_territory_id,
        users.rep_id as manager_id,
        unioned.crm,
        unioned.territory_name,
        unioned.waiver_ids,
        unioned.is_active,
    from unioned
    left join users
        on users.user_id = unioned.crm || ':' || unioned.source_manager_id
        and users.is_person
)

select * from final
