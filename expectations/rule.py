"""What a rule is, and what came of checking it.

Values only: the rules themselves live in `declared` and in one module per CRM, the checking in `suite` and `gate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Dimension(StrEnum):
    """The side of data quality that a rule looks at."""

    COMPLETENESS = "completeness"
    VALIDITY = "validity"
    UNIQUENESS = "uniqueness"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"
    INTEGRITY = "integrity"


class Severity(StrEnum):
    """What a failure does: stop all that depends on the stream, hold back the failing rows, or be written down."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Status(StrEnum):
    """What came of a check. One that could not run says nothing about the data, good or bad."""

    PASSED = "passed"
    FAILED = "failed"
    COULD_NOT_CHECK = "could_not_check"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One expectation on one table, in the words of Great Expectations."""

    id: str
    dimension: Dimension
    severity: Severity
    reason: str
    """What is wrong when it fails, in plain words."""
    table: str
    schema: str | None = None
    expects: str
    """Name of the expectation class."""
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that must hold for every record of a stream."""

    id: str
    dimension: Dimension
    severity: Severity
    fails_when: str
    """SQL on one landed row, called `record`: true when the record is bad. Every landed column is text or null."""
    reason: str
    """What is wrong with the record, in plain words."""
    looks_up: tuple[str, ...] = ()
    """Streams of the same CRM whose live records the SQL reads, each under its stream's name."""
    needs: tuple[str, ...] = ()
    """Looked-up streams without a record of which the rule would say nothing, and so is skipped."""
    forgive_above: float = 1.0
    """Share of failing records beyond which the rule says more about how the CRM was filled than about the records
    (a migration gave every old deal a new creation date): then it is written down, and nothing is held back."""

    def query(self, table: str) -> str:
        """The failing rows of a table that has a stream's columns, as their key and version."""
        return _failing_rows(table, self.fails_when)

    def check(self, table: str) -> Check:
        """The rule as an expectation on a table."""
        # Great Expectations fills in {batch} with str.format, which takes a regular expression's braces for fields.
        condition = self.fails_when.replace("{", "{{").replace("}", "}}")
        return Check(
            id=self.id,
            dimension=self.dimension,
            severity=self.severity,
            reason=self.reason,
            table=table,
            expects="UnexpectedRowsExpectation",
            arguments={"unexpected_rows_query": _failing_rows("{batch}", condition)},
        )


def _failing_rows(table: str, condition: str) -> str:
    return f"select _key, _version from (select * from {table}) as record where {condition}"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What came of one check."""

    rule: str
    dimension: Dimension
    severity: Severity
    status: Status
    reason: str
    evaluated: int = 0
    failed: int = 0
    sample_keys: tuple[str, ...] = ()
    detail: str = ""
    """Why it could not be checked or was skipped, or what was seen."""

    @property
    def blocks(self) -> bool:
        """Whether nothing that depends on the data may go on. Not knowing is as bad as knowing the worst."""
        is_critical = self.status is Status.FAILED and self.severity is Severity.CRITICAL
        return is_critical or self.status is Status.COULD_NOT_CHECK


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What came of one gate: a stream's, or the marts'."""

    crm: str
    stream: str
    run_id: str
    as_of: str
    checked_at: str
    rows: int
    """Live records that were judged."""
    checks: tuple[CheckResult, ...]
    quarantined: int = 0
    """Records whose latest version is held back."""
    superseded: int = 0
    """Older bad versions that stay out although a newer one has come."""

    @property
    def blocks(self) -> bool:
        """Whether anything critical failed or could not be checked."""
        return any(check.blocks for check in self.checks)

    @property
    def failing(self) -> tuple[CheckResult, ...]:
        """The checks that failed or could not run, those that block first."""
        bad = [check for check in self.checks if check.status in (Status.FAILED, Status.COULD_NOT_CHECK)]
        return tuple(sorted(bad, key=lambda check: (not check.blocks, list(Severity).index(check.severity))))
