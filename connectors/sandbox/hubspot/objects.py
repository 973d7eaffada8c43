"""Requests for records: listed, searched, read one by one or in batches, written, merged, archived.

Associations and settings have their own modules; what happens to records is in `portal`.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from more_itertools import chunked
from starlette.requests import Request
from starlette.responses import Response

from connectors.sandbox.hubspot.answers import (
    Refused,
    batch,
    body_of,
    cursor,
    inputs_of,
    known,
    limit_of,
    names_in,
    offset,
    only,
    page,
    paging,
    parsed,
    position,
    wants_archived,
)
from connectors.sandbox.hubspot.habits import Habits
from connectors.sandbox.hubspot.portal import Portal
from connectors.sandbox.hubspot.rows import in_stage, record_id, sent
from connectors.sandbox.hubspot.search import Language
from connectors.sandbox.hubspot.tables import BY_NUMBER, HISTORY, OBJECTS, TYPES_OF_ASSOCIATION, Object
from connectors.sandbox.store import DELETED, DELETED_AT, GONE, LIVE, Column, Kind, Row, Where
from connectors.sandbox.wire import JsonResponse

MOST_WITH_HISTORY = 50
HTML_404 = frozenset({"tasks"})
"""Objects whose missing records are an HTML page, as recorded from the real thing."""


class Objects:
    """Answers requests for records."""

    def __init__(self, portal: Portal, habits: Habits) -> None:
        self._portal, self._habits, self._store = portal, habits, portal.store

    # reading

    async def listing(self, request: Request) -> Response:
        """One page of all records, by id."""
        object = _object(request)
        only(request, "limit", "after", "properties", "propertiesWithHistory", "associations", "archived")
        past = names_in(request, "propertiesWithHistory")
        limit = limit_of(request, default=10, most=MOST_WITH_HISTORY if past else 100)
        where = GONE if wants_archived(request) else LIVE
        after = position(request.query_params.get("after"))
        if after is not None:
            where &= Where(f"{BY_NUMBER} > ?", (after,))
        rows = self._store.find(f"hubspot.{object.name}", where, order_by=BY_NUMBER, limit=limit + 1)
        results = self._records(object, rows[:limit], names_in(request, "properties"), past)
        for other in names_in(request, "associations"):
            self._add_inline(object, known(other), results)
        answer: dict[str, Any] = {"results": results}
        if len(rows) > limit:
            answer["paging"] = paging(request, cursor(rows[limit - 1]["hs_object_id"]))
        return JsonResponse(answer)

    async def read(self, request: Request) -> Response:
        """One record."""
        object = _object(request)
        only(request, "properties", "propertiesWithHistory", "associations", "archived", "idProperty")
        row = self._store.get(
            f"hubspot.{object.name}", request.path_params["id"], GONE if wants_archived(request) else LIVE
        )
        if row is None and object.name in HTML_404:
            return page(404, "Not Found")
        if row is None:
            raise _missing()
        past = names_in(request, "propertiesWithHistory")
        [record] = self._records(object, [row], names_in(request, "properties"), past)
        for other in names_in(request, "associations"):
            self._add_inline(object, known(other), [record])
        return JsonResponse(record)

    async def batch_read(self, request: Request) -> Response:
        """Up to 100 records, by id."""
        object = _object(request)
        only(request, "archived")
        body = await body_of(request, "inputs", "properties", "propertiesWithHistory", "idProperty")
        if body.get("idProperty"):
            raise Refused(400, "idProperty is not offered by the sandbox")
        past = body.get("propertiesWithHistory") or []
        ids = inputs_of(body, most=MOST_WITH_HISTORY if past else 100)
        marks = ", ".join("?" * len(ids))
        where = (GONE if wants_archived(request) else LIVE) & Where(f'"hs_object_id" in ({marks})', tuple(ids))
        rows = self._store.find(f"hubspot.{object.name}", where)
        results = self._records(object, rows, body.get("properties") or (), past)
        found = {record["id"] for record in results}
        missing = [id for id in ids if id not in found]
        problem = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": f"Could not get some {object.singular.upper()} objects, they may be deleted or not exist."
            " Check that ids are valid.",
            "context": {"ids": missing},
        }
        return batch(self._store.clock(), results, [problem] if missing else [], 1)

    async def splits(self, request: Request) -> Response:
        """How the credit for each of some deals is shared."""
        ids = inputs_of(await body_of(request, "inputs"))
        results = []
        for id in ids:
            rows = self._store.find("hubspot.deal_split", LIVE & Where('"hs_deal_id" = ?', (id,)))
            splits = self._records(OBJECTS["deal_split"], rows, self._visible("deal_split"), ())
            if splits:
                results.append({"id": id, "splits": splits})
        return batch(self._store.clock(), results, [], 0)

    async def search(self, request: Request) -> Response:
        """One page of the records that meet a filter: late, capped, and sometimes short or out of order."""
        object = _object(request)
        table = self._portal.catalogue.tables[object.name]
        body = await body_of(request, "filterGroups", "sorts", "properties", "limit", "after", "query")
        if body.get("query"):
            raise Refused(400, "query is not offered by the sandbox")
        limit = body.get("limit", 10)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= 200:
            raise Refused(400, "Invalid input JSON: limit must be between 0 and 200")
        start, most = offset(body.get("after")), self._habits.most_search_results
        if start + limit > most:
            raise Refused(400, f"There was a problem with the request: paging past {most} results")
        language = Language(table.columns, ids_are_text=self._habits.compares_ids_as_text)
        where = LIVE & self._settled(object) & language.filter(body.get("filterGroups") or [])
        order_by, by = language.sort(body.get("sorts") or [])
        total = self._store.count(table.name, where)
        size = limit // 2 if self._habits.has_short_pages and limit > 1 and start // limit % 5 == 3 else limit
        rows = self._store.find(table.name, where, order_by=order_by, limit=size, offset=start)
        if self._habits.is_search_unordered and by and by.kind is Kind.TIMESTAMP:
            rows = [row for pair in chunked(rows, 2) for row in reversed(pair)]
        answer: dict[str, Any] = {
            "total": min(total, most) if self._habits.totals_saturate else total,
            "results": self._records(object, rows, body.get("properties") or (), ()),
        }
        if start + len(rows) < total and limit:
            answer["paging"] = {"next": {"after": str(start + len(rows))}}
        return JsonResponse(answer)

    def _settled(self, object: Object) -> Where:
        """What search has taken notice of."""
        if not self._habits.search_delay:
            return Where()
        return Where(f'"{object.modified}" <= ?', (self._store.clock() - self._habits.search_delay,))

    def _visible(self, object: str) -> list[str]:
        columns = self._portal.catalogue.tables[object].columns
        return [name for name in columns if (object, name) not in self._habits.hidden]

    def _records(
        self, object: Object, rows: list[Row], wanted: Iterable[str], past: Iterable[str]
    ) -> list[dict[str, Any]]:
        """Rows as HubSpot sends them; properties that it does not know, or hides, are passed over."""
        columns = self._portal.catalogue.tables[object.name].columns
        standard = (object.created, object.modified, "hs_object_id")
        names = sorted({*(wanted or object.defaults), *standard} & columns.keys())
        shown = [(name, columns[name]) for name in names if (object.name, name) not in self._habits.hidden]
        records = [self._record(object, row, shown) for row in rows]
        if past := list(past):
            history = self._history(object, [record["id"] for record in records], past)
            for record in records:
                if record["id"] in history:
                    record["propertiesWithHistory"] = history[record["id"]]
        return records

    def _record(self, object: Object, row: Row, shown: Iterable[tuple[str, Column]]) -> dict[str, Any]:
        record = {
            "id": row["hs_object_id"],
            "properties": {name: self._sent(column, row[name]) for name, column in shown},
            "createdAt": row[object.created],
            "updatedAt": row[object.modified],
            "archived": row[DELETED],
        }
        if row[DELETED]:
            record["archivedAt"] = row[DELETED_AT]
        return record

    def _sent(self, column: Column, value: Any) -> str | None:
        text = sent(column, value)
        if text is None or not self._habits.sends_milliseconds or column.kind not in (Kind.TIMESTAMP, Kind.DATE):
            return text
        moment = datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")
        return str(round(moment.timestamp() * 1000))

    def _history(self, object: Object, ids: list[str], properties: list[str]) -> dict[str, dict[str, Any]]:
        """For each record that has any, what the properties were, newest first."""
        marks = ", ".join("?" * len(ids))
        where = Where(f'"object" = ? and "record_id" in ({marks})', (object.name, *ids))
        found: dict[str, dict[str, Any]] = {}
        for row in self._store.find(HISTORY.name, where, order_by='"timestamp" desc'):
            if row["property"] in properties and (object.name, row["property"]) not in self._habits.hidden:
                entries = found.setdefault(row["record_id"], {name: [] for name in properties})
                entry = {"value": row["value"], "timestamp": row["timestamp"], "sourceType": "CRM_UI"}
                entries[row["property"]].append(entry)
        return found

    # inline associations

    def _add_inline(self, object: Object, other: str, results: list[dict[str, Any]]) -> None:
        types = association_types(object.name, other)
        links = linked(self._portal, object.name, other, [record["id"] for record in results])
        for record in results:
            ids = links.get(record["id"], [])
            if ids:
                type = f"{object.singular}_to_{OBJECTS[other].singular}"
                found: dict[str, Any] = {
                    "results": [
                        {"id": id, "type": suffixed}
                        for id in ids[:100]
                        for suffixed in ((type, f"{type}_unlabeled") if len(types) > 1 else (type,))
                    ]
                }
                if len(ids) > 100:
                    found["paging"] = {"next": {"after": ids[99], "link": "https://api.hubapi.com/"}}
                record.setdefault("associations", {})[other] = found

    # writing

    async def create(self, request: Request) -> Response:
        """A new record, perhaps associated with others."""
        object = _object(request)
        body = await body_of(request, "properties", "associations")
        id = record_id(object.name, uuid.uuid4().hex)
        now = self._store.clock()
        ends = [str(link["to"]["id"]) for link in body.get("associations") or ()]
        links = [(object.name, id, self._type_of(end), end) for end in ends]
        changes = self._changes(object, body.get("properties") or {})
        stamps = {object.created: now, object.modified: now}
        self._store.insert(f"hubspot.{object.name}", [{**stamps, **changes, "hs_object_id": id}])
        self._portal.link(links)
        return self._answer(object, id, changes, status_code=201)

    def _type_of(self, id: str) -> str:
        for object in OBJECTS:
            if self._store.get(f"hubspot.{object}", id):
                return object
        raise Refused(400, f"One or more associations are not valid: {id} does not exist")

    async def update(self, request: Request) -> Response:
        """Some properties of a record."""
        object = _object(request)
        body = await body_of(request, "properties")
        id = request.path_params["id"]
        if self._store.get(f"hubspot.{object.name}", id) is None:
            raise _missing()
        changes = self._changes(object, body.get("properties") or {})
        self._portal.change(object.name, id, changes)
        return self._answer(object, id, changes)

    async def merge(self, request: Request) -> Response:
        """The survivor gets the loser's associations and lists it; no list shows the loser any more."""
        object = _object(request)
        body = await body_of(request, "primaryObjectId", "objectIdToMerge")
        winner, loser = (str(body.get(name)) for name in ("primaryObjectId", "objectIdToMerge"))
        rows = [self._store.get(f"hubspot.{object.name}", id) for id in (winner, loser)]
        if not all(row and "hs_merged_object_ids" in row for row in rows):
            raise _missing()
        survivor = self._portal.merge(object.name, winner, loser)
        return self._answer(object, survivor, ["hs_merged_object_ids"])

    async def archive(self, request: Request) -> Response:
        """Archiving what is not there succeeds too."""
        self._portal.archive(_object(request).name, request.path_params["id"])
        return Response(status_code=204)

    def _answer(self, object: Object, id: str, wanted: Iterable[str], status_code: int = 200) -> Response:
        row = self._store.get(f"hubspot.{object.name}", id)
        assert row is not None
        return JsonResponse(self._records(object, [row], wanted, ())[0], status_code=status_code)

    def _changes(self, object: Object, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Properties sent by a client as the store keeps them, with what follows from them."""
        columns = self._portal.catalogue.tables[object.name].columns
        problems = []
        changes: dict[str, Any] = {}
        for name, value in properties.items():
            if name not in columns:
                problems.append(_problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
            elif name in ("hs_object_id", "createdate", "hs_createdate", object.modified):
                problems.append(_problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property'))
            else:
                try:
                    changes[name] = None if value in (None, "") else parsed(columns[name], str(value))
                except (ValueError, ArithmeticError):
                    message = f"{value} was not a valid {columns[name].type}."
                    problems.append(_problem(name, "INVALID_VALUE", message))
        if object.name == "deals" and "dealstage" in changes:
            stage = next((s for s in self._portal.terms.stages.values() if s.id == changes["dealstage"]), None)
            if stage:
                changes |= in_stage(stage)
            else:
                message = f"{changes['dealstage']} was not one of the allowed options"
                problems.append(_problem("dealstage", "INVALID_OPTION", message))
        if problems:
            raise Refused(400, f"Property values were not valid: {json.dumps(problems)}")
        return changes


def linked(portal: Portal, object: str, other: str, ids: Iterable[str]) -> dict[str, list[str]]:
    """For each record, the ids of the others it is associated with, archived ones left out."""
    ids = tuple(ids)
    marks = ", ".join("?" * len(ids))
    live = f'select 1 from "hubspot.{other}" where "hs_object_id" = "to_id" and not "hubspot.{other}".{DELETED}'
    where = Where(
        f'"from_type" = ? and "to_type" = ? and "from_id" in ({marks}) and exists ({live})',
        (object, other, *ids),
    )
    found: dict[str, list[str]] = {}
    for row in portal.store.find("hubspot.associations", LIVE & where, order_by='cast("to_id" as integer)'):
        found.setdefault(row["from_id"], []).append(row["to_id"])
    return found


def association_types(object: str, other: str) -> tuple[tuple[int, str | None], ...]:
    """How two kinds of records can be associated."""
    if (object, other) not in TYPES_OF_ASSOCIATION:
        raise Refused(400, f"No association types exist between {object} and {other}")
    return TYPES_OF_ASSOCIATION[(object, other)]


def _object(request: Request) -> Object:
    return OBJECTS[known(request.path_params["object"])]


def _missing() -> Refused:
    return Refused(404, "resource not found", "OBJECT_NOT_FOUND")


def _problem(name: str, error: str, message: str) -> dict[str, Any]:
    return {"isValid": False, "message": message, "error": error, "name": name}
