"""`attain check`: what it tells of good and of wanting credentials and permissions."""

import io
from collections.abc import Sequence
from pathlib import Path

from nights import FirstNight
from rich.console import Console

from orchestration.check import CrmCheck, check_crms, check_report
from orchestration.settings import read_settings


def checked(night: FirstNight, home: Path, **variables: str) -> tuple[dict[str, CrmCheck], str]:
    settings = read_settings({"ATTAIN_HOME": str(home), **night.server.environment(), **variables})
    looked_at: list[tuple[str, str]] = []
    checks: Sequence[CrmCheck] = check_crms(settings, lambda crm, stream: looked_at.append((crm, stream)))
    console = Console(width=100, file=io.StringIO())
    console.print(check_report(checks))
    assert looked_at or any(check.problem for check in checks)
    return {check.crm: check for check in checks}, console.file.getvalue()


def test_a_good_connection_is_told_with_records_and_calls(first_night: FirstNight, tmp_path: Path) -> None:
    checks, told = checked(first_night, tmp_path)
    assert not any(check.is_blocking for check in checks.values())
    deals = next(check for check in checks["hubspot"].streams if check.stream.name == "deals")
    assert deals.rows == first_night.server.store.count("hubspot.deals")
    assert deals.calls and deals.calls >= 4
    assert "hubspot: ready" in told and "DailyApiRequests" in told
    assert not (tmp_path / "landing").exists()


def test_a_wrong_secret_is_named_and_blocks(first_night: FirstNight, tmp_path: Path) -> None:
    checks, told = checked(first_night, tmp_path, SALESFORCE_CLIENT_SECRET="wrong")
    assert checks["salesforce"].is_blocking and not checks["hubspot"].is_blocking
    assert "salesforce: not ready" in told and "SALESFORCE_CLIENT_SECRET" in told


def test_a_needed_field_that_is_excluded_blocks_and_another_is_only_told(
    first_night: FirstNight, tmp_path: Path
) -> None:
    checks, told = checked(first_night, tmp_path, ATTAIN_EXCLUDE_FIELDS="salesforce.Lead.Email, hubspot.deals.amount")
    assert checks["hubspot"].is_blocking and not checks["salesforce"].is_blocking
    assert "leads: not readable: Email" in told and "deals: not readable: amount" in told
