"""The gate on the marts: the last look before they are published.

The rules are in `expectations.marts`; this module shows their outcome in Dagster.
"""

from collections.abc import Sequence

import dagster as dg

from expectations import results
from expectations.marts import check_marts
from orchestration.checks import as_check_result
from orchestration.publish import PUBLISHED_FILE
from orchestration.queues import record, stewards_database
from orchestration.resources import Progress, Run
from orchestration.settings import Settings
from orchestration.warehouse import WAREHOUSE, Mart

SPINE = Mart("core", "fct_opportunity")
"""The mart that all others are reconciled with; the gate on all of them is shown on it."""


def marts_gate(settings: Settings, marts: Sequence[Mart]) -> dg.AssetChecksDefinition:
    """Build the one blocking check that stands between the built marts and their publication."""

    @dg.asset_check(
        name="gate",
        asset=SPINE.asset_key,
        additional_deps=[mart.asset_key for mart in marts if mart != SPINE],
        blocking=True,
        description="The marts agree with what landed, with each other and with the last publication.",
    )
    def gate_marts(run: dg.ResourceParam[Run], progress: dg.ResourceParam[Progress]) -> dg.AssetCheckResult:
        progress.stage("check marts")
        last_published = run.home / PUBLISHED_FILE
        result = check_marts(
            run.home / WAREHOUSE,
            last_published if last_published.exists() else None,
            run_id=run.run_id,
            as_of=run.as_of,
            company_currency=settings.currency,
        )
        results.save(run.home, [result])
        with stewards_database(settings) as engine:
            record(engine, settings, run, [result])
        return as_check_result(result, SPINE.asset_key)

    return gate_marts
