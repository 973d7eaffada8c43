"""Dynamics 365: Entra tokens, and Dataverse's Web API with paging, change tracking, metadata and writing.

Re-exported here is what the rest of the sandbox and its tests use; everything else is private to the package.
"""

from connectors.sandbox.dynamics.answers import error, sent, throttled
from connectors.sandbox.dynamics.directory import CLIENT_ID, CLIENT_SECRET, TENANT_ID
from connectors.sandbox.dynamics.metadata import attributes_of
from connectors.sandbox.dynamics.protection import Limits
from connectors.sandbox.dynamics.rows import records
from connectors.sandbox.dynamics.tables import ENTITIES, POLYMORPHIC, record_id
from connectors.sandbox.dynamics.vendor import Dynamics

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "ENTITIES",
    "POLYMORPHIC",
    "TENANT_ID",
    "Dynamics",
    "Limits",
    "attributes_of",
    "error",
    "record_id",
    "records",
    "sent",
    "throttled",
]
