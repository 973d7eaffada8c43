"""The records that are held back, one row per record, version and rule, as dbt's staging and a steward read them.

Which rule holds a record back is decided in `gate`; nothing here leaves the landing, and nothing is ever thrown away.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from expectations import scratch
from expectations.rule import Rule
from expectations.scratch import name, text


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A version of a record that one rule holds back."""

    crm: str
    stream: str
    key: str
    version: str
    rule: str
    dimension: str
    reason: str
    payload: str
    first_seen_run: str
    first_seen_at: str
    last_seen_run: str
    last_seen_at: str
    state: str
    """open: the record's latest version; superseded: a newer one has come, and this one stays out."""


COLUMNS = [field.name for field in fields(Quarantined)]


def file_of(home: Path, crm: str, stream: str) -> Path:
    """Where a stream's quarantine lies."""
    return home / "quality" / "quarantine" / crm / f"{stream}.parquet"


def write_empty(home: Path, crm: str, stream: str) -> None:
    """Give a stream an empty quarantine if it has none yet."""
    path = file_of(home, crm, stream)
    if not path.exists():
        columns = ", ".join(f"null::varchar as {column}" for column in COLUMNS)
        with duckdb.connect() as connection:
            _replace(connection, path, f"select {columns} where false")


def is_empty(path: Path) -> bool:
    """Whether a quarantine holds nothing."""
    return pq.read_metadata(path).num_rows == 0


def renew(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    crm: str,
    stream: str,
    columns: Sequence[str],
    rules: Sequence[Rule],
    failing: Collection[str],
    run_id: str,
    at: str,
) -> tuple[int, int]:
    """Judge the suspect versions and write the stream's quarantine anew; returns how many records are open, superseded.

    A bad latest version makes every older one a suspect: staging falls back to the best of them, and several may have
    landed since the last gate. Those in quarantine already are judged again, so a rule that was relaxed lets them go.
    """
    connection.execute(
        "create table findings (key varchar, version varchar, rule varchar, dimension varchar, reason varchar,"
        " payload varchar, is_latest boolean)"
    )
    for rule in rules:
        if rule.id in failing:
            _find(connection, rule, table="live", columns=columns)
    suspects = f"select key from findings union select key from read_parquet({text(str(path))})"
    if scratch.add_older(connection, stream, suspects):
        for rule in rules:
            _find(connection, rule, table="older", columns=columns)
    _replace(connection, path, _renewed(path, crm=crm, stream=stream, run_id=run_id, at=at))
    counted = connection.execute(
        "select count(distinct key) filter (is_latest), count(distinct (key, version)) filter (not is_latest)"
        " from findings"
    ).fetchone()
    return (int(counted[0]), int(counted[1])) if counted else (0, 0)


def _find(connection: duckdb.DuckDBPyConnection, rule: Rule, *, table: str, columns: Sequence[str]) -> None:
    payload = ", ".join(f"{name(column)} := record.{name(column)}" for column in columns)
    connection.execute(
        f"insert into findings select _key, _version, {text(rule.id)}, {text(rule.dimension)}, {text(rule.reason)},"
        f" to_json(struct_pack({payload})), {str(table == 'live').lower()}"
        f" from {table} as record where {rule.fails_when}"
    )


def _renewed(path: Path, *, crm: str, stream: str, run_id: str, at: str) -> str:
    return f"""
        select
            {text(crm)} as crm,
            {text(stream)} as stream,
            found.key,
            found.version,
            found.rule,
            found.dimension,
            found.reason,
            found.payload,
            coalesce(seen.first_seen_run, {text(run_id)}) as first_seen_run,
            coalesce(seen.first_seen_at, {text(at)}) as first_seen_at,
            {text(run_id)} as last_seen_run,
            {text(at)} as last_seen_at,
            case when found.is_latest then 'open' else 'superseded' end as state,
        from findings as found
        left join read_parquet({text(str(path))}) as seen using (key, version, rule)
        order by key, version, rule
    """


def _replace(connection: duckdb.DuckDBPyConnection, path: Path, query: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    connection.execute(f"copy ({query}) to {text(str(fresh))} (format parquet)")
    fresh.replace(path)


def open_quarantine(home: Path) -> tuple[Quarantined, ...]:
    """All records whose latest version is held back, the longest waiting first."""
    folder = home / "quality" / "quarantine"
    if not any(folder.glob("*/*.parquet")):
        return ()
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select {', '.join(COLUMNS)} from read_parquet({text(str(folder / '*' / '*.parquet'))})"
            " where state = 'open' order by first_seen_at, crm, stream, key, rule"
        ).fetchall()
    return tuple(Quarantined(**dict(zip(COLUMNS, row, strict=True))) for row in rows)
