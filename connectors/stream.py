"""What a stream is, and what a CRM module hands over while it reads one.

Declarations and values only: the protocols live in the CRM modules, the files in `landing`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

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

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that land, metadata excepted."""
        return (*self.fields, *self.associations)


@dataclass(frozen=True)
class Page:
    """Some records, in memory; pages are small, and a read yields as many as it takes."""

    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All pages so far are safe to commit; a later read may go on from `state`."""

    state: State
    """Empty, in the middle of a read: it starts over, and what it has listed so far no longer counts as listed."""
    is_last: bool = False
    is_complete: bool = False
    """The read since it began from nothing has listed every live record: what it did not list is gone."""


@dataclass(frozen=True)
class Count:
    """Live records the CRM itself reports for a stream."""

    rows: int
    is_exact: bool = True
    slack: int = 0
    """By how much an exact count may be off, because so many records changed between our reading and its counting."""


class Source(Protocol):
    """One CRM, ready to be read. `read` alternates pages and checkpoints and ends with a last checkpoint."""

    crm: str

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read on from `state`."""

    def missing_fields(self, stream: Stream) -> Sequence[str]:
        """Fields of the stream that the CRM does not have or does not show."""

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Live records by the CRM's own count, with what changed `since` as slack; None if it gives no count."""

    def server_time(self) -> datetime:
        """The CRM's clock, which stamps its records."""
