"""Pulls one stream of one CRM into the landing: read, commit at each checkpoint, compare, mend what is off.

How a CRM is read is the CRM module's business, how files are written the landing's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from connectors.errors import PlaceLost, Refused
from connectors.landing import CommitWriter, Manifest, StreamLanding, drift
from connectors.stream import Checkpoint, Field, Page, Source, State, Stream

MANY = 10_000
"""So many records that the CRM lists and the landing lacks are not fetched by another look at what changed."""

LISTED_QUICKLY = 200_000
"""Up to so many live records, their keys settle any difference in count; beyond, the count's slack excuses it."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How much to read."""

    full_refresh: bool = False
    """Everything, as if nothing had landed yet."""
    since: datetime | None = None
    """What changed since, once more; where the last read ended is kept."""
    whole_every: timedelta = timedelta(days=7)
    """How old a whole read may become where a cursor does not see everything: formulas, associations."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What one pull of one stream did."""

    crm: str
    stream: str
    rows: int
    """Record versions landed by this pull, the re-read overlap included."""
    calls: int
    """API calls it took."""
    source_count: int | None
    missing_fields: tuple[str, ...]
    unavailable: str | None
    drift: Mapping[str, Sequence[str]]
    """What became of the CRM's fields since the pull before: `added`, `removed`, `retyped`."""


OnRows = Callable[[str, str, int], None]
"""Told the CRM, the stream and how many rows came."""


def pull(
    source: Source,
    stream: Stream,
    *,
    home: Path,
    run_id: str,
    as_of: date | None = None,
    mode: Mode = Mode(),
    on_rows: OnRows = lambda crm, stream, rows: None,
) -> Pulled:
    """Bring the landing of `stream` up to date, for a run as of a day; by default today's.

    Whatever was committed before an error stays, and the next pull goes on from there.
    """
    landing = StreamLanding(home, source.crm, stream)
    landing.declare()
    landing.sweep()
    calls, before = source.budget.calls, landing.last_manifest()
    reader: _Reader | None = None
    try:
        reader = _Reader(source, landing, run_id, as_of, on_rows, source.fields(stream))
        manifest = reader.pull(mode)
    except Refused as error:
        if not stream.optional or landing.live_rows():
            raise  # what was there before and is now refused would go stale in silence
        reader, manifest = None, _note_unavailable(landing, run_id, as_of, str(error))
    return Pulled(
        crm=source.crm,
        stream=stream.name,
        rows=reader.rows if reader else 0,
        calls=source.budget.calls - calls,
        source_count=manifest.source_count,
        missing_fields=tuple(manifest.missing_fields),
        unavailable=manifest.unavailable,
        drift=drift(before.fields, manifest.fields) if before else {},
    )


