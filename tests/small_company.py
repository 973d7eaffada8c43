"""A company of a handful of records in each CRM, and for every rule a record that breaks it and no other.

Landed text, as the connectors would have landed it; what is done with it is in the tests of the gates.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from connectors.stream import Stream
from expectations.declared import CASTS

Row = Mapping[str, str | None]
Rows = dict[str, dict[str, Row]]

AS_OF = date(2026, 8, 14)
MOMENT = "2026-05-01T08:00:00.000Z"
CLOSED = "2026-08-01"
RECENTLY = "2026-08-10T08:00:00Z"
LONG_AGO = "2026-01-05T08:00:00Z"
PAID_LONG_AGO = "2026-03-01"
CROWD = [f"h{number:02}" for number in range(20)]
"""Deals that were lost ten days after they had begun: enough of them to say what is usual."""

HEALTHY: Rows = {
    "salesforce": {
        "users": {
            "Id": "u1",
            "Name": "Maya Collins",
            "Email": "maya.collins@halden.example",
            "ManagerId": "boss",
            "IsActive": "true",
        },
        "accounts": {
            "Id": "a1",
            "Name": "Northwind Foundry",
            "OwnerId": "u1",
            "Website": "https://www.northwind.example/about",
            "BillingCountry": "Canada",
            "AnnualRevenue": "1,234,567.50",
            "NumberOfEmployees": "120",
        },
        "contacts": {
            "Id": "c1",
            "AccountId": "a1",
            "OwnerId": "u1",
            "FirstName": "Kim",
            "LastName": "Vance",
            "Email": "kim@northwind.example",
            "Phone": "+1 (555) 010-2030 ext. 4",
        },
        "leads": {
            "Id": "l1",
            "OwnerId": "u1",
            "FirstName": "Noor",
            "LastName": "Haddad",
            "Company": "Sable Mills",
            "Email": "noor@sable.example",
            "Country": "MX",
            "Status": "Open",
            "IsConverted": "false",
        },
        "opportunities": {
            "Id": "o1",
            "AccountId": "a1",
            "OwnerId": "u1",
            "StageName": "Closed Won",
            "Amount": "48000.00",
            "CurrencyIsoCode": "USD",
            "CloseDate": CLOSED,
            "LastStageChangeDate": "2026-08-02T09:00:00.000+0000",
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
            "IsClosed": "true",
            "IsWon": "true",
        },
        "opportunity_splits": {
            "Id": "sp1",
            "OpportunityId": "o1",
            "SplitOwnerId": "u1",
            "SplitTypeId": "st1",
            "SplitPercentage": "100",
        },
        "opportunity_split_types": {"Id": "st1", "MasterLabel": "Revenue", "IsTotalValidated": "true"},
        "products": {"Id": "p1", "Name": "Atlas Arm", "IsActive": "true"},
        "opportunity_line_items": {
            "Id": "i1",
            "OpportunityId": "o1",
            "Product2Id": "p1",
            "Quantity": "2",
            "TotalPrice": "48000",
        },
        "currency_types": {"Id": "x1", "IsoCode": "USD", "ConversionRate": "1"},
        "periods": {"Id": "year", "StartDate": "2026-01-01", "EndDate": "2026-12-31"},
        "forecasting_quotas": {
            "Id": "q1",
            "QuotaOwnerId": "u1",
            "PeriodId": "year",
            "QuotaAmount": "600000",
            "IsAmount": "true",
            "StartDate": "2026-01-01",
        },
        "tasks": {"Id": "t1", "OwnerId": "u1", "WhatId": "o1", "ActivityDate": "2026-05-04"},
        "events": {"Id": "e1", "OwnerId": "u1", "WhoId": "c1", "ActivityDate": "2026-05-05"},
    },
    "hubspot": {
        "account_info": {"portalId": "1", "companyCurrency": "USD", "additionalCurrencies": '["EUR"]'},
        "owners": {"id": "u1", "email": "elif.demir@halden.example", "userId": "11", "archived": "false"},
        "users": {
            "hs_object_id": "7",
            "hs_email": "elif.demir@halden.example",
            "manager_email": "boss@halden.example",
        },
        "companies": {
            "hs_object_id": "a1",
            "name": "Bright Mill",
            "domain": "bright.example",
            "country": "Türkiye",
            "numberofemployees": "120",
            "hubspot_owner_id": "u1",
        },
        "contacts": {
            "hs_object_id": "c1",
            "firstname": "Kim",
            "lastname": "Vance",
            "email": "kim@bright.example",
            "phone": "+44 20 7946 0958",
            "associatedcompanyid": "a1",
        },
        "leads": {
            "hs_object_id": "l1",
            "hs_lead_name": "Noor Haddad (Sable Mills)",
            "hs_pipeline_stage": "new-stage-id",
            "hubspot_owner_id": "u1",
            "deal_ids": "[]",
        },
        "deal_stages": {"id": "closedwon", "label": "Closed Won", "probability": "1", "isClosed": "true"},
        "deals": {
            "hs_object_id": "o1",
            "dealstage": "closedwon",
            "amount": "48000",
            "deal_currency_code": "EUR",
            "closedate": "2026-08-01T10:00:00Z",
            "createdate": "1777622400000",
            "hubspot_owner_id": "u1",
            "hs_is_closed": "true",
            "hs_is_closed_won": "true",
            "hs_deal_stage_probability": "1",
            "company_ids": '["a1"]',
        },
        "deal_splits": {
            "hs_object_id": "sp1",
            "hs_deal_id": "o1",
            "hubspot_owner_id": "u1",
            "hs_deal_split_percentage": "1",
        },
        "products": {"hs_object_id": "p1", "name": "Atlas Arm"},
        "line_items": {
            "hs_object_id": "i1",
            "hs_product_id": "p1",
            "quantity": "2",
            "amount": "48000",
            "deal_ids": '["o1"]',
        },
        "goal_targets": {
            "hs_object_id": "q1",
            "hs_goal_name": "Revenue 2026",
            "hs_assignee_user_id": "11",
            "hs_target_amount": "600000",
            "hs_start_datetime": "2026-01-01T00:00:00Z",
            "hs_end_datetime": "2026-12-31T23:59:59.999Z",
        },
        **{
            engagement: {
                "hs_object_id": "t1",
                "hubspot_owner_id": "u1",
                "hs_timestamp": MOMENT,
                "deal_ids": '["o1"]',
                "company_ids": "[]",
                "contact_ids": "[]",
                "lead_ids": "[]",
            }
            for engagement in ("tasks", "calls", "meetings", "emails")
        },
    },
    "dynamics": {
        "systemusers": {
            "systemuserid": "u1",
            "fullname": "Priya Nair",
            "internalemailaddress": "priya.nair@halden.example",
            "_parentsystemuserid_value": "boss",
            "_businessunitid_value": "b1",
            "isdisabled": "false",
        },
        "businessunits": {"businessunitid": "b1", "name": "APAC"},
        "transactioncurrencies": {"transactioncurrencyid": "x1", "isocurrencycode": "AUD", "exchangerate": "1.52"},
        "accounts": {
            "accountid": "a1",
            "name": "Coral Works",
            "websiteurl": "coral.example",
            "address1_country": "AUS",
            "numberofemployees": "120",
            "_ownerid_value": "u1",
            "statecode": "0",
        },
        "contacts": {
            "contactid": "c1",
            "firstname": "Kim",
            "lastname": "Vance",
            "emailaddress1": "kim@coral.example",
            "telephone1": "(02) 5550 1234",
            "_parentcustomerid_value": "a1",
            "_ownerid_value": "u1",
        },
        "leads": {
            "leadid": "l1",
            "fullname": "Noor Haddad",
            "companyname": "Sable Mills",
            "emailaddress1": "noor@sable.example",
            "address1_country": "Singapore",
            "statecode": "0",
            "_ownerid_value": "u1",
        },
        "opportunities": {
            "opportunityid": "o1",
            "_ownerid_value": "u1",
            "_parentaccountid_value": "a1",
            "_transactioncurrencyid_value": "x1",
            "stageid": "s1",
            "statecode": "1",
            "estimatedvalue": "50000",
            "actualvalue": "48000",
            "actualclosedate": CLOSED,
            "estimatedclosedate": "2026-07-31T00:00:00Z",
            "closeprobability": "100",
            "createdon": "2026-05-01T08:00:00Z",
            "modifiedon": "2026-08-02T08:00:00Z",
        },
        "processstages": {"processstageid": "s1", "stagename": "Close", "stagecategory": "3"},
        "opportunitycloses": {
            "activityid": "end1",
            "_opportunityid_value": "o1",
            "actualrevenue": "48000",
            "actualend": "2026-08-01T00:00:00Z",
            "createdon": "2026-08-02T08:00:00Z",
        },
        "opportunitysalesprocesses": {
            "businessprocessflowinstanceid": "f1",
            "_opportunityid_value": "o1",
            "activestagestartedon": "2026-08-02T08:00:00Z",
        },
        "products": {"productid": "p1", "name": "Atlas Arm", "price": "24000"},
        "opportunityproducts": {
            "opportunityproductid": "i1",
            "_opportunityid_value": "o1",
            "_productid_value": "p1",
            "quantity": "2",
            "extendedamount": "48000",
        },
        "goals": {
            "goalid": "q1",
            "_goalownerid_value": "u1",
            "_metricid_value": "known",
            "targetmoney": "600000",
            "goalstartdate": "2026-01-01",
            "goalenddate": "2026-12-31",
        },
        **{
            activity: {
                "activityid": "t1",
                "_ownerid_value": "u1",
                "_regardingobjectid_value": "o1",
                "_regardingobjectid_value_type": "opportunity",
            }
            for activity in ("tasks", "phonecalls", "appointments", "emails")
        },
    },
    "zoho": {
        "users": {
            "id": "u1",
            "full_name": "Beatriz Carvalho",
            "email": "bea@halden.example",
            "Reporting_To": "boss",
            "status": "active",
        },
        "roles": {"id": "r1", "name": "Iberia"},
        "currencies": {"id": "x1", "iso_code": "EUR", "exchange_rate": "0.92"},
        "accounts": {
            "id": "a1",
            "Account_Name": "Lisboa Freight",
            "Website": "http://lisboa.example",
            "Billing_Country": "Portugal",
            "Employees": "120",
            "Owner": "u1",
        },
        "contacts": {
            "id": "c1",
            "First_Name": "Kim",
            "Last_Name": "Vance",
            "Email": "kim@lisboa.example",
            "Phone": "+351.21.555.0123",
            "Account_Name": "a1",
            "Owner": "u1",
        },
        "leads": {
            "id": "l1",
            "First_Name": "Noor",
            "Last_Name": "Haddad",
            "Company": "Sable Mills",
            "Email": "noor@sable.example",
            "Country": "España",
            "Lead_Status": "Contacted",
            "Owner": "u1",
        },
        "deal_stages": {
            "id": "s1",
            "actual_value": "Closed Won",
            "forecast_type": "Closed Won",
            "probability": "100",
        },
        "deals": {
            "id": "o1",
            "Stage": "Closed Won",
            "Amount": "48000",
            "Currency": "EUR",
            "Closing_Date": CLOSED,
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
        "forecast_quotas": {
            "id": "q1",
            "User": "u1",
            "Target": "600000",
            "Start_Date": "2026-01-01",
            "End_Date": "2026-12-31",
        },
        "tasks": {"id": "t1", "Owner": "u1", "What_Id": "o1"},
        "calls": {"id": "t1", "Owner": "u1", "Who_Id": "c1"},
        "events": {"id": "t1", "Owner": "u1", "Who_Id": "l1"},
    },
}
"""One healthy record of every stream that rules of its CRM look at; those of a CRM belong together."""

OWN: Rows = {
    "salesforce": {
        "users": {"Email": "{rule}@halden.example"},
        "accounts": {"Name": "{rule}", "Website": None},
        "contacts": {"LastName": "{rule}", "Email": "{rule}@northwind.example"},
        "leads": {"LastName": "{rule}", "Email": "{rule}@sable.example"},
        "opportunity_splits": {"SplitTypeId": None},
        "opportunity_line_items": {"TotalPrice": "0"},
        "forecasting_quotas": {"QuotaOwnerId": None},
    },
    "hubspot": {
        "owners": {"email": "{rule}@halden.example", "userId": "{rule}"},
        "users": {"hs_email": "{rule}@halden.example"},
        "companies": {"name": "{rule}", "domain": None},
        "contacts": {"lastname": "{rule}", "email": "{rule}@bright.example"},
        "leads": {"hs_lead_name": "{rule}"},
        "deal_splits": {"hs_deal_split_percentage": "0"},
        "line_items": {"amount": "0"},
        "goal_targets": {"hs_assignee_user_id": None},
    },
    "dynamics": {
        "systemusers": {"internalemailaddress": "{rule}@halden.example"},
        "accounts": {"name": "{rule}", "websiteurl": None},
        "contacts": {"lastname": "{rule}", "emailaddress1": "{rule}@coral.example"},
        "leads": {"fullname": "{rule}", "emailaddress1": "{rule}@sable.example"},
        "opportunitycloses": {"_opportunityid_value": None},
        "opportunityproducts": {"extendedamount": "0"},
        "goals": {"_goalownerid_value": None},
    },
    "zoho": {
        "users": {"email": "{rule}@halden.example"},
        "accounts": {"Account_Name": "{rule}", "Website": None},
        "contacts": {"Last_Name": "{rule}", "Email": "{rule}@lisboa.example"},
        "leads": {"Last_Name": "{rule}", "Email": "{rule}@sable.example"},
        "forecast_quotas": {"User": None},
    },
}
"""What a record that breaks one rule must not share with the healthy one, lest it break another."""

_SF_OPEN: Row = {
    "StageName": "Prospecting",
    "Probability": "10",
    "IsClosed": "false",
    "IsWon": "false",
    "CreatedDate": RECENTLY,
    "LastStageChangeDate": RECENTLY,
    "CloseDate": "2026-12-01",
}
_HS_OPEN: Row = {
    "dealstage": "contractsent",
    "hs_deal_stage_probability": "0.75",
    "hs_is_closed": "false",
    "hs_is_closed_won": "false",
    "createdate": RECENTLY,
    "closedate": "2026-12-01T00:00:00Z",
}
_DY_OPEN: Row = {
    "statecode": "0",
    "closeprobability": "40",
    "createdon": RECENTLY,
    "actualvalue": None,
    "actualclosedate": None,
}
_ZO_OPEN: Row = {"Stage": "Qualification", "Probability": "10", "Created_Time": RECENTLY, "Closing_Date": "2026-12-01"}

BROKEN: dict[str, dict[str, dict[str, Row]]] = {
    "salesforce": {
        "users": {
            "user_email_valid": {"Email": "Maya Collins"},
            "rep_has_manager": {"ManagerId": None},
            "no_manager_cycle": {"ManagerId": "no_manager_cycle"},
            "one_manager_at_a_time": {"Email": "twice@halden.example"},
            "rep_has_quota": {},
        },
        "accounts": {
            "account_has_name": {"Name": None},
            "country_valid": {"BillingCountry": "Untied States"},
            "no_duplicate": {"Name": "NORTHWIND FOUNDRY, Inc."},
        },
        "contacts": {
            "contact_email_valid": {"Email": "kim@northwind"},
            "phone_valid": {"Phone": "call me"},
            "contact_has_account": {"AccountId": None},
            "no_duplicate": {"FirstName": "K.", "LastName": "VANCE"},
        },
        "leads": {
            "lead_has_status": {"Status": None},
            "lead_email_valid": {"Email": "noor at sable.example"},
            "country_valid": {"Country": "Atlantis"},
            "no_duplicate": {"Email": "Noor@Sable.example"},
        },
        "opportunities": {
            "won_has_amount": {"Amount": None},
            "won_has_close_date": {"CloseDate": None},
            "won_has_owner": {"OwnerId": None},
            "closed_not_in_future": {"CloseDate": "2026-08-16"},
            "closed_after_created": {"CloseDate": "2026-04-29"},
            "close_date_near_stage_change": {"CloseDate": "2026-07-29"},
            "probability_in_range": {"Probability": "100.5"},
            "probability_matches_stage": {"Probability": "90"},
            "stage_known": {"StageName": "Perhaps"},
            "amount_plausible": {"Amount": "4,800,000.00"},
            "currency_present": {"CurrencyIsoCode": None},
            "currency_is_iso": {"CurrencyIsoCode": "XXA"},
            "currency_has_rate": {"CurrencyIsoCode": "CLP"},
            "splits_add_up": {},
            "owner_active": {**_SF_OPEN, "OwnerId": "gone", "Amount": "48001"},
            "owner_active_at_close": {"OwnerId": "gone"},
            "unchanged_after_pay_period": {
                "CloseDate": PAID_LONG_AGO,
                "LastStageChangeDate": PAID_LONG_AGO,
                "CreatedDate": LONG_AGO,
            },
            "no_open_duplicate": {**_SF_OPEN, "Amount": "48002"},
            "not_stale": {**_SF_OPEN, "CreatedDate": MOMENT, "LastStageChangeDate": MOMENT, "Amount": "48003"},
            "line_items_add_up": {"Amount": "48004"},
        },
        "products": {"product_has_name": {"Name": None}},
        "opportunity_line_items": {
            "quantity_not_negative": {"Quantity": "-1"},
            "line_item_has_deal": {"OpportunityId": "dead"},
        },
        "forecasting_quotas": {"one_quota_at_a_time": {"QuotaOwnerId": "u1", "StartDate": "2026-07-01"}},
        "tasks": {"activity_has_parent": {"WhatId": None}},
        "events": {"activity_has_parent": {"WhoId": "003nobody"}},
    },
    "hubspot": {
        "owners": {"user_email_valid": {"email": None}, "rep_has_quota": {}},
        "users": {
            "rep_has_manager": {"manager_email": None},
            "no_manager_cycle": {"manager_email": "no_manager_cycle@halden.example"},
            "one_manager_at_a_time": {"hs_email": "twice@halden.example"},
        },
        "companies": {
            "account_has_name": {"name": None},
            "country_valid": {"country": "Atlantis"},
            "no_duplicate": {"name": "Brght Mill GmbH", "domain": "www.bright.example"},
        },
        "contacts": {
            "contact_email_valid": {"email": "kim at bright.example"},
            "phone_valid": {"phone": "0"},
            "contact_has_account": {"associatedcompanyid": None},
            "no_duplicate": {"email": "KIM@bright.example"},
        },
        "leads": {
            "lead_has_status": {"hs_pipeline_stage": None},
            "no_duplicate": {"hs_lead_name": "Noor HADDAD (Sable Mills)"},
        },
        "deals": {
            "won_has_amount": {"amount": None},
            "won_has_close_date": {"closedate": None, "hs_is_closed_won": None, "hs_is_closed": None},
            "won_has_owner": {"hubspot_owner_id": None},
            "closed_not_in_future": {"closedate": "2026-08-16T00:00:00Z"},
            "closed_after_created": {"closedate": "2026-04-29T00:00:00Z"},
            "close_date_near_stage_change": {"closedate": "2026-07-29T10:00:00Z"},
            "probability_in_range": {"hs_deal_stage_probability": "1.005"},
            "probability_matches_stage": {"hs_deal_stage_probability": "0.9"},
            "amount_plausible": {"amount": "480"},
            "currency_present": {"deal_currency_code": None},
            "currency_is_iso": {"deal_currency_code": "EURO"},
            "currency_has_rate": {"deal_currency_code": "clp"},
            "splits_add_up": {},
            "owner_active": {**_HS_OPEN, "hubspot_owner_id": "gone", "amount": "48001"},
            "owner_active_at_close": {"hubspot_owner_id": "gone"},
            "unchanged_after_pay_period": {"closedate": "2026-03-01T00:00:00Z", "createdate": LONG_AGO},
            "no_open_duplicate": {**_HS_OPEN, "amount": "48002"},
            "not_stale": {**_HS_OPEN, "createdate": MOMENT, "amount": "48003"},
            "line_items_add_up": {"amount": "48004"},
        },
        "products": {"product_has_name": {"name": None}},
        "line_items": {"quantity_not_negative": {"quantity": "-0.5"}, "line_item_has_deal": {"deal_ids": '["none"]'}},
        "goal_targets": {
            "one_quota_at_a_time": {"hs_assignee_user_id": "11", "hs_start_datetime": "2026-07-01T00:00:00Z"}
        },
        **{
            engagement: {"activity_has_parent": {"deal_ids": "[]"}}
            for engagement in ("tasks", "calls", "meetings", "emails")
        },
    },
    "dynamics": {
        "systemusers": {
            "user_email_valid": {"internalemailaddress": "none@"},
            "rep_has_manager": {"_parentsystemuserid_value": None},
            "no_manager_cycle": {"_parentsystemuserid_value": "no_manager_cycle"},
            "one_manager_at_a_time": {"internalemailaddress": "twice@halden.example"},
            "rep_has_quota": {},
        },
        "accounts": {
            "account_has_name": {"name": None},
            "country_valid": {"address1_country": "XX"},
            "no_duplicate": {"name": "The Coral Works (APAC)"},
        },
        "contacts": {
            "contact_email_valid": {"emailaddress1": "kim@@coral.example"},
            "phone_valid": {"telephone1": "12345678901234567890"},
            "contact_has_account": {"_parentcustomerid_value": None},
            "no_duplicate": {"firstname": "K", "lastname": "Vance", "telephone1": None},
        },
        "leads": {
            "lead_has_status": {"statecode": None},
            "lead_email_valid": {"emailaddress1": "noor"},
            "country_valid": {"address1_country": "Atlantis"},
            "no_duplicate": {"fullname": "NOOR HADDAD"},
        },
        "opportunities": {
            "won_has_amount": {"actualvalue": None},
            "won_has_close_date": {"actualclosedate": None},
            "won_has_owner": {"_ownerid_value": None},
            "closed_not_in_future": {"actualclosedate": "2026-08-16T00:00:00Z"},
            "closed_after_created": {"actualclosedate": "2026-04-29", "statecode": "2", "closeprobability": "0"},
            "close_date_near_stage_change": {"actualclosedate": "2026-07-29"},
            "probability_in_range": {**_DY_OPEN, "closeprobability": "-1", "estimatedvalue": "48006"},
            "probability_matches_stage": {"closeprobability": "10"},
            "stage_known": {"stageid": "s9"},
            "amount_plausible": {"actualvalue": "4800000"},
            "currency_present": {"_transactioncurrencyid_value": None},
            "currency_is_iso": {"_transactioncurrencyid_value": "x2"},
            "currency_has_rate": {"_transactioncurrencyid_value": "x3"},
            "owner_active": {**_DY_OPEN, "_ownerid_value": "gone", "estimatedvalue": "48001"},
            "owner_active_at_close": {"_ownerid_value": "gone"},
            "unchanged_after_pay_period": {
                "actualclosedate": PAID_LONG_AGO,
                "createdon": LONG_AGO,
                "modifiedon": "2026-06-20T08:00:00Z",
            },
            "no_open_duplicate": {**_DY_OPEN, "estimatedvalue": "48002"},
            "not_stale": {**_DY_OPEN, "createdon": MOMENT, "estimatedvalue": "48003"},
            "line_items_add_up": {"actualvalue": "48004"},
        },
        "products": {"product_has_name": {"name": None}},
        "opportunityproducts": {
            "quantity_not_negative": {"quantity": "-2"},
            "line_item_has_deal": {"_opportunityid_value": "dead"},
        },
        "goals": {"one_quota_at_a_time": {"_goalownerid_value": "u1", "goalstartdate": "2026-07-01"}},
        **{
            activity: {"activity_has_parent": {"_regardingobjectid_value": "nobody"}}
            for activity in ("tasks", "phonecalls", "appointments", "emails")
        },
    },
    "zoho": {
        "users": {
            "user_email_valid": {"email": "bea"},
            "rep_has_manager": {"Reporting_To": None},
            "no_manager_cycle": {"Reporting_To": "no_manager_cycle"},
            "one_manager_at_a_time": {"email": "twice@halden.example"},
            "rep_has_quota": {},
        },
        "accounts": {
            "account_has_name": {"Account_Name": None},
            "country_valid": {"Billing_Country": "Atlantis"},
            "no_duplicate": {"Account_Name": "Lisboa Freight, Lda."},
        },
        "contacts": {
            "contact_email_valid": {"Email": "kim at lisboa.example"},
            "phone_valid": {"Phone": "351-55"},
            "contact_has_account": {"Account_Name": None},
            "no_duplicate": {"Email": "Kim@Lisboa.example"},
        },
        "leads": {
            "lead_has_status": {"Lead_Status": None},
            "lead_email_valid": {"Email": "@sable.example"},
            "country_valid": {"Country": "Atlantis"},
            "no_duplicate": {"Last_Name": "Haddad"},
        },
        "deals": {
            "won_has_amount": {"Amount": None},
            "won_has_close_date": {"Closing_Date": None},
            "won_has_owner": {"Owner": None},
            "closed_not_in_future": {"Closing_Date": "2026-08-16"},
            "closed_after_created": {"Closing_Date": "2026-04-29"},
            "close_date_near_stage_change": {"Closing_Date": "2026-07-29"},
            "probability_in_range": {"Probability": "100.5"},
            "probability_matches_stage": {"Probability": "90"},
            "stage_known": {"Stage": "Perhaps", "Amount": "48005", "Created_Time": RECENTLY},
            "amount_plausible": {"Amount": "4800000"},
            "currency_present": {"Currency": None},
            "currency_is_iso": {"Currency": "XXA"},
            "currency_has_rate": {"Currency": "CLP"},
            "owner_active": {**_ZO_OPEN, "Owner": "gone", "Amount": "48001"},
            "owner_active_at_close": {"Owner": "gone"},
            "unchanged_after_pay_period": {"Closing_Date": PAID_LONG_AGO, "Created_Time": LONG_AGO},
            "no_open_duplicate": {**_ZO_OPEN, "Amount": "48002"},
            "not_stale": {**_ZO_OPEN, "Created_Time": MOMENT, "Amount": "48003"},
        },
        "products": {"product_has_name": {"Product_Name": None}},
        "forecast_quotas": {"one_quota_at_a_time": {"User": "u1", "Start_Date": "2026-07-01"}},
        "tasks": {"activity_has_parent": {"What_Id": None}},
        "calls": {"activity_has_parent": {"Who_Id": "nobody"}},
        "events": {"activity_has_parent": {"Who_Id": None}},
    },
}
"""For every rule that is a CRM's own, what breaks a healthy record so that this rule alone notices."""

