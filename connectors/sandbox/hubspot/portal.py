"""One portal's records, and everything that can happen to them: loaded, saved, archived, restored, purged, merged.

No requests are answered here; what a record looks like is in `rows`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from more_itertools import chunked

from connectors.sandbox.company import Change, ChangeKind, Record, Rep, World
from connectors.sandbox.hubspot.rows import (
    HISTORY_COLUMNS,
    Link,
    Shape,
    Terms,
    history_row,
    record_id,
    sent,
    shape,
)
from connectors.sandbox.hubspot.tables import (
    ASSOCIATIONS,
    HISTORY,
    OBJECTS,
    OWNERS,
    PARENTS,
    PARTS,
    catalogue,
)
from connectors.sandbox.store import DELETED, DELETED_AT, Row, Store, Where, stored

BATCH = 1_000


class Portal:
    """The records of one portal; all changes to them go through here."""

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self.store = store
        self.terms = Terms.of(world)
        self.catalogue = catalogue(world.custom_fields, world.stages.get("hubspot", ()))
        self.merges_give_new_ids = False
        """Whether the survivor of a merge is a new record, which names both; otherwise the winner stays."""
        self._moved: dict[tuple[str, str], str] = {}
        """Where a merged record went: object and id to the id it has now."""
        for table in (*self.catalogue.tables.values(), OWNERS, ASSOCIATIONS, HISTORY):
            store.create(table)
        for batch in chunked(world.records("hubspot"), BATCH):
            self._insert([shape(record, self.terms) for record in batch])

    def _insert(self, shapes: Sequence[Shape]) -> None:
        rows: dict[str, list[Row]] = {}
        for it in shapes:
            for object, row in it.rows:
                rows.setdefault(f"hubspot.{object}", []).append(row)
            rows.setdefault(HISTORY.name, []).extend(it.history)
            rows.setdefault(ASSOCIATIONS.name, []).extend(_both_ways(it.links))
            if it.owner:
                rows.setdefault(OWNERS.name, []).append(it.owner)
        for table, batch in rows.items():
            self.store.insert(table, batch)
        for it in shapes:
            if it.owner and it.is_owner_gone:
                self.store.delete(OWNERS.name, it.owner["id"])

    # what happens to the company

    def apply(self, change: Change) -> None:
        """Let happen in HubSpot what happened to the company."""
        match change.kind:
            case ChangeKind.SAVED | ChangeKind.FORMULA:
                self._save(change.record)
            case ChangeKind.DELETED:
                for object, id in self._own(change.record):
                    self.archive(object, id, change.at)
            case ChangeKind.RESTORED:
                for object, id in self._own(change.record):
                    self.restore(object, id)
                self._save(change.record)
            case ChangeKind.PURGED:
                for object, id in self._own(change.record):
                    self.purge(object, id)
            case ChangeKind.MERGED:
                assert change.into is not None
                for (object, loser), (_, winner) in zip(self._own(change.record), self._own(change.into), strict=True):
                    self.merge(object, winner, loser)
                self._save(replace(change.into, modified_at=change.at))

    def _own(self, record: Record) -> list[tuple[str, str]]:
        """Object and id of the record itself, without its parts."""
        if isinstance(record, Rep):
            return [("owners", record_id("owners", record.email))]
        return [(object, self._now(object, row["hs_object_id"])) for object, row in shape(record, self.terms).rows[:1]]

    def _save(self, record: Record) -> None:
        it = shape(record, self.terms)
        for object, row in it.rows:
            self._save_row(object, row)
        if it.owner:
            self.store.save(OWNERS.name, [it.owner])
            if it.is_owner_gone:
                self.store.delete(OWNERS.name, it.owner["id"])
        if it.rows:
            self._relink(it)
            self._drop_parts(it)
            self._rewrite_history(it)

    def _save_row(self, object: str, row: Row) -> None:
        table = self.catalogue.tables[object]
        targets = {name: column.target for name, column in table.columns.items() if column.target and row.get(name)}
        moved = {name: type(row[name])(self._now(to, str(row[name]))) for name, to in targets.items()}
        id = self._now(object, row["hs_object_id"])
        known = self.store.get(table.name, id, Where()) or {}
        kept = {"hs_merged_object_ids": known.get("hs_merged_object_ids")} if known else {}
        self.store.save(table.name, [row | moved | kept | {"hs_object_id": id}])

    def _now(self, object: str, id: str) -> str:
        """The id under which a record goes on after merges."""
        while (object, id) in self._moved:
            id = self._moved[(object, id)]
        return id

    def _relink(self, it: Shape) -> None:
        """Bring the associations that the record itself names up to date, those of its parts included."""
        wanted = {(a, self._now(a, b), c, self._now(c, d)) for a, b, c, d in it.links}
        known = {
            link
            for object, row in it.rows
            for link in self._links(object, self._now(object, row["hs_object_id"]))
            if link[2] in PARENTS[object]
        }
        self._unlink(known - wanted)
        self.link(wanted - known)

    def _drop_parts(self, it: Shape) -> None:
        object, row = it.rows[0]
        rendered = {(part, other["hs_object_id"]) for part, other in it.rows[1:]}
        for part, id in self._parts(object, self._now(object, row["hs_object_id"])):
            if (part, id) not in rendered:
                self._delete(part, id, self.store.clock())

    def _rewrite_history(self, it: Shape) -> None:
        object, row = it.rows[0]
        id = self._now(object, row["hs_object_id"])
        entries = [
            entry | {"record_id": id, "id": entry["id"].replace(f":{entry['record_id']}:", f":{id}:")}
            for entry in it.history
        ]
        if not entries:
            return
        kept = {entry["id"] for entry in entries}
        for entry in self.store.find(HISTORY.name, Where('"record_id" = ? and "object" = ?', (id, object))):
            if entry["id"] not in kept:
                self.store.purge(HISTORY.name, entry["id"])
        self.store.save(HISTORY.name, entries)

    # what users do

    def change(self, object: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: its stamp moves, and what it was before is kept."""
        now = self.store.clock()
        self.store.update(f"hubspot.{object}", id, {OBJECTS[object].modified: now, **changes})
        if object == "deals":
            self.store.save(
                HISTORY.name,
                [
                    history_row(object, id, name, sent(HISTORY_COLUMNS[name], stored(value)), now)
                    for name, value in changes.items()
                    if name in HISTORY_COLUMNS
                ],
            )

    def archive(self, object: str, id: str, at: datetime | None = None) -> None:
        """Archive a record with its parts; no stamp but `archivedAt` moves."""
        for name, one in ((object, id), *self._parts(object, id)):
            self._delete(name, one, at or self.store.clock())

    def _delete(self, object: str, id: str, at: datetime) -> None:
        if self.store.get(f"hubspot.{object}", id):  # what is gone already keeps its moment
            self.store.update(f"hubspot.{object}", id, {DELETED: True, DELETED_AT: at})

    def restore(self, object: str, id: str) -> None:
        """Take a record back from the archive with its parts."""
        for name, one in ((object, id), *self._parts(object, id)):
            self.store.restore(f"hubspot.{name}", one)

    def purge(self, object: str, id: str) -> None:
        """Remove a record with its parts for good, as a privacy request does."""
        for name, one in ((object, id), *self._parts(object, id)):
            self._unlink(self._links(name, one))
            self.store.purge(f"hubspot.{name}", one)
        for entry in self.store.find(HISTORY.name, Where('"record_id" = ? and "object" = ?', (id, object))):
            self.store.purge(HISTORY.name, entry["id"])

    def merge(self, object: str, winner: str, loser: str) -> str:
        """Let one record swallow another, and tell the id of the survivor; no list shows the loser any more."""
        table = f"hubspot.{object}"
        first, second = (self.store.get(table, id) for id in (winner, loser))
        assert first is not None and second is not None
        self.link({(object, winner, *link[2:]) for link in self._links(object, loser)})
        swallowed = [first["hs_merged_object_ids"], second["hs_merged_object_ids"], loser]
        survivor = record_id(object, f"{winner}+{loser}") if self.merges_give_new_ids else winner
        if survivor != winner:
            self.store.insert(table, [first | {"hs_object_id": survivor}])
            self.link({(object, survivor, *link[2:]) for link in self._links(object, winner)})
            self._move_history(object, winner, survivor)
            self.purge(object, winner)
            self._moved[(object, winner)] = survivor
            swallowed.append(winner)
        self._moved[(object, loser)] = survivor
        self.purge(object, loser)
        self.change(object, survivor, {"hs_merged_object_ids": ";".join(filter(None, swallowed))})
        return survivor

    def _move_history(self, object: str, id: str, to: str) -> None:
        entries = self.store.find(HISTORY.name, Where('"record_id" = ? and "object" = ?', (id, object)))
        rows = [history_row(object, to, it["property"], it["value"], _instant(it["timestamp"])) for it in entries]
        self.store.save(HISTORY.name, rows)

    # associations

    def link(self, links: Iterable[Link]) -> None:
        """Associate records, in both directions."""
        self.store.save(ASSOCIATIONS.name, _both_ways(links))

    def _unlink(self, links: Iterable[Link]) -> None:
        for row in _both_ways(links):
            self.store.purge(ASSOCIATIONS.name, row["id"])

    def _links(self, object: str, id: str) -> set[Link]:
        found = self.store.find(ASSOCIATIONS.name, Where('"from_id" = ? and "from_type" = ?', (id, object)))
        return {(object, id, row["to_type"], row["to_id"]) for row in found}

    def _parts(self, object: str, id: str) -> list[tuple[str, str]]:
        parts = PARTS.get(object, ())
        return [(to_type, to) for _, _, to_type, to in self._links(object, id) if to_type in parts] if parts else []


def _both_ways(links: Iterable[Link]) -> list[Row]:
    return [
        {"id": f"{a}:{b}:{c}:{d}", "from_type": a, "from_id": b, "to_type": c, "to_id": d}
        for from_type, from_id, to_type, to_id in links
        for a, b, c, d in ((from_type, from_id, to_type, to_id), (to_type, to_id, from_type, from_id))
    ]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
