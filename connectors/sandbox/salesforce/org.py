"""What one Salesforce org holds: records as they are loaded, changed, deleted, merged; what is hidden from whom.

The API that shows it is in the other modules of this package.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from more_itertools import first

from connectors.sandbox.company import Change, ChangeKind, Record, World
from connectors.sandbox.salesforce.rows import references, rows
from connectors.sandbox.salesforce.shape import Row, second
from connectors.sandbox.salesforce.tables import CHILDREN, HARD_DELETED, formulas, tables
from connectors.sandbox.store import ALL, DELETED, DELETED_AT, LIVE, Kind, Store, Table, Where

SHARED = frozenset({"UserRole", "Period"})
"""Objects whose rows come with several records."""
BATCH = 1_000


class Org:
    """The records of an org. Attributes that are not private may be changed while it is served."""

    crm = "salesforce"

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self.store = store
        self.tables = tables(world)
        self.formulas = formulas(world)
        self.hidden: set[tuple[str, str | None]] = set()
        """Object and field that the integration user may not see; without a field, the whole object."""
        self.described_at = store.clock()
        """When the fields last changed."""
        self.purged: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
        """By object, the ids of what is gone for good, and when it went."""
        self._falses = {
            name: {column.name: False for column in table.columns.values() if column.kind is Kind.BOOLEAN}
            for name, table in self.tables.items()
        }
        for table in self.tables.values():
            store.create(table)
        self._load()

    def _load(self) -> None:
        records = (pair for record in self.world.records(self.crm) for pair in rows(record, self.world))
        waiting: dict[str, list[Row]] = defaultdict(list)
        for object, row in chain(references(self.world), records):
            if object in SHARED:
                self._save_rows(object, [row])
                continue
            waiting[object].append({**self._falses[object], **row})
            if len(waiting[object]) >= BATCH:
                self.store.insert(self.tables[object].name, waiting.pop(object))
        for object, batch in waiting.items():
            self.store.insert(self.tables[object].name, batch)

    def visible(self) -> dict[str, Table]:
        """The objects that the integration user sees, by name in lower case, with the fields it sees."""
        return {name.lower(): self._seen(name) for name in self.tables if (name, None) not in self.hidden}

    def _seen(self, name: str) -> Table:
        table = self.tables[name]
        if not any(object == name for object, _ in self.hidden):
            return table
        columns = {field: column for field, column in table.columns.items() if (name, field) not in self.hidden}
        return replace(table, columns=columns)

    def hide(self, object: str, field: str | None = None) -> None:
        """Take a field, or an object, out of the integration user's sight."""
        self.hidden.add((object, field))
        self.described_at = self.store.clock()

    def show(self, object: str, field: str | None = None) -> None:
        """Let the integration user see it again."""
        self.hidden.discard((object, field))
        self.described_at = self.store.clock()

    # what users do

    def change(self, object: str, id: str, changes: Mapping[str, Any]) -> None:
        """Change a record as a user would: the stamps move."""
        self.store.update(self.tables[object].name, id, {**self._stamped(object, self.store.clock()), **changes})

    def delete(self, object: str, id: str, at: datetime | None = None) -> None:
        """Put a record into the recycle bin; where the object has none, it is gone."""
        at = at or self.store.clock()
        if object in HARD_DELETED:
            self.purge(object, id, at)
        else:
            gone = {"IsDeleted": True, DELETED: True, DELETED_AT: at}
            self.store.update(self.tables[object].name, id, {**self._stamped(object, at), **gone})

    def undelete(self, object: str, id: str) -> None:
        """Take a record back from the recycle bin."""
        back = {"IsDeleted": False, DELETED: False, DELETED_AT: None}
        self.store.update(self.tables[object].name, id, {**self._stamped(object, self.store.clock()), **back})

    def purge(self, object: str, id: str, at: datetime | None = None) -> None:
        """Remove a record for good, also from the recycle bin."""
        self.store.purge(self.tables[object].name, id)
        self.purged[object].append((id, at or self.store.clock()))

    def merge(self, object: str, winner: str, loser: str) -> None:
        """Merge two records: the loser is deleted, and says which record took its place; its children move."""
        self.store.update(self.tables[object].name, loser, {"MasterRecordId": winner})
        self.delete(object, loser)
        for name, other in self.tables.items():
            for column in (c for c in other.columns.values() if c.target == object and c.name != "MasterRecordId"):
                for row in self.store.find(other.name, LIVE & Where(f'"{column.name}" = ?', (loser,))):
                    self.change(name, row["Id"], {column.name: winner})

    def _stamped(self, object: str, at: datetime) -> dict[str, Any]:
        columns = self.tables[object].columns
        return {name: second(at) for name in ("LastModifiedDate", "SystemModstamp") if name in columns}

    # what happens in the company

    def apply(self, change: Change) -> None:
        """Let something happen to a record."""
        match change.kind:
            case ChangeKind.SAVED | ChangeKind.RESTORED:
                self._save(change.record)
            case ChangeKind.DELETED:
                self._delete(change.record, change.at)
            case ChangeKind.PURGED:
                self._purge(change.record, change.at)
            case ChangeKind.FORMULA:
                self._recalculate(change.record)
            case ChangeKind.MERGED:
                self._delete(change.record, change.at)
                if change.into:
                    self._save(change.into)
                    self._note_winner(change.record, change.into)

    def _save(self, record: Record) -> None:
        rendered: dict[str, list[Row]] = defaultdict(list)
        for object, row in rows(record, self.world):
            rendered[object].append(row)
        for object, batch in rendered.items():
            self._save_rows(object, batch)
        kept = {(object, row["Id"]) for object, batch in rendered.items() for row in batch}
        object, own = first((object, batch[0]) for object, batch in rendered.items())
        for child, id in self._children(object, own["Id"], LIVE):
            if (child, id) not in kept:
                self.delete(child, id, own["SystemModstamp"])

    def _save_rows(self, object: str, batch: Iterable[Row]) -> None:
        self.store.save(self.tables[object].name, ({**self._falses[object], **row} for row in batch))

    def _own(self, record: Record) -> tuple[str, str]:
        object, row = first(rows(record, self.world))
        return object, row["Id"]

    def _delete(self, record: Record, at: datetime) -> None:
        object, id = self._own(record)
        for child, child_id in self._children(object, id, LIVE):
            self.delete(child, child_id, at)
        self.delete(object, id, at)

    def _purge(self, record: Record, at: datetime) -> None:
        object, id = self._own(record)
        for child, child_id in self._children(object, id, ALL):
            self.purge(child, child_id, at)
        self.purge(object, id, at)

    def _children(self, object: str, id: str, where: Where) -> list[tuple[str, str]]:
        """Objects and ids of what lives and dies with a record, and with that in turn."""
        own = [
            (child, row["Id"])
            for child, field in CHILDREN.get(object, {}).items()
            for row in self.store.find(self.tables[child].name, where & Where(f'"{field}" = ?', (id,)))
        ]
        return own + [pair for child, child_id in own for pair in self._children(child, child_id, where)]

    def _note_winner(self, loser: Record, winner: Record) -> None:
        object, id = self._own(loser)
        if "MasterRecordId" in self.tables[object].columns:
            self.store.update(self.tables[object].name, id, {"MasterRecordId": self._own(winner)[1]})

    def _recalculate(self, record: Record) -> None:
        object, row = first(rows(record, self.world))
        values = {name: row[name] for owner, name in self.formulas if owner == object and name in row}
        if values:
            self.store.update(self.tables[object].name, row["Id"], values)
