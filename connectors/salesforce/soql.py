"""The queries that are asked: spans of cursor time, and how they are cut where they hold too much.

Pure text and arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class Window:
    """Half-open span of cursor time; without a start or an end it reaches as far as the records do."""

    cursor: str | None = None
    """The field that is compared; None: all records."""
    start: datetime | None = None
    end: datetime | None = None
    above: str | None = None
    """Only records whose id is greater."""
    rows: int | None = None
    """How many records there are, as far as anybody counted."""

    def soql(self, what: str, object: str, *, in_order: bool = False) -> str:
        """The query for the records in the window."""
        bounds = [
            f"{self.cursor} {operator} {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            for operator, moment in ((">=", self.start), ("<", self.end))
            if moment
        ]
        if self.above:
            bounds.append(f"Id > '{self.above}'")
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        return f"SELECT {what} FROM {object}{where}{' ORDER BY Id' if in_order else ''}"

    def parts(self, count: int, oldest: datetime, newest: datetime) -> Sequence["Window"]:
        """The window cut on whole seconds into up to `count` spans; itself if all its records have one stamp."""
        oldest, newest = oldest.replace(microsecond=0), newest.replace(microsecond=0)
        step = (newest - oldest) / count
        cuts = {(oldest + step * number).replace(microsecond=0) for number in range(1, count)}
        inside = sorted(cut for cut in cuts if oldest < cut) or [newest] * (oldest < newest)
        bounds = [self.start, *inside, self.end]
        return [replace(self, start=start, end=end, rows=None) for start, end in pairwise(bounds)]
