"""What the gates find in a company that is dirty on purpose, against what was planted, by rule and CRM.

Shared by the test and the benchmark of the gates' precision and recall; the sandbox is pulled as any CRM is.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from connectors.landing import StreamLanding
from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.server import Server, running
from connectors.sandbox.simulation import DirtyRecord, Simulation, dirty_records
from connectors.sync import Mode, pull
from expectations.declared import SourceReport
from expectations.gate import check_crm
from expectations.rule import GateResult
from orchestration.settings import STREAMS, Settings, read_settings

DAY = timedelta(days=1)
MONDAY = datetime(2026, 8, 17, 4, 7, tzinfo=UTC)
FX_RATES = Path(__file__).parents[1] / "dbt_project" / "seeds" / "fx_rates.csv"

ACROSS_CRMS = frozenset({"amount_differs_between_crms", "manager_overlap"})
"""Kinds of which no CRM alone can know."""
NOT_READ = frozenset({("dynamics", "splits_not_100")})
"""Dataverse has no table for splits; the sandbox's company made one of its own, which no connector reads by default."""
IMPLIED = "refers_"
"""The rules on references tell of orphans a second time, and of no others: they follow from declarations."""
STATISTICAL = frozenset({"amount_plausible", "no_duplicate", "no_open_duplicate", "not_stale"})

Place = tuple[str, str, str]
"""CRM, stream and rule."""


@dataclass(frozen=True)
class Score:
    """How one rule did on one stream of one CRM."""

    crm: str
    stream: str
    rule: str
    planted: frozenset[str]
    found: frozenset[str]

    @property
    def missed(self) -> frozenset[str]:
        return self.planted - self.found

    @property
    def invented(self) -> frozenset[str]:
        return self.found - self.planted


def serve_and_gate(simulation: Simulation, crms: Sequence[str], home: Path) -> dict[str, list[GateResult]]:
    """Serve a company's CRMs, pull them into a landing and run their gates."""
    with running(simulation, crms, clock=SimulatedClock(MONDAY)) as server:
        return pull_and_gate(server, crms, home, MONDAY)


def pull_and_gate(server: Server, crms: Sequence[str], home: Path, at: datetime) -> dict[str, list[GateResult]]:
    """Pull CRMs that are being served into a landing and run their gates; nothing is made of it."""
    settings = read_settings({**server.environment(), "ATTAIN_HOME": str(home)})
    with ThreadPoolExecutor(len(crms)) as pool:
        list(pool.map(lambda crm: _pull(settings, crm, home), crms))
    return {crm: _gate(home, crm, at) for crm in crms}


def _pull(settings: Settings, crm: str, home: Path) -> None:
    source = settings.connect(crm)
    for stream in settings.streams[crm]:
        pull(source, stream, home=home, run_id="pull", mode=Mode(whole_every=settings.whole_every))


def _gate(home: Path, crm: str, at: datetime) -> list[GateResult]:
    reports = {stream.name: _report(StreamLanding(home, crm, stream)) for stream in STREAMS[crm]}
    return list(
        check_crm(
            home,
            crm,
            STREAMS[crm],
            reports,
            run_id="gate",
            as_of=at.date(),
            checked_at=at,
            exemptions=(),
            fx_rates=FX_RATES,
        )
    )


def _report(landing: StreamLanding) -> SourceReport:
    manifest = landing.last_manifest()
    return SourceReport(missing_fields=manifest.missing_fields) if manifest else SourceReport()


def found(home: Path, crm: str) -> dict[Place, frozenset[str]]:
    """The keys of the records that break each rule, whether they are held back or only noted."""
    keys: dict[Place, set[str]] = defaultdict(set)
    with duckdb.connect() as connection:
        files = str(home / "quality" / "quarantine" / crm / "*.parquet")
        query = "select stream, rule, key from read_parquet(?) where state in ('open', 'noted')"
        for stream, rule, key in connection.execute(query, [files]).fetchall():
            keys[crm, stream, rule].add(key)
    return {place: frozenset(those) for place, those in keys.items()}


def scores(simulation: Simulation, crms: Collection[str], home: Path) -> list[Score]:
    """Every rule that found something or should have."""
    rows = [row for row in dirty_records(simulation, MONDAY) if row.crm in crms]
    planted = _planted(rows, home)
    seen = {place: keys for crm in crms for place, keys in found(home, crm).items()}
    late = _late_changes(rows)
    return [
        Score(*place, planted.get(place, frozenset()), seen.get(place, frozenset()) - late.get(place, frozenset()))
        for place in sorted({*planted, *seen})
        if not place[2].startswith(IMPLIED)
    ]


