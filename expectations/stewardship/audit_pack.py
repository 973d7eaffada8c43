"""The monthly audit pack: what changed in the rules, who waived what, where records were bad, how they were cleansed.

One HTML page and one CSV file for each table of it. Everything is read from the stewards' database and the gates'
results; nothing is judged anew.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import jinja2
from sqlalchemy import Engine

from expectations.scratch import text
from expectations.stewardship.export import export, file_of
from expectations.stewardship.rulebook import RuleVersion, versions_between
from expectations.stewardship.scores import Score, has_results, open_results, scores
from expectations.stewardship.state import reading

FIELDS_SHOWN = 20
SHORT = 24
"""Letters that a cell of the page may have without being broken into lines."""


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month of business time."""

    first: date
    timezone: ZoneInfo

    @property
    def next(self) -> date:
        """The first day that is no part of it."""
        return (self.first + timedelta(days=31)).replace(day=1)

    @property
    def last(self) -> date:
        """Its last day."""
        return self.next - timedelta(days=1)

    @property
    def began_at(self) -> datetime:
        """Its first moment, in UTC."""
        return self._midnight(self.first)

    @property
    def ended_at(self) -> datetime:
        """The first moment after it, in UTC."""
        return self._midnight(self.next)

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.timezone).astimezone(UTC)


@dataclass(frozen=True)
class Sheet:
    """One table of the pack."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    name: str
    title: str
    explains: str


def write_pack(engine: Engine, home: Path, month: Month, folder: Path, *, weights: Path) -> list[Path]:
    """Write the pack of a month into a folder, and say which files it has; `weights` is the seed `quality_weights`."""
    sheets = read_sheets(engine, home, month, weights)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"audit-{month.first:%Y-%m}.html"
    page.write_text(_page(month, sheets), encoding="utf-8")
    return [page, *(_write_csv(folder / f"audit-{month.first:%Y-%m}-{sheet.name}.csv", sheet) for sheet in sheets)]


def _write_csv(path: Path, sheet: Sheet) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([sheet.columns, *([_told(cell) for cell in row] for row in sheet.rows)])
    return path


def _told(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M}"
        case float():
            return f"{cell:.4f}".rstrip("0").rstrip(".")
        case _:
            return str(cell)


def _kind(cell: Any) -> str:
    if isinstance(cell, int | float):
        return "number"
    return "long" if len(_told(cell)) > SHORT else "short"


def _page(month: Month, sheets: Sequence[Sheet]) -> str:
    pages = jinja2.Environment(loader=jinja2.PackageLoader("expectations.stewardship"), autoescape=True)
    pages.filters |= {"told": _told, "kind": _kind}
    return pages.get_template("audit_pack.html").render(month=month, sheets=sheets)


def read_sheets(engine: Engine, home: Path, month: Month, weights: Path) -> list[Sheet]:
    """Give the tables of a month's pack."""
    found = scores(home, weights, since=month.first, until=month.last)
    with reading(engine) as connection:
        versions = versions_between(connection, month.began_at, month.ended_at)
    with TemporaryDirectory(prefix="attain-pack-") as folder, duckdb.connect() as db:
        export(Path(folder), engine)  # as it is now: what the last run exported lacks today's work
        zone = text(month.timezone.key)
        db.execute(f"create macro business_time(moment) as timezone({zone}, timezone('UTC', moment))")
        for name in ("incidents", "waivers"):
            db.read_parquet(str(file_of(Path(folder), name))).create_view(name)
        return [
            _cleansing(db, month, found),
            _times(db, month),
            _failing_fields(home, month),
            _waivers(db, month),
            _rules_changed(versions, month),
        ]


def _rules_changed(versions: Sequence[RuleVersion], month: Month) -> Sheet:
    return Sheet(
        name="rules",
        title="Rules that changed",
        explains="Every rule that was new, changed or dropped in the month, with what it said before and after.",
        columns=("crm", "stream", "rule", "change", "at", "severity", "before", "after"),
        rows=list(_changes(versions, month)),
    )


def _changes(versions: Sequence[RuleVersion], month: Month) -> Iterable[tuple[Any, ...]]:
    replaced = {(one.crm, one.stream, one.rule, one.replaced_at): one for one in versions if one.replaced_at}
    for one in versions:
        name = (one.crm, one.stream, one.rule)
        if month.began_at <= one.first_seen_at < month.ended_at:
            before = replaced.pop((*name, one.first_seen_at), None)
            change, was = ("changed", before.definition) if before else ("new", None)
            yield *name, change, _local(one.first_seen_at, month), one.severity, was, one.definition
    for one in replaced.values():
        if one.replaced_at and one.replaced_at < month.ended_at:
            at = _local(one.replaced_at, month)
            yield one.crm, one.stream, one.rule, "dropped", at, one.severity, one.definition, None


def _local(at: datetime, month: Month) -> datetime:
    return at.astimezone(month.timezone)


def _waivers(db: duckdb.DuckDBPyConnection, month: Month) -> Sheet:
    return Sheet(
        *_read(db, month, _WAIVERS),
        name="waivers",
        title="Waivers and releases",
        explains="All that were asked for, in force or ended in the month; nobody approves their own.",
    )


def _cleansing(db: duckdb.DuckDBPyConnection, month: Month, found: Sequence[Score]) -> Sheet:
    db.execute("create table scores (crm varchar, day date, value double)")
    if found:
        db.executemany("insert into scores values (?, ?, ?)", [(one.crm, one.day, one.value) for one in found])
    return Sheet(
        *_read(db, month, _CLEANSING),
        name="cleansing",
        title="Cleansing, before and after",
        explains="Score and open incidents at the month's first and last gate, and how incidents ended in between.",
    )


