"""Rules that follow from a stream's declaration alone, and so hold for every stream of every CRM.

What only one CRM's records must obey is in that CRM's module.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from expectations.rule import Check, Dimension, Rule, Severity


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


def table_checks(stream: StreamDeclaration, report: SourceReport, *, had_rows: bool) -> tuple[Check, ...]:
    """Checks on the stream as a whole: keys present, fields delivered, not fallen empty, as many as the CRM says."""
    checks = [_key_present(stream)]
    needed = dict.fromkeys((stream.key, *stream.required))
    checks += [_delivers(name, Severity.CRITICAL) for name in needed]
    checks += [_delivers(name, Severity.INFO) for name in report.missing_fields if name not in needed]
    if had_rows:
        checks.append(_not_fallen_empty())
    if report.count is not None:
        checks.append(_as_many_as(report.count, report))
    # The view `delivered` is `live` without what is missing, and a second table to look at takes time.
    return tuple(checks if report.missing_fields else (replace(check, table="live") for check in checks))


def _key_present(stream: StreamDeclaration) -> Check:
    return Check(
        id="key_present",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        reason=f"a record came without its key {stream.key}",
        table="live",
        expects="ExpectColumnValuesToNotBeNull",
        arguments={"column": stream.key},
    )


def _delivers(name: str, severity: Severity) -> Check:
    return Check(
        id=f"delivers_{name}",
        dimension=Dimension.COMPLETENESS,
        severity=severity,
        reason=f"the CRM does not deliver the field {name}: it is hidden from our user, renamed or gone",
        table="delivered",
        expects="ExpectColumnToExist",
        arguments={"column": name},
    )


def _not_fallen_empty() -> Check:
    return Check(
        id="volume",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        reason="the stream had records before and has none now",
        table="live",
        expects="ExpectTableRowCountToBeBetween",
        arguments={"min_value": 1},
    )


def _as_many_as(count: int, report: SourceReport) -> Check:
    return Check(
        id="complete",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL if report.is_exact else Severity.INFO,
        reason="the number of live records is not the number that the CRM itself reports",
        table="live",
        expects="ExpectTableRowCountToBeBetween",
        arguments={"min_value": count - report.slack, "max_value": count + report.slack},
    )
