with salesforce_lines as (
    select * from {{ ref('stg_salesforce__opportunity_line_items') }}
),

salesforce_products as (
    select * from {{ ref('stg_salesforce__products') }}
),

hubspot_lines as (
    select * from {{ ref('stg_hubspot__line_items') }}
),

hubspot_products as (
    select * from {{ ref('stg_hubspot__products') }}
),

dynamics_lines as (
    select * from {{ ref('stg_dynamics__opportunityproducts') }}
),

dynamics_products as (
    select * from {{ ref('stg_dynamics__products') }}
),

zoho_orders as (
    select * from {{ ref('stg_zoho__sales_orders') }}
),

zoho_products as (
    select * from {{ ref('stg_zoho__products') }}
),

aliases as (
    select * from {{ ref('aliases') }}
    where domain = 'product'
),

from_salesforce as (
    select
        'salesforce' as crm,
        salesforce_lines.line_id as source_line_id,
        salesforce_lines.opportunity_id as source_opportunity_id,
        salesforce_products.product_name,
        salesforce_lines.quantity,
        salesforce_lines.line_amount,
        {{ waiver_ids_of('salesforce_lines', 'salesforce_products') }} as waiver_ids,
    from salesforce_lines
    left join salesforce_products on salesforce_products.product_id = salesforce_lines.product_id
),

hubspot_lines_by_deal as (
    select
        *,
        unnest(deal_ids) as deal_id,
    from hubspot_lines
),

from_hubspot as (
    select
        'hubspot' as crm,
        hubspot_lines_by_deal.line_id as source_line_id,
        hubspot_lines_by_deal.deal_id as source_opportunity_id,
        coalesce(hubspot_products.product_name, hubspot_lines_by_deal.line_name) as product_name,
        hubspot_lines_by_deal.quantity,
        hubspot_lines_by_deal.line_amount,
        {{ waiver_ids_of('hubspot_lines_by_deal', 'hubspot_products') }} as waiver_ids,
    from hubspot_lines_by_deal
    left join hubspot_products on hubspot_products.product_id = hubspot_lines_by_deal.product_id
),

from_dynamics as (
    select
        'dynamics' as crm,
        dynamics_lines.line_id as source_line_id,
        dynamics_lines.opportunity_id as source_opportunity_id,
        coalesce(dynamics_products.product_name, dynamics_lines.line_name) as product_name,
        dynamics_lines.quantity,
        dynamics_lines.line_amount,
        {{ waiver_ids_of('dynamics_lines', 'dynamics_products') }} as waiver_ids,
    from dynamics_lines
    left join dynamics_products on dynamics_products.product_id = dynamics_lines.product_id
),

zoho_items as (
    select
        deal_id,
        waiver_ids,
        unnest(items) as item,
    from zoho_orders
    where order_status is distinct from 'Cancelled'
),

-- A deal has no lines of its own: they are those of its sales orders, so a deal without an order has none.
from_zoho as (
    select
        'zoho' as crm,
        zoho_items.item.id as source_line_id,
        zoho_items.deal_id as source_opportunity_id,
        zoho_products.product_name,
        {{ to_decimal('zoho_items.item.Quantity') }} as quantity,
        {{ to_decimal('zoho_items.item.Total') }} as line_amount,
        {{ waiver_ids_of('zoho_items', 'zoho_products') }} as waiver_ids,
    from zoho_items
    left join zoho_products on zoho_products.product_id = zoho_items.item.Product_Name
),

unioned as (
    select * from from_salesforce
    union all by name
    select * from from_hubspot
    union all by name
    select * from from_dynamics
    union all by name
    select * from from_zoho
),

named as (
    select
        unioned.* exclude (product_name),
        coalesce(aliases.canonical_name, trim(unioned.product_name)) as product_name,
    from unioned
    left join aliases on lower(trim(aliases.alias)) = lower(trim(unioned.product_name))
    where unioned.source_opportunity_id is not null
),

final as (
    select
        crm || ':' || source_line_id as line_id,
        crm || ':' || source_opportunity_id as opportunity_id,
        {{ product_id('product_name') }} as product_id,
        product_name,
        quantity,
        line_amount,
        waiver_ids,
    from named
)

select * from final
