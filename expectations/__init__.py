"""Guards the two borders: CRM records that landed, and marts about to be published.

What lies between is guarded by dbt's own tests. Nothing here pulls a record or knows Dagster.
"""
