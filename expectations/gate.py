"""The gate on a landed CRM: block a stream, hold back single records, or write down what is odd.

Which rules there are is in `declared` and the CRMs' modules; how records are tried is in `findings`, who judges by what
was found in `suite`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from expectations import dynamics, findings, hubspot, quarantine, results, salesforce, scratch, zoho
from expectations.declared import Fact, Past, SourceReport, StreamDeclaration, facts, row_rules, table_checks
from expectations.findings import told
from expectations.rule import (
    VERDICT,
    Check,
    CheckResult,
    Dimension,
    Exemption,
    ExemptionKind,
    GateResult,
    Rule,
    Severity,
    Status,
    Worth,
    names_in,
)
from expectations.scratch import Population, Scratch
from expectations.suite import Outcome, Validated, validate

RULES: Mapping[str, Mapping[str, tuple[Rule, ...]]] = {
    "salesforce": salesforce.RULES,
    "hubspot": hubspot.RULES,
    "dynamics": dynamics.RULES,
    "zoho": zoho.RULES,
}
"""CRM, then stream, to the rules that are its own."""
MONEY: Mapping[str, Mapping[str, Worth]] = {
    "salesforce": salesforce.MONEY,
    "hubspot": hubspot.MONEY,
    "dynamics": dynamics.MONEY,
    "zoho": zoho.MONEY,
}
"""CRM, then stream, to the money that hangs on its records; a stream that is not there has none."""

SAMPLE_KEYS = 20
TOO_FEW_TO_FORGIVE = 50
"""Below so many records a share says nothing about how a CRM was filled."""
KNOWN = "known_"
NO_RECORDS = Population(records=0, ever=0, keyless=0, rivalled=0, newest_at=None)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """All that is known of one stream before it is judged."""

    stream: StreamDeclaration
    report: SourceReport
    rules: tuple[Rule, ...]
    past: Past
    exemptions: tuple[Exemption, ...]
    population: Population = NO_RECORDS
    unreadable: str | None = None
    """Why the landing cannot be read."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Rule to the stream that it cannot do without and of which nothing has landed."""
    crashed: Mapping[str, str] = field(default_factory=dict)
    """Rule to why it could not be tried."""

    @property
    def tried(self) -> list[Rule]:
        """The rules that have something to look at."""
        return [rule for rule in self.rules if rule.id not in self.lacking]


def rules_of(crm: str, stream: StreamDeclaration) -> tuple[Rule, ...]:
    """All rules on a stream's records: those that follow from its declaration, and the CRM's own."""
    return (*row_rules(stream), *RULES[crm].get(stream.name, ()))


def check_crm(
    home: Path,
    crm: str,
    streams: Sequence[StreamDeclaration],
    reports: Mapping[str, SourceReport],
    *,
    run_id: str,
    as_of: date,
    checked_at: datetime | None = None,
    exemptions: Sequence[Exemption] = (),
    fx_rates: Path | None = None,
    rules: Mapping[str, Sequence[Rule]] | None = None,
) -> tuple[GateResult, ...]:
    """Judge the latest version of every record of a CRM's streams, renew their quarantine and keep the results.

    Where a stream blocks, its quarantine stays as it was: what a broken stream says of its records is not to be
    trusted. `reports` is by stream; `fx_rates` a file of rates (currency_code, valid_from, valid_to, rate_to_company);
    `rules` replaces the CRM's own rules of the streams that it names.
    """
    own = {**RULES[crm], **(rules or {})}
    past = results.usual(home, crm, besides=run_id)
    at = (checked_at or datetime.now(UTC)).astimezone(UTC)
    blank = GateResult(crm=crm, stream="", run_id=run_id, as_of=as_of, checked_at=at, records=0, checks=())
    grounds = [
        Ground(
            stream=stream,
            report=reports.get(stream.name, SourceReport()),
            rules=(*row_rules(stream), *own.get(stream.name, ())),
            past=past.get(stream.name, Past()),
            exemptions=tuple(one for one in exemptions if one.stream == stream.name),
        )
        for stream in streams
    ]
    for stream in streams:
        quarantine.write_empty(home, crm, stream.name)
    with TemporaryDirectory(prefix="attain-gate-") as folder:
        judged = tuple(_judge(Path(folder) / "gate.duckdb", home, blank, grounds, fx_rates))
    results.save(home, judged)
    return judged


