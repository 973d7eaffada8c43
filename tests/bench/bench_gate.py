"""What the gate on a stream of 1,000,000 records takes, against the same predicates in one query written by hand.

Run it with `make bench`. It measures and prints, and asserts nothing but that both see the same records.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import duckdb
from measure import measured
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.landing import StreamLanding
from expectations import scratch
from expectations.gate import check_crm, rules_of
from expectations.rule import Status
from orchestration.settings import STREAMS
from orchestration.warehouse import FX_RATES

RECORDS = 1_000_000
NIGHTS = 30
CHANGED = 3_500
"""Records that a night brings anew."""
AS_OF = date(2026, 8, 14)
OPPORTUNITIES = next(stream for stream in STREAMS["salesforce"] if stream.name == "opportunities")

VALUES = {
    "Id": "'006' || lpad(n::varchar, 12, '0')",
    "Name": "'Deal ' || n",
    "AccountId": "'001' || lpad((n % 100000)::varchar, 12, '0')",
    "OwnerId": "'005' || lpad((n % 400)::varchar, 12, '0')",
    "StageName": "['Closed Won', 'Closed Lost', 'Prospecting', 'Negotiation'][1 + n % 4]",
    "CurrencyIsoCode": "['USD', 'EUR', 'GBP'][1 + n % 3]",
    "Amount": "case when n % 997 <> 0 then (n * 7919 + n // 100000 * 13) % 100000 || '.' || night end",
    "Probability": "[100, 0, 10, 60][1 + n % 4]::varchar",
    "CloseDate": "strftime(date '2024-01-01' + (n % 900)::integer, '%Y-%m-%d')",
    "IsClosed": "(n % 4 < 2)::varchar",
    "IsWon": "(n % 4 = 0)::varchar",
    "CreatedDate": "strftime(timestamp '2023-06-01' + interval (n % 900) day, '%Y-%m-%dT%H:%M:%S.000+0000')",
    "SystemModstamp": "strftime(timestamp '2026-07-01' + interval (night) day, '%Y-%m-%dT%H:%M:%S.000+0000')",
}
"""Made-up deals, as SQL on the number `n` of a record and that of a night."""


def land(home: Path) -> None:
    """Land a first night with every record and more nights with some, as the landing writer lays them out."""
    for stream in STREAMS["salesforce"]:
        StreamLanding(home, "salesforce", stream).declare()
    folder = home / "landing" / "salesforce" / OPPORTUNITIES.name
    (folder / "manifests").mkdir()
    columns = ", ".join(f'{VALUES.get(name, "null::varchar")} as "{name}"' for name in OPPORTUNITIES.columns)
    content = ", ".join(f'"{name}"' for name in OPPORTUNITIES.columns)
    with duckdb.connect() as connection:
        for night in range(NIGHTS + 1):
            run_id, step = f"night{night}", 1 if night == 0 else RECORDS // CHANGED
            commit_id = f"{night + 1:08d}-{run_id}"
            (folder / f"run={run_id}").mkdir()
            connection.execute(f"""
                copy (
                    select *, Id as _key, md5(concat_ws('|', {content})) as _version, SystemModstamp as _modified_at,
                        'false' as _deleted, '{commit_id}' as _commit_id, '2026-08-14T02:00:00+00:00' as _synced_at
                    from (select {columns} from (select n, {night} as night from range(0, {RECORDS}, {step}) as t(n)))
                ) to '{folder}/run={run_id}/{commit_id}-0.parquet' (format parquet, row_group_size 20000)
            """)
            (folder / "manifests" / f"{commit_id}.json").write_text(json.dumps({"commit_id": commit_id}))


@dataclass(frozen=True)
class Looked:
    """How many records break each rule, and how long it took to know."""

    failed: Mapping[str, int]
    seconds: float


def gate(home: str) -> Looked:
    """Run the gate; importing Great Expectations is not counted."""
    import expectations.verdicts  # noqa: F401

    began = monotonic()
    (result,) = check_crm(Path(home), "salesforce", [OPPORTUNITIES], {}, run_id="bench", as_of=AS_OF, fx_rates=FX_RATES)
    seconds = monotonic() - began
    assert result.records == RECORDS, result
    rules = {rule.id for rule in rules_of("salesforce", OPPORTUNITIES)}
    tried = [check for check in result.checks if check.rule in rules and check.status is not Status.SKIPPED]
    return Looked({check.rule: check.failed for check in tried}, seconds)


def by_hand(home: str, tried: Collection[str]) -> Looked:
    """Ask the same in one query: the latest version of each record, and of these how many break which rule."""
    landing = Path(home) / "landing" / "salesforce"
    rules = [rule for rule in rules_of("salesforce", OPPORTUNITIES) if rule.id in tried]
    derived = dict.fromkeys(table for rule in rules for table in rule.derived)
    tables = "".join(f", {table.name} as ({table.sql})" for table in derived)
    flags = ", ".join(f"({rule.fails_when}) as broken_{place}" for place, rule in enumerate(rules))
    counts = ", ".join(f"count(*) filter (where broken_{place})" for place in range(len(rules)))
    query = f"""
        with live as (
            select *
            from landed_opportunities
            qualify row_number() over (
                partition by _key
                order by _commit_id desc, _deleted desc, _modified_at desc nulls last, _version
            ) = 1
        ){tables}
        select {counts} from (select {flags} from live as record)
    """
    with scratch.connect(Path(home) / "by_hand.duckdb") as connection:
        scratch.prepare(connection, AS_OF, FX_RATES)
        connection.execute(
            "create view landed_opportunities as"
            f" from read_parquet('{landing}/opportunities/**/*.parquet', union_by_name = true)"
        )
        for stream in STREAMS["salesforce"]:
            if stream.name != OPPORTUNITIES.name:
                connection.execute(
                    f"create view {stream.name} as from read_parquet('{landing}/{stream.name}/*.parquet')"
                )
        began = monotonic()
        (found,) = connection.execute(query).fetchall()
        return Looked(dict(zip((rule.id for rule in rules), found, strict=True)), monotonic() - began)


def bench(home: Path) -> Table:
    """The gate beside the query."""
    land(home)
    whole = measured(gate, str(home))
    query = measured(by_hand, str(home), list(whole.result.failed))
    assert whole.result.failed == query.result.failed, (whole.result, query.result)
    rules, failed = len(query.result.failed), sum(query.result.failed.values())
    table = Table(f"{RECORDS:,} records, {rules} rules", "seconds", "peak MiB", "", box=box.SIMPLE_HEAD)
    ratio = whole.result.seconds / query.result.seconds
    told = f"{ratio:.2f} × the query; {failed:,} findings"
    table.add_row("gate", f"{whole.result.seconds:.1f}", f"{whole.mebibytes:,}", told)
    table.add_row("one query by hand", f"{query.result.seconds:.1f}", f"{query.mebibytes:,}", "")
    return table


def main() -> None:
    """Print the table."""
    with TemporaryDirectory() as folder:
        Console().print(bench(Path(folder)))


if __name__ == "__main__":
    main()
