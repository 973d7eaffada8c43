"""The table of contents, in the order data flows: pull, gates, warehouse, marts gate, publish, report, and
when it all runs.

Asset implementations live in the modules named here.
"""

import os

import dagster as dg

from orchestration import automation
from orchestration.alerts import alert_sensor
from orchestration.calendar import holidays_asset
from orchestration.marts_gate import marts_gate
from orchestration.publish import published_asset
from orchestration.quality import report_asset
from orchestration.raw import gates, raw_assets
from orchestration.resources import Progress, Silent, run_resource
from orchestration.settings import STREAMS, Settings, read_settings
from orchestration.warehouse import dbt_cli, marts, prepared_project, warehouse_assets


def build_definitions(settings: Settings, progress: Progress | None = None) -> dg.Definitions:
    """Assemble everything for the CRMs that are on; with none on, for all of them, to be looked at."""
    os.environ["ATTAIN_HOME"] = str(settings.home)  # where dbt's profile and sources look
    crms = [crm for crm in STREAMS if crm in settings.credentials] or list(STREAMS)
    project = prepared_project()
    public = marts(project)
    return dg.Definitions(
        assets=[
            raw_assets(settings, crms),
            holidays_asset,
            warehouse_assets(project, settings),
            published_asset(public),
            report_asset(settings, public),
        ],
        asset_checks=[
            *gates(settings, crms),
            marts_gate(settings, public),
        ],
        jobs=[automation.nightly, automation.quality],
        schedules=[automation.nightly_schedule(settings)],
        sensors=[automation.failure_sensor(settings), *automation.report_sensors(settings), alert_sensor(settings)],
        resources={
            "run": run_resource(settings),
            "progress": progress or Silent(),
            "dbt": dbt_cli(project),
        },
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Assemble what `dagster dev` and the daemon load."""
    return build_definitions(read_settings(os.environ))
