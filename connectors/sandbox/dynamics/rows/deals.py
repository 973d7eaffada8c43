"""Deals as rows: the opportunity, its lines and splits, its way through the process and its ends.

What follows a won deal is elsewhere.
"""

from decimal import Decimal
from typing import Any

from connectors.sandbox.company import Opportunity, Outcome, Step
from connectors.sandbox.dynamics.rows.people import known_currency
from connectors.sandbox.dynamics.rows.shape import (
    Rows,
    Shape,
    currency,
    customer,
    line_columns,
    numbered,
    optional_id,
    owner,
    stamps,
)
from connectors.sandbox.dynamics.tables import record_id

STATES = {Outcome.OPEN: (0, 1, 100000001), Outcome.WON: (1, 3, 100000005), Outcome.LOST: (2, 4, 100000006)}


def opportunity(shape: Shape, deal: Opportunity) -> Rows:
    """A deal, with all that belongs to it."""
    stage = shape.stages[deal.stage]
    state, status, category = STATES[stage.outcome]
    is_open = stage.outcome is Outcome.OPEN
    id = record_id("opportunity", deal.key)
    # what a lost deal would have brought stays in the estimate
    yield (
        "opportunity",
        {
            "opportunityid": id,
            "name": deal.name,
            "stepname": stage.label,
            "stageid": record_id("processstage", stage.label),
            "estimatedvalue": deal.amount,
            "actualvalue": deal.amount if stage.outcome is Outcome.WON else None,
            "closeprobability": stage.probability if deal.probability is None else deal.probability,
            "estimatedclosedate": deal.close_date,
            "actualclosedate": None if is_open else deal.close_date,
            "msdyn_forecastcategory": category,
            "new_type": shape.choices.code("opportunity", "new_type", deal.type),
            "new_leadsource": shape.choices.code("opportunity", "new_leadsource", deal.source),
            "statecode": state,
            "statuscode": status,
            "_parentaccountid_value": optional_id("account", deal.account_key),
            "_parentcontactid_value": optional_id("contact", deal.contact_key),
            "_campaignid_value": optional_id("campaign", deal.campaign_key),
            **customer(deal.account_key),
            **owner(deal.owner_email),
            **currency(deal.currency),
            **stamps(deal.created_at, deal.modified_at),
            **shape.custom("opportunity", deal.custom),
        },
    )
    if deal.currency and deal.currency not in shape.world.rates:
        yield "transactioncurrency", known_currency(shape, deal.currency, Decimal(1))
    yield from _lines(deal, id)
    yield "opportunitysalesprocess", _process(shape, deal, id)
    yield from _ends(shape, deal, id)
    yield from _splits(deal, id)


def _lines(deal: Opportunity, id: str) -> Rows:
    moments = stamps(deal.created_at, deal.modified_at)
    for key, line in numbered(deal.lines):
        row = {
            "opportunityproductid": record_id("opportunityproduct", f"{deal.key}:{key}"),
            "opportunityproductname": line.product,
            "_opportunityid_value": record_id("opportunity", f"{deal.key}:gone") if line.is_orphan else id,
        }
        yield "opportunityproduct", row | line_columns(line, deal.currency, moments)


def _splits(deal: Opportunity, id: str) -> Rows:
    """How the credit is split: Dataverse has no table for that, so the company made one."""
    for number, split in enumerate(deal.splits):
        yield (
            "new_opportunitysplit",
            {
                "new_opportunitysplitid": record_id("new_opportunitysplit", f"{deal.key}:{number}"),
                "new_name": f"{split.percent}%",
                "new_percent": split.percent,
                "new_isoverlay": split.is_overlay,
                "_new_opportunityid_value": id,
                "_new_userid_value": record_id("systemuser", split.rep_email),
                **stamps(deal.created_at, deal.modified_at),
            },
        )


def _process(shape: Shape, deal: Opportunity, id: str) -> dict[str, Any]:
    """The way of a deal through the process: the stages it has seen, in order."""
    labels = [shape.stages[step.stage].label for step in deal.history] or [shape.stages[deal.stage].label]
    path = [record_id("processstage", label) for label in labels]
    is_open = shape.stages[deal.stage].outcome is Outcome.OPEN
    return {
        "businessprocessflowinstanceid": record_id("opportunitysalesprocess", deal.key),
        "name": "Opportunity Sales Process",
        "traversedpath": ",".join(dict.fromkeys(path)),
        "activestagestartedon": deal.stage_changed_at.replace(microsecond=0),
        "completedon": None if is_open else deal.stage_changed_at.replace(microsecond=0),
        "statecode": 0 if is_open else 1,
        "statuscode": 1 if is_open else 2,
        "_opportunityid_value": id,
        "_activestageid_value": path[-1],
        **stamps(deal.created_at, deal.modified_at),
    }


def _ends(shape: Shape, deal: Opportunity, id: str) -> Rows:
    """One closing activity for each time the deal was won or lost: a deal can be opened again."""
    steps = deal.history or (
        Step(
            at=deal.stage_changed_at,
            stage=deal.stage,
            amount=deal.amount,
            close_date=deal.close_date,
            owner_email=deal.owner_email,
        ),
    )
    outcome = Outcome.OPEN
    for step in steps:
        before, outcome = outcome, shape.stages[step.stage].outcome
        if outcome is Outcome.OPEN or outcome is before:
            continue
        at = step.at.replace(microsecond=0)
        yield (
            "opportunityclose",
            {
                "activityid": record_id("opportunityclose", f"{deal.key}:{at.isoformat()}"),
                "subject": f"Opportunity {outcome}",
                "actualrevenue": step.amount if outcome is Outcome.WON else None,
                "actualend": at,
                "statecode": 1,
                "statuscode": 2,
                "_opportunityid_value": id,
                **owner(step.owner_email),
                **currency(deal.currency),
                **stamps(at, at),
            },
        )
