"""Runs checks through Great Expectations and says of each what came of it.

The only module that imports Great Expectations, and only once a check is to run: the import takes seconds. What a
failure leads to is for the gates.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from expectations import dialect
from expectations.rule import Check

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext
    from great_expectations.datasource.fluent.sql_datasource import SQLDatasource
    from great_expectations.expectations.expectation import Expectation

_ONE_AT_A_TIME = Lock()
"""Great Expectations keeps its current context in a global."""


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations says about one check."""

    passed: bool
    unexpected: int = 0
    """Rows that failed; 1 for a check on a table as a whole."""
    observed: Any = None
    crash: str | None = None
    """Why the check could not run. Then `passed` is False and means nothing."""


def validate(database: Path, checks: Sequence[Check], *, read_only: bool = False) -> dict[str, Outcome]:
    """Check the tables of a DuckDB file; the answer has an outcome for every check, by its id."""
    outcomes: dict[str, Outcome] = {}
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where warnings are errors, a library's would read as a check that crashed
        try:
            outcomes = _validate(database, checks, read_only)
        except Exception as error:  # Whatever went wrong, nothing may count as checked.
            outcomes = {check.id: _crashed(error) for check in checks}
    not_answered = Outcome(passed=False, crash="Great Expectations gave no result")
    return {check.id: outcomes.get(check.id, not_answered) for check in checks}


def _validate(database: Path, checks: Sequence[Check], read_only: bool) -> dict[str, Outcome]:
    context = _quiet_context()
    # The path stays out of the address, where a % or # in the name of a folder would mean something else.
    options: dict[str, Any] = {"kwargs": {"connect_args": {"database": str(database), "read_only": read_only}}}
    source = context.data_sources.add_sql(name="attain", connection_string="duckdb+buffered:///file", **options)
    outcomes: dict[str, Outcome] = {}
    try:
        for (schema, table), group in groupby(sorted(checks, key=_place), key=_place):
            outcomes |= _validate_table(source, schema or None, table, tuple(group))
    finally:
        # Each of the two keeps connections of its own, and an open one would bar the file to every other.
        source.get_engine().dispose()
        source.get_execution_engine().engine.dispose()
    return outcomes


def _place(check: Check) -> tuple[str, str]:
    return check.schema or "", check.table


def _quiet_context() -> "EphemeralDataContext":
    """A context that lives in memory: no files, no progress bars, nothing sent to anyone."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    dialect.register()
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return great_expectations.get_context(mode="ephemeral", project_config=config)


def _validate_table(
    source: "SQLDatasource", schema: str | None, table: str, checks: Sequence[Check]
) -> dict[str, Outcome]:
    from great_expectations import ExpectationSuite

    try:
        asset = source.add_table_asset(name=f"{schema}.{table}", table_name=table, schema_name=schema)
        suite = ExpectationSuite(name=asset.name, expectations=[_expectation(check) for check in checks])
        batch = asset.add_batch_definition_whole_table("whole").get_batch()
        validated = batch.validate(suite, result_format="BASIC")
    except Exception as error:  # A table that cannot be looked at leaves the checks on other tables standing.
        return {check.id: _crashed(error) for check in checks}
    return dict(_outcome(result) for result in validated.results)


def _expectation(check: Check) -> "Expectation":
    import great_expectations.expectations as library

    expectation: Expectation = getattr(library, check.expects)(
        **check.arguments,
        severity=check.severity.value,
        description=check.reason,
        meta={"rule": check.id, "dimension": check.dimension.value},
    )
    return expectation


def _crashed(error: Exception) -> Outcome:
    return Outcome(passed=False, crash=f"{type(error).__name__}: {error}")


def _outcome(result: "ExpectationValidationResult") -> tuple[str, Outcome]:
    asked: Any = result.expectation_config
    rule = str(asked.meta["rule"])
    crash = crash_in(result.exception_info or {})
    if crash:
        return rule, Outcome(passed=False, crash=crash)
    seen = result.result.get("observed_value")
    if result.success:
        return rule, Outcome(passed=True, observed=seen)
    unexpected = seen if asked.type == "unexpected_rows_expectation" else result.result.get("unexpected_count")
    return rule, Outcome(passed=False, unexpected=1 if unexpected is None else int(unexpected), observed=seen)


def crash_in(exception_info: Mapping[str, Any]) -> str | None:
    """Say why an expectation crashed, None if it did not: the facts come flat, or once more keyed by metric."""
    if "raised_exception" in exception_info:
        if not exception_info["raised_exception"]:
            return None
        return str(exception_info.get("exception_message") or "crashed without a message")
    for nested in exception_info.values():
        crash = crash_in(nested) if isinstance(nested, Mapping) else str(nested)
        if crash:
            return crash
    return None
