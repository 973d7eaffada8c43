"""Runs the nightly job from the shell and the quality report after it, in one process, with its history kept where the
Dagster UI looks.

What the jobs consist of is in `definitions`; what they look like in `console`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from expectations.report import REPORT
from orchestration.automation import failure_message, failures, has_begun, root_message
from orchestration.console import ConsoleProgress, tools_output_in
from orchestration.definitions import build_definitions
from orchestration.instance import dagster_home
from orchestration.quality import report_run_config
from orchestration.settings import Settings
from orchestration.warehouse import BUILD, dbt_findings


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in words for people."""

    is_success: bool
    errors: Sequence[str]
    warnings: Sequence[str]
    log: Path
    report: Path | None = None
    """The first page of the quality report; None if there is none of this night."""


def run_nightly(
    settings: Settings,
    progress: ConsoleProgress,
    *,
    as_of: date | None = None,
    full_refresh: bool = False,
    since: datetime | None = None,
) -> Outcome:
    """Run the job once, write the report, and say how it went; what Dagster and dbt print goes to a log file."""
    log = settings.home / "logs" / "attain-run.log"
    as_of = as_of or datetime.now(UTC).astimezone(ZoneInfo(settings.timezone)).date()
    with (
        progress.shown(),
        tools_output_in(log),
        dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance,
    ):
        pull = {"full_refresh": full_refresh, "since": since.isoformat() if since else None}
        definitions = build_definitions(settings, progress)
        result = definitions.resolve_job_def("nightly").execute_in_process(
            run_config={
                "ops": {"pull": {"config": pull}},
                "resources": {"run": {"config": {"as_of": as_of.isoformat()}}},
            },
            instance=instance,
            raise_on_error=False,
        )
        outcome = _outcome(result, settings.home, log)
        if has_begun(result.all_events):
            report = report_run_config(
                result.run_id, as_of.isoformat(), outcome.errors, _told_by_others(result, settings.home)
            )
            told = definitions.resolve_job_def("quality").execute_in_process(
                run_config=report, instance=instance, raise_on_error=False
            )
            outcome = _with_report(outcome, told, settings.home)
    return outcome


def _outcome(result: dg.ExecuteInProcessResult, home: Path, log: Path) -> Outcome:
    return Outcome(
        is_success=result.success,
        errors=[] if result.success else _errors(result, home),
        warnings=[*_failed_gates(result, dg.AssetCheckSeverity.WARN), *_told_by_others(result, home)],
        log=log,
    )


def _with_report(outcome: Outcome, told: dg.ExecuteInProcessResult, home: Path) -> Outcome:
    """Say where the report is. One that could not be written takes nothing back of what the night did."""
    if told.success:
        return replace(outcome, report=home / REPORT)
    why = "; ".join(failures(told.all_events)) or _end_of(told)
    return replace(outcome, warnings=[*outcome.warnings, f"The quality report could not be written: {why}"])


def _errors(result: dg.ExecuteInProcessResult, home: Path) -> list[str]:
    """What stopped the run: gates that block, else steps that failed, else what kept the run from starting."""
    if blocked := _failed_gates(result, dg.AssetCheckSeverity.ERROR):
        return blocked
    errors: list[str] = []
    for event in result.get_step_failure_events():
        found = _found_by_dbt(result, home, "fail", "error") if event.step_key == BUILD else []
        errors += found or [failure_message(event)]
    return errors or [_end_of(result)]


def _end_of(result: dg.ExecuteInProcessResult) -> str:
    """Why a run failed in none of its steps."""
    ends = (event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    return "; ".join(root_message(event.job_failure_data.error) for event in ends)


def _told_by_others(result: dg.ExecuteInProcessResult, home: Path) -> list[str]:
    """What the pull and dbt warn of; what the gates hold back is in their results."""
    return [*_drift(result), *_found_by_dbt(result, home, "warn")]


def _drift(result: dg.ExecuteInProcessResult) -> Iterable[str]:
    """What became of the CRMs' fields since the night before."""
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        for name, value in materialization.metadata.items():
            if name.startswith("fields "):
                yield f"{materialization.asset_key.to_user_string()}: {name}: {value.value}"


def _found_by_dbt(result: dg.ExecuteInProcessResult, home: Path, *statuses: str) -> list[str]:
    has_built = any(event.step_key == BUILD for event in result.all_events)
    return dbt_findings(home, *statuses) if has_built else []


def _failed_gates(result: dg.ExecuteInProcessResult, severity: dg.AssetCheckSeverity) -> list[str]:
    return [
        f"{evaluation.asset_key.to_user_string()}: {evaluation.description or evaluation.check_name}"
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == "gate" and not evaluation.passed and evaluation.severity == severity
    ]
