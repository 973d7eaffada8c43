"""The records that broke a rule, one row per record, version and rule, as dbt's staging and a steward read them.

Which rule holds a record back is decided in `gate`; nothing here leaves the landing, and nothing is ever thrown away.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import get_type_hints

import duckdb
import pyarrow.parquet as pq

from expectations.rule import CheckResult, Exemption, Worth
from expectations.scratch import name, text


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A version of a record, and a rule that it breaks or broke."""

    crm: str
    stream: str
    key: str
    version: str
    other_key: str | None
    """The other record of a pair, as of duplicates."""
    rule: str
    dimension: str
    severity: str
    reason: str
    payload: str | None
    """The record as JSON; None where it was only noted."""
    modified_at: str | None
    """The CRM's stamp of the version."""
    amount: Decimal | None
    currency_code: str | None
    outcome: str | None
    """Of a deal: open, won or lost."""
    deal_key: str | None
    """The deal that the record is or belongs to."""
    owner_key: str | None
    first_seen_run: str
    first_seen_at: str
    last_seen_run: str
    last_seen_at: str
    state: str
    """open: the latest version, held back; superseded: an older one, which stays out; waived and released: it flows
    though it breaks the rule; noted: it flows, the rule only notes; healed: no longer found."""
    waiver_id: str | None


_TYPES: Mapping[str, str] = {
    column: "decimal(18, 4)" if Decimal in getattr(kind, "__args__", ()) else "varchar"
    for column, kind in get_type_hints(Quarantined).items()
}
COLUMNS = [field.name for field in fields(Quarantined)]


def file_of(home: Path, crm: str, stream: str) -> Path:
    """Where a stream's quarantine lies."""
    return home / "quality" / "quarantine" / crm / f"{stream}.parquet"


def write_empty(home: Path, crm: str, stream: str) -> None:
    """Give a stream an empty quarantine if it has none yet, and one of an earlier form the columns it lacks."""
    path = file_of(home, crm, stream)
    if not path.exists() or pq.read_schema(path).names != COLUMNS:
        with duckdb.connect() as connection:
            _replace(connection, path, _kept(path))


def is_empty(path: Path) -> bool:
    """Whether a quarantine holds nothing."""
    return pq.read_metadata(path).num_rows == 0


def _kept(path: Path) -> str:
    """What the quarantine holds, with all columns whatever version of Attain wrote it."""
    columns = ", ".join(f"null::{kind} as {column}" for column, kind in _TYPES.items())
    empty = f"select {columns} where false"
    return f"{empty} union all by name select * from read_parquet({text(str(path))})" if path.exists() else empty


def suspects(stream: str, path: Path) -> str:
    """Query the keys of records whose earlier versions have to be judged too: staging may fall back to them.

    Those in quarantine already are judged again, so a rule that was relaxed lets them go.
    """
    return (
        f"select key from findings where stream = {text(stream)}"
        " and rule in (select id from weighed where severity = 'warning')"
        f" union select key from read_parquet({text(str(path))}) where state <> 'noted'"
    )


def weigh(
    connection: duckdb.DuckDBPyConnection, judged: Sequence[CheckResult], exemptions: Sequence[Exemption]
) -> None:
    """Create the tables `weighed` and `exemptions` by which findings become held back, waived or noted."""
    connection.execute(
        "create or replace temp table weighed (id varchar, dimension varchar, severity varchar, reason varchar);"
        " create or replace temp table exemptions"
        " (kind varchar, waiver_id varchar, rule varchar, key varchar, version varchar)"
    )
    if judged:
        rows = [(check.rule, str(check.dimension), str(check.severity), check.reason) for check in judged]
        connection.executemany("insert into weighed values (?, ?, ?, ?)", rows)
    if exemptions:
        granted = [(str(one.kind), one.waiver_id, one.rule, one.key, one.version) for one in exemptions]
        connection.executemany("insert into exemptions values (?, ?, ?, ?, ?)", granted)