def _planted(rows: Collection[DirtyRecord], home: Path) -> dict[Place, frozenset[str]]:
    planted: dict[Place, set[str]] = defaultdict(set)
    for row in rows:
        is_told = row.kind not in ACROSS_CRMS and (row.crm, row.kind) not in NOT_READ
        if row.is_spoilt and is_told and not _is_alone(row, home):
            stream, key = _place_of_quota(row, home) if row.kind == "quota_missing" else (row.stream, row.record_key)
            planted[row.crm, stream, rule_of(row)].add(key)
    return {place: frozenset(keys) for place, keys in planted.items()}


def rule_of(row: DirtyRecord) -> str:
    """The rule that is to tell of it: an impossible close date has a rule of its own."""
    if row.kind not in ("closed_off_stage_change", "closed_in_future") or not row.spoilt_values or not row.good_record:
        return row.rule
    closed_on = date.fromisoformat(json.loads(row.spoilt_values)["close_date"])
    created_at = datetime.fromisoformat(json.loads(row.good_record)["created_at"])
    if closed_on < created_at.date() - DAY:
        return "closed_after_created"
    # the landing is stamped with the day on which the test runs, whatever day it is in the sandbox
    return "closed_not_in_future" if closed_on > datetime.now(UTC).date() + DAY else "close_date_near_stage_change"


def _is_alone(row: DirtyRecord, home: Path) -> bool:
    """Whether what it doubles was deleted since, so that it doubles nothing any more."""
    if not row.kind.startswith("duplicate_"):
        return False
    return row.other_key not in _live(home, row.crm, row.stream)


def _live(home: Path, crm: str, stream: str) -> frozenset[str]:
    files = home / "landing" / crm / stream / "run=*" / "*.parquet"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select _key from read_parquet('{files}') group by _key having not bool_or(_deleted = 'true')"
        ).fetchall()
    return frozenset(key for (key,) in rows)


OWNERS: Mapping[str, tuple[str, str, str]] = {
    "salesforce": ("users", "Email", "Id"),
    "hubspot": ("owners", "email", "id"),
    "dynamics": ("systemusers", "internalemailaddress", "systemuserid"),
    "zoho": ("users", "email", "id"),
}


def _place_of_quota(row: DirtyRecord, home: Path) -> tuple[str, str]:
    """A quota that is not there is told of the person who ought to have it."""
    stream, email, key = OWNERS[row.crm]
    files = home / "landing" / row.crm / stream / "run=*" / "*.parquet"
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {key} from read_parquet('{files}') where {email} = ?", [row.key.split(":")[2]]
        ).fetchone()
    assert found, row
    return stream, found[0]


def _late_changes(rows: Collection[DirtyRecord]) -> dict[Place, frozenset[str]]:
    """A closed deal that somebody put right after its month was paid is a late change as well."""
    late: dict[Place, set[str]] = defaultdict(set)
    for row in rows:
        if row.record == "opportunity" and row.healed_at and row.healed_at <= MONDAY:
            late[row.crm, row.stream, "unchanged_after_pay_period"].add(row.record_key)
    return {place: frozenset(keys) for place, keys in late.items()}


def table(scored: Collection[Score]) -> Iterator[str]:
    """The scores of each rule over all CRMs, as lines of Markdown."""
    yield "| rule | planted | found | precision | recall |"
    yield "|---|---|---|---|---|"
    for rule in sorted({score.rule for score in scored}):
        of_rule = [score for score in scored if score.rule == rule]
        planted, hits = sum(len(score.planted) for score in of_rule), _hits(of_rule)
        seen = sum(len(score.found) for score in of_rule)
        yield f"| `{rule}` | {planted} | {seen} | {_share(hits, seen)} | {_share(hits, planted)} |"


def precision(scored: Collection[Score]) -> float:
    """The share of what was found that had been planted."""
    return _ratio(_hits(scored), sum(len(score.found) for score in scored))


def recall(scored: Collection[Score]) -> float:
    """The share of what was planted that was found."""
    return _ratio(_hits(scored), sum(len(score.planted) for score in scored))


def _hits(scored: Collection[Score]) -> int:
    return sum(len(score.planted & score.found) for score in scored)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
