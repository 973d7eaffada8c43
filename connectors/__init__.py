"""Pulls CRM records over the vendors' APIs and lands them, untouched, as append-only Parquet.

Nothing here judges, types or joins a record: that is for `expectations` and `dbt_project`. Nothing here knows Dagster.
"""
