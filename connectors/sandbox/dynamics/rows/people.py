"""The company as rows: its units and currencies, the people and teams, their territories, quotas and trainings.

Customers and what is sold to them are elsewhere.
"""

from decimal import Decimal
from typing import Any

from connectors.sandbox.company import Quota, Rep, Territory, Training
from connectors.sandbox.dynamics.rows.shape import Rows, Shape, currency, optional_id, stamps
from connectors.sandbox.dynamics.tables import record_id


def foundation(shape: Shape) -> Rows:
    """What is there before any record: the company's unit, its currencies, the stages of its process."""
    yield "businessunit", _unit(shape, shape.world.name)
    for code, rate in shape.world.rates.items():
        yield "transactioncurrency", known_currency(shape, code, rate)
    for number, label in enumerate(dict.fromkeys(stage.label for stage in shape.stages.values())):
        row = {"processstageid": record_id("processstage", label), "stagename": label, "stagecategory": number}
        yield "processstage", row


def known_currency(shape: Shape, code: str, rate: Decimal) -> dict[str, Any]:
    """A currency that the organisation has set up, be it an official one or of its own making."""
    return {
        "transactioncurrencyid": record_id("transactioncurrency", code),
        "isocurrencycode": code,
        "currencyname": code,
        "currencysymbol": code,
        "exchangerate": rate,
        "statecode": 0,
        **shape.founded,
    }


def _unit(shape: Shape, name: str, key: str | None = None) -> dict[str, Any]:
    parent = record_id("businessunit", shape.world.name) if key else None
    return {
        "businessunitid": record_id("businessunit", key or name),
        "name": name,
        "isdisabled": False,
        "_parentbusinessunitid_value": parent,
        **shape.founded,
    }


def rep(shape: Shape, rep: Rep) -> Rows:
    """A user, with the unit and the team."""
    unit = f"region:{rep.region}" if rep.region else shape.world.name
    yield (
        "systemuser",
        {
            "systemuserid": record_id("systemuser", rep.email),
            "fullname": rep.name,
            "firstname": rep.first_name,
            "lastname": rep.last_name,
            "internalemailaddress": rep.email,
            "domainname": rep.email,
            "title": rep.title,
            "isdisabled": not rep.is_active,
            "_parentsystemuserid_value": optional_id("systemuser", rep.manager_email),
            "_businessunitid_value": record_id("businessunit", unit),
            "_territoryid_value": optional_id("territory", rep.territory),
            **stamps(rep.created_at, rep.modified_at),
        },
    )
    if rep.region:
        yield "businessunit", _unit(shape, rep.region, unit)
    if rep.team:
        row = {"teamid": record_id("team", rep.team), "name": rep.team, "teamtype": 0, **shape.founded}
        yield "team", row | {"_businessunitid_value": record_id("businessunit", shape.world.name)}


def territory(shape: Shape, territory: Territory) -> Rows:
    """A territory."""
    yield (
        "territory",
        {
            "territoryid": record_id("territory", territory.key),
            "name": territory.name,
            "_managerid_value": optional_id("systemuser", territory.manager_email),
            "_parentterritoryid_value": optional_id("territory", territory.parent_key),
            **stamps(territory.created_at, territory.modified_at),
        },
    )


def quota(shape: Shape, quota: Quota) -> Rows:
    """A goal, with the metric that it is measured by."""
    metric = record_id("metric", "Revenue")
    is_quarter = (quota.ends_on - quota.starts_on).days < 100
    yield (
        "goal",
        {
            "goalid": record_id("goal", quota.key),
            "title": f"Revenue {quota.starts_on:%Y-%m}",
            "targetmoney": quota.amount,
            "goalstartdate": quota.starts_on,
            "goalenddate": quota.ends_on,
            "fiscalyear": quota.starts_on.year,
            "fiscalperiod": (quota.starts_on.month + 2) // 3 if is_quarter else 301,
            "amountdatatype": 0,
            "isamount": True,
            "isfiscalperiodgoal": True,
            "statecode": 0,
            "statuscode": 0,
            "_goalownerid_value": record_id("systemuser", quota.rep_email),
            "goalowneridtype": "systemuser",
            "_metricid_value": metric,
            **currency(quota.currency),
            **stamps(quota.created_at, quota.modified_at),
        },
    )
    row = {"metricid": metric, "name": "Revenue", "isamount": True, "amountdatatype": 0, "statecode": 0}
    yield "metric", {**row, "statuscode": 1, **shape.founded}


def training(shape: Shape, training: Training) -> Rows:
    """A training, in the company's own table."""
    yield (
        "new_training",
        {
            "new_trainingid": record_id("new_training", training.key),
            "new_name": training.course,
            "new_hours": training.hours,
            "new_score": training.score,
            "new_completedon": training.completed_on,
            "_new_userid_value": record_id("systemuser", training.rep_email),
            **stamps(training.created_at, training.modified_at),
        },
    )
