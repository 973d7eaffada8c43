"""Great Expectations' own view of the table `verdicts`: a metric that reads it, and the expectation that judges by it.

Importing this module imports Great Expectations, which takes seconds: only `suite` does, once a check is to run.
"""

from typing import Any

import sqlalchemy as sa
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

METRIC = "table.verdicts"

_READ = sa.text("select rule, evaluated, failed, crash from verdicts where stream = :stream")


class Verdicts(TableMetricProvider):
    """What one pass found of all rules of a stream, read once however many expectations ask for it."""

    metric_name = METRIC
    value_keys = ("stream",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805  # the decorator makes it a class method
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, tuple[int, int, str | None]]:
        found = execution_engine.execute_query(_READ.bindparams(stream=metric_value_kwargs["stream"]))
        return {rule: (evaluated, failed, crash) for rule, evaluated, failed, crash in found}


class ExpectRuleToHold(BatchExpectation):
    """Expect that no record of a stream breaks a rule, or that what the rule says of the whole stream is so."""

    stream: str
    rule: str

    metric_dependencies = (METRIC,)
    success_keys = ("stream", "rule")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        evaluated, failed, crash = metrics[METRIC][self.rule]
        if crash is not None:
            raise RuntimeError(crash)
        return {
            "success": failed == 0,
            "result": {"observed_value": failed, "element_count": evaluated, "unexpected_count": failed},
        }
