"""The stewards' commands as people and programs meet them: what is printed, JSON, exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from desk import Desk, checked
from typer.testing import CliRunner, Result

from expectations.rule import Severity, Status
from expectations.stewardship.state import open_state
from orchestration.cli import app

OPPORTUNITY = {
    "_key": "d1",
    "_version": "d1-v1",
    "_modified_at": "2026-07-31T10:00:00Z",
    "_deleted": "false",
    "_commit_id": "1-run1",
    "_synced_at": "2026-08-01T02:00:00+00:00",
    "Name": "Cell 4",
    "ContactEmail": "jane@example.com",
    "Amount": None,
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk with one landed record, for whoever the environment names."""
    url = f"sqlite:///{tmp_path / 'quality' / 'steward.db'}"
    variables = {"ATTAIN_HOME": str(tmp_path), "ATTAIN_TIMEZONE": "Europe/Berlin", "ATTAIN_STEWARD": "ann"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("orchestration.steward_cli.out.width", 250)
    folder = tmp_path / "landing" / "salesforce" / "opportunities"
    (folder / "manifests").mkdir(parents=True)
    (folder / "manifests" / "1-run1.json").write_text("{}")
    schema = pa.schema([(name, pa.string()) for name in OPPORTUNITY])
    pq.write_table(pa.Table.from_pylist([OPPORTUNITY], schema=schema), folder / "1.parquet")
    engine = open_state(url)
    yield Desk(engine, tmp_path, url)
    engine.dispose()


def attain(*arguments: str, exits: int = 0) -> Result:
    result = CliRunner().invoke(app, ["quality", *arguments])
    assert result.exit_code == exits, result.output
    return result


def read(*arguments: str) -> Any:
    return json.loads(attain(*arguments, "--json").stdout)


def test_a_morning_from_the_queue_to_the_history(desk: Desk) -> None:
    desk.night("d1", "d2", checks=[checked("freshness", Status.FAILED, Severity.INFO)])
    listed = attain("list").stdout
    assert "INC-000001" in listed and "salesforce opportunities d2" in listed and "2 of 2 incidents" in listed
    assert "2026-08-06 04:00" in listed, "the due time is business time"
    attain("ack", "INC-000001", "--comment", "looking")
    attain("assign", "INC-1", "--to", "ben")
    assert [one["state"] for one in read("list", "--rule", "won_has_amount")] == ["assigned", "new"]
    assert [one["incident_id"] for one in read("list", "--mine", "--by", "ben")] == ["INC-000001"]
    attain("resolve", "1", "--reason", "missingdata", "--comment", "amount added", "--by", "ben")
    shown = read("show", "INC-000001")
    assert (shown["incident"]["resolution"], shown["incident"]["comment"]) == ("MissingData", "amount added")
    assert [entry["actor"] for entry in shown["history"]] == ["attain", "ann", "ann", "ben"]
    told = attain("show", "INC-000001").stdout
    assert "Cell 4" in told and "resolved" in told and "looking" in told
    assert attain("list", "--crm", "zoho").stdout.strip() == "The queue is empty."


def test_what_tells_of_people_is_masked_and_revealing_it_is_noted(desk: Desk) -> None:
    desk.night("d1")
    for command in (["show", "INC-000001"], ["audit", "salesforce", "opportunities", "d1"]):
        assert "jane@example.com" not in attain(*command).stdout
        assert "jane@example.com" not in attain(*command, "--json").stdout
        assert "jane@example.com" in attain(*command, "--reveal").stdout
    assert (desk.actions(), desk.actions("actor")) == (["opened", "revealed", "revealed"], ["attain", "ann", "ann"])


def test_a_waiver_takes_two_people(desk: Desk) -> None:
    desk.night("d1")
    why = ["--reason", "FalsePositive", "--comment", "paid in kind"]
    asked = attain("waive", "INC-000001", *why, "--days", "30").stdout
    assert "attain quality approve W-000001" in asked
    refused = attain("approve", "W-000001", "--by", "ANN", exits=1)
    assert "somebody else has to approve it" in refused.stderr
    attain("approve", "W-000001", "--by", "ben")
    (one,) = read("waivers")
    assert (one["waiver_id"], one["approved_by"], one["key"]) == ("W-000001", "ben", "d1")
    attain("revoke", "W-000001", "--comment", "no")
    assert read("waivers") == []
    attain("release", "INC-000001", *why)
    attain("refuse", "R-000002", "--comment", "no", "--by", "ben")
    assert [one["state"] for one in read("waivers", "--state", "refused")] == ["refused"]
    of_rule = ["--rule", "won_has_amount", "--crm", "salesforce", "--stream", "opportunities"]
    attain("waive", *of_rule, *why, "--days", "1")
    assert read("waivers")[0]["key"] is None


def test_the_audit_says_in_a_sentence_why_a_record_is_out(desk: Desk) -> None:
    desk.night("d1")
    told = attain("audit", "salesforce", "opportunities", "d1").stdout
    assert "salesforce opportunities d1 is out: its latest version d1-v1 is held back by won_has_amount" in told
    story = read("audit", "salesforce", "opportunities", "d1")
    assert story["in_marts_as"] is None and story["incidents"][0]["incident_id"] == "INC-000001"


def test_the_pack_says_which_files_it_wrote(desk: Desk, tmp_path: Path) -> None:
    told = attain("pack", "--month", "2026-08", "--to", str(tmp_path / "pack")).stdout.split()
    assert [Path(name).exists() for name in told] == [True] * 6


def test_what_is_refused_exits_with_1_and_what_is_misused_with_2(desk: Desk) -> None:
    desk.night("d1")
    assert "no incident INC-000009" in attain("ack", "INC-000009", exits=1).stderr
    assert (
        "30 days at most" in attain("waive", "1", "--reason", "Other", "--comment", "x", "--days", "31", exits=1).stderr
    )
    for misuse in (
        ["ack"],
        ["ack", "INC-000001", "--rule", "won_has_amount"],
        ["resolve", "INC-000001", "--reason", "Healed", "--comment", "x"],
        ["resolve", "INC-000001", "--reason", "Other"],
        ["waive", "INC-000001", "--reason", "Other", "--comment", "x"],
        ["waive", "--rule", "won_has_amount", "--reason", "Other", "--comment", "x", "--days", "1"],
        ["list", "--queue", "none"],
    ):
        attain(*misuse, exits=2)
    assert desk.actions() == ["opened"]


def test_a_database_that_cannot_be_reached_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTAIN_STATE_URL", "postgresql://ann:secret@127.0.0.1:1/attain")
    told = attain("list", exits=1).stderr
    assert "stewards' database" in told and "secret" not in told
