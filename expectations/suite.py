"""Runs checks through Great Expectations and says of each what came of it.

Great Expectations is imported only once a check is to run: the import takes seconds. What a failure leads to is for
the gates.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from expectations import dialect
from expectations.rule import VERDICT, Check
from expectations.scratch import MEMORY_LIMIT

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
    evaluated: int = 0
    """Rows that were looked at, where the expectation says so."""
    observed: Any = None
    crash: str | None = None
    """Why the check could not run. Then `passed` is False and means nothing."""


@dataclass(frozen=True)
class Validated:
    """What Great Expectations says about the checks on one table."""

    outcomes: Mapping[str, Outcome]
    """An outcome for every check, by its id."""
    document: Mapping[str, Any] | None = None
    """Its own result in full, as JSON, from which Data Docs are made; None where nothing failed."""


def validate(
    database: Path, suites: Mapping[str, Sequence[Check]], *, read_only: bool = False
) -> Mapping[str, Validated]:
    """Check tables of a DuckDB file, by one suite for each table; the answer has every suite, by its name."""
    if not suites:
        return {}
    found: Mapping[str, Validated] = {}
    crash: Exception = RuntimeError("Great Expectations gave no result")
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where warnings are errors, a library's would read as a check that crashed
        try:
            found = _validate(database, suites, read_only)
        except Exception as error:  # Whatever went wrong, nothing may count as checked.
            crash = error
    return {suite: _complete(found.get(suite), checks, crash) for suite, checks in suites.items()}


def _complete(validated: Validated | None, checks: Sequence[Check], crash: Exception) -> Validated:
    known = validated.outcomes if validated else {}
    outcomes = {check.id: known.get(check.id, _crashed(crash)) for check in checks}
    return Validated(outcomes, validated.document if validated else None)


def _validate(database: Path, suites: Mapping[str, Sequence[Check]], read_only: bool) -> dict[str, Validated]:
    context = _quiet_context()
    # The path stays out of the address, where a % or # in the name of a folder would mean something else.
    place = {"database": str(database), "read_only": read_only, "config": {"memory_limit": MEMORY_LIMIT}}
    options: dict[str, Any] = {"kwargs": {"connect_args": place}}
    source = context.data_sources.add_sql(name="attain", connection_string="duckdb+buffered:///file", **options)
    try:
        return {name: _validate_table(source, name, checks) for name, checks in suites.items() if checks}
    finally:
        # Each of the two keeps connections of its own, and an open one would bar the file to every other.
        source.get_engine().dispose()
        source.get_execution_engine().engine.dispose()


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


def _validate_table(source: "SQLDatasource", name: str, checks: Sequence[Check]) -> Validated:
    from great_expectations import ExpectationSuite

    schema, table = checks[0].schema, checks[0].table
    try:
        asset = source.add_table_asset(name=name, table_name=table, schema_name=schema)
        suite = ExpectationSuite(name=name, expectations=[_expectation(check) for check in checks])
        batch = asset.get_batch(asset.build_batch_request())
        validated = batch.validate(suite, result_format="BASIC")
    except Exception as error:  # A table that cannot be looked at leaves the checks on other tables standing.
        return Validated({check.id: _crashed(error) for check in checks})
    outcomes = dict(map(_outcome, validated.results))
    if validated.success:
        return Validated(outcomes)
    return Validated(outcomes, validated.to_json_dict())  # type: ignore[no-untyped-call]


def _expectation(check: Check) -> "Expectation":
    import great_expectations.expectations as library

    from expectations import verdicts

    kind = getattr(verdicts if check.expects == VERDICT else library, check.expects)
    expectation: Expectation = kind(
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
    evaluated = int(result.result.get("element_count") or 0)
    if result.success:
        return rule, Outcome(passed=True, evaluated=evaluated, observed=seen)
    unexpected = seen if asked.type == "unexpected_rows_expectation" else result.result.get("unexpected_count")
    failed = 1 if unexpected is None else int(unexpected)
    return rule, Outcome(passed=False, unexpected=failed, evaluated=evaluated, observed=seen)


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