WHILE_UNREADABLE: dict[tuple[str, str, str], Row] = {
    # without a state that can be read the deal counts as open
    ("dynamics", "opportunities", "casts_statecode"): {"closeprobability": "50", "createdon": RECENTLY}
}
"""What else must be so when a value cannot be read."""

IMPLIED: Mapping[tuple[str, str, str], str] = {
    ("salesforce", "contacts", "refers_AccountId"): "contact_has_account",
    ("hubspot", "contacts", "refers_associatedcompanyid"): "contact_has_account",
    ("zoho", "contacts", "refers_Account_Name"): "contact_has_account",
    ("salesforce", "opportunity_line_items", "refers_OpportunityId"): "line_item_has_deal",
    ("dynamics", "opportunityproducts", "refers__opportunityid_value"): "line_item_has_deal",
}
"""What refers to nothing belongs to nothing: the one rule that cannot be broken without another."""

MORE: dict[str, dict[str, Sequence[Row]]] = {
    "salesforce": {
        "users": [
            {"Id": "boss", "Email": "boss@halden.example", "IsActive": "true"},
            {"Id": "gone", "Email": "left@halden.example", "IsActive": "false", "ManagerId": "boss"},
            {"Id": "before", "Email": "twice@halden.example", "IsActive": "true", "ManagerId": "u1"},
        ],
        "currency_types": [{"Id": "x2", "IsoCode": "EUR"}],
        "opportunity_stages": [
            {"Id": "s2", "ApiName": "Prospecting", "DefaultProbability": "10", "IsClosed": "false"},
            {"Id": "s3", "ApiName": "Closed Lost", "DefaultProbability": "0", "IsClosed": "true"},
        ],
        "opportunities": [
            {**HEALTHY["salesforce"]["opportunities"], **_SF_OPEN, "Id": "before", "Amount": "48002"},
            {**HEALTHY["salesforce"]["opportunities"], "Id": "sold", "OwnerId": "rep_has_manager"},
            *(
                {
                    **HEALTHY["salesforce"]["opportunities"],
                    "Id": deal,
                    "StageName": "Closed Lost",
                    "IsWon": "false",
                    "Probability": "0",
                    "CloseDate": "2026-05-11",
                    "LastStageChangeDate": "2026-05-11",
                }
                for deal in CROWD
            ),
        ],
        "opportunity_history": [
            *(
                {
                    "Id": f"{deal}{stage}",
                    "OpportunityId": deal,
                    "StageName": stage,
                    "CreatedDate": at,
                    "Amount": "48000",
                    "CloseDate": "2026-05-11",
                }
                for deal in CROWD
                for stage, at in (("Prospecting", MOMENT), ("Closed Lost", "2026-05-11T08:00:00Z"))
            ),
            *(
                {
                    "Id": f"late{at}",
                    "OpportunityId": "unchanged_after_pay_period",
                    "StageName": "Closed Won",
                    "CreatedDate": at,
                    "Amount": amount,
                    "CloseDate": PAID_LONG_AGO,
                }
                for at, amount in (("2026-03-01", "40000"), ("2026-06-20", "48000"))
            ),
        ],
        "opportunity_splits": [
            {"Id": "sp2", "OpportunityId": "splits_add_up", "SplitTypeId": "st1", "SplitPercentage": "90"}
        ],
        "opportunity_line_items": [{"Id": "i2", "OpportunityId": "line_items_add_up", "TotalPrice": "48000"}],
        "periods": [
            {"Id": "winter", "StartDate": "2026-01-01", "EndDate": "2026-03-31"},
            {"Id": "summer", "StartDate": "2026-07-01", "EndDate": "2026-12-31"},
        ],
        "forecasting_quotas": [
            {"Id": period, "QuotaOwnerId": "rep_has_quota", "PeriodId": period, "StartDate": start, "IsAmount": "true"}
            for period, start in (("winter", "2026-01-01"), ("summer", "2026-07-01"))
        ],
    },
    "hubspot": {
        "owners": [
            {"id": "boss", "email": "boss@halden.example", "archived": "false"},
            {"id": "gone", "email": "left@halden.example", "archived": "true", "updatedAt": MOMENT},
            {"id": "sells", "email": "rep_has_manager@halden.example", "archived": "false"},
            {"id": "twice", "email": "twice@halden.example", "archived": "false"},
        ],
        "users": [
            {"hs_object_id": "boss", "hs_email": "boss@halden.example"},
            {
                "hs_object_id": "before",
                "hs_email": "twice@halden.example",
                "manager_email": "elif.demir@halden.example",
            },
        ],
        "deal_stages": [
            {"id": "contractsent", "probability": "0.75", "isClosed": "false"},
            {"id": "closedlost", "probability": "0", "isClosed": "true"},
        ],
        "deals": [
            {**HEALTHY["hubspot"]["deals"], **_HS_OPEN, "hs_object_id": "before", "amount": "48002"},
            {**HEALTHY["hubspot"]["deals"], "hs_object_id": "sold", "hubspot_owner_id": "sells"},
            *(
                {
                    **HEALTHY["hubspot"]["deals"],
                    "hs_object_id": deal,
                    "dealstage": "closedlost",
                    "hs_is_closed_won": "false",
                    "hs_deal_stage_probability": "0",
                    "closedate": "2026-05-11T08:00:00Z",
                }
                for deal in CROWD
            ),
        ],
        "deal_history": [
            {"id": f"{deal} {name} {at}", "deal_id": deal, "property": name, "value": value, "timestamp": at}
            for deals, told in (
                (
                    CROWD,
                    (("dealstage", "contractsent", MOMENT), ("dealstage", "closedlost", "2026-05-11T08:00:00Z")),
                ),
                (["close_date_near_stage_change"], [("dealstage", "closedwon", "2026-08-02T08:00:00Z")]),
                (
                    ["unchanged_after_pay_period"],
                    (
                        ("dealstage", "closedwon", "2026-03-01T08:00:00Z"),
                        ("amount", "40000", "2026-03-01T08:00:00Z"),
                        ("closedate", "2026-03-01T00:00:00Z", "2026-03-01T08:00:00Z"),
                        ("amount", "48000", "2026-06-20T08:00:00Z"),
                    ),
                ),
            )
            for deal in deals
            for name, value, at in told
        ],
        "deal_splits": [
            {"hs_object_id": "sp2", "hs_deal_id": "splits_add_up", "hs_deal_split_percentage": "0.9"},
        ],
        "line_items": [{"hs_object_id": "i2", "deal_ids": '["line_items_add_up"]', "amount": "48000"}],
        "goal_targets": [
            {
                "hs_object_id": start,
                "hs_goal_name": "Revenue",
                "hs_assignee_user_id": "rep_has_quota",
                "hs_start_datetime": f"{start}T00:00:00Z",
                "hs_end_datetime": f"{end}T23:59:59Z",
            }
            for start, end in (("2026-01-01", "2026-03-31"), ("2026-07-01", "2026-12-31"))
        ],
    },
    "dynamics": {
        "systemusers": [
            {"systemuserid": "boss", "internalemailaddress": "boss@halden.example", "isdisabled": "false"},
            {
                "systemuserid": "gone",
                "internalemailaddress": "left@halden.example",
                "_parentsystemuserid_value": "boss",
                "isdisabled": "true",
            },
            {
                "systemuserid": "before",
                "internalemailaddress": "twice@halden.example",
                "_parentsystemuserid_value": "u1",
                "isdisabled": "false",
            },
        ],
        "transactioncurrencies": [
            {"transactioncurrencyid": "x2", "isocurrencycode": "XXA"},
            {"transactioncurrencyid": "x3", "isocurrencycode": "CLP"},
        ],
        "metrics": [{"metricid": "known"}],
        "opportunities": [
            {**HEALTHY["dynamics"]["opportunities"], **_DY_OPEN, "opportunityid": "before", "estimatedvalue": "48002"},
            {**HEALTHY["dynamics"]["opportunities"], "opportunityid": "sold", "_ownerid_value": "rep_has_manager"},
            *(
                {
                    **HEALTHY["dynamics"]["opportunities"],
                    "opportunityid": deal,
                    "statecode": "2",
                    "closeprobability": "0",
                    "estimatedvalue": "48000",
                    "actualvalue": None,
                    "actualclosedate": "2026-05-11",
                }
                for deal in CROWD
            ),
        ],
        "opportunitycloses": [
            {
                "activityid": deal,
                "_opportunityid_value": deal,
                "actualrevenue": revenue,
                "actualend": at,
                "createdon": at,
            }
            for deal, revenue, at in (
                *((deal, None, "2026-05-11T08:00:00Z") for deal in CROWD),
                ("close_date_near_stage_change", "48000", "2026-08-02T08:00:00Z"),
                ("unchanged_after_pay_period", "40000", "2026-03-01T08:00:00Z"),
            )
        ],
        "opportunityproducts": [
            {
                "opportunityproductid": "i2",
                "_opportunityid_value": "line_items_add_up",
                "extendedamount": "48000",
            }
        ],
        "goals": [
            {
                "goalid": start,
                "_goalownerid_value": "rep_has_quota",
                "_metricid_value": "known",
                "goalstartdate": start,
                "goalenddate": end,
            }
            for start, end in (("2026-01-01", "2026-03-31"), ("2026-07-01", "2026-12-31"))
        ],
    },
    "zoho": {
        "users": [
            {"id": "boss", "full_name": "Ximena Duarte", "email": "boss@halden.example", "status": "active"},
            {
                "id": "gone",
                "full_name": "Left",
                "email": "left@halden.example",
                "status": "disabled",
                "Reporting_To": "boss",
                "Modified_Time": MOMENT,
            },
            {"id": "before", "email": "twice@halden.example", "status": "active", "Reporting_To": "u1"},
        ],
        "currencies": [{"id": "x2", "iso_code": "MXN"}],
        "deal_stages": [
            {"id": "s2", "actual_value": "Qualification", "forecast_type": "Open", "probability": "10"},
            {"id": "s3", "actual_value": "Closed Lost", "forecast_type": "Closed Lost", "probability": "0"},
        ],
        "deals": [
            {**HEALTHY["zoho"]["deals"], **_ZO_OPEN, "id": "before", "Amount": "48002"},
            {**HEALTHY["zoho"]["deals"], "id": "sold", "Owner": "rep_has_manager"},
            *(
                {
                    **HEALTHY["zoho"]["deals"],
                    "id": deal,
                    "Stage": "Closed Lost",
                    "Probability": "0",
                    "Closing_Date": "2026-05-11",
                }
                for deal in CROWD
            ),
        ],
        "stage_history": [
            {
                "id": f"{deal} {number}",
                "Potential_Name": deal,
                "Stage": stage,
                "Moved_To__s": following,
                "Modified_Time": at,
                "Stage_Duration_Calendar_Days": "10" if following else None,
                "Amount": amount,
                "Closing_Date": closes_on,
            }
            for deals, steps in (
                (CROWD, [("Qualification", "Closed Lost", "2026-05-11T08:00:00Z", "48000", "2026-05-11")]),
                (
                    ["close_date_near_stage_change"],
                    [("Qualification", "Closed Won", "2026-08-02T08:00:00Z", "48000", CLOSED)],
                ),
                (
                    ["unchanged_after_pay_period"],
                    [
                        ("Qualification", "Closed Won", "2026-03-01T08:00:00Z", "40000", PAID_LONG_AGO),
                        ("Closed Won", "Closed Won", "2026-06-20T08:00:00Z", "40000", PAID_LONG_AGO),
                        ("Closed Won", None, "2026-06-20T08:00:00Z", "48000", PAID_LONG_AGO),
                    ],
                ),
            )
            for deal in deals
            for number, (stage, following, at, amount, closes_on) in enumerate(steps)
        ],
        "forecast_quotas": [
            {"id": start, "User": "rep_has_quota", "Start_Date": start, "End_Date": end}
            for start, end in (("2026-01-01", "2026-03-31"), ("2026-07-01", "2026-12-31"))
        ],
    },
}
"""More healthy records: those that the broken ones have to do with, and a crowd that says what is usual."""

