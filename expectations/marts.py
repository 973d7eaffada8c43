"""The gate before publishing: built marts agree with what was staged, with each other and with the last publish.

What one model promises about its own rows is a dbt test; here stands what must hold between tables, and between runs.
Almost everything is critical: a mart that is wrong is worse than yesterday's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from expectations.customers import company_name
from expectations.rule import Check, CheckResult, Dimension, GateResult, Severity, Status
from expectations.scratch import count, name, text
from expectations.suite import Outcome, validate

KEYS: Mapping[str, tuple[str, ...]] = {
    "dim_rep": ("rep_id",),
    "dim_account": ("account_id",),
    "fct_opportunity": ("opportunity_id",),
    "kpi_month": ("month", "grain", "entity_id"),
    "forecast_quarter": ("quarter", "level", "entity_id", "method"),
    "payout_ledger": ("line_id",),
    "payout_statement": ("payee_id", "month"),
}
"""Mart to the columns that identify a row."""

STAGED = (
    "stg_salesforce__opportunities",
    "stg_hubspot__deals",
    "stg_hubspot__deal_stages",
    "stg_dynamics__opportunities",
    "stg_dynamics__transactioncurrencies",
    "stg_zoho__deals",
    "stg_zoho__deal_stages",
)
SMALLEST_CLIFF = 100
"""A table that had fewer rows at the last publish may shrink as it likes."""
SAMPLE_KEYS = 20
SAME_DEAL_DAYS = 3
"""So many days apart two CRMs may close the same deal."""
SAME_DEAL_NAME = 0.9
"""How alike, from 0 to 1, the names of the same deal are in two CRMs."""
SAME_AMOUNT = 0.01
"""By what share amounts in two currencies may differ, since each CRM has its own day's rate."""


def check_marts(
    warehouse: Path,
    published: Path | None = None,
    *,
    run_id: str,
    as_of: date,
    company_currency: str,
    checked_at: datetime | None = None,
) -> GateResult:
    """Judge the marts in a DuckDB file that nobody writes to; `published` is the file that BI reads now, if any.

    `company_currency` is that of amounts of which their CRM does not say the currency.
    """
    rows, error = 0, ""
    checks: tuple[Check, ...] = ()
    try:
        with duckdb.connect(warehouse, read_only=True) as connection:
            schemas = _schemas(connection)
            checks = _checks(schemas, _last_published(published), company_currency)
            rows = count(connection, _place(schemas, "fct_opportunity")) if "fct_opportunity" in schemas else 0
    except duckdb.Error as broken:
        error = f"{type(broken).__name__}: {broken}"
    found = tuple(_result(check, outcome) for check, outcome in _outcomes(warehouse, checks))
    if error:
        found = (_could_not_open(error),)
    return GateResult(
        crm="warehouse",
        stream="marts",
        run_id=run_id,
        as_of=as_of,
        checked_at=(checked_at or datetime.now(UTC)).astimezone(UTC),
        records=rows,
        checks=_sample(warehouse, checks, found),
    )


def _outcomes(warehouse: Path, checks: Sequence[Check]) -> list[tuple[Check, Outcome]]:
    suites: dict[str, list[Check]] = {}
    for check in checks:
        suites.setdefault(check.table, []).append(check)
    validated = validate(warehouse, suites, read_only=True) if suites else {}
    return [(check, validated[check.table].outcomes[check.id]) for check in checks]


