"""What `attain check` tells: whether each CRM lets us in, what would be pulled, and about how many API calls it takes.

Asks the CRMs and nobody else; nothing is landed or changed.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connectors.errors import ConnectorError, Refused
from connectors.stream import Limit, Source, Stream
from orchestration.settings import Settings

FIXED_CALLS = 2
"""Whatever a stream holds, its fields are asked for and its records counted."""


@dataclass(frozen=True, kw_only=True)
class StreamCheck:
    """What one CRM shows of one stream."""

    stream: Stream
    fields: int = 0
    rows: int | None = None
    """Live records by the CRM's own count; None if it gives none."""
    calls: int | None = None
    """About how many API calls a whole read takes."""
    hidden: tuple[str, ...] = ()
    """Fields that the marts want and the CRM does not show."""
    problem: str | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether a night would fail on it."""
        is_missed = set(self.hidden) & {self.stream.key, *self.stream.required}
        return bool(is_missed) or (self.problem is not None and not self.stream.optional)


@dataclass(frozen=True, kw_only=True)
class CrmCheck:
    """What one CRM shows."""

    crm: str
    streams: tuple[StreamCheck, ...] = ()
    limits: Sequence[Limit] = ()
    problem: str | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether a night would fail on it."""
        return self.problem is not None or any(stream.is_blocking for stream in self.streams)


OnStream = Callable[[str, str], None]
"""Told the CRM and the stream that is looked at."""


def check_crms(settings: Settings, on_stream: OnStream) -> Sequence[CrmCheck]:
    """Look at every configured CRM, all at the same time."""
    with ThreadPoolExecutor(len(settings.credentials)) as pool:
        return list(pool.map(lambda crm: _check_crm(settings, crm, on_stream), settings.credentials))


def check_report(checks: Sequence[CrmCheck]) -> RenderableType:
    """Render what was found, one table for each CRM."""
    return Group(*(part for check in checks for part in (_crm_table(check), _remarks(check), _limits(check))))


def _check_crm(settings: Settings, crm: str, on_stream: OnStream) -> CrmCheck:
    try:
        source = settings.connect(crm)
        streams = []
        for stream in settings.streams[crm]:
            on_stream(crm, stream.name)
            streams.append(_check_stream(source, stream))
        return CrmCheck(crm=crm, streams=tuple(streams), limits=source.limits())
    except ConnectorError as error:
        return CrmCheck(crm=crm, problem=str(error))


def _check_stream(source: Source, stream: Stream) -> StreamCheck:
    try:
        names = {field.name for field in source.fields(stream)}
        count = source.count(stream, since=source.server_time())
    except Refused as error:
        return StreamCheck(stream=stream, problem=str(error))
    rows = count.rows if count else None
    return StreamCheck(
        stream=stream,
        fields=len(names),
        rows=rows,
        calls=None if rows is None else _calls(source, stream, rows),
        hidden=tuple(name for name in stream.fields if name not in names),
    )


def _calls(source: Source, stream: Stream, rows: int) -> int:
    pages = ceil(rows / source.page_rows) or 1
    return FIXED_CALLS + pages * (1 + len(stream.associations))


def _crm_table(check: CrmCheck) -> RenderableType:
    title = f"{check.crm}: {'not ready' if check.is_blocking else 'ready'}"
    if check.problem:
        return Group(Text(title, style="bold red"), Text(check.problem, style="red"))
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in ("", "stream"):
        table.add_column(name, no_wrap=True)
    table.add_column("object", no_wrap=True, overflow="ellipsis", max_width=22)
    for name in ("fields", "records", "calls"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    for stream in check.streams:
        figures = map(_figure, (stream.fields or None, stream.rows, stream.calls))
        table.add_row(_mark(stream), stream.stream.name, stream.stream.object, *figures)
    calls = sum(stream.calls or 0 for stream in check.streams)
    table.add_section()
    table.add_row("", "first night, about", "", "", "", f"{calls:,}")
    return table


def _figure(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _mark(check: StreamCheck) -> Text:
    if check.is_blocking:
        return Text("needed", style="red")
    if check.problem:
        return Text("no", style="yellow")
    return Text("in part", style="yellow") if check.hidden else Text("yes", style="green")


def _remarks(check: CrmCheck) -> RenderableType:
    """What is not available, and why, in the CRM's own words."""
    problems = [f"{stream.stream.name}: {stream.problem}" for stream in check.streams if stream.problem]
    hidden = [
        f"{stream.stream.name}: not readable: {', '.join(stream.hidden)}" for stream in check.streams if stream.hidden
    ]
    return Text("\n".join((*problems, *hidden)), style="yellow")


def _limits(check: CrmCheck) -> RenderableType:
    used = (f"{limit.name}: {_figure(limit.used)} of {limit.allowed:,} used" for limit in check.limits)
    return Text("\n".join(used))
