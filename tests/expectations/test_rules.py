"""Every rule of every stream: healthy records pass it, one broken record trips it, and trips no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import pytest

from expectations import scratch
from expectations.declared import CASTS, row_rules
from expectations.gate import RULES
from expectations.rule import GateResult, Severity, Status
from orchestration import settings

if TYPE_CHECKING:
    from conftest import Landing

Row = Mapping[str, str | None]
STREAMS = {crm: {stream.name: stream for stream in streams} for crm, streams in settings.STREAMS.items()}
MOMENT = "2026-05-01T08:00:00.000Z"
CLOSED = "2026-08-01"

HEALTHY: dict[str, dict[str, Row]] = {
    "salesforce": {
        "users": {"Id": "u1", "Name": "Maya Collins", "Email": "maya.collins@halden.example", "IsActive": "true"},
        "accounts": {"Id": "a1", "Name": "Northwind Foundry", "OwnerId": "u1", "AnnualRevenue": "1,234,567.50"},
        "contacts": {"Id": "c1", "AccountId": "a1", "OwnerId": "u1", "Email": "kim@northwind.example"},
        "leads": {"Id": "l1", "OwnerId": "u1", "Status": "Open", "IsConverted": "false"},
        "opportunities": {
            "Id": "o1",
            "AccountId": "a1",
            "OwnerId": "u1",
            "StageName": "Closed Won",
            "Amount": "48000.00",
            "CloseDate": CLOSED,
            "IsClosed": "true",
            "IsWon": "true",
            "IsDeleted": "false",
            "Probability": "100",
            "CreatedDate": "2026-05-01T08:00:00.000+0000",
        },
        "opportunity_stages": {
            "Id": "s1",
            "MasterLabel": "Closed Won",
            "ApiName": "Closed Won",
            "DefaultProbability": "100",
        },
        "products": {"Id": "p1", "Name": "Atlas Arm", "IsActive": "true"},
        "opportunity_line_items": {
            "Id": "i1",
            "OpportunityId": "o1",
            "Product2Id": "p1",
            "Quantity": "2",
            "TotalPrice": "48000",
        },
    },
    "hubspot": {
        "owners": {"id": "u1", "email": "elif.demir@halden.example", "archived": "false"},
        "users": {"hs_object_id": "7", "hs_email": "elif.demir@halden.example"},
        "companies": {"hs_object_id": "a1", "name": "Bright Mill", "hubspot_owner_id": "u1"},
        "contacts": {"hs_object_id": "c1", "email": "kim@bright.example", "associatedcompanyid": "a1"},
        "leads": {"hs_object_id": "l1", "hs_pipeline_stage": "new-stage-id", "hubspot_owner_id": "u1"},
        "deal_stages": {"id": "closedwon", "label": "Closed Won", "probability": "1", "isClosed": "true"},
        "deals": {
            "hs_object_id": "o1",
            "dealstage": "closedwon",
            "amount": "48000",
            "closedate": "2026-08-01T10:00:00Z",
            "createdate": "1777622400000",
            "hubspot_owner_id": "u1",
            "hs_is_closed": "true",
            "hs_is_closed_won": "true",
            "hs_deal_stage_probability": "1",
            "company_ids": '["a1"]',
        },
        "products": {"hs_object_id": "p1", "name": "Atlas Arm"},
        "line_items": {
            "hs_object_id": "i1",
            "hs_product_id": "p1",
            "quantity": "2",
            "amount": "48000",
            "deal_ids": '["o1"]',
        },
    },
    "dynamics": {
        "systemusers": {
            "systemuserid": "u1",
            "fullname": "Priya Nair",
            "internalemailaddress": "priya.nair@halden.example",
            "_businessunitid_value": "b1",
            "isdisabled": "false",
        },
        "businessunits": {"businessunitid": "b1", "name": "APAC"},
        "transactioncurrencies": {"transactioncurrencyid": "x1", "isocurrencycode": "AUD", "exchangerate": "1.52"},
        "accounts": {"accountid": "a1", "name": "Coral Works", "_ownerid_value": "u1", "statecode": "0"},
        "contacts": {"contactid": "c1", "emailaddress1": "kim@coral.example", "_ownerid_value": "u1"},
        "leads": {"leadid": "l1", "statecode": "0", "_ownerid_value": "u1"},
        "opportunities": {
            "opportunityid": "o1",
            "_ownerid_value": "u1",
            "stageid": "s1",
            "statecode": "1",
            "estimatedvalue": "50000",
            "actualvalue": "48000",
            "actualclosedate": CLOSED,
            "estimatedclosedate": "2026-07-31T00:00:00Z",
            "closeprobability": "100",
            "createdon": "2026-05-01T08:00:00Z",
        },
        "processstages": {"processstageid": "s1", "stagename": "Close", "stagecategory": "3"},
        "products": {"productid": "p1", "name": "Atlas Arm", "price": "24000"},
        "opportunityproducts": {
            "opportunityproductid": "i1",
            "_opportunityid_value": "o1",
            "_productid_value": "p1",
            "quantity": "2",
            "extendedamount": "48000",
        },
    },
    "zoho": {
        "users": {"id": "u1", "full_name": "Beatriz Carvalho", "email": "bea@halden.example", "status": "active"},
        "roles": {"id": "r1", "name": "Iberia"},
        "accounts": {"id": "a1", "Account_Name": "Lisboa Freight", "Owner": "u1"},
        "contacts": {"id": "c1", "Email": "kim@lisboa.example", "Account_Name": "a1", "Owner": "u1"},
        "leads": {"id": "l1", "Lead_Status": "Contacted", "Owner": "u1"},
        "deal_stages": {"id": "s1", "actual_value": "Closed Won", "forecast_type": "Closed Won"},
        "deals": {
            "id": "o1",
            "Stage": "Closed Won",
            "Amount": "48000",
            "Closing_Date": "2026-08-01",
            "Created_Time": "2026-05-01T08:00:00+05:30",
            "Probability": "100",
            "Account_Name": "a1",
            "Contact_Name": "c1",
            "Owner": "u1",
        },
        "products": {"id": "p1", "Product_Name": "Atlas Arm"},
        "price_books": {"id": "b1", "Price_Book_Name": "Standard"},
        "campaigns": {"id": "k1", "Campaign_Name": "Spring"},
        "sales_orders": {"id": "so1", "Deal_Name": "o1"},
    },
}
"""One healthy record of every stream; those of a CRM belong together."""

BROKEN: dict[str, dict[str, dict[str, Row]]] = {
    "salesforce": {
        "users": {"user_email_valid": {"Email": "Maya Collins"}},
        "accounts": {"account_has_name": {"Name": None}},
        "contacts": {"contact_email_valid": {"Email": "kim@northwind"}},
        "leads": {"lead_has_status": {"Status": None}},
        "opportunities": {
            "won_has_amount": {"Amount": None},
            "won_has_close_date": {"CloseDate": None},
            "won_has_owner": {"OwnerId": None},
            "closed_not_in_future": {"CloseDate": "2026-08-16"},
            "closed_after_created": {"CloseDate": "2026-04-29"},
            "probability_in_range": {"Probability": "101"},
            "stage_known": {"StageName": "Perhaps"},
            "owner_active": {"OwnerId": "gone", "IsClosed": "false", "IsWon": "false", "CloseDate": "2026-12-01"},
            "line_items_add_up": {"Amount": "0"},
        },
        "products": {"product_has_name": {"Name": None}},
        "opportunity_line_items": {"quantity_not_negative": {"Quantity": "-1"}},
    },
    "hubspot": {
        "owners": {"user_email_valid": {"email": None}},
        "companies": {"account_has_name": {"name": None}},
        "contacts": {"contact_email_valid": {"email": "kim at bright.example"}},
        "leads": {"lead_has_status": {"hs_pipeline_stage": None}},
        "deals": {
            "won_has_amount": {"amount": None},
            "won_has_close_date": {"closedate": None, "hs_is_closed_won": None, "hs_is_closed": None},
            "won_has_owner": {"hubspot_owner_id": None},
            "closed_not_in_future": {"closedate": "2026-08-16T00:00:00Z"},
            "closed_after_created": {"closedate": "2026-04-29T00:00:00Z"},
            "probability_in_range": {"hs_deal_stage_probability": "75"},
            "owner_active": {
                "hubspot_owner_id": "gone",
                "dealstage": "contractsent",
                "hs_is_closed": "false",
                "hs_is_closed_won": "false",
            },
            "line_items_add_up": {"amount": "1"},
        },
        "products": {"product_has_name": {"name": None}},
        "line_items": {"quantity_not_negative": {"quantity": "-0.5"}, "line_item_has_deal": {"deal_ids": '["none"]'}},
    },
    "dynamics": {
        "systemusers": {"user_email_valid": {"internalemailaddress": "none@"}},
        "accounts": {"account_has_name": {"name": None}},
        "contacts": {"contact_email_valid": {"emailaddress1": "kim@@coral.example"}},
        "leads": {"lead_has_status": {"statecode": None}},
        "opportunities": {
            "won_has_amount": {"actualvalue": None},
            "won_has_close_date": {"actualclosedate": None},
            "won_has_owner": {"_ownerid_value": None},
            "closed_not_in_future": {"actualclosedate": "2026-08-16T00:00:00Z"},
            "closed_after_created": {"actualclosedate": "2026-04-29", "statecode": "2"},
            "probability_in_range": {"closeprobability": "-1"},
            "stage_known": {"stageid": "s9"},
            "owner_active": {"_ownerid_value": "gone", "statecode": "0", "actualclosedate": None},
            "line_items_add_up": {"actualvalue": "47999"},
        },
        "products": {"product_has_name": {"name": None}},
        "opportunityproducts": {"quantity_not_negative": {"quantity": "-2"}},
    },
    "zoho": {
        "users": {"user_email_valid": {"email": "bea"}},
        "accounts": {"account_has_name": {"Account_Name": None}},
        "contacts": {"contact_email_valid": {"Email": "kim at lisboa.example"}},
        "leads": {"lead_has_status": {"Lead_Status": None}},
        "deals": {
            "won_has_amount": {"Amount": None},
            "won_has_close_date": {"Closing_Date": None},
            "won_has_owner": {"Owner": None},
            "closed_not_in_future": {"Closing_Date": "2026-08-16"},
            "closed_after_created": {"Closing_Date": "2026-04-29"},
            "probability_in_range": {"Probability": "101"},
            "stage_known": {"Stage": "Perhaps"},
            "owner_active": {"Owner": "gone", "Stage": "Qualification"},
        },
        "products": {"product_has_name": {"Product_Name": None}},
    },
}
"""For every rule that is a CRM's own, what breaks a healthy record so that this rule alone notices."""

