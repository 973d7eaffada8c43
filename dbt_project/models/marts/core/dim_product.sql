with products as (
    select * from {{ ref('int_products') }}
),

lines as (
    select * from {{ ref('int_opportunity_lines') }}
),

opportunities as (
    select * from {{ ref('int_opportunities') }}
),

won_with_product as (
    select
        lines.product_id,
        min(opportunities.closed_on) as first_won_on,
        max(opportunities.closed_on) as last_won_on,
        {{ waiver_ids_of_all(relation='opportunities') }} as waiver_ids,
    from lines
    inner join opportunities on opportunities.opportunity_id = lines.opportunity_id
    where opportunities.outcome = 'won'
    group by lines.product_id
),

final as (
    select
        products.product_id,
        products.product_name,
        products.product_code,
        products.product_family,
        products.crms,
        {{ waiver_ids_of('products', 'won_with_product') }} as waiver_ids,
        products.is_active,
        won_with_product.first_won_on,
        won_with_product.last_won_on,
    from products
    left join won_with_product on won_with_product.product_id = products.product_id
)

select * from final
