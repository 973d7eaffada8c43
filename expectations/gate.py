"""The gate on a landed stream: block it, hold back single records, or write down what is odd.

Which rules there are is in `declared` and the CRMs' modules; how they run is in `suite`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from expectations import dynamics, hubspot, quarantine, results, salesforce, scratch, zoho
from expectations.declared import SourceReport, StreamDeclaration, row_rules, table_checks
from expectations.rule import Check, CheckResult, Dimension, GateResult, Rule, Severity, Status
from expectations.suite import Outcome, validate

RULES: Mapping[str, Mapping[str, tuple[Rule, ...]]] = {
    "salesforce": salesforce.RULES,
    "hubspot": hubspot.RULES,
    "dynamics": dynamics.RULES,
    "zoho": zoho.RULES,
}
"""CRM, then stream, to the rules that are its own."""

SAMPLE_KEYS = 20
TOO_FEW_TO_FORGIVE = 50
"""Below so many records a share says nothing about how a CRM was filled."""


@dataclass(frozen=True)
class Ground:
    """What the scratch file holds once it is laid out."""

    rows: int
    had_rows: bool
    empty: frozenset[str]
    """Tables of looked-up streams that have no row."""


def check_stream(
    home: Path,
    crm: str,
    stream: StreamDeclaration,
    *,
    run_id: str,
    as_of: date,
    report: SourceReport | None = None,
    rules: Sequence[Rule] | None = None,
    checked_at: datetime | None = None,
) -> GateResult:
    """Judge the latest version of every record of a stream, renew its quarantine and keep the result.

    When the result blocks, the quarantine stays as it was: what a broken stream says of its records is not to be
    trusted. `rules` replaces the CRM's own rules for the stream.
    """
    own_rules = RULES[crm].get(stream.name, ()) if rules is None else rules
    unjudged = GateResult(
        crm=crm,
        stream=stream.name,
        run_id=run_id,
        as_of=as_of.isoformat(),
        checked_at=(checked_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        rows=0,
        checks=(),
    )
    quarantine.write_empty(home, crm, stream.name)
    with TemporaryDirectory(prefix="attain-gate-") as folder:
        result = _judge(
            Path(folder) / "gate.duckdb",
            home,
            stream,
            (*row_rules(stream), *own_rules),
            report or SourceReport(),
            unjudged,
        )
    results.save(home, result)
    return result


def _judge(
    database: Path,
    home: Path,
    stream: StreamDeclaration,
    rules: Sequence[Rule],
    report: SourceReport,
    unjudged: GateResult,
) -> GateResult:
    landing = home / "landing" / unjudged.crm
    if _is_untouched(landing / stream.name, report):
        every: tuple[Check | Rule, ...] = (*table_checks(stream, report, had_rows=False), *rules)
        return replace(unjudged, checks=tuple(map(_untouched, every)))
    ground, crash = _lay_out(database, landing, stream, rules, unjudged.as_of, report.missing_fields)
    checks = table_checks(stream, report, had_rows=ground.had_rows)
    runnable = [rule for rule in rules if not _lacks(rule, ground)]
    asked = (*checks, *(rule.check("live") for rule in runnable))
    unknown = {check.id: Outcome(passed=False, crash=crash) for check in asked}
    outcomes = unknown if crash else validate(database, asked)
    found = [_table_result(check, outcomes[check.id], ground) for check in checks]
    found += [_row_result(rule, outcomes.get(rule.id), ground) for rule in rules]
    if report.count is None:
        found.append(_not_counted())
    result = replace(unjudged, rows=ground.rows, checks=tuple(found))
    return result if crash else _hold_back(database, home, stream, result, runnable)


def _is_untouched(folder: Path, report: SourceReport) -> bool:
    """Whether nothing ever landed, and the CRM has nothing: most editions lack some objects, and looking takes time."""
    return not report.missing_fields and not report.count and not any(folder.glob("run=*/*.parquet"))


def _untouched(asked: Check | Rule) -> CheckResult:
    return CheckResult(
        rule=asked.id,
        dimension=asked.dimension,
        severity=asked.severity,
        status=Status.SKIPPED,
        reason=asked.reason,
        detail="nothing has landed yet",
    )


def _lay_out(
    database: Path,
    landing: Path,
    stream: StreamDeclaration,
    rules: Sequence[Rule],
    as_of: str,
    missing_fields: Collection[str],
) -> tuple[Ground, str | None]:
    """Fill the scratch file; a landing that cannot be read is told as a crash, not as bad data."""
    looked_up = {target for rule in rules for target in rule.looks_up}
    referenced = set(stream.references.values())
    try:
        with scratch.connect(database) as connection:
            scratch.prepare(connection, as_of)
            for target in sorted({stream.name} | looked_up | referenced):
                scratch.add_landed(connection, landing / target)
            rows = scratch.add_live(connection, stream.name, "live")
            scratch.add_delivered(connection, missing_fields)
            empty = {target for target in looked_up if not scratch.add_live(connection, target, target)}
            empty |= {f"known_{target}" for target in referenced if not scratch.add_known(connection, target)}
            had_rows = rows > 0 or scratch.had_rows(connection, stream.name)
            return Ground(rows, had_rows, frozenset(empty)), None
    except duckdb.Error as error:
        return Ground(0, False, frozenset()), f"the landing cannot be read: {error}"


def _lacks(rule: Rule, ground: Ground) -> str | None:
    """Name a stream that a rule cannot do without and of which nothing has landed."""
    return next((target.removeprefix("known_") for target in rule.needs if target in ground.empty), None)


def _table_result(check: Check, outcome: Outcome, ground: Ground) -> CheckResult:
    evaluated = ground.rows if check.id == "key_present" else 1
    seen = "" if outcome.observed is None else f"seen {outcome.observed}, expected {dict(check.arguments)}"
    return CheckResult(
        rule=check.id,
        dimension=check.dimension,
        severity=check.severity,
        status=_status(outcome),
        reason=check.reason,
        evaluated=evaluated,
        failed=outcome.unexpected,
        detail=outcome.crash or seen,
    )


def _row_result(rule: Rule, outcome: Outcome | None, ground: Ground) -> CheckResult:
    result = CheckResult(
        rule=rule.id,
        dimension=rule.dimension,
        severity=rule.severity,
        status=Status.SKIPPED,
        reason=rule.reason,
        detail=f"no record of {_lacks(rule, ground)} has landed",
    )
    if outcome is None:
        return result
    result = replace(
        result,
        status=_status(outcome),
        evaluated=ground.rows,
        failed=outcome.unexpected,
        detail=outcome.crash or "",
    )
    share = outcome.unexpected / ground.rows if ground.rows else 0.0
    if share <= rule.forgive_above or ground.rows < TOO_FEW_TO_FORGIVE:
        return result
    forgiven = f"fails on {share:.0%} of all records: that is how this CRM was filled, so no record is held back"
    return replace(result, severity=Severity.INFO, detail=forgiven)


def _status(outcome: Outcome) -> Status:
    if outcome.crash:
        return Status.COULD_NOT_CHECK
    return Status.PASSED if outcome.passed else Status.FAILED


def _not_counted() -> CheckResult:
    return CheckResult(
        rule="complete",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        status=Status.SKIPPED,
        reason="the number of live records is not the number that the CRM itself reports",
        detail="the CRM reports no count for this stream",
    )


def _hold_back(
    database: Path, home: Path, stream: StreamDeclaration, result: GateResult, rules: Sequence[Rule]
) -> GateResult:
    """Name some failing keys, and renew the stream's quarantine with what the warnings found."""
    path = quarantine.file_of(home, result.crm, stream.name)
    if not any(check.status is Status.FAILED for check in result.checks) and quarantine.is_empty(path):
        return result
    with scratch.connect(database) as connection:
        checks = tuple(_with_sample(connection, check, rules) for check in result.checks)
        result = replace(result, checks=checks)
        if result.blocks:
            return result
        warned = {check.rule: check for check in result.checks if check.severity is Severity.WARNING}
        is_open, superseded = quarantine.renew(
            connection,
            path,
            crm=result.crm,
            stream=stream.name,
            columns=stream.columns,
            rules=[rule for rule in rules if rule.id in warned],
            failing={rule for rule, check in warned.items() if check.status is Status.FAILED},
            run_id=result.run_id,
            at=result.checked_at,
        )
    return replace(result, quarantined=is_open, superseded=superseded)


def _with_sample(connection: duckdb.DuckDBPyConnection, check: CheckResult, rules: Sequence[Rule]) -> CheckResult:
    rule = next((rule for rule in rules if rule.id == check.rule), None)
    if rule is None or check.status is not Status.FAILED:
        return check
    query = f"select _key from ({rule.query('live')}) order by _key limit {SAMPLE_KEYS}"
    return replace(check, sample_keys=tuple(str(key) for (key,) in connection.execute(query).fetchall()))
