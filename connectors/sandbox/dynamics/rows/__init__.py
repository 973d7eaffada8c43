"""A company's records as the rows of Dataverse's tables.

One record can be several rows: a deal brings its lines, its way through the process and its end. Nothing is stored or
served here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sandbox.company import (
    Account,
    Activity,
    Campaign,
    CampaignMember,
    Contact,
    Invoice,
    Lead,
    Opportunity,
    Order,
    PriceBook,
    Product,
    Quota,
    Record,
    Rep,
    Survey,
    Territory,
    Training,
    World,
)
from connectors.sandbox.dynamics.choices import Choices
from connectors.sandbox.dynamics.rows import commerce, customers, deals, people
from connectors.sandbox.dynamics.rows.shape import Rows, Shape
from connectors.sandbox.dynamics.tables import record_id

SHARED = frozenset({"businessunit", "team", "metric", "transactioncurrency"})
"""Tables that no record of the company stands for: their rows come along with each record that needs them."""
MAIN: Mapping[type, tuple[str, Callable[[Shape, Any], Rows]]] = {
    Rep: ("systemuser", people.rep),
    Territory: ("territory", people.territory),
    Product: ("product", commerce.product),
    PriceBook: ("pricelevel", commerce.price_book),
    Account: ("account", customers.account),
    Contact: ("contact", customers.contact),
    Lead: ("lead", customers.lead),
    Opportunity: ("opportunity", deals.opportunity),
    Campaign: ("campaign", customers.campaign),
    CampaignMember: ("campaignresponse", customers.campaign_member),
    Activity: ("", customers.activity),
    Quota: ("goal", people.quota),
    Order: ("salesorder", commerce.order),
    Invoice: ("invoice", commerce.invoice),
    Survey: ("new_surveyresponse", customers.survey),
    Training: ("new_training", people.training),
}
"""The table in which each kind of record has its own row (activities have several), and what makes the rows."""


def main_entity(record: Record) -> str:
    """The table in which a record has its own row."""
    return customers.ACTIVITIES[record.kind] if isinstance(record, Activity) else MAIN[type(record)][0]


def main_id(record: Record) -> str:
    """The id of that row."""
    match record:
        case Rep():
            key = record.email
        case Product():
            key = record.name
        case _:
            key = record.key
    return record_id(main_entity(record), key)


def rows(shape: Shape, record: Record) -> Rows:
    """The rows of one record, its own first."""
    return MAIN[type(record)][1](shape, record)


def records(world: World) -> Rows:
    """Every row of a company's organisation, each once."""
    shape = Shape(world, Choices())
    seen: set[str] = set()
    yield from people.foundation(shape)
    for record in world.records("dynamics"):
        for entity, row in rows(shape, record):
            id = row[f"{entity}id"] if entity in SHARED else None
            if id not in seen:
                yield entity, row
            if id:
                seen.add(id)