LOOKED_UP: dict[tuple[str, str], list[Row]] = {
    ("salesforce", "users"): [{"Id": "gone", "Email": "left@halden.example", "IsActive": "false"}],
    ("hubspot", "owners"): [{"id": "gone", "email": "left@halden.example", "archived": "true"}],
    ("hubspot", "deal_stages"): [{"id": "contractsent", "probability": "0.75", "isClosed": "false"}],
    ("dynamics", "systemusers"): [
        {"systemuserid": "gone", "internalemailaddress": "left@halden.example", "isdisabled": "true"}
    ],
    ("zoho", "users"): [{"id": "gone", "full_name": "Left", "email": "left@halden.example", "status": "disabled"}],
    ("zoho", "deal_stages"): [{"id": "s2", "actual_value": "Qualification", "forecast_type": "Open"}],
}
"""More records that the broken ones point to."""

ITEM_OF_BROKEN: dict[str, tuple[str, list[Row]]] = {
    "salesforce": ("opportunity_line_items", [{"Id": "i2", "OpportunityId": "line_items_add_up", "TotalPrice": "9"}]),
    "hubspot": ("line_items", [{"hs_object_id": "i2", "deal_ids": '["line_items_add_up"]', "amount": "9"}]),
    "dynamics": (
        "opportunityproducts",
        [{"opportunityproductid": "i2", "_opportunityid_value": "line_items_add_up", "extendedamount": "9"}],
    ),
}
"""A line item of the one broken deal that has any."""

