"""A Dataverse organisation: its tables, the company's rows in them, and what happens to these.

How it is asked and what it answers on the wire is for the modules beside this one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from more_itertools import chunked

from connectors.sandbox.company import Change, ChangeKind, Record, World
from connectors.sandbox.dynamics.answers import Refused
from connectors.sandbox.dynamics.choices import Choices
from connectors.sandbox.dynamics.rows import SHARED, main_entity, main_id, rows
from connectors.sandbox.dynamics.rows.people import foundation
from connectors.sandbox.dynamics.rows.shape import Shape
from connectors.sandbox.dynamics.tables import PARENTS, Entity, with_custom_fields
from connectors.sandbox.store import GONE, LIVE, Store, Where

ROWS_AT_A_TIME = 1_000


class Organisation:
    """One organisation, and what tests want to do to it."""

    def __init__(self, world: World, store: Store) -> None:
        self.store = store
        self.choices = Choices()
        self.entities = with_custom_fields(world.custom_fields)
        self.oldest_delta = 0
        """Delta tokens from before this version have expired."""
        self._shape = Shape(world, self.choices)
        for entity in self.entities.values():
            store.create(entity.table)
        for name, row in foundation(self._shape):
            store.save(self.entities[name].table.name, [row])
        self._load(world)

    def _load(self, world: World) -> None:
        for records in chunked(world.records("dynamics"), ROWS_AT_A_TIME):
            batches: dict[str, list[dict[str, Any]]] = {}
            for record in records:
                for name, row in rows(self._shape, record):
                    batches.setdefault(name, []).append(row)
            for name, batch in batches.items():
                write = self.store.save if name in SHARED else self.store.insert
                write(self.entities[name].table.name, batch)

    # what happens

    def apply(self, change: Change) -> None:
        """Let something happen to one of the company's records."""
        entity, id = main_entity(change.record), main_id(change.record)
        match change.kind:
            case ChangeKind.SAVED | ChangeKind.RESTORED:  # no recycle bin: it is created again, under its old id
                self._save(change.record)
            case ChangeKind.DELETED | ChangeKind.PURGED:
                self._delete(entity, id)
            case ChangeKind.MERGED:
                assert change.into is not None
                self._save(change.into)
                stamp = {"modifiedon": change.at.replace(microsecond=0)}
                self._mark_merged(entity, main_id(change.into), id, stamp)
            case ChangeKind.FORMULA:
                values = self._shape.custom(entity, getattr(change.record, "custom", {}))
                formulas = self.entities[entity].calculated
                changes = {name: value for name, value in values.items() if name in formulas}
                self.store.update(self.entities[entity].table.name, id, changes, quietly=True)

    def _save(self, record: Record) -> None:
        entity, id = main_entity(record), main_id(record)
        kept: dict[str, set[str]] = {part: set() for part, lookup in PARENTS.items() if self._target(part) == entity}
        for name, row in rows(self._shape, record):
            table, key = self.entities[name].table.name, row[self.entities[name].key]
            if self.store.get(table, key, GONE):
                self.store.restore(table, key)
            self.store.save(table, [row])
            if name in kept:
                kept[name].add(key)
        for part, keys in kept.items():
            for key in self._parts(part, id) - keys:
                self.store.delete(self.entities[part].table.name, key)

    def _delete(self, entity: str, id: str) -> None:
        if self.store.get(self.entities[entity].table.name, id) is None:
            return
        self.store.delete(self.entities[entity].table.name, id)
        for part in (part for part in PARENTS if self._target(part) == entity):
            for key in self._parts(part, id):
                self.store.delete(self.entities[part].table.name, key)

    def _target(self, part: str) -> str | None:
        return self.entities[part].table.columns[PARENTS[part]].target

    def _parts(self, part: str, id: str) -> set[str]:
        entity = self.entities[part]
        found = self.store.find(entity.table.name, LIVE & Where(f'"{PARENTS[part]}" = ?', (id,)))
        return {row[entity.key] for row in found}

    def _mark_merged(self, entity: str, winner: str, loser: str, stamp: Mapping[str, Any]) -> None:
        changes = {"merged": True, "_masterid_value": winner, "statecode": 2 if entity == "lead" else 1, **stamp}
        self.store.update(self.entities[entity].table.name, loser, changes)

    # what users do

    def change(self, entity: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: its stamp moves."""
        table = self.entities[entity].table
        stamps = {"modifiedon": self.now} if "modifiedon" in table.columns else {}
        self.store.update(table.name, id, {**stamps, **changes})

    def delete(self, entity: str, id: str) -> None:
        """Delete a record as a user would: its parts go with it."""
        self._delete(entity, id)

    def merge(self, entity: str, winner: str, loser: str) -> None:
        """Merge two records as a user would: the loser stays, inactive, and says which record took its place."""
        self._mark_merged(entity, winner, loser, {"modifiedon": self.now})
        for name, other in self.entities.items():
            for column in (
                c for c in other.table.columns.values() if c.target == entity and c.name != "_masterid_value"
            ):
                for row in self.store.find(other.table.name, LIVE & Where(f'"{column.name}" = ?', (loser,))):
                    self.change(name, row[other.key], {column.name: winner})

    @property
    def now(self) -> Any:
        """The stamp of what happens now: Dataverse keeps seconds."""
        return self.store.clock().replace(microsecond=0)

    # what administrators do

    def track(self, entity: str, is_tracked: bool) -> None:
        """Switch change tracking of a table on or off."""
        self.entities[entity] = replace(self.entities[entity], is_tracked=is_tracked)

    def secure(self, entity: str, *columns: str) -> None:
        """Put columns under column-level security, without a profile that lets the application user read them."""
        self.entities[entity] = replace(self.entities[entity], secured=frozenset(columns))

    def hide(self, entity: str, *columns: str) -> None:
        """Let columns vanish, as if nobody had made them yet; without any, all are shown again."""
        self.entities[entity] = replace(self.entities[entity], hidden=frozenset(columns))

    def expire_delta_tokens(self) -> None:
        """Make every delta link given out so far too old."""
        self.oldest_delta = self.store.version + 1
        self.store.touch()

    # what is there

    def named(self, name: str) -> Entity:
        """A table by its logical name."""
        if name not in self.entities:
            raise Refused(404, "0x80060888", f"Could not find an entity with name '{name}'.")
        return self.entities[name]

    def behind(self, set: str) -> Entity:
        """A table by the name of its entity set."""
        for entity in self.entities.values():
            if entity.set == set:
                return entity
        raise Refused(404, "0x80060888", f"Resource not found for the segment '{set}'.")
