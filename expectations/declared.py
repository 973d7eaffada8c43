"""Rules that follow from a stream's declaration alone, and so hold for every stream of every CRM.

What only one CRM's records must obey is in that CRM's module.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from expectations.rule import VERDICT, Check, Dimension, Rule, Severity
from expectations.scratch import Population


class StreamDeclaration(Protocol):
    """What a gate needs to know of a stream; `connectors.stream.Stream` is one."""

    @property
    def name(self) -> str:
        """Name in the landing."""

    @property
    def key(self) -> str:
        """Field that identifies a record."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Field to the kind of value it holds: text, decimal, date, timestamp or boolean."""

    @property
    def cursor(self) -> str | None:
        """Field that moves when a record changes."""

    @property
    def references(self) -> Mapping[str, str]:
        """Field to the stream of the same CRM whose key it holds."""

    @property
    def required(self) -> Sequence[str]:
        """Fields without which the stream cannot be trusted."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that land, metadata excepted."""


@dataclass(frozen=True)
class SourceReport:
    """What the CRM said of a stream at the last read."""

    missing_fields: Collection[str] = ()
    """Declared fields that it does not have, or hides from our user."""
    count: int | None = None
    """Live records it reports, if it does."""
    is_exact: bool = True
    slack: int = 0
    """By how much the count may be off, because so many records changed between the read and the counting."""
    fields: int = 0
    """How many fields it shows."""
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What became of its fields since the read before: `added`, `removed`, `retyped`."""


@dataclass(frozen=True)
class Past:
    """What the nights before say is usual for a stream; None where they are too few to say."""

    records: float | None = None
    """Median number of live records."""
    quiet: timedelta | None = None
    """The longest time that its newest record was old when it was looked at."""
    was_counted: bool = False
    """Whether the CRM told how many records it has."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something known of a stream as a whole, and how much of it is as it should be."""

    id: str
    dimension: Dimension
    reason: str
    """What is wrong when anything failed, in plain words."""
    evaluated: int = 1
    failed: int = 0
    detail: str = ""
    skipped: str | None = None
    """Why nothing can be said."""
    severity: Severity = Severity.INFO
    fields: tuple[str, ...] = ()
    """The columns it is about."""

    def check(self, stream: str) -> Check:
        """The fact as something to be judged by the verdict on it."""
        return Check(
            id=self.id,
            dimension=self.dimension,
            severity=self.severity,
            reason=self.reason,
            table=stream,
            expects=VERDICT,
            arguments={"stream": stream, "rule": self.id},
            fields=self.fields,
        )


VANISHED_SHARE = 0.3
VANISHED_ROWS = 100
"""A stream that has lost both this share of its usual records and so many of them has lost too many."""
QUIET_TIMES, QUIET_BESIDES = 2, timedelta(days=1)
"""A stream whose newest record is older than so many times the usual, and this much more, has fallen silent."""

CASTS = {"decimal": "as_decimal", "date": "as_day", "timestamp": "as_instant", "boolean": "as_boolean"}
"""Kind of a field to the macro in `scratch` that types it, or gives null when it will not."""


def row_rules(stream: StreamDeclaration) -> tuple[Rule, ...]:
    """Rules on single records: values cast, the cursor can be read, references lead somewhere."""
    casts = [_casts(name, kind, stream) for name, kind in stream.fields.items() if kind in CASTS]
    refers = [_refers(name, target) for name, target in stream.references.items()]
    return (*casts, *refers)


def _casts(name: str, kind: str, stream: StreamDeclaration) -> Rule:
    is_cursor = name == stream.cursor
    return Rule(
        id="cursor_parseable" if is_cursor else f"casts_{name}",
        dimension=Dimension.TIMELINESS if is_cursor else Dimension.VALIDITY,
        severity=Severity.WARNING,
        fails_when=f'record."{name}" is not null and {CASTS[kind]}(record."{name}") is null',
        reason=f"{name} is not a {kind} that can be read",
    )


def _refers(name: str, target: str) -> Rule:
    return Rule(
        id=f"refers_{name}",
        dimension=Dimension.INTEGRITY,
        severity=Severity.INFO,
        fails_when=f'record."{name}" is not null'
        f' and not exists (select 1 from "known_{target}" as known where known.key = record."{name}")',
        reason=f"{name} points to no known record of {target}",
        needs=(f"known_{target}",),
    )


