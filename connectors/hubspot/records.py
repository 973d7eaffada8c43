"""How records are asked for: listed, searched, read in batches, with their associations; page by page, and no further.

What is read when, and what becomes of it, is for `source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hubspot.crm.objects import Filter, FilterGroup, PublicObjectSearchRequest
from more_itertools import chunked

from connectors.errors import ApiFailed, IncompleteRead
from connectors.hubspot.api import Api

Result = Mapping[str, Any]
"""A record as HubSpot sends it."""

LIST_PAGE, SEARCH_PAGE, BATCH, HISTORY_PAGE = 100, 200, 100, 50
NOT_FOUND = "OBJECT_NOT_FOUND"


@dataclass(frozen=True)
class Listed:
    """A page of a list, and where the next one begins."""

    results: Sequence[Result]
    place: str | None


@dataclass(frozen=True)
class Found:
    """A page of a search that goes by id, and the last id on it or before it."""

    results: Sequence[Result]
    place: str | None


class Records:
    """The records of a portal."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def listed(
        self,
        object: str,
        properties: Sequence[str],
        *,
        archived: bool = False,
        after: str | None = None,
        past: Sequence[str] = (),
    ) -> Iterator[Listed]:
        """All records by id, from a place on; with the `past` of some properties."""
        asked = {
            "limit": HISTORY_PAGE if past else LIST_PAGE,
            "archived": str(archived).lower(),
            "properties": ",".join(properties),
            **({"propertiesWithHistory": ",".join(past)} if past else {}),
        }
        while True:
            place = {"after": after} if after else {}
            page = self._api.get(object, f"{self._api.paths.objects}/{object}", **asked, **place)
            previous, after = after, following(page)
            if after:
                must_advance(object, previous, after)
            yield Listed(_results(object, page), after)
            if not after:  # a short page, or an empty one, is not the last one if it names a next one
                return

    def changed(
        self, object: str, properties: Sequence[str], cursor: str, since: datetime, last_id: str | None = None
    ) -> Iterator[Found]:
        """Records changed since an instant, by id.

        Each page is a search of its own, behind the last id of the one before: no cap on the results of a search is
        ever reached, and records that come or go in between move nothing.
        """
        after: str | None = None
        while True:
            page = self._api.search(
                object,
                f"{self._api.paths.objects}/{object}/search",
                PublicObjectSearchRequest(
                    filter_groups=[FilterGroup(filters=[_since(cursor, since), *_behind(last_id)])],
                    sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                    properties=list(properties),
                    limit=SEARCH_PAGE,
                    after=after,
                ),
            )
            results, previous, after = _results(object, page), after, following(page)
            if results:
                must_advance(object, last_id, str(results[-1]["id"]))
                last_id = str(results[-1]["id"])  # as received: HubSpot may compare ids as text or as numbers
            yield Found(results, last_id)
            if not after:
                return
            if results:
                after = None
            else:
                must_advance(object, previous, after)

    def total(self, object: str, cursor: str, limit: int, *filters: Filter) -> tuple[int, Sequence[Result]]:
        """How many records a search finds, and the most recently changed of them."""
        page = self._api.search(
            object,
            f"{self._api.paths.objects}/{object}/search",
            PublicObjectSearchRequest(
                filter_groups=[FilterGroup(filters=list(filters))] if filters else [],
                sorts=[{"propertyName": cursor, "direction": "DESCENDING"}],
                properties=[cursor],
                limit=limit,
            ),
        )
        return int(page["total"]), _results(object, page)

    def total_since(self, object: str, cursor: str, since: datetime) -> int:
        """How many records changed since an instant."""
        return self.total(object, cursor, 1, _since(cursor, since))[0]

    def read(
        self,
        object: str,
        ids: Sequence[str],
        properties: Sequence[str],
        *,
        archived: bool = False,
        past: Sequence[str] = (),
    ) -> list[Result]:
        """Some records, with as many properties as there are; those that are gone are left out.

        Raises:
            IncompleteRead: a record is missing, and HubSpot does not say that it is gone.

        """
        found: list[Result] = []
        for some in chunked(ids, HISTORY_PAGE if past else BATCH):
            body = {"inputs": [{"id": id} for id in some], "properties": list(properties)}
            path = f"{self._api.paths.objects}/{object}/batch/read"
            with_past = {"propertiesWithHistory": list(past)} if past else {}
            answer = self._api.post(object, path, body | with_past, archived=str(archived).lower())
            results = _results(object, answer)
            _must_explain(object, {*some} - {str(result["id"]) for result in results}, answer.get("errors") or ())
            found.extend(results)
        return found

    def associated(self, object: str, target: str, ids: Sequence[str]) -> Mapping[str, list[str]]:
        """For each record, the ids of the others it is associated with; the primary one comes first."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        inputs = [{"id": id} for id in ids]
        path = f"{self._api.paths.associations}/{object}/{target}/batch/read"
        while inputs:
            asked = {entry["id"]: entry.get("after") for entry in inputs[:BATCH]}
            answer = self._api.post(f"the {target} of {object}", path, {"inputs": inputs[:BATCH]})
            inputs = inputs[BATCH:]
            for problem in answer.get("errors") or ():
                if problem.get("category") != NOT_FOUND:  # it is no error to have none
                    raise ApiFailed(f"HubSpot failed on the {target} of {object}: {problem.get('message')}")
            for result in _results(object, answer):
                origin = str(result["from"]["id"])
                found.setdefault(origin, []).extend(result["to"])
                if after := following(result):  # each record has pages of its own
                    must_advance(f"the {target} of {object}", asked[origin], after)
                    inputs.append({"id": origin, "after": after})
        return {origin: _primary_first(associated) for origin, associated in found.items()}


def following(page: Mapping[str, Any]) -> str | None:
    """Where the next page begins, or nothing."""
    after: str | None = ((page.get("paging") or {}).get("next") or {}).get("after")
    return after


def must_advance(what: str, previous: str | None, following: str) -> None:
    """Stop at a cursor that stands still."""
    if following == previous:
        raise ApiFailed(f"HubSpot repeats the same page of {what} (cursor {following}): stopped, not looping")


def _results(what: str, page: Mapping[str, Any]) -> Sequence[Result]:
    try:
        results: Sequence[Result] = page["results"]
    except KeyError as error:
        raise ApiFailed(f"HubSpot failed on {what}: its answer has no results") from error
    return results


def _must_explain(object: str, missing: set[str], errors: Sequence[Mapping[str, Any]]) -> None:
    for problem in errors:
        if problem.get("category") != NOT_FOUND:
            raise ApiFailed(f"HubSpot failed on {object}: {problem.get('message')}")
        missing = missing - {str(id) for id in (problem.get("context") or {}).get("ids", ())}
    if missing:
        raise IncompleteRead(
            f"HubSpot left out {len(missing)} of the {object} it was asked for, {min(missing)} among them, "
            "without a word. Run again."
        )


def _since(cursor: str, since: datetime) -> Filter:
    return Filter(property_name=cursor, operator="GTE", value=str(int(since.timestamp() * 1000)))


def _behind(last_id: str | None) -> list[Filter]:
    return [Filter(property_name="hs_object_id", operator="GT", value=last_id)] if last_id else []


def _primary_first(associated: Sequence[Mapping[str, Any]]) -> list[str]:
    def is_other(to: Mapping[str, Any]) -> bool:
        return all(kind.get("label") != "Primary" for kind in to["associationTypes"])

    return list(dict.fromkeys(str(to["toObjectId"]) for to in sorted(associated, key=is_other)))
