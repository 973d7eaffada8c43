"""What is read from HubSpot: the objects, and the fields that staging needs of them.

Declarations only. All other properties that the portal shows land too, as text.
"""

import re

from connectors.stream import Stream, fields

_OWNED = {"hubspot_owner_id": "owners"}
_ABOUT = {"deal_ids": "deals", "company_ids": "companies", "contact_ids": "contacts"}
_STAMPS = "hs_createdate hs_lastmodifieddate"


def _object(name: str, *, optional: bool = True, object: str | None = None, **more: object) -> Stream:
    """Declare a CRM object with the usual key and cursor."""
    declared = {"key": "hs_object_id", "cursor": "hs_lastmodifieddate", "optional": optional} | more
    return Stream(name=name, object=object or name, **declared)  # type: ignore[arg-type]


def _engagement(name: str, **names_by_kind: str) -> Stream:
    """Declare something that a rep did."""
    text = f"hs_object_id hubspot_owner_id {names_by_kind.pop('text')}"
    timestamp = f"hs_timestamp {names_by_kind.pop('timestamp', '')} {_STAMPS}"
    return _object(
        name,
        fields=fields(text=text, timestamp=timestamp, **names_by_kind),
        references=_OWNED,
        associations={**_ABOUT, "lead_ids": "leads"},
    )


