with salesforce_products as (
    select * from {{ ref('stg_salesforce__products') }}
),

hubspot_products as (
    select * from {{ ref('stg_hubspot__products') }}
),

dynamics_products as (
    select * from {{ ref('stg_dynamics__products') }}
),

zoho_products as (
    select * from {{ ref('stg_zoho__products') }}
),

lines as (
    select * from {{ ref('int_opportunity_lines') }}
),

aliases as (
    select * from {{ ref('aliases') }}
    where domain = 'product'
),

from_salesforce as (
    select
        'salesforce' as crm,
        product_name,
        product_code,
        product_family,
        waiver_ids,
        coalesce(is_active, true) as is_active,
    from salesforce_products
),

from_hubspot as (
    select
        'hubspot' as crm,
        product_name,
        product_code,
        cast(null as varchar) as product_family,
        waiver_ids,
        true as is_active,
    from hubspot_products
),

-- A product that is another one's parent is a family.
from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_products.product_name,
        dynamics_products.product_code,
        families.product_name as product_family,
        {{ waiver_ids_of('dynamics_products', 'families') }} as waiver_ids,
        dynamics_products.is_active,
    from dynamics_products
    left join dynamics_products as families on families.product_id = dynamics_products.parent_product_id
    anti join dynamics_products as children on children.parent_product_id = dynamics_products.product_id
),

from_zoho as (
    select
        'zoho' as crm,
        product_name,
        product_code,
        product_family,
        waiver_ids,
        is_active,
    from zoho_products
),

-- Sold, though in no catalogue.
from_lines as (
    select distinct
        'lines' as crm,
        product_name,
        cast(null as varchar) as product_code,
        cast(null as varchar) as product_family,
        waiver_ids,
        true as is_active,
    from lines
),

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
    union all by name
    select * from from_lines
),

named as (
    select
        unioned.* exclude (product_name),
        coalesce(aliases.canonical_name, trim(unioned.product_name)) as product_name,
        aliases.alias is not null as is_alias,
    from unioned
    left join aliases on lower(trim(aliases.alias)) = lower(trim(unioned.product_name))
    where unioned.product_name is not null
),

preferred as (
    select
        *,
        {{ product_id('product_name') }} as product_id,
        row_number() over (
            partition by {{ product_id('product_name') }}
            order by crm = 'lines', is_alias, is_active desc, crm, product_name, product_code
        ) as preference,
    from named
),

final as (
    select
        product_id,
        coalesce(min(product_name) filter (where is_alias), arg_min(product_name, preference)) as product_name,
        arg_min(product_code, preference) as product_code,
        arg_min(product_family, preference) as product_family,
        coalesce(string_agg(distinct nullif(crm, 'lines'), ', ' order by nullif(crm, 'lines')), 'none') as crms,
        {{ waiver_ids_of_all() }} as waiver_ids,
        bool_or(is_active) as is_active,
    from preferred
    group by product_id
)

select * from final
