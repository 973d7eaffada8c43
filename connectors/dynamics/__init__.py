"""Dynamics 365: what is read from it (`streams`), and how (`source`, on `metadata`, `web_api` and `entra`).

Landing what was read, and judging it, is done elsewhere.
"""

from connectors.dynamics.entra import PUBLIC_AUTHORITY, Credentials
from connectors.dynamics.source import Dynamics
from connectors.dynamics.streams import STREAMS, custom_stream

__all__ = ["PUBLIC_AUTHORITY", "STREAMS", "Credentials", "Dynamics", "custom_stream"]
