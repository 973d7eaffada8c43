"""What happens in a span of time, put in order outside memory.

A temporary SQLite file, gone with the process; what happens is found out elsewhere.
"""

import pickle
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from tempfile import NamedTemporaryFile

from connectors.sandbox.company import Change
from connectors.sandbox.simulation.life import place, record_key

BATCH = 500


class Journal:
    """Changes of one CRM in the order in which they are seen."""

    def __init__(self) -> None:
        self._file = NamedTemporaryFile(prefix="attain-journal-", suffix=".sqlite")  # noqa: SIM115 - as long as we live
        self._db = sqlite3.connect(self._file.name, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = off")
        self._db.execute("pragma synchronous = off")
        self._db.execute("create table changes (at integer, way integer, class integer, key text, change blob)")
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._file.close()

    def add(self, changes: Iterable[Change]) -> None:
        """Add what happens in a span that has not been added yet."""
        with self._lock:
            self._db.execute("begin")
            self._db.executemany("insert into changes values (?, ?, ?, ?, ?)", map(_row, changes))
            self._db.execute("commit")
            self._db.execute("create index if not exists seen on changes (at, way, class, key)")

    def read(self, after: datetime, until: datetime) -> Iterator[Change]:
        """What happens later than `after` and not later than `until`, in order."""
        with self._lock:
            found = self._db.execute(
                "select change from changes where at > ? and at <= ? order by at, way, class, key, rowid",
                (_number(after), _number(until)),
            )
        while True:
            with self._lock:
                rows = found.fetchmany(BATCH)
            if not rows:
                return
            for (change,) in rows:
                yield pickle.loads(change)


def _number(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _row(change: Change) -> tuple[int, int, int, str, bytes]:
    return (_number(change.at), *place(change), record_key(change.record), pickle.dumps(change, protocol=5))
