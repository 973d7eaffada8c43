"""Salesforce: OAuth, describe, SOQL over REST, Bulk API 2.0 queries, deletes and updates, writing single records.

`Salesforce` is the way in; the modules behind it are one for each part of the API.
"""

from connectors.sandbox.salesforce.api import error
from connectors.sandbox.salesforce.login import CLIENT_ID, CLIENT_SECRET
from connectors.sandbox.salesforce.shape import record_id
from connectors.sandbox.salesforce.values import double
from connectors.sandbox.salesforce.vendor import Salesforce

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "Salesforce", "double", "error", "record_id"]