def _judge(
    database: Path, home: Path, blank: GateResult, grounds: Sequence[Ground], fx_rates: Path | None
) -> Iterator[GateResult]:
    """Try the rules on all streams, let Great Expectations judge by what was found, and hold back what has to be."""
    landing, at = home / "landing" / blank.crm, blank.checked_at
    named = _named(grounds, MONEY[blank.crm])
    with scratch.connect(database) as connection:
        scratch.prepare(connection, blank.as_of, fx_rates)
        connection.execute(findings.TABLES)
        base = Scratch(connection=connection, landing=landing)
        laid_out = {
            ground.stream.name: _lay_out(base, ground, named, at)
            for ground in grounds
            if not _is_untouched(landing / ground.stream.name, ground.report)
        }
    suites = {stream: _asked(ground, at) for stream, ground in laid_out.items() if ground.unreadable is None}
    validated = validate(database, suites, read_only=True)
    with scratch.connect(database) as connection:
        base = replace(base, connection=connection)
        for untried in grounds:
            blank = replace(blank, stream=untried.stream.name)
            ground = laid_out.get(blank.stream)
            if ground is None:
                yield replace(blank, checks=_skipped(untried, at))
            else:
                yield _concluded(base, home, ground, validated.get(blank.stream), blank, named)


def _concluded(
    base: Scratch,
    home: Path,
    ground: Ground,
    validated: Validated | None,
    blank: GateResult,
    named: Mapping[str, Collection[str]],
) -> GateResult:
    result = _sampled(base.connection, _result(ground, validated, blank))
    if not result.blocks:
        result = _hold_back(base, home, ground, result, named)
    if validated and validated.document:
        results.save_document(home, result, validated.document)
    return result


def _is_untouched(folder: Path, report: SourceReport) -> bool:
    """Whether there is nothing to look at: most editions lack some objects, and looking takes time."""
    return not report.missing_fields and not report.count and not any(folder.glob("run=*/*.parquet"))


def _named(grounds: Sequence[Ground], worths: Mapping[str, Worth]) -> Mapping[str, frozenset[str]]:
    """What the rules may want to know of the streams that they look up: names in their SQL, by stream."""
    named: dict[str, frozenset[str]] = {}
    for ground in grounds:
        worth = worths.get(ground.stream.name, Worth())
        asking = [*((rule.reads, rule.sql) for rule in ground.rules), (frozenset(worth.looks_up), worth.sql)]
        for targets, sql in asking:
            for target in targets:
                named[target] = named.get(target, frozenset()) | names_in(*sql)
    return named


def _lay_out(base: Scratch, ground: Ground, named: Mapping[str, Collection[str]], checked_at: datetime) -> Ground:
    """Lay out a stream and try its rules; a landing that cannot be read is told as a crash, not as bad data."""
    stream = ground.stream.name
    try:
        ground = replace(ground, population=base.lay_out(stream))
        base.turn_to(stream)
        base.deliver(stream, ground.report.missing_fields)
    except duckdb.Error as error:
        return replace(ground, unreadable=f"the landing cannot be read: {error}")
    ground = _looked_up(base, ground, named)
    ready = [rule for rule in ground.tried if rule.id not in ground.crashed]
    crashed = {**ground.crashed, **findings.judge(base.connection, stream, ready)}
    known = _facts(ground, checked_at)
    findings.conclude(base.connection, stream, ground.tried, crashed, known, records=ground.population.records)
    return replace(ground, crashed=crashed)


