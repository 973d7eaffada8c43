"""What a stream is, and what a CRM module hands over while it reads one.

Declarations and values only: the protocols live in the CRM modules, the files in `landing`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import pyarrow as pa

from connectors.budget import Budget

Record = Mapping[str, Any]
"""One CRM record: field name to value as the API sent it (text, Decimal, bool, None, list or dict)."""

State = Mapping[str, Any]
"""Where a read of a stream stands; JSON that only the CRM module that wrote it understands. Empty: nothing read yet."""


class Kind(StrEnum):
    """How a field's landed text will be cast in staging."""

    TEXT = "text"
    DECIMAL = "decimal"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"


def fields(**names_by_kind: str) -> dict[str, Kind]:
    """Declare fields as one list of names for each kind: `fields(text="Id Name", date="CloseDate")`."""
    return {name: Kind(kind) for kind, names in names_by_kind.items() for name in names.split()}


@dataclass(frozen=True, kw_only=True, eq=False)  # a declaration is itself alone, and so can key a cache
class Stream:
    """One kind of record of one CRM: everything that assets, gates and tests need to know to handle it."""

    name: str
    """Name in the landing, the warehouse (`source(crm, name)`) and the asset key."""
    object: str
    """The API's own name for it."""
    key: str
    """Field that identifies a record."""
    fields: Mapping[str, Kind]
    cursor: str | None = None
    """Field that moves when a record changes; None: the stream is read whole each time."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Field to the stream of the same CRM whose key it holds."""
    required: Sequence[str] = ()
    """Fields without which the stream cannot be trusted; if the CRM hides one, the stream blocks."""
    associations: Mapping[str, str] = field(default_factory=dict)
    """Extra column, a JSON list of record ids, to the API object associated (HubSpot)."""
    optional: bool = False
    """Not every edition of the CRM has it: when refused, that is reported and the stream stays empty."""

    is_reconciled_nightly: bool = False
    """Neither a cursor nor a tombstone of the CRM tells of its deletes: its keys are listed every night."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that land whatever the CRM has, metadata excepted."""
        return (*self.fields, *self.associations)


@dataclass(frozen=True)
class Field:
    """A field as the CRM describes it today."""

    name: str
    type: str
    """The CRM's own word; when it is another one tomorrow, that is reported as drift."""
    is_calculated: bool = False
    """A formula or roll-up: its value changes without the record's cursor moving."""


@dataclass(frozen=True)
class Page:
    """Some records, in memory; pages are small, and a read yields as many as it takes.

    A `pa.Table` has text columns only, null where the CRM gave nothing, and may have the boolean-as-text column
    `_deleted`; it is for bulk files, whose rows never become Python objects.
    """

    records: Sequence[Record] | pa.Table


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All pages so far are safe to commit; a later read may go on from `state`."""

    state: State
    """Empty, in the middle of a read: it starts over, and what it has listed so far no longer counts as listed."""
    is_last: bool = False
    sees_deletes: bool = True
    """False: this way of reading shows no deletes, so the keys have to be listed to find them."""
    is_complete: bool = False
    """The read since it began from nothing has listed every live record: what it did not list is gone."""


@dataclass(frozen=True)
class Count:
    """Live records the CRM itself reports for a stream."""

    rows: int
    is_exact: bool = True
    slack: int = 0
    """By how much an exact count may be off, because so many records changed between our reading and its counting."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Something the CRM allows so much of, for `attain check`."""

    name: str
    used: int | None
    allowed: int


class Source(Protocol):
    """One CRM, ready to be read by one thread at a time; all calls count against its `Budget`."""

    crm: str
    budget: Budget
    page_rows: int
    """About how many records one API call brings, in a whole read of a large stream."""

    def fields(self, stream: Stream) -> Sequence[Field]:
        """All fields that the CRM shows for the stream and nobody excluded: what `read` brings, associations excepted.

        Raises:
            Refused: the CRM does not have the object, or does not show it to us.

        """

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read on from `state`: pages and checkpoints in turn, a last checkpoint at the end."""

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        """Read again what changed since an instant, for repairs; where the CRM cannot tell, everything."""

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """Keys of all live records, as cheaply as the CRM gives them: what landed and is not among them is gone."""

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Live records by the CRM's own count, with what changed `since` as slack; None if it gives no count."""

    def server_time(self) -> datetime:
        """The CRM's clock, which stamps its records."""

    def limits(self) -> Sequence[Limit]:
        """What the CRM says of its daily or other limits; empty if it says nothing."""
