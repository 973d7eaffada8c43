"""HubSpot: what is read from it, and how.

The official client is not used: it knows neither the dated paths nor retries of searches, opens a connection pool for
each property it is asked for, and its models cost ten times the JSON.
"""

from connectors.hubspot.auth import PUBLIC_URL, Credentials
from connectors.hubspot.source import OVERLAP, HubSpot
from connectors.hubspot.streams import STREAMS, custom_stream

__all__ = ["OVERLAP", "PUBLIC_URL", "STREAMS", "Credentials", "HubSpot", "custom_stream"]