class _Reader:
    """Reads one stream as often as it takes until the landing agrees with the CRM."""

    def __init__(
        self,
        source: Source,
        landing: StreamLanding,
        run_id: str,
        as_of: date | None,
        on_rows: OnRows,
        fields: Sequence[Field],
    ) -> None:
        self.rows = 0
        self._source, self._landing, self._stream = source, landing, landing.stream
        self._run_id, self._as_of, self._on_rows, self._fields = run_id, as_of, on_rows, fields
        self._sees_deletes = True

    def pull(self, mode: Mode) -> Manifest:
        last = self._landing.last_manifest()
        if last and mode.since:
            return self._repair(last, mode.since)
        whole = mode.full_refresh or (last is not None and self._is_whole_due(last, mode.whole_every))
        manifest = self._read(whole=whole)
        if _difference(manifest):
            # Records may have changed between our reading and the CRM's counting: look once more before judging.
            manifest = self._read(whole=False)
        if not manifest.is_complete and (_is_off(manifest) or not self._sees_deletes):
            manifest = self._reconcile(manifest)
        return manifest

    def _is_whole_due(self, last: Manifest, whole_every: timedelta) -> bool:
        """Whether a field is new, so that old records lack it, or a cursor has been trusted for too long."""
        if "added" in drift(last.fields, {field.name: field.type for field in self._fields}):
            return True
        if not (self._stream.associations or any(field.is_calculated for field in self._fields)):
            return False
        since = datetime.fromisoformat(last.read_whole_at) if last.read_whole_at else None
        return last.is_last and (since is None or self._source.server_time() - since >= whole_every)

    def _read(self, *, whole: bool) -> Manifest:
        """Read on from where the last read ended, or from nothing."""
        source, stream = self._source, self._stream
        last = self._landing.last_manifest()
        state: State = last.state if last and not whole else {}
        began = source.server_time()
        with self._writing() as writer:
            if not state:
                writer.restart_read()
            for event in source.read(stream, state):
                match event:
                    case Page():
                        self._land(writer, event)
                    case Checkpoint(is_last=True):
                        self._sees_deletes = event.sees_deletes and not stream.is_reconciled_nightly
                        if event.is_complete:
                            writer.delete_unlisted()
                        return writer.commit(
                            event.state,
                            is_last=True,
                            is_complete=event.is_complete,
                            read_whole_at=began if event.is_complete else None,
                            count=source.count(stream, since=began),
                        )
                    case Checkpoint():
                        writer.commit(event.state, is_last=False)
                        if not event.state:
                            writer.restart_read()
        raise AssertionError(f"{source.crm} ended its read of {stream.name} without a last checkpoint")

    def _repair(self, last: Manifest, since: datetime) -> Manifest:
        """Read again what changed since an instant; the place where the next read goes on stays."""
        with self._writing() as writer:
            for page in self._source.read_since(self._stream, since):
                self._land(writer, page)
            return writer.commit(last.state, is_last=last.is_last)

    def _reconcile(self, last: Manifest) -> Manifest:
        """Hold our keys against the CRM's: what it no longer lists is gone, what we lack is fetched."""
        began = self._source.server_time()
        compared = self._landing.compare(self._keys())
        with self._writing() as writer:
            writer.delete(compared.gone)
            manifest = writer.commit(last.state, is_last=True, count=self._source.count(self._stream, since=began))
        if not compared.lacking:
            return manifest
        if len(compared.lacking) <= MANY:  # most likely they were added while we were looking
            manifest = self._read(whole=False)
        if self._landing.compare([compared.lacking]).lacking:
            manifest = self._read(whole=True)
        return manifest

    def _keys(self) -> Iterator[Sequence[str]]:
        """All keys that the CRM lists, again from the beginning where it loses its place: twice is as good as once."""
        try:
            yield from self._source.keys(self._stream)
        except PlaceLost:
            yield from self._source.keys(self._stream)

    @contextmanager
    def _writing(self) -> Iterator[CommitWriter]:
        writer = CommitWriter(self._landing, run_id=self._run_id, fields=self._fields, as_of=self._as_of)
        try:
            yield writer
        except BaseException:
            writer.discard()
            raise

    def _land(self, writer: CommitWriter, page: Page) -> None:
        rows = writer.write(page.records)
        self.rows += rows
        self._on_rows(self._source.crm, self._stream.name, rows)


def _difference(manifest: Manifest) -> int:
    """By how many records the CRM's count and ours differ; 0 where the CRM gave no exact one."""
    if manifest.source_count is None or manifest.live_rows is None or not manifest.source_count_exact:
        return 0
    return abs(manifest.source_count - manifest.live_rows)


def _is_off(manifest: Manifest) -> bool:
    """Whether the two differ by more than what changed in between explains, or at all where finding out is cheap."""
    is_small = (manifest.live_rows or 0) <= LISTED_QUICKLY
    return _difference(manifest) > (0 if is_small else manifest.source_count_slack)


def _note_unavailable(landing: StreamLanding, run_id: str, as_of: date | None, reason: str) -> Manifest:
    last = landing.last_manifest()
    writer = CommitWriter(landing, run_id=run_id, as_of=as_of)
    # A read that an earlier run left unfinished stays so, or what it listed would count as gone once it goes on.
    return writer.commit(last.state if last else {}, is_last=last is None or last.is_last, unavailable=reason)
