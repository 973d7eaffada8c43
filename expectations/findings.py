"""The pass over a stream's records: all its rules at once, and the tables `findings` and `verdicts` that it leaves.

What a rule says is in the CRMs' modules, what follows from a finding in `gate` and `quarantine`.
"""

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from expectations.declared import Fact
from expectations.rule import Derived, Rule
from expectations.scratch import name, text

TABLES = """
create table findings (
    stream varchar, rule varchar, key varchar, version varchar, other_key varchar, is_latest boolean
);
create table verdicts (stream varchar, rule varchar, evaluated bigint, failed bigint, crash varchar);
"""
"""A finding is a version of a record that breaks a rule; a verdict is what a rule says of a stream as a whole."""


def judge(connection: duckdb.DuckDBPyConnection, stream: str, rules: Sequence[Rule]) -> Mapping[str, str]:
    """Note every live record that breaks a rule; returns why a rule could not be tried, by its id.

    The view `live` and whatever the rules look up must be there.
    """
    crashed = _derive(connection, rules)
    judged = [rule for rule in rules if rule.id not in crashed]
    return crashed | _find(connection, stream, judged, table="live", is_latest=True)


def judge_older(connection: duckdb.DuckDBPyConnection, stream: str, rules: Sequence[Rule], suspects: str) -> None:
    """Note every earlier version that breaks a rule, of the records whose keys the query `suspects` gives.

    What the rules derive and look up must be there.

    Raises:
        duckdb.Error: a rule cannot be tried on them.

    """
    if not rules:
        return
    connection.execute(f"""
        create or replace temp table older as
        select _file, _row
        from {name("landed_" + stream)}
        where _key in ({suspects})
            and not is_true(_deleted)
            and (_key, _version) not in (select (_key, _version) from {name("latest_" + stream)} where _key is not null)
            and _key not in (select _key from {name("latest_" + stream)} where is_deleted and _key is not null)
        qualify row_number() over (partition by _key, _version order by _commit_id desc) = 1
    """)
    connection.execute(_insert(stream, rules, table=f"({_rows_of(stream, 'older')})", is_latest=False))


def _rows_of(stream: str, places: str) -> str:
    return f"select * from {name('landed_' + stream)} where (_file, _row) in (select (_file, _row) from {places})"


def _derive(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> dict[str, str]:
    """Work out the tables that rules share; one that cannot be worked out takes its rules with it."""
    crashed: dict[str, str] = {}
    for table, readers in _readers(rules).items():
        try:
            connection.execute(f"create or replace table {name(table.name)} as {table.sql}")
        except duckdb.Error as error:
            crashed |= dict.fromkeys(readers, told(error))
    return crashed


def _readers(rules: Iterable[Rule]) -> dict[Derived, list[str]]:
    readers: dict[Derived, list[str]] = {}
    for rule in rules:
        for table in rule.derived:
            readers.setdefault(table, []).append(rule.id)
    return readers


def _find(
    connection: duckdb.DuckDBPyConnection, stream: str, rules: Sequence[Rule], *, table: str, is_latest: bool
) -> dict[str, str]:
    """Try all rules in one pass; if that fails, each alone, so that only those that crash stay untried."""
    if not rules:
        return {}
    try:
        connection.execute(_insert(stream, rules, table=table, is_latest=is_latest))
    except duckdb.Error as error:
        if len(rules) == 1:
            return {rules[0].id: told(error)}
        crashed: dict[str, str] = {}
        for rule in rules:
            crashed |= _find(connection, stream, [rule], table=table, is_latest=is_latest)
        return crashed
    return {}


def _insert(stream: str, rules: Sequence[Rule], *, table: str, is_latest: bool) -> str:
    flags = ", ".join(f"({rule.fails_when}) as broken_{place}" for place, rule in enumerate(rules))
    others = ", ".join(
        f"({rule.other_key})::varchar as other_{place}" for place, rule in enumerate(rules) if rule.other_key
    )
    found = ", ".join(
        f"case when broken_{place} then {{rule: {text(rule.id)}, other_key: "
        f"{f'other_{place}' if rule.other_key else 'null::varchar'}}} end"
        for place, rule in enumerate(rules)
    )
    broken = " or ".join(f"broken_{place}" for place in range(len(rules)))
    return f"""
        insert into findings
        select {text(stream)}, found.rule, key, version, found.other_key, {str(is_latest).lower()}
        from (
            select key, version, unnest([{found}]) as found
            from (
                select record._key as key, record._version as version, {flags}{", " + others if others else ""}
                from {table} as record
            )
            where {broken}
        )
        where found is not null
    """


def conclude(
    connection: duckdb.DuckDBPyConnection,
    stream: str,
    rules: Sequence[Rule],
    crashed: Mapping[str, str],
    facts: Sequence[Fact],
    *,
    records: int,
) -> None:
    """Write the verdict of every rule that was tried, or why it could not be, and of what is known of the whole."""
    asked = [f"({text(rule.id)}, {records}, 0, {_text_or_null(crashed.get(rule.id))})" for rule in rules]
    asked += [f"({text(fact.id)}, {fact.evaluated}, {fact.failed}, null)" for fact in facts]
    connection.execute(f"""
        insert into verdicts
        select
            {text(stream)},
            asked.rule,
            any_value(asked.evaluated),
            any_value(asked.failed) + count(findings.rule),
            any_value(asked.crash),
        from (values {", ".join(asked)}) as asked(rule, evaluated, failed, crash)
        left join findings on findings.stream = {text(stream)} and findings.rule = asked.rule
        group by asked.rule
    """)


def sample_keys(connection: duckdb.DuckDBPyConnection, stream: str, at_most: int) -> Mapping[str, tuple[str, ...]]:
    """Some failing keys of every rule, the first in order."""
    rows = connection.execute(
        f"select rule, list_sort(min(key, {at_most})) from findings where stream = ? group by rule", [stream]
    ).fetchall()
    return {rule: tuple(keys or ()) for rule, keys in rows}


def told(error: Exception) -> str:
    """Say what went wrong; the kind of error first."""
    return f"{type(error).__name__}: {error}"


def _text_or_null(value: str | None) -> str:
    return "null" if value is None else text(value)