ALL = [(crm, name) for crm, streams in STREAMS.items() for name in streams]


def broken_records(crm: str, name: str) -> dict[str, Row]:
    """One record for every rule of a stream; its key is the rule's name."""
    stream, healthy = STREAMS[crm][name], HEALTHY[crm].get(name, {})
    unreadable = {rule.id: rule for rule in row_rules(stream)}
    broken: dict[str, Row] = {}
    for field, kind in stream.fields.items():
        if kind in CASTS:
            broken["cursor_parseable" if field == stream.cursor else f"casts_{field}"] = {field: "n/a"}
    for field in stream.references:
        broken[f"refers_{field}"] = {field: "nobody"}
    assert unreadable.keys() == broken.keys()
    broken |= BROKEN[crm].get(name, {})
    return {rule: {**healthy, **change, stream.key: rule} for rule, change in broken.items()}


def land_healthy(landing: Landing, crm: str, name: str) -> None:
    """Land the stream's healthy record, and one of every stream that its rules look up."""
    for stream in (STREAMS[crm][read] for read in {name, *landing.looked_up(crm, name)}):
        row = HEALTHY[crm].get(stream.name, {stream.key: "known"})
        moment = {stream.cursor: MOMENT} if stream.cursor else {}
        landing.commit(crm, stream.name, [{**moment, **row}, *LOOKED_UP.get((crm, stream.name), [])])


def rules_tripped(result: GateResult) -> dict[str, set[str]]:
    """Key of a record to the rules that it trips."""
    tripped: dict[str, set[str]] = {}
    for check in result.checks:
        for key in check.sample_keys:
            tripped.setdefault(key, set()).add(check.rule)
    return tripped


