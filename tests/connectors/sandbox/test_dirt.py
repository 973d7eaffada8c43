"""What is wrong in the simulated company is wrong in its CRMs too: where the truth says, and until it is put right."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.sandbox.clock import SimulatedClock
from connectors.sandbox.server import Sandbox
from connectors.sandbox.simulation import DirtyRecord, Simulation, dirty_records
from connectors.sandbox.simulation.dirt import INVALID_COUNTRIES, INVALID_CURRENCY, INVALID_PHONES
from connectors.sandbox.store import Row, Where
from orchestration.settings import STREAMS

MONDAY = datetime(2026, 8, 17, 4, 7, tzinfo=UTC)
LATER = MONDAY + timedelta(days=20)
OBJECTS = {(crm, stream.name): stream.object for crm, streams in STREAMS.items() for stream in streams}
COLUMNS = {
    "amount": {"salesforce": "Amount", "hubspot": "amount", "dynamics": "actualvalue", "zoho": "Amount"},
    "close_date": {
        "salesforce": "CloseDate",
        "hubspot": "closedate",
        "dynamics": "actualclosedate",
        "zoho": "Closing_Date",
    },
    "probability": {"salesforce": "Probability", "dynamics": "closeprobability", "zoho": "Probability"},
    "currency": {"hubspot": "deal_currency_code", "dynamics": "_transactioncurrencyid_value", "zoho": "Currency"},
    "owner": {"hubspot": "hubspot_owner_id"},
    "status": {"hubspot": "hs_pipeline_stage", "zoho": "Lead_Status"},
    "phone": {"salesforce": "Phone", "hubspot": "phone", "dynamics": "telephone1", "zoho": "Phone"},
    "manager": {
        "salesforce": "ManagerId",
        "hubspot": "manager_email",
        "dynamics": "_parentsystemuserid_value",
        "zoho": "Reporting_To",
    },
    "account of a contact": {
        "salesforce": "AccountId",
        "hubspot": "associatedcompanyid",
        "dynamics": "_parentcustomerid_value",
        "zoho": "Account_Name",
    },
    "parent": {"salesforce": "WhatId", "dynamics": "_regardingobjectid_value", "zoho": "What_Id"},
    "country of an account": {
        "salesforce": "BillingCountry",
        "hubspot": "country",
        "dynamics": "address1_country",
        "zoho": "Billing_Country",
    },
    "country of a lead": {"salesforce": "Country", "dynamics": "address1_country", "zoho": "Country"},
}
ACCOUNTS = {"salesforce": "Account", "hubspot": "companies", "dynamics": "account", "zoho": "Accounts"}
DEALS = {"salesforce": "Opportunity", "hubspot": "deals", "dynamics": "opportunity", "zoho": "Deals"}


class Crm:
    """One CRM of a dirty company."""

    def __init__(self, crm: str) -> None:
        self.crm = crm
        self.simulation = Simulation(7, 0.02, opened_at=MONDAY, dirt=0.5)
        self.sandbox = Sandbox(self.simulation, [crm], clock=SimulatedClock(MONDAY))

    def row(self, found: DirtyRecord) -> Row | None:
        return self.get(OBJECTS[found.crm, found.stream], found.record_key)

    def get(self, object: str, key: Any) -> Row | None:
        return self.sandbox.store.get(f"{self.crm}.{object}", str(key))

    def is_wrong(self, found: DirtyRecord) -> bool:
        """Whether the CRM shows what the truth says is wrong."""
        row = self.row(found)
        if found.kind == "quota_missing" or row is None:
            return row is None
        if found.kind == "line_item_orphan" and self.crm == "hubspot":
            return not self.sandbox.store.count("hubspot.associations", Where("from_id = ?", (found.record_key,)))
        column, test = SHOWN.get((found.record, found.kind)) or SHOWN.get(("", found.kind)) or ("", None)
        return test is None or test(self, row[COLUMNS[column][self.crm]])


def is_none(crm: Crm, value: Any) -> bool:
    return value is None


def is_one_of(*wrong: Any) -> Callable[[Crm, Any], bool]:
    return lambda crm, value: value in wrong


SHOWN: dict[tuple[str, str], tuple[str, Callable[[Crm, Any], bool]]] = {
    ("", "won_without_amount"): ("amount", is_none),
    ("", "won_without_close_date"): ("close_date", is_none),
    ("", "won_without_owner"): ("owner", is_none),
    ("", "closed_in_future"): ("close_date", lambda crm, value: value > "2026-09-08"),
    ("", "probability_against_stage"): ("probability", is_one_of(Decimal(10), Decimal(90), Decimal(100))),
    ("", "amount_outlier"): ("amount", lambda crm, value: value is None or value > 100_000),
    ("", "currency_missing"): ("currency", is_none),
    ("", "currency_invalid"): (
        "currency",
        lambda crm, value: (
            value == INVALID_CURRENCY or crm.get("transactioncurrency", value)["isocurrencycode"] == INVALID_CURRENCY
        ),
    ),
    ("", "lead_without_status"): ("status", is_none),
    ("", "phone_invalid"): ("phone", is_one_of(*INVALID_PHONES)),
    ("account", "country_invalid"): ("country of an account", is_one_of(*INVALID_COUNTRIES)),
    ("lead", "country_invalid"): ("country of a lead", is_one_of(*INVALID_COUNTRIES)),
    ("", "contact_orphan"): ("account of a contact", lambda crm, value: crm.get(ACCOUNTS[crm.crm], value) is None),
    ("", "activity_parent_gone"): ("parent", lambda crm, value: bool(value) and crm.get(DEALS[crm.crm], value) is None),
    ("", "manager_gap"): ("manager", is_none),
}


@pytest.fixture(params=STREAMS)
def crm(request: pytest.FixtureRequest) -> Iterator[Crm]:
    served = Crm(request.param)
    yield served
    served.sandbox.store.close()


def test_crms_show_what_is_wrong_until_it_is_put_right(crm: Crm) -> None:
    on_monday = [found for found in dirty_records(crm.simulation, MONDAY) if found.crm == crm.crm and found.is_spoilt]
    assert len({found.kind for found in on_monday}) > 15
    assert [found for found in on_monday if not crm.is_wrong(found)] == []

    crm.sandbox.advance(LATER)
    later = [found for found in dirty_records(crm.simulation, LATER) if found.crm == crm.crm]
    assert [found for found in later if found.is_spoilt and not crm.is_wrong(found)] == []
    healed = [found for found in later if found.healed_at and MONDAY < found.healed_at <= LATER]
    assert healed
    checked = {kind for _, kind in SHOWN} | {"quota_missing"}
    assert [
        found for found in healed if found.kind in checked and crm.row(found) is not None and crm.is_wrong(found)
    ] == []