def _times(db: duckdb.DuckDBPyConnection, month: Month) -> Sheet:
    return Sheet(
        *_read(db, month, _TIMES),
        name="times",
        title="Time to detect, acknowledge and resolve",
        explains="Mean hours: from the record's change to its detection, of incidents opened in the month; from there"
        " to the acknowledgement and to the resolution, of incidents acknowledged and resolved in it.",
    )


def _read(db: duckdb.DuckDBPyConnection, month: Month, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run a query on what was exported: its columns and its rows."""
    began, ended = (at.replace(tzinfo=None) for at in (month.began_at, month.ended_at))
    result = db.execute(query, {"began": began, "ended": ended})
    return [column[0] for column in result.description or ()], result.fetchall()


def _failing_fields(home: Path, month: Month) -> Sheet:
    rows: list[tuple[Any, ...]] = []
    columns = ("crm", "stream", "field", "failing_first_night", "failing_last_night", "failing_worst_night", "rules")
    if has_results(home):
        with duckdb.connect() as db:
            open_results(db, home, month.first, month.last)
            rows = db.execute(_FAILING_FIELDS, {"shown": FIELDS_SHOWN}).fetchall()
    return Sheet(
        name="fields",
        title="Fields that failed most",
        explains=f"The {FIELDS_SHOWN} fields with the most failing records on their worst night.",
        columns=columns,
        rows=rows,
    )


_WAIVERS = """
    select
        waiver_id, kind, crm, stream, rule, key, version, reason, comment, requested_by,
        business_time(requested_at) as requested_at,
        approved_by, business_time(approved_at) as approved_at,
        expires_on, state, ended_by, business_time(ended_at) as ended_at,
    from waivers
    where requested_at < $ended and coalesce(ended_at, $ended) >= $began
    order by waiver_id
"""
_CLEANSING = """
    with counted as (
        select
            crm,
            count(*) filter (opened_at < $began and coalesce(resolved_at, $ended) >= $began) as open_at_start,
            count(*) filter (opened_at >= $began) as opened,
            count(*) filter (resolved_at >= $began and resolved_at < $ended and resolution = 'Healed') as healed,
            count(*) filter (
                resolved_at >= $began and resolved_at < $ended and resolution in ('Waived', 'Released')
            ) as waived_or_released,
            count(*) filter (
                resolved_at >= $began and resolved_at < $ended and resolution not in ('Healed', 'Waived', 'Released')
            ) as resolved_by_a_steward,
            count(*) filter (coalesce(resolved_at, $ended) >= $ended) as open_at_end,
        from incidents
        where opened_at < $ended
        group by crm
    ),

    scored as (
        select crm, arg_min(value, day) as score_first_night, arg_max(value, day) as score_last_night
        from scores
        group by crm
    )

    select
        crm, round(score_first_night, 4) as score_first_night, round(score_last_night, 4) as score_last_night,
        coalesce(open_at_start, 0) as open_at_start, coalesce(opened, 0) as opened, coalesce(healed, 0) as healed,
        coalesce(waived_or_released, 0) as waived_or_released,
        coalesce(resolved_by_a_steward, 0) as resolved_by_a_steward, coalesce(open_at_end, 0) as open_at_end,
    from counted
    full join scored using (crm)
    order by crm
"""
_TIMES = """
    with hours as (
        select
            crm,
            dimension,
            case when opened_at >= $began and opened_at < $ended then opened_at end as opened,
            case when opened_at >= $began and opened_at < $ended
                then date_diff('second', occurred_at, opened_at) / 3600 end as to_detect,
            case when acknowledged_at >= $began and acknowledged_at < $ended
                then date_diff('second', opened_at, acknowledged_at) / 3600 end as to_acknowledge,
            case when resolved_at >= $began and resolved_at < $ended
                then date_diff('second', opened_at, resolved_at) / 3600 end as to_resolve,
        from incidents
    )

    select
        crm, dimension, count(opened) as opened, count(to_acknowledge) as acknowledged, count(to_resolve) as resolved,
        round(avg(to_detect), 1) as mean_hours_to_detect,
        round(avg(to_acknowledge), 1) as mean_hours_to_acknowledge,
        round(avg(to_resolve), 1) as mean_hours_to_resolve,
    from hours
    group by crm, dimension
    having count(opened) + count(to_acknowledge) + count(to_resolve) > 0
    order by crm, dimension
"""
_FAILING_FIELDS = """
    with failing as (
        select crm, stream, rule, unnest(fields) as field, as_of, failed
        from results
        where status in ('failed', 'waived') and failed > 0
    ),

    nights as (
        select crm, stream, min(as_of) as first_night, max(as_of) as last_night from results group by crm, stream
    ),

    nightly as (
        select crm, stream, field, as_of, sum(failed) as failed from failing group by all
    )

    select
        nightly.crm,
        nightly.stream,
        nightly.field,
        coalesce(sum(nightly.failed) filter (nightly.as_of = nights.first_night), 0) as failing_first_night,
        coalesce(sum(nightly.failed) filter (nightly.as_of = nights.last_night), 0) as failing_last_night,
        max(nightly.failed) as failing_worst_night,
        (
            select string_agg(distinct failing.rule, ', ' order by failing.rule) from failing
            where failing.crm = nightly.crm and failing.stream = nightly.stream and failing.field = nightly.field
        ) as rules,
    from nightly
    join nights using (crm, stream)
    group by nightly.crm, nightly.stream, nightly.field
    order by failing_worst_night desc, nightly.crm, nightly.stream, nightly.field
    limit $shown
"""
