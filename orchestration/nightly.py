"""Runs the nightly job from the shell, in one process, with its history kept where the Dagster UI looks.

What the job consists of is in `definitions`; what it looks like in `console`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.console import ConsoleProgress, tools_output_in
from orchestration.definitions import build_definitions
from orchestration.instance import dagster_home
from orchestration.settings import Settings
from orchestration.warehouse import BUILD, dbt_findings


@dataclass(frozen=True)
class Outcome:
    """How a run ended, in words for people."""

    is_success: bool
    errors: Sequence[str]
    warnings: Sequence[str]
    log: Path


def run_nightly(
    settings: Settings,
    progress: ConsoleProgress,
    *,
    as_of: date | None = None,
    full_refresh: bool = False,
    since: datetime | None = None,
) -> Outcome:
    """Run the job once and say how it went; what Dagster and dbt print goes to a log file."""
    log = settings.home / "logs" / "attain-run.log"
    with (
        progress.shown(),
        tools_output_in(log),
        dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance,
    ):
        pull = {"full_refresh": full_refresh, "since": since.isoformat() if since else None}
        job = build_definitions(settings, progress).resolve_job_def("nightly")
        result = job.execute_in_process(
            run_config={
                "ops": {"pull": {"config": pull}},
                "resources": {"run": {"config": {"as_of": as_of.isoformat()} if as_of else {}}},
            },
            instance=instance,
            raise_on_error=False,
        )
    return Outcome(
        is_success=result.success,
        errors=_errors(result, settings.home),
        warnings=[
            *_drift(result),
            *_failed_gates(result, dg.AssetCheckSeverity.WARN),
            *_found_by_dbt(result, settings.home, "warn"),
        ],
        log=log,
    )


def _errors(result: dg.ExecuteInProcessResult, home: Path) -> list[str]:
    """What stopped the run: gates that block, else steps that failed, else what kept the run from starting."""
    if blocked := _failed_gates(result, dg.AssetCheckSeverity.ERROR):
        return blocked
    errors: list[str] = []
    for event in result.get_step_failure_events():
        failure = event.step_failure_data
        found = _found_by_dbt(result, home, "fail", "error") if event.step_key == BUILD else []
        told = failure.user_failure_data.description if failure.user_failure_data else None
        errors += found or [told or _root_message(failure.error)]
    ends = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
    return errors or [_root_message(event.job_failure_data.error) for event in ends]


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


def _root_message(error: Any) -> str:
    """The message of the innermost cause; what Dagster wraps around it says only where."""
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error else "failed without a message"


def _failed_gates(result: dg.ExecuteInProcessResult, severity: dg.AssetCheckSeverity) -> list[str]:
    return [
        f"{evaluation.asset_key.to_user_string()}: {evaluation.description or evaluation.check_name}"
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == "gate" and not evaluation.passed and evaluation.severity == severity
    ]
