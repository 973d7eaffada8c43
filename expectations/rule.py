"""What a rule is, and what came of checking it.

Values only: the rules themselves live in `declared` and in one module per CRM, the checking in `suite` and `gate`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
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
    WAIVED = "waived"
    """It failed, and a waiver in force says that this may be."""


class ExemptionKind(StrEnum):
    """What two people agreed on: a rule does not hold for a while, or one version of a record is right as it is."""

    WAIVER = "waiver"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Something that may break a rule of a stream, and flows none the less."""

    kind: ExemptionKind
    waiver_id: str
    rule: str
    stream: str
    key: str | None = None
    """None: every record of the stream, or the stream as a whole where the rule is about that."""
    version: str | None = None
    """The one version that a release is for; None: every version."""


VERDICT = "ExpectRuleToHold"
"""The one expectation that is not Great Expectations' own: it judges by what a pass over the records has found."""


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
    fields: tuple[str, ...] = ()
    """The columns it looks at."""


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A table worked out once for the rules that read it: statistics by owner, pairs of duplicates."""

    name: str
    sql: str
    """A query on `live`, the stream's live records, and on the streams in `looks_up`, each under its name."""
    looks_up: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Worth:
    """Which deal a record is or belongs to and what money hangs on it, each as SQL on one landed row, called `record`.

    Null, or no SQL at all: there is none. Money at risk is worked out from it.
    """

    amount: str | None = None
    """A DECIMAL(18, 4) in the record's own currency."""
    currency: str | None = None
    """Its ISO code."""
    outcome: str | None = None
    """Of a deal: `open`, `won` or `lost`."""
    deal_key: str | None = None
    owner_key: str | None = None
    looks_up: tuple[str, ...] = ()
    """Streams of the same CRM whose live records the SQL reads, each under its stream's name."""

    @property
    def sql(self) -> tuple[str, ...]:
        """All the SQL that it is made of."""
        return tuple(filter(None, (self.amount, self.currency, self.outcome, self.deal_key, self.owner_key)))


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
    derived: tuple[Derived, ...] = ()
    """Tables that the SQL reads besides, each under its name."""
    other_key: str | None = None
    """SQL on `record` that gives the key of the other record where two of them make the fault, as duplicates do."""

    @property
    def reads(self) -> frozenset[str]:
        """All streams whose live records it needs, its derived tables' included."""
        return frozenset(self.looks_up).union(*(table.looks_up for table in self.derived))

    @property
    def sql(self) -> tuple[str, ...]:
        """All the SQL that it is made of."""
        return (self.fails_when, self.other_key or "", *(table.sql for table in self.derived))

    def fields(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Which of a stream's columns it looks at."""
        named = names_in(*self.sql, of=_OF_THE_STREAM)
        return tuple(column for column in columns if column.lower() in named)


_TEXT = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'(?:("[^"]+"|\w+)\s*\.\s*)?(?:"([^"]+)"|([a-zA-Z_]\w*))')
_OF_THE_STREAM = frozenset({"", "record", "live"})


@cache
def names_in(*sql: str, of: frozenset[str] | None = None) -> frozenset[str]:
    """Every name in SQL, in lower case, that may be a column; texts are no names.

    Given `of`, only what is said of one of these tables, or of no table by name.
    """
    found = (match for query in sql for match in _NAME.finditer(_TEXT.sub("''", query)))
    return frozenset(
        (match[2] or match[3]).lower() for match in found if of is None or (match[1] or "").strip('"').lower() in of
    )


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
    fields: tuple[str, ...] = ()
    """The columns it looks at."""
    waiver_id: str | None = None
    """The waiver by which it does not block, when its status is `waived`."""

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
    as_of: date
    checked_at: datetime
    """In UTC."""
    records: int
    """Live records that were judged."""
    checks: tuple[CheckResult, ...]
    newest_at: datetime | None = None
    """When the record changed last that changed last of all, in UTC; None where the CRM does not stamp records."""
    source_count: int | None = None
    """Live records by the CRM's own count."""
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
