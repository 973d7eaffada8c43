"""The tables of the stewards' database, as data that SQLAlchemy creates on SQLite and on PostgreSQL alike.

Columns, indexes and guards only; what is written into them is for the modules beside it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.types import TypeEngine

VERSION = 1
"""Of the tables. A database with another one is refused."""

_UNITS = 10_000
"""How many of SQLite's whole numbers make one unit of money: it has no exact decimals."""


class Instant(TypeDecorator[datetime]):
    """A moment, kept as UTC without a zone; a moment without a zone is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the database UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        return value.replace(tzinfo=UTC) if value else None


class Money(TypeDecorator[Decimal]):
    """A DECIMAL(18, 4), exact on both engines and sorted by value."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Keep whole ten-thousandths where the engine would round to a binary float."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else Numeric(18, 4))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | int | None:
        """Give the database what it keeps."""
        return int((value * _UNITS).to_integral_value()) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Give back the decimal."""
        return Decimal(value).scaleb(-4) if value is not None and dialect.name == "sqlite" else value


metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))
"""One row. Whoever writes locks it first, so that there is one writer at a time on PostgreSQL as there is on SQLite."""

incident = Table(
    "incident",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("crm", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("key", Text),
    Column("other_key", Text),
    Column("version", Text),
    Column("identity", Text, nullable=False, comment="the record, or both records of a pair; empty for a check"),
    Column("rule", Text, nullable=False),
    Column("dimension", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("is_crash", Boolean, nullable=False, comment="the check could not run: nobody can waive that"),
    Column("state", Text, nullable=False),
    Column("resolution", Text),
    Column("comment", Text),
    Column("assignee", Text),
    Column("occurred_at", Instant),
    Column("opened_at", Instant, nullable=False),
    Column("opened_run", Text, nullable=False),
    Column("acknowledged_at", Instant),
    Column("assigned_at", Instant),
    Column("resolved_at", Instant),
    Column("due_at", Instant),
    Column("last_seen_at", Instant, nullable=False),
    Column("last_seen_run", Text, nullable=False),
    Column("amount_at_risk", Money),
    Column("pipeline_at_risk", Money),
    Column("payout_at_risk", Money),
    Column("waiver_id", Text),
    sqlite_autoincrement=True,
)
is_open = incident.c.state != literal_column("'resolved'")  # spelled out, or SQLite would not use the index below
Index(
    "incident_open",
    incident.c.queue,
    incident.c.crm,
    incident.c.stream,
    incident.c.rule,
    incident.c.identity,
    unique=True,
    sqlite_where=is_open,
    postgresql_where=is_open,
)
Index("incident_record", incident.c.crm, incident.c.stream, incident.c.key)

waiver = Table(
    "waiver",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("crm", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("key", Text),
    Column("version", Text),
    Column("reason", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Instant),
    Column("expires_on", Date),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("state", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("waiver_state", waiver.c.crm, waiver.c.state)

action = Table(
    "action",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("comment", Text),
    Column("run_id", Text),
    sqlite_autoincrement=True,
)
Index("action_subject", action.c.subject)

rule_version = Table(
    "rule_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("crm", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("dimension", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("definition_hash", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("first_seen_run", Text, nullable=False),
    Column("replaced_at", Instant),
    Column("replaced_run", Text),
    sqlite_autoincrement=True,
)
is_current = rule_version.c.replaced_at.is_(None)
Index(
    "rule_version_current",
    rule_version.c.crm,
    rule_version.c.stream,
    rule_version.c.rule,
    unique=True,
    sqlite_where=is_current,
    postgresql_where=is_current,
)

alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sent_at", Instant, nullable=False),
    UniqueConstraint("channel", "kind", "subject"),
    sqlite_autoincrement=True,
)

FORBIDDEN = {
    "action": ("update", "delete"),
    "incident": ("delete",),
    "waiver": ("delete",),
    "rule_version": ("delete",),
}
"""What the database itself refuses to do to a table, whoever asks: the history is append-only, and nothing is lost."""

_SQLITE_GUARD = """
create trigger {table}_no_{verb} before {verb} on {table}
begin select raise(abort, '{table}: rows are kept as they were written, {verb} is refused'); end
"""
_SQLITE_REPLACE_GUARD = """
create trigger {table}_no_replace before insert on {table} when exists (select 1 from {table} where id = new.id)
begin select raise(abort, '{table}: rows are kept as they were written, replace is refused'); end
"""  # "insert or replace" would delete past the other guards
_POSTGRESQL_REFUSAL = """
create function refuse_change() returns trigger language plpgsql as $$ begin
raise exception using
message = tg_table_name || ': rows are kept as they were written, ' || lower(tg_op) || ' is refused';
end $$
"""
_POSTGRESQL_GUARD = """
create trigger {table}_no_{verb} before {verb} on {table} for each statement execute function refuse_change()
"""


def guards(dialect: str) -> Iterator[str]:
    """Give the statements that make an engine refuse what is forbidden."""
    if dialect == "postgresql":
        yield _POSTGRESQL_REFUSAL
    for table, verbs in FORBIDDEN.items():
        if dialect == "postgresql":
            yield from (_POSTGRESQL_GUARD.format(table=table, verb=verb) for verb in (*verbs, "truncate"))
        else:
            yield _SQLITE_REPLACE_GUARD.format(table=table)
            yield from (_SQLITE_GUARD.format(table=table, verb=verb) for verb in verbs)
