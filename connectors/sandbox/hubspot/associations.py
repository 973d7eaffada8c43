"""Requests for associations between records, in batches.

Those sent inline with a list are in `objects`.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.hubspot.answers import batch, body_of, inputs_of, known, offset
from connectors.sandbox.hubspot.habits import Habits
from connectors.sandbox.hubspot.objects import association_types, linked
from connectors.sandbox.hubspot.portal import Portal
from connectors.sandbox.hubspot.tables import OBJECTS
from connectors.sandbox.wire import Number


class Associations:
    """Answers requests for associations."""

    def __init__(self, portal: Portal, habits: Habits) -> None:
        self._portal, self._habits = portal, habits

    async def batch_read(self, request: Request) -> Response:
        """What some records are associated with, each from where its last page ended."""
        object, other = known(request.path_params["from_type"]), known(request.path_params["to_type"])
        association_types(object, other)  # refuses what cannot be associated
        body = await body_of(request, "inputs")
        ids = inputs_of(body, most=1000)
        afters = {str(entry["id"]): offset(entry.get("after")) for entry in body["inputs"]}
        links = linked(self._portal, object, other, ids)
        results = [self._page(object, other, id, links[id], afters[id]) for id in ids if id in links]
        missing = [_unassociated(object, other, id) for id in ids if id not in links]
        return batch(self._portal.store.clock(), results, missing, len(missing))

    def _page(self, object: str, other: str, id: str, to_ids: list[str], after: int) -> dict[str, Any]:
        types = [
            {"category": "HUBSPOT_DEFINED", "typeId": n, "label": label}
            for n, label in association_types(object, other)
        ]
        left = [to for to in to_ids if int(to) > after]
        page = left[: self._habits.association_page]
        to = [{"toObjectId": Number(to), "associationTypes": types} for to in page]
        result: dict[str, Any] = {"from": {"id": id}, "to": to}
        if len(left) > len(page):
            result["paging"] = {"next": {"after": page[-1], "link": "https://api.hubapi.com/"}}
        return result


def _unassociated(object: str, other: str, id: str) -> dict[str, Any]:
    one, two = OBJECTS[object].singular, OBJECTS[other].singular
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {two} is associated with {one} {id}.",
        "context": {"fromObjectId": [id], "fromObjectType": [one], "toObjectType": [two]},
    }