def renew(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    crm: str,
    stream: str,
    columns: Sequence[str],
    worth: Worth,
    run_id: str,
    at: str,
) -> tuple[int, int]:
    """Write the stream's quarantine anew from `findings`; returns how many records are open and how many superseded.

    `weigh` has to come first, and whatever `worth` looks up must be there.
    """
    connection.execute(_found(stream))
    connection.execute(_shown(stream, columns, worth))
    _replace(connection, path, _renewed(path, crm=crm, stream=stream, run_id=run_id, at=at))
    (counted,) = connection.execute(
        "select count(distinct key) filter (state = 'open'),"
        " count(distinct (key, version)) filter (state = 'superseded') from found"
    ).fetchall()
    return int(counted[0]), int(counted[1])


def _found(stream: str) -> str:
    """The findings with what follows from them; of several exemptions a release says most."""
    return f"""
        create or replace temp table found as
        select
            findings.key,
            findings.version,
            findings.rule,
            any_value(findings.other_key) as other_key,
            case
                when any_value(weighed.severity) = 'info' then 'noted'
                when min(exempt.kind) = 'release' then 'released'
                when min(exempt.kind) = 'waiver' then 'waived'
                when bool_or(findings.is_latest) then 'open'
                else 'superseded'
            end as state,
            arg_min(exempt.waiver_id, (exempt.kind, exempt.waiver_id)) filter (
                where exempt.waiver_id is not null and weighed.severity <> 'info'
            ) as waiver_id,
        from findings
        inner join weighed on weighed.id = findings.rule
        left join exemptions as exempt
            on exempt.rule = findings.rule
            and (exempt.key is null or exempt.key = findings.key)
            and (exempt.version is null or exempt.version = findings.version)
        where findings.stream = {text(stream)} and findings.key is not null
        group by findings.key, findings.version, findings.rule
    """


def _shown(stream: str, columns: Sequence[str], worth: Worth) -> str:
    """What a steward sees of every version found, read from the landing once."""
    payload = ", ".join(f"{name(column)} := record.{name(column)}" for column in columns)
    return f"""
        create or replace temp table shown as
        select
            record._key as key,
            record._version as version,
            to_json(struct_pack({payload}))::varchar as payload,
            strftime(as_instant(record._modified_at), '%Y-%m-%dT%H:%M:%S.%g+00:00') as modified_at,
            ({worth.amount or "null"})::decimal(18, 4) as amount,
            ({worth.currency or "null"})::varchar as currency_code,
            ({worth.outcome or "null"})::varchar as outcome,
            ({worth.deal_key or "null"})::varchar as deal_key,
            ({worth.owner_key or "null"})::varchar as owner_key,
        from {name("landed_" + stream)} as record
        where (record._file, record._row) in (
            select min((_file, _row))
            from {name("landed_" + stream)}
            where (_key, _version) in (select (key, version) from found) and not is_true(_deleted)
            group by _key, _version
        )
    """


def _renewed(path: Path, *, crm: str, stream: str, run_id: str, at: str) -> str:
    return f"""
        with kept as ({_kept(path)}),

        found_now as (
            select
                {text(crm)} as crm,
                {text(stream)} as stream,
                found.key,
                found.version,
                found.other_key,
                found.rule,
                weighed.dimension,
                weighed.severity,
                weighed.reason,
                case when found.state <> 'noted' then shown.payload end as payload,
                shown.modified_at,
                shown.amount,
                shown.currency_code,
                shown.outcome,
                shown.deal_key,
                shown.owner_key,
                coalesce(kept.first_seen_run, {text(run_id)}) as first_seen_run,
                coalesce(kept.first_seen_at, {text(at)}) as first_seen_at,
                {text(run_id)} as last_seen_run,
                {text(at)} as last_seen_at,
                found.state,
                found.waiver_id,
            from found
            inner join weighed on weighed.id = found.rule
            left join shown on shown.key = found.key and shown.version = found.version
            left join kept on kept.key = found.key and kept.version = found.version and kept.rule = found.rule
        ),

        healed as (
            select * replace ('healed' as state, null as waiver_id)
            from kept
            where (key, version, rule) not in (select (key, version, rule) from found)
        )

        select {", ".join(COLUMNS)} from found_now
        union all by name
        select * from healed
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
