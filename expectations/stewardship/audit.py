"""Why is this row in or out of the mart today: versions landed, what the gates found, waivers, and who did what.

Reads the landing, the quarantine and the stewards' database; decides nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection, Engine, select

from expectations.scratch import text
from expectations.stewardship import history
from expectations.stewardship.exemptions import Waiver, waiver_from
from expectations.stewardship.history import Entry
from expectations.stewardship.incidents import Filter, find
from expectations.stewardship.lifecycle import Incident, Queue
from expectations.stewardship.state import reading
from expectations.stewardship.tables import waiver

HOLDING_BACK = ("open", "superseded")
"""States of a finding that keep a version out of the marts."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a record, as it landed."""

    version: str
    commit_id: str
    modified_at: str | None
    """By the CRM's own stamp."""
    synced_at: str
    is_deleted: bool
    payload: str
    """JSON of the record."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rule found in one version."""

    version: str
    rule: str
    severity: str
    reason: str
    state: str
    waiver_id: str | None
    first_seen_at: str
    last_seen_at: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that is known of one record."""

    verdict: str
    """Whether it is in the marts, as which version, and why, in a sentence."""
    in_marts_as: str | None
    """The version that staging takes; None: the record is out."""
    versions: tuple[Version, ...]
    """The newest first."""
    found: tuple[Found, ...]
    incidents: tuple[Incident, ...]
    blocked_by: tuple[Incident, ...]
    """Failed checks of the stream that keep the marts as they were last published."""
    waivers: tuple[Waiver, ...]
    actions: tuple[Entry, ...]


def why(engine: Engine, home: Path, crm: str, stream: str, key: str) -> Story:
    """Tell of a record whether it flows into the marts, and all that led there.

    What is told is what the next build takes; what is published meanwhile may be older, above all when the stream is
    blocked.
    """
    versions = landed_versions(home, crm, stream, key)
    found = _found(home / "quality" / "quarantine" / crm / f"{stream}.parquet", key)
    with reading(engine) as connection:
        mine = Filter(crm=crm, stream=stream, key=key, also_resolved=True)
        incidents = tuple(sorted(find(connection, mine), key=lambda one: one.id))
        blocked = tuple(find(connection, Filter(crm=crm, stream=stream, queue=Queue.CHECKS)))
        rules = {one.rule for one in found} | {one.rule for one in incidents}
        waivers = _waivers(connection, crm, stream, key, rules)
        subjects = [*(one.incident_id for one in (*incidents, *blocked)), *(one.waiver_id for one in waivers)]
        actions = tuple(history.entries(connection, subjects))
    taken = taken_version(versions, found)
    return Story(
        verdict=_verdict(f"{crm} {stream} {key}", versions, found, taken, blocked),
        in_marts_as=taken.version if taken else None,
        versions=versions,
        found=found,
        incidents=incidents,
        blocked_by=blocked,
        waivers=waivers,
        actions=actions,
    )


def taken_version(versions: Sequence[Version], found: Sequence[Found]) -> Version | None:
    """Give the version that staging takes: the newest that no finding holds back, unless the record is deleted now."""
    if not versions or versions[0].is_deleted:
        return None
    refused = {one.version for one in found if one.state in HOLDING_BACK}
    return next((one for one in versions if not one.is_deleted and one.version not in refused), None)


def _verdict(
    name: str, versions: Sequence[Version], found: Sequence[Found], taken: Version | None, blocked: Sequence[Incident]
) -> str:
    if not versions:
        return f"{name} is out: it has never landed."
    latest = versions[0]
    if latest.is_deleted:
        return f"{name} is out: the CRM deleted it, which landed at {latest.synced_at}."
    rules = sorted({one.rule for one in found if one.version == latest.version and one.state in HOLDING_BACK})
    held = f"its latest version {latest.version} is held back by {', '.join(rules)}"
    if taken is None:
        return f"{name} is out: {held}, and it has no earlier version that is good."
    if taken is not latest:
        return f"{name} is in as its earlier version {taken.version}: {held}."
    passed = sorted({one.waiver_id for one in found if one.version == taken.version and one.waiver_id})
    by = f", let pass by {', '.join(passed)}" if passed else ""
    late = f" once {', '.join(one.incident_id for one in blocked)} no longer blocks the night" if blocked else ""
    return f"{name} is in as its latest version {taken.version}{by}{late}."


def landed_versions(home: Path, crm: str, stream: str, key: str) -> tuple[Version, ...]:
    """Give every version of a record that has landed, the newest first."""
    folder = home / "landing" / crm / stream
    commits = [path.stem for path in (folder / "manifests").glob("*.json")]
    if not commits:
        return ()
    query = (
        f"select * from read_parquet({text(str(folder / '**' / '*.parquet'))},"
        " union_by_name = true, hive_partitioning = false)"
        " where _key = $key and _commit_id in (select unnest($commits))"
        " order by _commit_id desc, _deleted desc, _modified_at desc nulls last, _version"
    )
    with duckdb.connect() as db:
        result = db.execute(query, {"key": key, "commits": commits})
        names = [column[0] for column in result.description or ()]
        return tuple(_version(dict(zip(names, row, strict=True))) for row in result.fetchall())


def _version(row: dict[str, Any]) -> Version:
    own = {name: value for name, value in row.items() if not name.startswith("_") and value is not None}
    return Version(
        version=row["_version"],
        commit_id=row["_commit_id"],
        modified_at=row["_modified_at"],
        synced_at=row["_synced_at"],
        is_deleted=row["_deleted"] == "true",
        payload=json.dumps(own, ensure_ascii=False),
    )


def _found(path: Path, key: str) -> tuple[Found, ...]:
    if not path.exists():
        return ()
    names = [field.name for field in fields(Found)]
    query = f"select {', '.join(names)} from read_parquet($path) where key = $key order by first_seen_at, rule, version"
    with duckdb.connect() as db:
        rows = db.execute(query, {"path": str(path), "key": key}).fetchall()
    return tuple(Found(**dict(zip(names, row, strict=True))) for row in rows)


def _waivers(connection: Connection, crm: str, stream: str, key: str, rules: set[str]) -> tuple[Waiver, ...]:
    """Give the waivers and releases of the record, and those of all records under a rule that found it wrong."""
    table = waiver.c
    covers = (table.key == key) | (table.key.is_(None) & table.rule.in_(rules))
    query = select(waiver).where(table.crm == crm, table.stream == stream, covers).order_by(table.id)
    return tuple(waiver_from(row) for row in connection.execute(query).mappings())