STREAMS = (
    Stream(
        name="account_info",
        object="account-info",
        key="portalId",
        fields=fields(text="portalId accountType timeZone companyCurrency additionalCurrencies utcOffset"),
        optional=True,
    ),
    Stream(
        name="exchange_rates",
        object="exchange-rates",
        key="id",
        fields=fields(
            text="id fromCurrencyCode toCurrencyCode",
            decimal="conversionRate",
            boolean="visibleInUI",
            timestamp="effectiveAt createdAt updatedAt",
        ),
        optional=True,
    ),
    Stream(
        name="owners",
        object="owners",
        key="id",
        fields=fields(
            text="id email firstName lastName userId userIdIncludingInactive type teams",
            boolean="archived",
            timestamp="createdAt updatedAt",
        ),
        required=("id", "email"),
    ),
    Stream(
        name="users",
        object="users",
        key="hs_object_id",
        fields=fields(
            text="hs_object_id hs_email hs_given_name hs_family_name hs_job_title manager_email region",
            timestamp=_STAMPS,
        ),
        optional=True,
    ),
    Stream(
        name="property_options",
        object="properties",
        key="id",
        fields=fields(text="id object property value label", decimal="displayOrder", boolean="hidden"),
    ),
    Stream(
        name="companies",
        object="companies",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name domain industry country hubspot_owner_id hs_parent_company_id hs_merged_object_ids",
            decimal="annualrevenue numberofemployees",
            timestamp="createdate hs_lastmodifieddate",
        ),
        references=_OWNED,
        required=("name",),
    ),
    Stream(
        name="contacts",
        object="contacts",
        key="hs_object_id",
        cursor="lastmodifieddate",  # by the name that all others have, every contact seems never to have changed
        fields=fields(
            text="hs_object_id email firstname lastname phone jobtitle hubspot_owner_id"
            " associatedcompanyid lifecyclestage hs_lead_status hs_merged_object_ids",
            timestamp="createdate lastmodifieddate",
        ),
        references={**_OWNED, "associatedcompanyid": "companies"},
    ),
    _object(
        "leads",
        fields=fields(
            text="hs_object_id hs_lead_name hs_lead_type hs_lead_source hs_pipeline hs_pipeline_stage hubspot_owner_id",
            timestamp=_STAMPS,
        ),
        references=_OWNED,
        associations={"deal_ids": "deals"},
    ),
    Stream(
        name="deal_stages",
        object="deals",
        key="id",
        fields=fields(
            text="id label pipeline_id pipeline_label",
            decimal="displayOrder probability",
            boolean="isClosed archived",
            timestamp="createdAt updatedAt",
        ),
    ),
    Stream(
        name="deals",
        object="deals",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id dealname pipeline dealstage dealtype deal_currency_code hubspot_owner_id"
            " hs_manual_forecast_category hs_merged_object_ids",
            decimal="amount hs_deal_stage_probability",
            boolean="hs_is_closed hs_is_closed_won",
            timestamp="closedate createdate hs_lastmodifieddate",
        ),
        references={**_OWNED, "dealstage": "deal_stages"},
        required=("dealstage", "amount", "closedate", "hubspot_owner_id"),
        associations={"company_ids": "companies"},
    ),
    Stream(
        name="deal_history",
        object="deals",
        key="id",
        cursor="timestamp",
        fields=fields(
            text="id deal_id property value sourceType sourceId sourceLabel updatedByUserId", timestamp="timestamp"
        ),
        references={"deal_id": "deals"},
    ),
    _object(
        "deal_splits",
        object="deal_split",
        fields=fields(
            text="hs_object_id hs_deal_id hubspot_owner_id",
            decimal="hs_deal_split_amount hs_deal_split_percentage",
            timestamp=_STAMPS,
        ),
        references={**_OWNED, "hs_deal_id": "deals"},
    ),
    Stream(
        name="products",
        object="products",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name hs_sku hs_product_type",
            decimal="price",
            timestamp="createdate hs_lastmodifieddate",
        ),
        required=("name",),
    ),
    Stream(
        name="line_items",
        object="line_items",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name hs_product_id hs_line_item_currency_code",
            decimal="quantity price amount",
            timestamp="createdate hs_lastmodifieddate",
        ),
        references={"hs_product_id": "products"},
        associations={"deal_ids": "deals", "order_ids": "orders"},
    ),
    _object(
        "quotes",
        fields=fields(
            text="hs_object_id hs_title hs_status hs_currency",
            decimal="hs_quote_amount",
            date="hs_expiration_date",
            timestamp=_STAMPS,
        ),
        associations={"deal_ids": "deals"},
    ),
    _object(
        "orders",
        fields=fields(
            text="hs_object_id hs_order_name hs_external_order_id hs_external_order_status hs_currency_code"
            " hubspot_owner_id",
            decimal="hs_total_price",
            timestamp=f"hs_external_created_date {_STAMPS}",
        ),
        references=_OWNED,
        associations={"deal_ids": "deals", "company_ids": "companies"},
    ),
    _object(
        "invoices",
        fields=fields(
            text="hs_object_id hs_number hs_invoice_status hs_currency hubspot_owner_id",
            decimal="hs_amount_billed hs_amount_paid hs_balance_due",
            timestamp=f"hs_invoice_date hs_due_date {_STAMPS}",
        ),
        references=_OWNED,
        associations={"deal_ids": "deals", "company_ids": "companies", "order_ids": "orders"},
    ),
    _object(
        "commerce_payments",
        fields=fields(
            text="hs_object_id hs_latest_status hs_currency_code",
            decimal="hs_initial_amount",
            timestamp=f"hs_initiated_date {_STAMPS}",
        ),
        associations={"invoice_ids": "invoices", "company_ids": "companies"},
    ),
    _object(
        "subscriptions",
        fields=fields(
            text="hs_object_id hs_name hs_status hs_currency_code",
            decimal="hs_recurring_revenue",
            timestamp=f"hs_recurring_billing_start_date hs_recurring_billing_end_date {_STAMPS}",
        ),
        associations={"deal_ids": "deals", "company_ids": "companies"},
    ),
    _object(
        "goal_targets",
        fields=fields(
            text="hs_object_id hs_goal_name hs_assignee_user_id",
            decimal="hs_target_amount",
            timestamp=f"hs_start_datetime hs_end_datetime {_STAMPS}",
        ),
    ),
    _engagement("tasks", text="hs_task_subject hs_task_status hs_task_type"),
    _engagement("calls", text="hs_call_title hs_call_status", decimal="hs_call_duration"),
    _engagement(
        "meetings",
        text="hs_meeting_title hs_meeting_outcome",
        timestamp="hs_meeting_start_time hs_meeting_end_time",
    ),
    _engagement("emails", text="hs_email_subject hs_email_status hs_email_direction"),
    _engagement("notes", text="hs_note_body"),
)
HISTORY_PROPERTIES = ("dealstage", "amount", "closedate", "hubspot_owner_id")
"""Properties of a deal whose past is read."""
OPTION_OBJECTS = ("companies", "contacts", "leads", "deals", "products")
"""Objects whose choices are read with their labels."""


def custom_stream(object: str) -> Stream:
    """Declare one of the company's own objects, by its name, its qualified name (`p123_survey`) or its id (`2-456`)."""
    name = re.sub(r"\W+", "_", object.lower())
    return _object(
        name if name[:1].isalpha() else f"object_{name}",
        object=object,
        optional=False,
        fields=fields(text="hs_object_id", timestamp=_STAMPS),
        associations=_ABOUT,
    )