def _looked_up(base: Scratch, ground: Ground, named: Mapping[str, Collection[str]]) -> Ground:
    """Fill the tables that the rules look up, and note which rules lack one they cannot do without."""
    lacking: dict[str, str] = {}
    crashed: dict[str, str] = {}
    for rule in ground.rules:
        try:
            rows = {target: base.look_up(target, named[target]) for target in rule.reads}
            rows |= {known: base.know(known.removeprefix(KNOWN)) for known in rule.needs if known.startswith(KNOWN)}
        except duckdb.Error as error:
            crashed[rule.id] = told(error)
            continue
        empty = next((target for target in rule.needs if not rows[target]), None)
        if empty:
            lacking[rule.id] = empty.removeprefix(KNOWN)
    return replace(ground, lacking=lacking, crashed=crashed)


def _asked(ground: Ground, checked_at: datetime) -> tuple[Check, ...]:
    """Everything that Great Expectations is to judge of a stream."""
    stream, report = ground.stream, ground.report
    checks = table_checks(stream, report, ground.past, ever=ground.population.ever)
    stated = tuple(fact.check(stream.name) for fact in _facts(ground, checked_at))
    tried = tuple(_check(rule, stream) for rule in ground.tried)
    return tuple(replace(check, schema=scratch.DELIVERED) for check in (*checks, *stated, *tried))


def _facts(ground: Ground, checked_at: datetime, *, skipped: bool = False) -> list[Fact]:
    known = facts(ground.stream, ground.report, ground.past, ground.population, checked_at)
    return [fact for fact in known if (fact.skipped is not None) is skipped]


def _check(rule: Rule, stream: StreamDeclaration) -> Check:
    return Check(
        id=rule.id,
        dimension=rule.dimension,
        severity=rule.severity,
        reason=rule.reason,
        table=stream.name,
        expects=VERDICT,
        arguments={"stream": stream.name, "rule": rule.id},
        fields=rule.fields(stream.columns),
    )


def _skipped(ground: Ground, checked_at: datetime) -> tuple[CheckResult, ...]:
    asked = (
        *_asked(ground, checked_at),
        *(fact.check(ground.stream.name) for fact in _facts(ground, checked_at, skipped=True)),
    )
    return tuple(replace(_blank(check), detail="nothing has landed yet") for check in asked)


def _blank(check: Check) -> CheckResult:
    return CheckResult(
        rule=check.id,
        dimension=check.dimension,
        severity=check.severity,
        status=Status.SKIPPED,
        reason=check.reason,
        fields=check.fields,
    )


def _result(ground: Ground, validated: Validated | None, result: GateResult) -> GateResult:
    """Put together what came of every check of a stream."""
    unknown = Outcome(passed=False, crash=ground.unreadable or "Great Expectations gave no result")
    outcomes = validated.outcomes if validated else {}
    rules = {rule.id: rule for rule in ground.rules}
    details = {fact.id: fact.detail for fact in _facts(ground, result.checked_at)}
    found = []
    for check in _asked(ground, result.checked_at):
        one = _judged(check, outcomes.get(check.id, unknown))
        if check.id in rules:
            one = _forgiven(one, rules[check.id])
        elif one.status is Status.FAILED and details.get(check.id):
            one = replace(one, detail=details[check.id])
        found.append(_waived(one, ground.exemptions))
    found += [_lacking(rule, ground) for rule in ground.rules if rule.id in ground.lacking]
    found += [
        replace(_blank(fact.check(ground.stream.name)), detail=fact.skipped or "")
        for fact in _facts(ground, result.checked_at, skipped=True)
    ]
    if ground.report.count is None:
        found.append(_not_counted(ground.past))
    return replace(
        result,
        records=ground.population.records,
        newest_at=ground.population.newest_at,
        source_count=ground.report.count,
        checks=tuple(found),
    )


def _judged(check: Check, outcome: Outcome) -> CheckResult:
    judged = replace(_blank(check), status=_status(outcome), failed=outcome.unexpected, detail=outcome.crash or "")
    if check.expects == VERDICT:
        return replace(judged, evaluated=outcome.evaluated)
    seen = "" if outcome.observed is None else f"seen {outcome.observed}, expected {dict(check.arguments)}"
    return replace(judged, evaluated=1, detail=outcome.crash or seen)


def _status(outcome: Outcome) -> Status:
    if outcome.crash:
        return Status.COULD_NOT_CHECK
    return Status.PASSED if outcome.passed else Status.FAILED


