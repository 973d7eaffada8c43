"""Streams that are no CRM objects: no properties, no search, no archive, read whole each time.

CRM objects are read by `source`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.hubspot.api import Api
from connectors.hubspot.records import LIST_PAGE, following, must_advance
from connectors.hubspot.streams import OPTION_OBJECTS
from connectors.stream import Record


@dataclass(frozen=True)
class Listing:
    """How such a stream is read."""

    records: Callable[[Api], Iterator[Record]]
    forgets: bool
    """What is no longer listed is gone; otherwise it stays, so that old records keep its label."""


def _pages(api: Api, what: str, path: str, **parameters: Any) -> Iterator[Record]:
    after: str | None = None
    while True:
        page = api.get(what, path, limit=LIST_PAGE, **parameters, **({"after": after} if after else {}))
        yield from page["results"]
        previous, after = after, following(page)
        if not after:
            return
        must_advance(what, previous, after)


def _owners(api: Api) -> Iterator[Record]:
    """Active owners, then the deactivated ones, who still own what they sold."""
    for archived in (False, True):
        for owner in _pages(api, "owners", api.paths.owners, archived=str(archived).lower()):
            yield {"archived": archived, **owner}


def _deal_stages(api: Api) -> Iterator[Record]:
    for pipeline in api.get("deals", f"{api.paths.pipelines}/deals")["results"]:
        for stage in pipeline["stages"]:
            named = {"pipeline_id": pipeline["id"], "pipeline_label": pipeline["label"]}
            yield {**stage, **stage.get("metadata", {}), **named}


def _options(api: Api) -> Iterator[Record]:
    """The labels of all choices: records hold nothing but codes."""
    for object in OPTION_OBJECTS:
        for described in api.get(object, f"{api.paths.properties}/{object}")["results"]:
            for option in described.get("options", ()):
                named = {"object": object, "property": described["name"]}
                yield {**option, **named, "id": f"{object}:{described['name']}:{option['value']}"}


def _account_info(api: Api) -> Iterator[Record]:
    yield api.get("account-info", api.paths.account)


def _exchange_rates(api: Api) -> Iterator[Record]:
    yield from _pages(api, "exchange-rates", api.paths.exchange_rates)


LISTINGS: Mapping[str, Listing] = {
    "account_info": Listing(_account_info, forgets=True),
    "exchange_rates": Listing(_exchange_rates, forgets=True),
    "owners": Listing(_owners, forgets=True),
    "property_options": Listing(_options, forgets=False),
    "deal_stages": Listing(_deal_stages, forgets=False),
}
