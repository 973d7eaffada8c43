"""Salesforce: what is read from it, and how.

`Salesforce` is the way in; no other CRM is known here, and nothing is written to files.
"""

from connectors.salesforce.org import Credentials
from connectors.salesforce.source import OVERLAP, Salesforce
from connectors.salesforce.streams import STREAMS, custom_stream

__all__ = ["OVERLAP", "STREAMS", "Credentials", "Salesforce", "custom_stream"]