def table_checks(stream: StreamDeclaration, report: SourceReport, past: Past, *, ever: int) -> tuple[Check, ...]:
    """Checks on the stream as a whole: fields delivered, not shrunk, as many records as the CRM says."""
    needed = dict.fromkeys((stream.key, *stream.required))
    checks = [_delivers(stream, name, Severity.CRITICAL) for name in needed]
    checks += [_delivers(stream, name, Severity.INFO) for name in report.missing_fields if name not in needed]
    if ever:
        checks.append(_not_shrunk(stream, past))
    if report.count is not None:
        checks.append(_as_many_as(stream, report.count, report))
    return tuple(checks)


def facts(
    stream: StreamDeclaration, report: SourceReport, past: Past, population: Population, checked_at: datetime
) -> tuple[Fact, ...]:
    """What the landing and the CRM tell of the stream as a whole: keys, single versions, steady fields, news."""
    return (
        _key_present(stream, population),
        _landed_once(population),
        _fields_steady(report),
        _fresh(stream, past, population, checked_at),
    )


def _key_present(stream: StreamDeclaration, population: Population) -> Fact:
    return Fact(
        id="key_present",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        reason=f"a record came without its key {stream.key}",
        evaluated=population.records,
        failed=population.keyless,
        fields=(stream.key,),
    )


def _landed_once(population: Population) -> Fact:
    return Fact(
        id="landed_once",
        dimension=Dimension.UNIQUENESS,
        reason="one read brought two versions of a record that differ, and nothing tells which is the later",
        evaluated=population.records,
        failed=population.rivalled,
    )


def _fields_steady(report: SourceReport) -> Fact:
    changed = {kind: names for kind, names in report.drift.items() if kind != "added" and names}
    gone = sum(map(len, changed.values()))
    return Fact(
        id="fields_steady",
        dimension=Dimension.CONSISTENCY,
        reason="fields of the CRM are gone or hold another kind of value than at the read before",
        evaluated=max(report.fields, gone),
        failed=gone,
        detail="; ".join(f"{kind}: {', '.join(names)}" for kind, names in changed.items()),
        skipped=None if report.fields else "the CRM does not say which fields it has",
    )


def _fresh(stream: StreamDeclaration, past: Past, population: Population, checked_at: datetime) -> Fact:
    reason = "nothing has changed in the stream for far longer than usual"
    if population.newest_at is None or past.quiet is None:
        why = "the nights so far do not say what is usual" if stream.cursor else "the CRM does not stamp these records"
        return Fact(id="fresh", dimension=Dimension.TIMELINESS, reason=reason, skipped=why)
    quiet = checked_at - population.newest_at
    return Fact(
        id="fresh",
        dimension=Dimension.TIMELINESS,
        reason=reason,
        failed=int(quiet > QUIET_TIMES * past.quiet + QUIET_BESIDES),
        detail=f"quiet for {quiet.days} days, usually for {past.quiet.days} at most",
    )


def _delivers(stream: StreamDeclaration, name: str, severity: Severity) -> Check:
    return Check(
        id=f"delivers_{name}",
        dimension=Dimension.COMPLETENESS,
        severity=severity,
        reason=f"the CRM does not deliver the field {name}: it is hidden from our user, renamed or gone",
        table=stream.name,
        expects="ExpectColumnToExist",
        arguments={"column": name},
        fields=(name,),
    )


def _not_shrunk(stream: StreamDeclaration, past: Past) -> Check:
    usual = past.records or 0
    enough = min(ceil(usual * (1 - VANISHED_SHARE)), ceil(usual) - VANISHED_ROWS + 1)
    is_usual = enough > 1
    return Check(
        id="volume",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        reason=f"many records have vanished: lately there were about {usual:.0f}"
        if is_usual
        else "the stream had records before and has none now",
        table=stream.name,
        expects="ExpectTableRowCountToBeBetween",
        arguments={"min_value": enough if is_usual else 1},
    )


def _as_many_as(stream: StreamDeclaration, count: int, report: SourceReport) -> Check:
    return Check(
        id="complete",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL if report.is_exact else Severity.INFO,
        reason="the number of live records is not the number that the CRM itself reports",
        table=stream.name,
        expects="ExpectTableRowCountToBeBetween",
        arguments={"min_value": count - report.slack, "max_value": count + report.slack},
    )