def _forgiven(result: CheckResult, rule: Rule) -> CheckResult:
    share = result.failed / result.evaluated if result.evaluated else 0.0
    if share <= rule.forgive_above or result.evaluated < TOO_FEW_TO_FORGIVE:
        return result
    why = f"fails on {share:.0%} of all records: that is how this CRM was filled, so no record is held back"
    return replace(result, severity=Severity.INFO, detail=why)


def _waived(result: CheckResult, exemptions: Sequence[Exemption]) -> CheckResult:
    """Let a failure pass that would block and that a waiver covers as a whole; a crash is never waived."""
    if result.status is not Status.FAILED or not result.blocks:
        return result
    waivers = [one.waiver_id for one in exemptions if one.rule == result.rule and _is_for_all(one)]
    return replace(result, status=Status.WAIVED, waiver_id=min(waivers)) if waivers else result


def _is_for_all(exemption: Exemption) -> bool:
    return exemption.kind is ExemptionKind.WAIVER and exemption.key is None


def _lacking(rule: Rule, ground: Ground) -> CheckResult:
    detail = f"no record of {ground.lacking[rule.id]} has landed"
    return replace(_blank(_check(rule, ground.stream)), detail=detail)


def _not_counted(past: Past) -> CheckResult:
    """Say that a stream cannot be held against the CRM's count; where it always could, that is a failure to check."""
    detail = "the CRM reports no count for this stream"
    return CheckResult(
        rule="complete",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        status=Status.COULD_NOT_CHECK if past.was_counted else Status.SKIPPED,
        reason="the number of live records is not the number that the CRM itself reports",
        detail=f"{detail}, which it did before; run again" if past.was_counted else detail,
    )


def _sampled(connection: duckdb.DuckDBPyConnection, result: GateResult) -> GateResult:
    """Name some of the records that break a rule."""
    if not result.failing:
        return result
    keys = findings.sample_keys(connection, result.stream, SAMPLE_KEYS)
    return replace(
        result, checks=tuple(replace(check, sample_keys=keys.get(check.rule, ())) for check in result.checks)
    )


def _hold_back(
    base: Scratch, home: Path, ground: Ground, result: GateResult, named: Mapping[str, Collection[str]]
) -> GateResult:
    """Renew the stream's quarantine; what cannot be held back must not pass for good."""
    path = quarantine.file_of(home, result.crm, result.stream)
    rules = {rule.id: rule for rule in ground.tried}
    by_record = [check for check in result.checks if check.rule in rules]
    if quarantine.is_empty(path) and not any(check.failed for check in by_record):
        return result
    try:
        is_open, superseded = _renew(base, path, ground, result, by_record, named)
    except duckdb.Error as error:
        return replace(result, checks=(*result.checks, _not_held_back(error)))
    return replace(result, quarantined=is_open, superseded=superseded)


def _renew(
    base: Scratch,
    path: Path,
    ground: Ground,
    result: GateResult,
    by_record: Sequence[CheckResult],
    named: Mapping[str, Collection[str]],
) -> tuple[int, int]:
    rules = {rule.id: rule for rule in ground.tried}
    worth = MONEY[result.crm].get(result.stream, Worth())
    for target in worth.looks_up:
        base.look_up(target, named[target])
    quarantine.weigh(base.connection, by_record, ground.exemptions)
    base.turn_to(result.stream)
    warned = [rules[check.rule] for check in by_record if check.severity is not Severity.INFO]
    findings.judge_older(base.connection, result.stream, warned, quarantine.suspects(result.stream, path))
    return quarantine.renew(
        base.connection,
        path,
        crm=result.crm,
        stream=result.stream,
        columns=ground.stream.columns,
        worth=worth,
        run_id=result.run_id,
        at=result.checked_at.isoformat(timespec="seconds"),
    )


def _not_held_back(error: duckdb.Error) -> CheckResult:
    return CheckResult(
        rule="quarantine",
        dimension=Dimension.VALIDITY,
        severity=Severity.CRITICAL,
        status=Status.COULD_NOT_CHECK,
        reason="the records that break a rule could not be held back",
        detail=told(error),
    )
