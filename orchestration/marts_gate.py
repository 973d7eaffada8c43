"""The gate on the marts: the last look before they are published.

The rules are in `expectations.marts`; this module shows their outcome in Dagster.
"""
