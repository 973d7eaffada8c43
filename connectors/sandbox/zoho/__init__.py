"""The sandbox's Zoho CRM: OAuth with data centres, records, queries, bulk read, metadata, all as strict as Zoho.

Put together in `vendor`; what a company's records look like there is in `tables` and `rows`.
"""

from connectors.sandbox.zoho.rows import record_id
from connectors.sandbox.zoho.vendor import Zoho

__all__ = ["Zoho", "record_id"]
