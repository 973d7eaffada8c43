"""Pulls one stream of one CRM into the landing: read, commit at each checkpoint, compare counts, read again if off.

How a CRM is read is the CRM module's business, how files are written the landing's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import Refused
from connectors.landing import CommitWriter, Manifest, StreamLanding
from connectors.stream import Checkpoint, Page, Source, State, Stream


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What one pull of one stream did."""

    crm: str
    stream: str
    rows: int
    """Record versions landed by this pull, the re-read overlap included."""
    source_count: int | None
    missing_fields: tuple[str, ...]
    unavailable: str | None


def pull(
    source: Source,
    stream: Stream,
    *,
    home: Path,
    run_id: str,
    full_refresh: bool = False,
    on_rows: Callable[[str, str, int], None] = lambda crm, stream, rows: None,
) -> Pulled:
    """Bring the landing of `stream` up to date.

    Whatever was committed before an error stays, and the next pull goes on from there.
    """
    landing = StreamLanding(home, source.crm, stream)
    landing.declare()
    landing.sweep()
    try:
        manifest, rows = _pull_once(source, landing, run_id, full_refresh, on_rows)
        if _is_off(landing, manifest):
            # Records may have changed between our reading and the CRM's counting: look once more before judging.
            manifest, more = _pull_once(source, landing, run_id, False, on_rows)
            rows += more
    except Refused as error:
        if not stream.optional or landing.live_rows():
            raise  # what was there before and is now refused would go stale in silence
        manifest, rows = _note_unavailable(landing, run_id, str(error)), 0
    return Pulled(
        crm=source.crm,
        stream=stream.name,
        rows=rows,
        source_count=manifest.source_count,
        missing_fields=tuple(manifest.missing_fields),
        unavailable=manifest.unavailable,
    )


def _pull_once(
    source: Source,
    landing: StreamLanding,
    run_id: str,
    full_refresh: bool,
    on_rows: Callable[[str, str, int], None],
) -> tuple[Manifest, int]:
    stream = landing.stream
    last = landing.last_manifest()
    writer = CommitWriter(landing, run_id=run_id, missing_fields=source.missing_fields(stream))
    state: State = last.state if last and not full_refresh else {}
    if not state:
        writer.restart_read()
    rows, began = 0, source.server_time()
    try:
        for event in source.read(stream, state):
            match event:
                case Page(records):
                    writer.write(records)
                    rows += len(records)
                    on_rows(source.crm, stream.name, len(records))
                case Checkpoint(is_last=True):
                    count = source.count(stream, since=began)
                    if event.is_complete:
                        writer.delete_unlisted()
                    manifest = writer.commit(event.state, is_last=True, is_complete=event.is_complete, count=count)
                    return manifest, rows
                case Checkpoint():
                    writer.commit(event.state, is_last=False)
                    if not event.state:
                        writer.restart_read()
    except BaseException:
        writer.discard()
        raise
    raise AssertionError(f"{source.crm} ended its read of {stream.name} without a last checkpoint")


def _is_off(landing: StreamLanding, manifest: Manifest) -> bool:
    if manifest.source_count is None or not manifest.source_count_exact:
        return False
    return abs(manifest.source_count - landing.live_rows()) > manifest.source_count_slack


def _note_unavailable(landing: StreamLanding, run_id: str, reason: str) -> Manifest:
    last = landing.last_manifest()
    writer = CommitWriter(landing, run_id=run_id)
    # A read that an earlier run left unfinished stays so, or what it listed would count as gone once it goes on.
    return writer.commit(last.state if last else {}, is_last=last is None or last.is_last, unavailable=reason)
