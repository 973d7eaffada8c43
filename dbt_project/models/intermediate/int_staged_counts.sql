{%- set staged_streams = {
    'salesforce': [
        'users', 'accounts', 'contacts', 'leads', 'opportunities', 'opportunity_stages', 'opportunity_line_items',
        'opportunity_history', 'products', 'territories', 'territory_models',
    ],
    'hubspot': [
        'users', 'owners', 'companies', 'contacts', 'leads', 'deals', 'deal_history', 'deal_stages', 'line_items', 'products',
    ],
    'dynamics': [
        'systemusers', 'businessunits', 'accounts', 'contacts', 'leads', 'opportunities', 'opportunityproducts', 'opportunitycloses', 'opportunitysalesprocesses',
        'processstages', 'products', 'transactioncurrencies', 'territories',
    ],
    'zoho': [
        'users', 'roles', 'accounts', 'contacts', 'leads', 'deals', 'deal_stages', 'products', 'sales_orders', 'stage_history',
        'territories',
    ],
} -%}

with hubspot_deals as (
    select * from {{ ref('stg_hubspot__deals') }}
),

hubspot_companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

dynamics_accounts as (
    select * from {{ ref('stg_dynamics__accounts') }}
),

dynamics_leads as (
    select * from {{ ref('stg_dynamics__leads') }}
),

hubspot_merged_deals as (
    select unnest(merged_deal_ids) as deal_id
    from hubspot_deals
),

hubspot_merged_companies as (
    select unnest(merged_company_ids) as company_id
    from hubspot_companies
),

staged as (
    {%- for crm, streams in staged_streams.items() %}
    {%- set is_last_crm = loop.last %}
    {%- for stream in streams %}
    select
        '{{ crm }}' as crm,
        '{{ stream }}' as stream,
        count(*) as staged_count,
        count(*) filter (where is_held_back) as stand_in_count,
    from {{ ref('stg_' ~ crm ~ '__' ~ stream) }}
    {%- if not (loop.last and is_last_crm) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
),

merged as (
    select
        'hubspot' as crm,
        'deals' as stream,
        count(*) as merged_count,
    from hubspot_deals
    semi join hubspot_merged_deals using (deal_id)
    union all
    select
        'hubspot' as crm,
        'companies' as stream,
        count(*) as merged_count,
    from hubspot_companies
    semi join hubspot_merged_companies using (company_id)
    union all
    select
        'dynamics' as crm,
        'accounts' as stream,
        count(*) as merged_count,
    from dynamics_accounts
    where is_merged
    union all
    select
        'dynamics' as crm,
        'leads' as stream,
        count(*) as merged_count,
    from dynamics_leads
    where is_merged
),

final as (
    select
        staged.crm,
        staged.stream,
        staged.staged_count,
        staged.stand_in_count,
        coalesce(merged.merged_count, 0) as merged_count,
    from staged
    left join merged on merged.crm = staged.crm and merged.stream = staged.stream
)

select * from final