DELETED: Rows = {
    "salesforce": {"opportunities": {"Id": "dead"}},
    "dynamics": {"opportunities": {"opportunityid": "dead"}},
}
"""Records that were deleted; what belongs to them belongs to nothing any more."""


BROKEN_ELSEWHERE = frozenset({"splits_add_up", "rep_has_quota", "unchanged_after_pay_period"})
"""Rules that records break by what others say of them, which does not change."""


def healthy_rows(crm: str, stream: Stream) -> list[Row]:
    """The healthy records of a stream."""
    rows = [HEALTHY[crm].get(stream.name, {stream.key: "known"}), *MORE[crm].get(stream.name, ())]
    return [{**_stamped(stream), **row} for row in rows]


def broken_rows(crm: str, stream: Stream) -> dict[str, Row]:
    """One record for every rule of a stream; its key is the rule's name."""
    broken = {**dict(_unreadable(crm, stream)), **BROKEN[crm].get(stream.name, {})}
    return {rule: {**_like_the_healthy_one(crm, stream, rule), **change} for rule, change in broken.items()}


def rows_to_break(crm: str, stream: Stream) -> list[Row]:
    """The same records before they were broken."""
    return [_like_the_healthy_one(crm, stream, rule) for rule in broken_rows(crm, stream)]


def _like_the_healthy_one(crm: str, stream: Stream, key: str) -> Row:
    own = OWN[crm].get(stream.name, {})
    return {
        **_stamped(stream),
        **HEALTHY[crm].get(stream.name, {}),
        **{field: value and value.format(rule=key) for field, value in own.items()},
        stream.key: key,
    }


def _stamped(stream: Stream) -> Row:
    return {stream.cursor: MOMENT} if stream.cursor else {}


def _unreadable(crm: str, stream: Stream) -> Iterator[tuple[str, Row]]:
    """What breaks the rules that follow from the stream's declaration."""
    for field, kind in stream.fields.items():
        if kind in CASTS:
            rule = "cursor_parseable" if field == stream.cursor else f"casts_{field}"
            yield rule, {**WHILE_UNREADABLE.get((crm, stream.name, rule), {}), field: "n/a"}
    for field in stream.references:
        yield f"refers_{field}", {field: "nobody"}