@pytest.mark.parametrize(("crm", "name"), ALL, ids=[".".join(pair) for pair in ALL])
def test_each_rule_trips_on_its_own_broken_record_and_on_no_other(landing: Landing, crm: str, name: str) -> None:
    land_healthy(landing, crm, name)
    broken = broken_records(crm, name)
    landing.commit(crm, name, list(broken.values()))
    if "line_items_add_up" in broken:
        landing.commit(crm, *ITEM_OF_BROKEN[crm])

    result = landing.check(crm, name)

    tripped = rules_tripped(result)
    expected = {rule: {rule} for rule in broken}
    assert tripped == expected
    assert {check.failed for check in result.failing} <= {1}
    assert not result.blocks
    held_back = {row["key"] for row in landing.quarantine(crm, name)}
    warnings = {check.rule for check in result.checks if check.severity is Severity.WARNING}
    assert held_back == broken.keys() & warnings


def test_every_rule_of_a_crm_has_a_record_that_breaks_it() -> None:
    rules = {(crm, name, rule.id) for crm, streams in RULES.items() for name in streams for rule in streams[name]}
    broken = {(crm, name, rule) for crm, streams in BROKEN.items() for name in streams for rule in streams[name]}
    assert rules == broken
    assert all(name in STREAMS[crm] for crm, name, _ in rules)


@pytest.mark.parametrize(
    ("field", "value", "is_readable"),
    [
        ("Amount", "1,234.50", True),
        ("Amount", "-12", True),
        ("Amount", "1.5e3", True),
        ("Amount", "1,50", False),  # a decimal comma read as a thousands comma would be a hundred times too much
        ("Amount", "12 EUR", False),
        ("Amount", "123456789012345678", False),
        ("CloseDate", "2026-08-01", True),
        ("CloseDate", "2026-08-01T00:00:00Z", True),
        ("CloseDate", "2026-02-30", False),
        ("CloseDate", "01/08/2026", False),
        ("CreatedDate", "2026-05-01T08:00:00.000+0000", True),
        ("CreatedDate", "2026-05-01T08:00:00Z", True),
        ("CreatedDate", "1777622400000", True),
        ("CreatedDate", "May 1st", False),
        ("IsClosed", "true", True),
        ("IsClosed", "perhaps", False),
    ],
)
def test_values_are_read_as_the_crms_send_them(landing: Landing, field: str, value: str, is_readable: bool) -> None:
    rule = next(rule for rule in row_rules(STREAMS["salesforce"]["opportunities"]) if rule.id == f"casts_{field}")
    with scratch.connect(landing.home / "scratch.duckdb") as connection:
        scratch.prepare(connection, "2026-08-14")
        connection.execute(f"create table live as select '{value}' as \"{field}\", 'k' as _key, 'v' as _version")
        assert (connection.execute(rule.query("live")).fetchall() == []) is is_readable


def test_a_rule_without_the_records_it_looks_up_is_skipped_and_says_so(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [HEALTHY["salesforce"]["opportunities"]])
    result = landing.check("salesforce", "opportunities")
    skipped = {check.rule: check.detail for check in result.checks if check.status is Status.SKIPPED}
    assert skipped["stage_known"] == "no record of opportunity_stages has landed"
    assert skipped["refers_OwnerId"] == "no record of users has landed"
    assert not result.failing


def test_a_hubspot_deal_is_won_by_its_own_word_when_no_stage_has_landed(landing: Landing) -> None:
    landing.commit("hubspot", "deals", [{**HEALTHY["hubspot"]["deals"], "amount": None}])
    assert [check.rule for check in landing.check("hubspot", "deals").failing] == ["won_has_amount"]


def test_a_rule_that_most_records_break_holds_none_of_them_back(landing: Landing) -> None:
    migrated = {**HEALTHY["salesforce"]["opportunities"], "CreatedDate": "2026-08-10T00:00:00Z"}
    landing.commit("salesforce", "opportunities", [{**migrated, "Id": f"o{n}"} for n in range(60)])
    result = landing.check("salesforce", "opportunities")
    (check,) = result.failing
    assert (check.rule, check.severity, check.failed) == ("closed_after_created", Severity.INFO, 60)
    assert "no record is held back" in check.detail
    assert landing.quarantine("salesforce", "opportunities") == []


def test_a_past_day_recomputed_holds_no_deal_back_that_was_closed_since(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [HEALTHY["salesforce"]["opportunities"]])
    assert not landing.check("salesforce", "opportunities", as_of=date(2025, 1, 31)).failing
