"""The quality report as an asset: written after every night, good or bad, and put where a steward finds it.

What it says is in `expectations.report`; when it is written is in `automation` and `nightly`.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource

from expectations.report import REPORT
from expectations.report.facts import Night
from orchestration.publish import switch
from orchestration.resources import Progress, Run
from orchestration.settings import Settings
from orchestration.warehouse import TARGET, Mart, dbt_vars

REPORTS_KEPT = 30


class ReportConfig(dg.Config):
    """Which night the report is of, and what became of it."""

    night: str
    """The Dagster run of the nightly job."""
    errors: list[str] = []
    """What stopped it, in words; empty for a night that published."""
    warnings: list[str] = []

    @property
    def is_good(self) -> bool:
        """Whether the night built its marts, those on quality included."""
        return not self.errors


def report_asset(settings: Settings, marts: Sequence[Mart]) -> dg.AssetsDefinition:
    """Build the asset that stands for what a steward reads."""

    @dg.asset(
        name="quality_report",
        deps=[mart.asset_key for mart in marts if mart.schema == "quality"],
        group_name="published",
        kinds={"html"},
        description="What the night found, for the people who mend it: static pages that open without a server.",
    )
    def quality_report(
        config: ReportConfig,
        run: dg.ResourceParam[Run],
        progress: dg.ResourceParam[Progress],
        dbt: DbtCliResource,
    ) -> dg.MaterializeResult[None]:
        progress.stage("report")
        now = datetime.now(UTC)
        warnings = list(config.warnings)
        if not config.is_good and not _renew_marts(dbt, run, settings):
            warnings.append("Not all quality marts could be renewed from this night's gates; scores may be older ones.")
        night = Night(
            run_id=_run_id(run.home, config.night, now),
            as_of=run.as_of,
            errors=tuple(config.errors),
            warnings=tuple(warnings),
        )
        folder = write_report(run.home, night, settings, now=now)
        return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(folder / "index.html")})

    return quality_report


def report_run_config(
    night: str, as_of: str, errors: Sequence[str] = (), warnings: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Ask the job `quality` for the report of a night."""
    config = {"night": night, "errors": list(errors), "warnings": list(warnings)}
    return {
        "ops": {"quality_report": {"config": config}},
        "resources": {"run": {"config": {"as_of": as_of}}},
    }


def write_report(home: Path, night: Night, settings: Settings, *, now: datetime) -> Path:
    """Write the report of a night into a folder of its own and make it the one that people open."""
    from expectations.report.data_docs import write_data_docs
    from expectations.report.facts import read_facts
    from expectations.report.site import Reader, write_pages

    reports = home / "quality" / "reports"
    folder, draft = reports / night.run_id, reports / f".{night.run_id}.draft"
    for left_over in reports.glob(".*.draft"):
        shutil.rmtree(left_over)
    draft.mkdir(parents=True)
    reader = Reader(
        timezone=settings.timezone, currency=settings.currency, private_fields=tuple(settings.private_fields)
    )
    docs = write_data_docs(home, night.run_id, draft)
    write_pages(read_facts(home, night, now=now), draft, reader, now=now, docs=docs)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
    switch((home / REPORT).parent, folder)
    for old in sorted(path for path in reports.iterdir() if path != folder)[: 1 - REPORTS_KEPT]:
        shutil.rmtree(old)
    return folder


def _run_id(home: Path, night: str, now: datetime) -> str:
    """The run as its results name it; one that got nowhere near a gate left none, and is named by this moment."""
    found = sorted((home / "quality" / "results").glob(f"*-{night[:8]}"))
    return found[-1].name if found else f"{now:%Y%m%dT%H%M%S}-{night[:8]}"


def _renew_marts(dbt: DbtCliResource, run: Run, settings: Settings) -> bool:
    """Build the marts that need only what the gates left: a night that was stopped never came to them."""
    build = ["build", "--exclude-resource-type", "unit_test", "--select", "tag:quality"]
    variables = json.dumps(dict(dbt_vars(run, settings)))
    invocation = dbt.cli([*build, "--vars", variables], target_path=run.home / TARGET, raise_on_error=False)
    return invocation.wait().is_successful()
