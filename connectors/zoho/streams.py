"""What is read from Zoho CRM: streams as data, and which of them have an API of their own.

How they are read is in `source`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.stream import Stream, fields

STREAMS = (
    Stream(
        name="users",
        object="users",
        key="id",
        fields=fields(
            text="id full_name first_name last_name email status role profile Reporting_To time_zone",
            timestamp="created_time Modified_Time",
        ),
        references={"Reporting_To": "users", "role": "roles"},
        required=("full_name", "email"),
    ),
    Stream(
        name="roles",
        object="roles",
        key="id",
        fields=fields(text="id name reporting_to"),
        references={"reporting_to": "roles"},
        optional=True,
    ),
    Stream(
        name="territories",
        object="territories",
        key="id",
        fields=fields(text="id name reporting_to manager", timestamp="created_time modified_time"),
        references={"reporting_to": "territories", "manager": "users"},
        optional=True,
    ),
    Stream(
        name="currencies",
        object="currencies",
        key="id",
        fields=fields(
            text="id name iso_code symbol",
            decimal="exchange_rate",
            boolean="is_base is_active",
            timestamp="created_time modified_time",
        ),
        optional=True,
    ),
    Stream(
        name="accounts",
        object="Accounts",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Account_Name Industry Billing_Country Website Parent_Account Owner Currency",
            decimal="Annual_Revenue Employees Exchange_Rate",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Parent_Account": "accounts", "Owner": "users"},
        required=("Account_Name",),
    ),
    Stream(
        name="contacts",
        object="Contacts",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id First_Name Last_Name Full_Name Email Phone Title Account_Name Owner",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Account_Name": "accounts", "Owner": "users"},
    ),
    Stream(
        name="leads",
        object="Leads",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id First_Name Last_Name Full_Name Company Country Email Lead_Source Lead_Status Owner"
            " Converted_Account Converted_Contact Converted_Deal",
            boolean="Converted__s",
            timestamp="Converted_Date_Time Created_Time Modified_Time",
        ),
        references={"Owner": "users", "Converted_Deal": "deals"},
        required=("Lead_Status",),
    ),
    Stream(
        name="deals",
        object="Deals",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Deal_Name Stage Pipeline Type Lead_Source Account_Name Contact_Name Campaign_Source Owner"
            " Currency",
            decimal="Amount Probability Expected_Revenue Exchange_Rate",
            date="Closing_Date",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Account_Name": "accounts", "Contact_Name": "contacts", "Owner": "users"},
        required=("Stage", "Amount", "Closing_Date", "Owner"),
    ),
    Stream(
        name="deal_stages",
        object="pipeline",
        key="id",
        fields=fields(
            text="id pipeline_id pipeline_name display_value actual_value forecast_type",
            decimal="sequence_number probability",
        ),
        required=("actual_value", "forecast_type"),
    ),
    Stream(
        name="stage_history",
        object="DealHistory",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Potential_Name Stage Moved_To__s Modified_By",
            decimal="Amount Probability Expected_Revenue Stage_Duration_Calendar_Days",
            date="Closing_Date",
            timestamp="Modified_Time",
        ),
        references={"Potential_Name": "deals"},
        optional=True,
        is_reconciled_nightly=True,  # it goes with its deal, of which nothing tells
    ),
    Stream(
        name="products",
        object="Products",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Product_Name Product_Code Product_Category",
            decimal="Unit_Price",
            boolean="Product_Active",
            timestamp="Created_Time Modified_Time",
        ),
        required=("Product_Name",),
    ),
    Stream(
        name="price_books",
        object="Price_Books",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Price_Book_Name Pricing_Model", boolean="Active", timestamp="Created_Time Modified_Time"
        ),
        optional=True,
    ),
    Stream(
        name="price_book_products",
        object="Price_Book_Products",
        key="id",
        fields=fields(text="id Price_Book Product", decimal="list_price"),
        references={"Price_Book": "price_books", "Product": "products"},
        optional=True,
    ),
    Stream(
        name="quotes",
        object="Quotes",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Subject Quote_Stage Deal_Name Account_Name Owner Currency Quoted_Items",
            decimal="Grand_Total",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Deal_Name": "deals", "Account_Name": "accounts", "Owner": "users"},
        optional=True,
    ),
    Stream(
        name="sales_orders",
        object="Sales_Orders",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Subject SO_Number Status Deal_Name Account_Name Owner Currency Ordered_Items",
            decimal="Grand_Total",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Deal_Name": "deals", "Account_Name": "accounts", "Owner": "users"},
        optional=True,
    ),
    Stream(
        name="invoices",
        object="Invoices",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Subject Invoice_Number Status Sales_Order Account_Name Owner Currency Invoiced_Items",
            decimal="Grand_Total",
            date="Invoice_Date Due_Date",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Sales_Order": "sales_orders", "Account_Name": "accounts", "Owner": "users"},
        optional=True,
    ),
    Stream(
        name="campaigns",
        object="Campaigns",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Campaign_Name Type Status Owner",
            decimal="Budgeted_Cost Actual_Cost",
            date="Start_Date End_Date",
            timestamp="Created_Time Modified_Time",
        ),
        references={"Owner": "users"},
        optional=True,
    ),
    Stream(
        name="campaign_members",
        object="Campaign_Members",
        key="id",
        fields=fields(text="id Campaign Member Member_Module Member_Status"),
        references={"Campaign": "campaigns"},
        optional=True,
    ),
    Stream(
        name="tasks",
        object="Tasks",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Subject Status Who_Id What_Id Owner",
            date="Due_Date",
            timestamp="Closed_Time Created_Time Modified_Time",
        ),
        references={"Owner": "users"},
        optional=True,
    ),
    Stream(
        name="calls",
        object="Calls",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Subject Call_Type Outgoing_Call_Status Call_Duration Who_Id What_Id Owner",
            decimal="Call_Duration_in_seconds",
            timestamp="Call_Start_Time Created_Time Modified_Time",
        ),
        references={"Owner": "users"},
        optional=True,
    ),
    Stream(
        name="events",
        object="Events",
        key="id",
        cursor="Modified_Time",
        fields=fields(
            text="id Event_Title Who_Id What_Id Owner",
            timestamp="Start_DateTime End_DateTime Created_Time Modified_Time",
        ),
        references={"Owner": "users"},
        optional=True,
    ),
    Stream(
        name="forecast_quotas",
        object="Forecast_Quotas",
        key="id",
        fields=fields(
            text="id Name User Currency", decimal="Target", date="Start_Date End_Date", timestamp="Created_Time"
        ),
        references={"User": "users"},
        optional=True,
    ),
)


def custom_stream(object: str) -> Stream:
    """Read any module that configuration names, a custom one for example."""
    return Stream(
        name=re.sub(r"\W+", "_", object).strip("_").lower(),
        object=object,
        key="id",
        cursor="Modified_Time",
        fields=fields(text="id", timestamp="Modified_Time"),
    )


@dataclass(frozen=True)
class Link:
    """A related list of every record of a module, which Zoho CRM tells in no other way."""

    parent: str
    related: str
    parent_field: str
    """Column for the parent's id."""
    field: str
    """Column for the id of the record that is listed."""
    says: str
    """What is told of the link itself."""
    kind_field: str | None = None
    """Column for the module of the record that is listed, where there are several."""


LINKS: Mapping[str, tuple[Link, ...]] = {
    "Campaign_Members": (
        Link("Campaigns", "Leads", "Campaign", "Member", "Member_Status", "Member_Module"),
        Link("Campaigns", "Contacts", "Campaign", "Member", "Member_Status", "Member_Module"),
    ),
    "Price_Book_Products": (Link("Price_Books", "Products", "Price_Book", "Product", "list_price"),),
}
"""Object to the related lists it is put together from."""

LISTS: Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]] = {
    "users": (("users", {"type": "AllUsers"}), ("users", {"type": "DeletedUsers"})),
    "roles": (("settings/roles", {}),),
    "territories": (("settings/territories", {}),),
    "currencies": (("org/currencies", {}),),
}
"""Object to what lists it whole; somebody who was deleted still owns the deals of the past."""

STAGES = "pipeline"
CONVERTIBLE = "Leads"
"""Of these, neither queries nor bulk files show those that were converted: only lists do, when asked to."""
