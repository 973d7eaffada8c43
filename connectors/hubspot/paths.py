"""Where HubSpot's resources are, in each of its two families of paths.

The numbered one ends in September 2027; the dated one is renewed twice a year.
"""

import re
from dataclasses import dataclass

from connectors.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Paths:
    """One version's paths."""

    objects: str
    associations: str
    properties: str
    pipelines: str
    owners: str
    schemas: str
    exchange_rates: str
    account: str
    token: str


NUMBERED = Paths(
    objects="/crm/v3/objects",
    associations="/crm/v4/associations",
    properties="/crm/v3/properties",
    pipelines="/crm/v3/pipelines",
    owners="/crm/v3/owners",
    schemas="/crm-object-schemas/v3/schemas",
    exchange_rates="/settings/v3/currencies/exchange-rates",
    account="/account-info/v3/details",
    token="/oauth/v1/token",
)


def paths(version: str) -> Paths:
    """The paths of a version: `v3`, or the year and month of a dated one.

    Raises:
        ConfigurationError: there is no such version.

    """
    if version == "v3":
        return NUMBERED
    if not re.fullmatch(r"\d{4}-(03|09)", version):
        raise ConfigurationError(
            f"HUBSPOT_API_VERSION must be v3, or a dated version (March or September) such as 2026-09, not {version!r}."
        )
    return Paths(
        objects=f"/crm/objects/{version}",
        associations=f"/crm/associations/{version}",
        properties=f"/crm/properties/{version}",
        pipelines=f"/crm/pipelines/{version}",
        owners=f"/crm/owners/{version}",
        schemas=f"/crm-object-schemas/{version}/schemas",
        exchange_rates=f"/settings/currencies/{version}/exchange-rates",
        account=f"/account-info/{version}/details",
        token=f"/oauth/{version}/token",
    )
