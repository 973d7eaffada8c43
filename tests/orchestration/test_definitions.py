"""The asset graph: its keys, its checks, its schedule; frozen, so that a change is seen and meant."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_definitions
from orchestration.resources import Run
from orchestration.settings import PROJECT_ROOT, STREAMS, read_settings
from orchestration.warehouse import Mart, dbt_arguments, dbt_vars, prepared_project

PUBLISHED = [
    "core.dim_account",
    "core.dim_date",
    "core.dim_product",
    "core.dim_rep",
    "core.dim_rep_history",
    "core.dim_team",
    "core.dim_territory",
    "core.fct_lead",
    "core.fct_opportunity",
    "core.fct_opportunity_stage",
    "forecast.forecast_quarter",
    "kpi.kpi_compensation",
    "kpi.kpi_month",
    "kpi.kpi_total",
    "payout.payout_exclusion",
    "payout.payout_ledger",
    "payout.payout_statement",
    "quality.quality_check_result",
    "quality.quality_incident",
    "quality.quality_reconciliation",
    "quality.quality_score",
]

PAST_STAGING = {
    # looks at won deals as they landed, to tell what staging has left out
    dg.AssetKey(["intermediate", "int_won_amounts"]),
    # every version there has been, where staging has the latest
    dg.AssetKey(["intermediate", "int_user_versions__unioned"]),
    dg.AssetKey(["intermediate", "int_user_territories"]),
}


def definitions(tmp_path: Path, **environment: str) -> dg.Definitions:
    return build_definitions(read_settings({"ATTAIN_HOME": str(tmp_path), **environment}))


@pytest.fixture
def everything(tmp_path: Path) -> dg.Definitions:
    return definitions(tmp_path)


def test_every_stream_is_an_asset_in_its_crms_group_with_a_blocking_gate(everything: dg.Definitions) -> None:
    graph = everything.resolve_asset_graph()
    staged = {key for key in graph.materializable_asset_keys if key.path[0] == "staging"}
    for crm, streams in STREAMS.items():
        for stream in streams:
            node = graph.get(dg.AssetKey([crm, stream.name]))
            assert node.is_materializable and node.group_name == crm
            check = graph.get(dg.AssetCheckKey(node.key, "gate"))
            assert check.blocking
            assert node.child_keys - PAST_STAGING == {dg.AssetKey(["staging", f"stg_{crm}__{stream.name}"])} & staged


def test_an_object_of_the_organisations_own_is_an_asset_like_any_other(tmp_path: Path) -> None:
    graph = definitions(
        tmp_path,
        HUBSPOT_ACCESS_TOKEN="token",
        HUBSPOT_OBJECTS="p_surveys",
        SALESFORCE_URL="https://acme.my.salesforce.com",
        SALESFORCE_CLIENT_ID="id",
        SALESFORCE_CLIENT_SECRET="secret",
        SALESFORCE_OBJECTS="Survey_Response__c",
    ).resolve_asset_graph()
    for crm, name in (("salesforce", "survey_response"), ("hubspot", "p_surveys")):
        node = graph.get(dg.AssetKey([crm, name]))
        assert node.is_materializable and node.group_name == crm
        assert graph.get(dg.AssetCheckKey(node.key, "gate")).blocking


def test_what_is_published_is_what_the_exposures_name(everything: dg.Definitions) -> None:
    graph = everything.resolve_asset_graph()
    parents = graph.get(dg.AssetKey("published")).parent_keys
    assert sorted(".".join(key.path) for key in parents) == PUBLISHED
    assert graph.get(dg.AssetCheckKey(Mart("core", "fct_opportunity").asset_key, "gate")).blocking


def test_the_report_is_a_job_of_its_own_that_runs_after_every_night(everything: dg.Definitions) -> None:
    report = dg.AssetKey("quality_report")
    assert report not in everything.resolve_job_def("nightly").asset_layer.selected_asset_keys
    assert everything.resolve_job_def("quality").asset_layer.selected_asset_keys == {report}
    for sensor in ("report_good_night", "report_bad_night"):
        assert everything.resolve_sensor_def(sensor).default_status is dg.DefaultSensorStatus.RUNNING


def test_with_one_crm_configured_only_that_one_is_pulled(tmp_path: Path) -> None:
    graph = definitions(tmp_path, HUBSPOT_ACCESS_TOKEN="token").resolve_asset_graph()
    pulled = {key.path[0] for key in graph.materializable_asset_keys if key.path[0] in STREAMS}
    assert pulled == {"hubspot"}


def test_the_night_is_due_in_business_time_and_runs_as_of_the_day_it_was_due(tmp_path: Path) -> None:
    defs = definitions(tmp_path, ATTAIN_TIMEZONE="Pacific/Auckland", ATTAIN_SCHEDULE="30 3 * * *")
    schedule = defs.resolve_schedule_def("nightly_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 3 * * *", "Pacific/Auckland")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING

    due = datetime(2026, 8, 13, 15, 30, tzinfo=UTC)  # half past three on the 14th in Auckland
    ticked = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=due))
    (request,) = ticked.run_requests or []
    assert request.run_config == {"resources": {"run": {"config": {"as_of": "2026-08-14"}}}}


def test_models_get_the_date_and_never_ask_a_clock(tmp_path: Path) -> None:
    settings = read_settings({"ATTAIN_TIMEZONE": "Europe/Berlin", "ATTAIN_CURRENCY": "EUR"})
    variables = dbt_vars(Run(tmp_path, "run", date(2026, 8, 14)), settings)
    arguments = dbt_arguments(variables)
    assert json.loads(arguments[-1]) == {
        "as_of_date": "2026-08-14",
        "business_timezone": "Europe/Berlin",
        "business_timezones": {},
        "company_currency": "EUR",
    }
    models = Path(__file__).parent.parent.parent / "dbt_project" / "models"
    clocks = [
        path.name for path in models.rglob("*.sql") if "current_" in path.read_text().replace("current_records", "")
    ]
    assert not clocks


def test_processes_that_find_the_dbt_project_stale_together_parse_it_once() -> None:
    manifest = prepared_project().manifest_path
    os.utime(manifest, (0, 0))
    asked = [
        sys.executable,
        "-c",
        "from orchestration.warehouse import marts, prepared_project; print(len(marts(prepared_project())))",
    ]
    processes = [subprocess.Popen(asked, cwd=PROJECT_ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    found = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert found == {f"{len(PUBLISHED)}\n".encode()}
