"""HubSpot: what is read from it, and how.

All calls go through the official client, by path; its methods for single resources are not used, since they know no
dated paths, and their models cost ten times the JSON and round its numbers.
"""

from connectors.hubspot.auth import PUBLIC_URL, Credentials
from connectors.hubspot.paths import paths
from connectors.hubspot.source import OVERLAP, HubSpot
from connectors.hubspot.streams import STREAMS, custom_stream

__all__ = ["OVERLAP", "PUBLIC_URL", "STREAMS", "Credentials", "HubSpot", "custom_stream", "paths"]
