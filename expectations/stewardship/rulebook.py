"""Which rules were checked when, in which words: one row for every definition that a rule has had.

For the auditors; the rules that hold now are in the modules of the CRMs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from expectations.rule import Rule
from expectations.stewardship.state import writing
from expectations.stewardship.tables import is_current, rule_version

_KNOWN = ("crm", "stream", "rule", "dimension", "severity", "reason", "definition")


@dataclass(frozen=True, kw_only=True)
class RuleVersion:
    """A rule as it was checked for a while."""

    crm: str
    stream: str
    rule: str
    dimension: str
    severity: str
    reason: str
    definition: str
    first_seen_at: datetime
    replaced_at: datetime | None
    """When another definition took its place, or it was dropped; None: it holds."""


def definition_of(rule: Rule) -> str:
    """Give all that decides what a rule finds, and what finding it leads to, as text."""
    tables = [f"with {table.name} as ({table.sql})" for table in rule.derived]
    pair = [f"with record {rule.other_key}"] if rule.other_key else []
    limits = [f"unless no record of {stream} has landed" for stream in rule.needs]
    limits += [f"noted only, above a share of {rule.forgive_above:g}"] if rule.forgive_above < 1 else []
    return "\n".join([*tables, f"fails when {rule.fails_when}", *pair, *limits])


def record_rules(engine: Engine, crm: str, rules: Mapping[str, Sequence[Rule]], *, run_id: str, at: datetime) -> None:
    """Note of a CRM's rules, by stream, which are new, which have changed, and which are gone."""
    told = {(stream, rule.id): _told(crm, stream, rule) for stream, own in rules.items() for rule in own}
    digests = {name: row["definition_hash"] for name, row in told.items()}
    with writing(engine) as connection:
        known = _current(connection, crm)
        over = [number for name, (number, digest) in known.items() if digests.get(name) != digest]
        if over:
            ended = update(rule_version).where(rule_version.c.id == bindparam("number"))
            values = [{"number": number} for number in over]
            connection.execute(ended.values(replaced_at=at, replaced_run=run_id), values)
        fresh = [row for name, row in told.items() if known.get(name, (0, ""))[1] != row["definition_hash"]]
        if fresh:
            seen = {"first_seen_at": at, "first_seen_run": run_id}
            connection.execute(insert(rule_version), [{**row, **seen} for row in fresh])


def _current(connection: Connection, crm: str) -> dict[tuple[str, str], tuple[int, str]]:
    columns = [rule_version.c[name] for name in ("id", "stream", "rule", "definition_hash")]
    rows = connection.execute(select(*columns).where(is_current, rule_version.c.crm == crm))
    return {(stream, rule): (number, digest) for number, stream, rule, digest in rows}


def _told(crm: str, stream: str, rule: Rule) -> dict[str, str]:
    values = (crm, stream, rule.id, rule.dimension, rule.severity, rule.reason, definition_of(rule))
    row = dict(zip(_KNOWN, map(str, values), strict=True))
    return {**row, "definition_hash": hashlib.sha256("\0".join(row.values()).encode()).hexdigest()}


def versions_between(connection: Connection, since: datetime, until: datetime) -> list[RuleVersion]:
    """Give the rules that were new, changed or dropped from one instant to before another, by name."""
    table = rule_version.c
    began = (table.first_seen_at >= since) & (table.first_seen_at < until)
    ended = (table.replaced_at >= since) & (table.replaced_at < until)
    columns = [table[name] for name in (*_KNOWN, "first_seen_at", "replaced_at")]
    query = select(*columns).where(began | ended).order_by(table.crm, table.stream, table.rule, table.first_seen_at)
    return [RuleVersion(**row) for row in connection.execute(query).mappings()]
