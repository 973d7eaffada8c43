"""Zoho CRM: what is read from it, and how.

The streams are declared in `streams`; `source` decides how they are read.
"""

from connectors.zoho.dated import OVERLAP
from connectors.zoho.source import Zoho
from connectors.zoho.streams import STREAMS, custom_stream
from connectors.zoho.tokens import PUBLIC_ACCOUNTS_URL, Credentials

__all__ = ["OVERLAP", "PUBLIC_ACCOUNTS_URL", "STREAMS", "Credentials", "Zoho", "custom_stream"]
