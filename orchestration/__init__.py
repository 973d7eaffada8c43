"""Knows Dagster: turns the streams, gates and models into assets, and runs them nightly or from the shell.

How a CRM is read, what is checked and how marts are computed lives in `connectors`, `expectations` and `dbt_project`.
"""
