"""Shows what a gate found as a Dagster asset check: passed or not, counts, the failing rules with sample keys.

The judging is done in `expectations`.
"""

import dagster as dg

from expectations.rule import CheckResult, GateResult, Severity


def as_check_result(result: GateResult, asset_key: dg.AssetKey) -> dg.AssetCheckResult:
    """Render a gate's result: what blocks is an error, what holds rows back a warning, what is noted passes."""
    return dg.AssetCheckResult(
        asset_key=asset_key,
        check_name="gate",
        passed=not result.blocks and result.quarantined == 0,
        severity=dg.AssetCheckSeverity.ERROR if result.blocks else dg.AssetCheckSeverity.WARN,
        description=describe(result),
        metadata={
            "records": result.records,
            "quarantined": result.quarantined,
            "rules checked": len(result.checks),
            "failing rules": dg.MetadataValue.table([_row(check) for check in result.failing], schema=_SCHEMA),
        },
    )


def describe(result: GateResult) -> str:
    """Say in one line what came of a gate."""
    blocking = [check for check in result.failing if check.blocks]
    if blocking:
        return f"Blocked: {'; '.join(_words(check) for check in blocking)}"
    if result.quarantined:
        held = [check for check in result.failing if check.severity is Severity.WARNING]
        return f"{result.quarantined} quarantined: {'; '.join(_words(check) for check in held)}"
    return f"{result.records} records passed"


def _words(check: CheckResult) -> str:
    words = f"{check.rule}: {check.reason}"
    if check.detail:
        words += f" ({check.detail})"
    if check.sample_keys:
        words += f", for example {', '.join(check.sample_keys[:3])}"
    return words


_SCHEMA = dg.TableSchema(
    [dg.TableColumn(name) for name in ("rule", "severity", "status", "failed", "of", "sample keys", "reason")]
)


def _row(check: CheckResult) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "rule": check.rule,
            "severity": str(check.severity),
            "status": str(check.status),
            "failed": check.failed,
            "of": check.evaluated,
            "sample keys": ", ".join(check.sample_keys),
            "reason": " ".join(filter(None, (check.reason, check.detail))),
        }
    )