def _schemas(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Table to schema: which schema dbt built a model in is a matter of its profile."""
    found = connection.execute(
        "select table_name, min(table_schema) from information_schema.tables"
        " where table_catalog = current_database() group by table_name"
    ).fetchall()
    return {str(table): str(schema) for table, schema in found}


def _last_published(published: Path | None) -> dict[str, int]:
    """Count the rows of every table that was published last."""
    if published is None or not published.exists():
        return {}
    with duckdb.connect(published, read_only=True) as connection:
        schemas = _schemas(connection)
        return {table: count(connection, _place(schemas, table)) for table in schemas}


def _place(schemas: Mapping[str, str], table: str) -> str:
    return f"{name(schemas.get(table, 'main'))}.{name(table)}"


def _checks(schemas: Mapping[str, str], last_published: Mapping[str, int], company_currency: str) -> tuple[Check, ...]:
    checks = [check for mart, columns in KEYS.items() for check in _key_checks(mart, columns)]
    checks += [_complete(schemas), _won_amounts(schemas, company_currency), _same_in_all_crms(schemas)]
    checks += [_one_manager(schemas)]
    checks += [_kpis_add_up(schemas), _statements_add_up(schemas)]
    checks += [_within("kpi_month", rate) for rate in ("win_rate", "lead_conversion_rate")]
    checks += [
        _no_cliff(mart, rows)
        for mart, rows in sorted(last_published.items())
        if rows >= SMALLEST_CLIFF and (mart in schemas or mart in KEYS)
    ]
    return tuple(replace(check, schema=schemas.get(check.table, "main")) for check in checks)


def _key_checks(mart: str, columns: Sequence[str]) -> list[Check]:
    present = [
        Check(
            id=f"{mart}_{column}_present",
            dimension=Dimension.COMPLETENESS,
            severity=Severity.CRITICAL,
            reason=f"{mart} has a row without {column}",
            table=mart,
            expects="ExpectColumnValuesToNotBeNull",
            arguments={"column": column},
        )
        for column in columns
    ]
    is_single = len(columns) == 1
    unique = Check(
        id=f"{mart}_key_unique",
        dimension=Dimension.UNIQUENESS,
        severity=Severity.CRITICAL,
        reason=f"{mart} has two rows with the same {', '.join(columns)}",
        table=mart,
        expects="ExpectColumnValuesToBeUnique" if is_single else "ExpectCompoundColumnsToBeUnique",
        arguments={"column": columns[0]} if is_single else {"column_list": list(columns)},
    )
    return [*present, unique]


def _reconciles(id: str, table: str, reason: str, query: str) -> Check:
    return Check(
        id=id,
        dimension=Dimension.CONSISTENCY,
        severity=Severity.CRITICAL,
        reason=reason,
        table=table,
        expects="UnexpectedRowsExpectation",
        arguments={"unexpected_rows_query": query},
    )


def _staged(schemas: Mapping[str, str]) -> str:
    """Every accepted opportunity as it was staged, with its outcome as its own CRM sees it."""
    salesforce, deals, stages, dynamics, currencies, zoho, zoho_stages = (_place(schemas, table) for table in STAGED)
    return f"""
        select 'salesforce' as crm, currency_code, is_won, amount
        from {salesforce}
        union all
        select
            'hubspot' as crm,
            deals.currency_code,
            coalesce(deals.is_won, stages.is_closed and stages.win_probability = 1) as is_won,
            deals.amount,
        from {deals} as deals
        left join {stages} as stages on stages.stage_id = deals.stage_id
        where deals.deal_id not in (
            select merged_id
            from (select unnest(merged_deal_ids) as merged_id from {deals})
            where merged_id is not null
        )
        union all
        select
            'dynamics' as crm,
            coalesce(currencies.currency_code, deals.currency_id) as currency_code,
            deals.state_code = 1 as is_won,
            deals.actual_amount as amount,
        from {dynamics} as deals
        left join {currencies} as currencies on currencies.currency_id = deals.currency_id
        union all
        select
            'zoho' as crm,
            currency_code,
            stage_name in (select stage_name from {zoho_stages} where forecast_type = 'Closed Won') as is_won,
            amount,
        from {zoho}
    """


def _differing(schemas: Mapping[str, str], place: str, measure_staged: str, measure_built: str) -> str:
    return f"""
        select coalesce(staged.place, built.place) as place, staged.measure as staged, built.measure as built
        from (
            select {place} as place, {measure_staged} as measure from ({_staged(schemas)}) as rows group by all
        ) as staged
        full outer join (
            select {place} as place, {measure_built} as measure from {{batch}} as rows group by all
        ) as built on built.place = staged.place
        where staged.measure is distinct from built.measure
    """


def _complete(schemas: Mapping[str, str]) -> Check:
    return _reconciles(
        "fct_opportunity_complete",
        "fct_opportunity",
        "fct_opportunity has not as many rows as opportunities of that CRM were accepted",
        _differing(schemas, "crm", "count(*)", "count(*)"),
    )


def _won_amounts(schemas: Mapping[str, str], company_currency: str) -> Check:
    return _reconciles(
        "won_amount_reconciles",
        "fct_opportunity",
        "the won amount of that CRM and currency is not the same in fct_opportunity as in staging",
        _differing(
            schemas,
            f"crm || ' ' || coalesce(currency_code, {text(company_currency)})",
            "coalesce(sum(amount) filter (where is_won), 0)",
            "coalesce(sum(native_amount) filter (where outcome = 'won'), 0)",
        ),
    )


def _same_in_all_crms(schemas: Mapping[str, str]) -> Check:
    account, deal = company_name("account.account_name"), company_name("deal.opportunity_name")
    query = f"""
        with won as (
            select
                deal.opportunity_id,
                deal.crm,
                deal.currency_code,
                deal.native_amount,
                deal.company_amount,
                deal.closed_on,
                {account} as account,
                trim(replace({deal}, {account}, '')) as name, -- many begin with the customer's, which says nothing
            from {{batch}} as deal
            inner join {_place(schemas, "dim_account")} as account on account.account_id = deal.account_id
            where deal.outcome = 'won'
        )

        select
            one.opportunity_id || ' and ' || other.opportunity_id as deals,
            one.native_amount || ' ' || one.currency_code as amount,
            other.native_amount || ' ' || other.currency_code as other_amount,
        from won as one
        inner join won as other
            on other.account = one.account
            and other.crm > one.crm
            and abs(other.closed_on - one.closed_on) <= {SAME_DEAL_DAYS}
            and (other.name = one.name or jaro_winkler_similarity(other.name, one.name) >= {SAME_DEAL_NAME})
        where case
            when other.currency_code = one.currency_code then other.native_amount <> one.native_amount
            else abs(other.company_amount - one.company_amount)
                > {SAME_AMOUNT} * greatest(other.company_amount, one.company_amount)
        end
    """
    found = _reconciles(
        "amount_same_in_crms",
        "fct_opportunity",
        "what seems to be the same won deal has different amounts in two CRMs",
        query,
    )
    return replace(found, severity=Severity.INFO)


def _one_manager(schemas: Mapping[str, str]) -> Check:
    users = _place(schemas, "int_users")
    query = f"""
        select
            users.rep_id,
            string_agg(users.crm || ' ' || coalesce(managers.rep_id, users.manager_email), ', ' order by users.crm)
                as managers,
        from {{batch}} as rep
        inner join {users} as users on users.rep_id = rep.rep_id
        left join {users} as managers on managers.user_id = users.manager_user_id
        where users.is_active and coalesce(managers.rep_id, users.manager_email) <> users.rep_id
        group by users.rep_id
        having count(distinct coalesce(managers.rep_id, users.manager_email)) > 1
    """
    found = _reconciles("one_manager_in_crms", "dim_rep", "a rep has different managers in two CRMs", query)
    return replace(found, severity=Severity.INFO)


def _kpis_add_up(schemas: Mapping[str, str]) -> Check:
    measures = {
        # A deal without a close date belongs to no month; a won one comes as far as this by a waiver alone.
        "won_count": "count(*) filter (where outcome = 'won' and closed_on is not null)",
        "won_amount": "coalesce(sum(company_amount) filter (where outcome = 'won' and closed_on is not null), 0)",
        "lost_count": "count(*) filter (where outcome = 'lost' and closed_on is not null)",
        "created_count": "count(*) filter (where created_on is not null)",
    }
    of_deals = ", ".join(f"{sql} as {measure}" for measure, sql in measures.items())
    of_months = ", ".join(f"coalesce(sum({measure}), 0) as {measure}" for measure in measures)
    differing = " union all ".join(
        f"select '{measure}' as measure, deals.{measure}::varchar as of_deals, months.{measure}::varchar as of_months"
        f" from deals cross join months where deals.{measure} is distinct from months.{measure}"
        for measure in measures
    )
    return _reconciles(
        "kpi_month_adds_up",
        "kpi_month",
        "the company's months do not add up to the opportunities",
        f"with deals as (select {of_deals} from {_place(schemas, 'fct_opportunity')}),"
        f" months as (select {of_months} from {{batch}} as rows where grain = 'company') {differing}",
    )


def _statements_add_up(schemas: Mapping[str, str]) -> Check:
    return _reconciles(
        "payout_statement_adds_up",
        "payout_statement",
        "a statement does not say what the payee's ledger lines of the month add up to",
        f"""
        select coalesce(statement.payee_id, ledger.payee_id) as payee_id
        from {{batch}} as statement
        full outer join (
            select payee_id, period_for, sum(amount) as amount
            from {_place(schemas, "payout_ledger")}
            group by payee_id, period_for
        ) as ledger on ledger.payee_id = statement.payee_id and ledger.period_for = statement.month
        where coalesce(statement.earned_amount, 0) <> coalesce(ledger.amount, 0)
        """,
    )


def _within(mart: str, rate: str) -> Check:
    return Check(
        id=f"{mart}_{rate}_within_1",
        dimension=Dimension.VALIDITY,
        severity=Severity.CRITICAL,
        reason=f"{rate} counts more in its numerator than in its denominator",
        table=mart,
        expects="ExpectColumnPairValuesAToBeGreaterThanB",
        arguments={
            "column_A": f"{rate}_denominator",
            "column_B": f"{rate}_numerator",
            "or_equal": True,
            "ignore_row_if": "either_value_is_missing",
        },
    )


def _no_cliff(mart: str, last_rows: int) -> Check:
    return Check(
        id=f"{mart}_no_cliff",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        reason=f"{mart} has lost more than half of its {last_rows} rows since the last publish",
        table=mart,
        expects="ExpectTableRowCountToBeBetween",
        arguments={"min_value": -(-last_rows // 2)},
    )


def _result(check: Check, outcome: Outcome) -> CheckResult:
    status = Status.PASSED if outcome.passed else Status.FAILED
    return CheckResult(
        rule=check.id,
        dimension=check.dimension,
        severity=check.severity,
        status=Status.COULD_NOT_CHECK if outcome.crash else status,
        reason=check.reason,
        evaluated=1,
        failed=outcome.unexpected,
        detail=outcome.crash or "",
    )


def _could_not_open(error: str) -> CheckResult:
    return CheckResult(
        rule="marts_readable",
        dimension=Dimension.COMPLETENESS,
        severity=Severity.CRITICAL,
        status=Status.COULD_NOT_CHECK,
        reason="the warehouse, or what was published last, cannot be read",
        detail=error,
    )


def _sample(warehouse: Path, checks: Sequence[Check], found: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Name the CRMs, measures or payees on which a reconciliation failed."""
    by_id = {check.id: check for check in checks if "unexpected_rows_query" in check.arguments}
    sampled = []
    for result in found:
        if result.status is Status.FAILED and result.rule in by_id:
            check = by_id[result.rule]
            place = _place({check.table: check.schema or "main"}, check.table)
            query = check.arguments["unexpected_rows_query"].format(batch=place)
            with duckdb.connect(warehouse, read_only=True) as connection:
                rows = connection.execute(f"select * from ({query}) order by 1 limit {SAMPLE_KEYS}").fetchall()
            keys = tuple(dict.fromkeys(str(row[0]) for row in rows))
            result = replace(result, sample_keys=keys, detail="; ".join(map(_said, rows)))
        sampled.append(result)
    return tuple(sampled)


def _said(row: tuple[object, ...]) -> str:
    key, *sides = (str(value) for value in row)
    return f"{key}: {' against '.join(sides)}" if sides else key
