"""A stewards' desk for tests: their database, and gates that find what they are told to find."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine, text

from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status
from expectations.stewardship.incidents import Filter, find
from expectations.stewardship.intake import record_gate
from expectations.stewardship.lifecycle import Incident
from expectations.stewardship.state import reading

FIRST_NIGHT = datetime(2026, 8, 1, 2, tzinfo=UTC)
QUARANTINE = pa.schema(
    [
        *((name, pa.string()) for name in ("crm", "stream", "key", "version", "other_key", "rule", "dimension")),
        *((name, pa.string()) for name in ("severity", "reason", "payload", "modified_at")),
        ("amount", pa.decimal128(18, 4)),
        *((name, pa.string()) for name in ("currency_code", "outcome", "deal_key", "owner_key", "first_seen_run")),
        *((name, pa.string()) for name in ("first_seen_at", "last_seen_run", "last_seen_at", "state", "waiver_id")),
    ]
)


@dataclass
class Desk:
    """A data folder, the stewards' database, and a gate on one stream that finds what it is told to find."""

    engine: Engine
    home: Path
    url: str
    nights: int = field(default=0)

    @property
    def now(self) -> datetime:
        """When the last night was."""
        return FIRST_NIGHT + timedelta(days=self.nights - 1)

    def night(
        self,
        *found: str | dict[str, Any],
        checks: Sequence[CheckResult] = (),
        rule_status: Status | None = None,
    ) -> GateResult:
        """Run the gate on Salesforce's opportunities once more; keys, or rows of the quarantine, are what it finds."""
        self.nights += 1
        rows = [quarantined(one) if isinstance(one, str) else quarantined(**one) for one in found]
        path = self.home / "quality" / "quarantine" / "salesforce" / "opportunities.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE), path)
        status = rule_status or (Status.FAILED if rows else Status.PASSED)
        result = GateResult(
            crm="salesforce",
            stream="opportunities",
            run_id=f"run{self.nights}",
            as_of=self.now.date(),
            checked_at=self.now,
            records=10,
            checks=(checked("won_has_amount", status), *checks),
        )
        record_gate(self.engine, self.home, result, self.now)
        return result

    def incidents(self, **options: Any) -> list[Incident]:
        """The incidents in the queues, or all of them."""
        with reading(self.engine) as connection:
            return list(find(connection, Filter(**options)))

    def actions(self, column: str = "action") -> list[Any]:
        """What has been done so far, in order."""
        with reading(self.engine) as connection:
            return list(connection.scalars(text(f"select {column} from action order by id")))


def quarantined(key: str, **values: Any) -> dict[str, Any]:
    """One row of a quarantine."""
    row = {
        "crm": "salesforce",
        "stream": "opportunities",
        "key": key,
        "version": f"{key}-v1",
        "rule": "won_has_amount",
        "dimension": "completeness",
        "severity": "warning",
        "reason": "the deal is won and has no amount",
        "payload": "{}",
        "modified_at": "2026-07-31T10:00:00+02:00",
        "first_seen_run": "run1",
        "first_seen_at": "2026-08-01T02:00:00+00:00",
        "last_seen_run": "run1",
        "last_seen_at": "2026-08-01T02:00:00+00:00",
        "state": "open",
    }
    return {**row, **values}


def checked(
    rule: str, status: Status, severity: Severity = Severity.WARNING, *, detail: str = "", waiver_id: str | None = None
) -> CheckResult:
    """What came of one check."""
    return CheckResult(
        rule=rule,
        dimension=Dimension.COMPLETENESS,
        severity=severity,
        status=status,
        reason=f"{rule} does not hold",
        evaluated=10,
        failed=1,
        detail=detail,
        waiver_id=waiver_id,
    )
