"""What the gates find comes before the stewards, what they grant holds in the gates, and a night needs both."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from connectors.landing import CommitWriter, StreamLanding
from connectors.stream import Field
from expectations.rule import ExemptionKind
from expectations.stewardship.exemptions import approve, request, targets
from expectations.stewardship.incidents import Filter, find
from expectations.stewardship.lifecycle import Deed, Reason
from expectations.stewardship.state import reading
from orchestration.queues import stewards_database
from orchestration.raw import declare_all_streams, gates
from orchestration.resources import Run, Silent
from orchestration.settings import STREAMS, Settings, read_settings

STAGE = {"id": "s1", "actual_value": "Closed Won", "forecast_type": "Closed Won", "probability": "100"}
WON = {
    "id": "d1",
    "Stage": "Closed Won",
    "Amount": None,
    "Closing_Date": "2026-08-01",
    "Owner": "u1",
    "Created_Time": "2026-05-01T08:00:00Z",
    "Modified_Time": "2026-08-01T08:00:00Z",
}
LANDED = {"deal_stages": [STAGE], "deals": [WON]}


def landed(home: Path, **variables: str) -> Settings:
    """Land two streams of Zoho CRM; the settings know of no other."""
    settings = read_settings({"ATTAIN_HOME": str(home), **variables})
    declare_all_streams(settings, Run(home, "r", date(2026, 8, 14)))
    streams = [stream for stream in STREAMS["zoho"] if stream.name in LANDED]
    for stream in streams:
        writer = CommitWriter(
            StreamLanding(home, "zoho", stream), run_id="pull", fields=[Field(name, "text") for name in stream.fields]
        )
        writer.write(LANDED[stream.name])
        writer.commit({}, is_last=True)
    return replace(settings, streams={"zoho": streams})


def run_gates(settings: Settings, run_id: str) -> dg.ExecuteInProcessResult:
    """Run the gates of Zoho CRM as the nightly job does."""
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(["zoho", stream.name]) for stream in settings.streams["zoho"]],
        asset_checks=gates(settings, ["zoho"]),
        jobs=[dg.define_asset_job("gates", selection=dg.AssetSelection.all_asset_checks())],
        resources={"run": Run(settings.home, run_id, date(2026, 8, 14)), "progress": Silent()},
    )
    return definitions.resolve_job_def("gates").execute_in_process(raise_on_error=False)


def test_a_finding_becomes_an_incident_and_a_waiver_lets_it_pass(tmp_path: Path) -> None:
    settings = landed(tmp_path)
    assert run_gates(settings, "first").success
    with stewards_database(settings) as engine:
        with reading(engine) as connection:
            (incident,) = find(connection, Filter(rule="won_has_amount"))
        assert (incident.crm, incident.stream, incident.key) == ("zoho", "deals", "d1")
        now = datetime.now(UTC)
        (target,) = targets(engine, [incident.id], ExemptionKind.WAIVER)
        asked = Deed(by="ana", at=now, comment="The invoice is late.")
        (waiver,) = request(
            engine,
            [target],
            asked,
            kind=ExemptionKind.WAIVER,
            reason=Reason.MISSING_DATA,
            expires_on=now.date() + timedelta(days=7),
        )
        approve(engine, [waiver.waiver_id], Deed(by="ben", at=now))
    assert run_gates(settings, "second").success
    (held,) = pq.read_table(tmp_path / "quality" / "quarantine" / "zoho" / "deals.parquet").to_pylist()
    assert (held["state"], held["waiver_id"]) == ("waived", waiver.waiver_id)
    exported = pq.read_table(tmp_path / "quality" / "steward" / "incidents.parquet").to_pylist()
    assert [(row["incident_id"], row["state"]) for row in exported if row["key"] == "d1"] == [
        ("INC-000001", "resolved")
    ]


def test_a_night_without_the_stewards_database_fails_and_says_so(tmp_path: Path) -> None:
    nowhere = "postgresql://attain:secret@127.0.0.1:1/attain"
    result = run_gates(landed(tmp_path, ATTAIN_STATE_URL=nowhere), "first")
    (failure,) = result.get_step_failure_events()
    assert not result.success
    told = failure.step_failure_data.user_failure_data.description
    assert "The stewards' database postgresql://attain:***@127.0.0.1:1/attain cannot be used" in told
