"""Zoho CRM's modules and lists, as its metadata describes them: declarations, and the tables that hold their records.

How a company's records get into them is in `rows`, how they look on the wire in `look`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from connectors.sandbox.company import CustomField
from connectors.sandbox.store import Column, Kind, Table

KINDS = {
    "text": Kind.TEXT,
    "textarea": Kind.TEXT,
    "email": Kind.TEXT,
    "phone": Kind.TEXT,
    "website": Kind.TEXT,
    "picklist": Kind.TEXT,
    "autonumber": Kind.TEXT,
    "integer": Kind.INTEGER,
    "double": Kind.NUMBER,
    "currency": Kind.NUMBER,
    "formula": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.TIMESTAMP,
    "boolean": Kind.BOOLEAN,
    "lookup": Kind.KEY,
    "ownerlookup": Kind.KEY,
    "userlookup": Kind.KEY,
    "subform": Kind.TEXT,
}
"""Zoho's word for a field's type to how the store keeps it; a subform is kept as the JSON text of its rows."""
LOOKUPS = frozenset({"lookup", "ownerlookup", "userlookup"})
CUSTOM_TYPES = {
    "text": "text",
    "long_text": "textarea",
    "number": "double",
    "money": "currency",
    "date": "date",
    "boolean": "boolean",
    "choice": "picklist",
}
SUBFORM_LOOKUPS = {"Product_Name": "Products"}
"""Fields of subform rows that hold the key of another module's record."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A kind of record, and which of the APIs know it."""

    name: str
    title: str
    """The field that other records' lookups call it by."""
    table: Table
    is_custom: bool = False
    has_coql: bool = True
    has_bulk: bool = True
    has_deleted: bool = True
    """Whether `/deleted` lists what is gone."""
    custom_names: frozenset[str] = frozenset()
    """Fields that the company added."""
    formulas: frozenset[str] = frozenset()

    @property
    def is_dated(self) -> bool:
        """Whether its records tell when they changed."""
        return "Modified_Time" in self.table.columns


def _columns(names_by_type: Mapping[str, str]) -> dict[str, Column]:
    """Columns from a list of names for each type; a lookup is named with its target: `Owner:users`."""
    columns = {"id": Column(name="id", kind=Kind.KEY, type="bigint")}
    for type, names in names_by_type.items():
        for name, _, target in (entry.partition(":") for entry in names.split()):
            columns[name] = Column(name=name, kind=KINDS[type], type=type, target=target or None)
    return columns


def _table(name: str, *indexes: str, **names_by_type: str) -> Table:
    return Table(name=f"zoho.{name}", key="id", columns=_columns(names_by_type), indexes=indexes)


def _module(
    name: str,
    title: str,
    *,
    is_custom: bool = False,
    is_dated: bool = True,
    has_coql: bool = True,
    has_bulk: bool = True,
    has_deleted: bool = True,
    **names_by_type: str,
) -> Module:
    stamps = "Created_Time Modified_Time" if is_dated else "Created_Time"
    names_by_type["datetime"] = f"{names_by_type.get('datetime', '')} {stamps}"
    table = _table(name, *(['"Modified_Time", "id"'] if is_dated else []), **names_by_type)
    return Module(
        name=name,
        title=title,
        table=table,
        is_custom=is_custom,
        has_coql=has_coql,
        has_bulk=has_bulk,
        has_deleted=has_deleted,
    )


OWNED = "Owner:users"
STANDARD = (
    _module(
        "Accounts",
        "Account_Name",
        text="Account_Name Billing_Country",
        picklist="Industry Currency",
        website="Website",
        integer="Employees",
        currency="Annual_Revenue",
        double="Exchange_Rate",
        lookup="Parent_Account:Accounts",
        ownerlookup=OWNED,
    ),
    _module(
        "Contacts",
        "Full_Name",
        text="First_Name Last_Name Full_Name Title",
        email="Email",
        phone="Phone",
        lookup="Account_Name:Accounts",
        ownerlookup=OWNED,
    ),
    _module(
        "Leads",
        "Full_Name",
        text="First_Name Last_Name Full_Name Company Country",
        email="Email",
        picklist="Lead_Source Lead_Status",
        boolean="Converted__s",
        datetime="Converted_Date_Time",
        lookup="Converted_Account:Accounts Converted_Contact:Contacts Converted_Deal:Deals",
        ownerlookup=OWNED,
    ),
    _module(
        "Deals",
        "Deal_Name",
        text="Deal_Name",
        textarea="Description",
        picklist="Stage Pipeline Type Lead_Source Currency",
        integer="Probability",
        currency="Amount Expected_Revenue",
        double="Exchange_Rate",
        date="Closing_Date",
        datetime="Stage_Modified_Time",
        lookup="Account_Name:Accounts Contact_Name:Contacts Campaign_Source:Campaigns",
        ownerlookup=OWNED,
    ),
    _module(
        "DealHistory",
        "Stage",
        has_deleted=False,
        picklist="Stage Moved_To__s",
        integer="Probability Stage_Duration_Calendar_Days",
        currency="Amount Expected_Revenue",
        date="Closing_Date",
        lookup="Potential_Name:Deals",
        userlookup="Modified_By:users",
    ),
    _module(
        "Products",
        "Product_Name",
        text="Product_Name Product_Code",
        picklist="Product_Category",
        currency="Unit_Price",
        boolean="Product_Active",
    ),
    _module(
        "Price_Books",
        "Price_Book_Name",
        has_coql=False,
        text="Price_Book_Name",
        picklist="Pricing_Model Currency",
        boolean="Active",
    ),
    _module(
        "Quotes",
        "Subject",
        text="Subject",
        picklist="Quote_Stage Currency",
        currency="Grand_Total",
        lookup="Deal_Name:Deals Account_Name:Accounts",
        ownerlookup=OWNED,
        subform="Quoted_Items",
    ),
    _module(
        "Sales_Orders",
        "Subject",
        text="Subject",
        autonumber="SO_Number",
        picklist="Status Currency",
        date="Order_Date",
        currency="Grand_Total",
        lookup="Deal_Name:Deals Account_Name:Accounts",
        ownerlookup=OWNED,
        subform="Ordered_Items",
    ),
    _module(
        "Invoices",
        "Subject",
        text="Subject",
        autonumber="Invoice_Number",
        picklist="Status Currency",
        date="Invoice_Date Due_Date",
        currency="Grand_Total",
        lookup="Sales_Order:Sales_Orders Deal_Name:Deals Account_Name:Accounts",
        ownerlookup=OWNED,
        subform="Invoiced_Items Payments",
    ),
    _module(
        "Campaigns",
        "Campaign_Name",
        text="Campaign_Name",
        picklist="Type Status Currency",
        date="Start_Date End_Date",
        currency="Budgeted_Cost Actual_Cost",
        ownerlookup=OWNED,
    ),
    _module(
        "Tasks",
        "Subject",
        text="Subject",
        picklist="Status",
        date="Due_Date",
        datetime="Closed_Time",
        lookup="Who_Id:Contacts What_Id:Deals",
        ownerlookup=OWNED,
    ),
    _module(
        "Calls",
        "Subject",
        has_bulk=False,
        text="Subject Call_Duration",
        picklist="Call_Type Outgoing_Call_Status",
        integer="Call_Duration_in_seconds",
        datetime="Call_Start_Time",
        lookup="Who_Id:Contacts What_Id:Deals",
        ownerlookup=OWNED,
    ),
    _module(
        "Events",
        "Event_Title",
        text="Event_Title",
        datetime="Start_DateTime End_DateTime",
        lookup="Who_Id:Contacts What_Id:Deals",
        ownerlookup=OWNED,
    ),
    _module(
        "Forecast_Quotas",
        "Name",
        is_dated=False,
        has_coql=False,
        has_bulk=False,
        has_deleted=False,
        text="Name",
        picklist="Currency",
        date="Start_Date End_Date",
        currency="Target",
        userlookup="User:users",
    ),
    _module(
        "Survey_Responses",
        "Name",
        is_custom=True,
        text="Name",
        textarea="Comment",
        picklist="Kind",
        integer="Score",
        datetime="Answered_At",
        lookup="Account:Accounts Contact:Contacts",
    ),
    _module(
        "Trainings",
        "Name",
        is_custom=True,
        text="Name",
        integer="Score",
        double="Hours",
        date="Completed_On",
        userlookup="Participant:users",
    ),
)
LISTS = {
    table.name.removeprefix("zoho."): table
    for table in (
        _table(
            "users",
            text="first_name last_name full_name email status time_zone",
            lookup="role:roles profile:profiles Reporting_To:users",
            datetime="created_time Modified_Time",
        ),
        _table("roles", text="name", lookup="reporting_to:roles"),
        _table(
            "territories",
            text="name",
            lookup="reporting_to:territories manager:users",
            datetime="created_time modified_time",
        ),
        _table(
            "currencies",
            text="name iso_code symbol exchange_rate",
            boolean="is_base is_active",
            datetime="created_time modified_time",
        ),
        _table(
            "pipeline",
            text="pipeline_id pipeline_name display_value actual_value forecast_type",
            integer="sequence_number probability",
        ),
        _table(
            "Campaign_Members",
            '"Campaign"',
            text="Member_Status Member_Module",
            lookup="Campaign:Campaigns Member:Leads",
        ),
        _table(
            "Price_Book_Products",
            '"Price_Book"',
            currency="list_price",
            lookup="Price_Book:Price_Books Product:Products",
        ),
    )
}
"""What has an API of its own, or is told only as a related list."""
CUSTOMISED = {"opportunity": "Deals", "account": "Accounts", "contact": "Contacts"}


def custom_name(field: str) -> str:
    """The API name of a field that the company added."""
    return field.title()


def modules(custom_fields: Iterable[CustomField]) -> dict[str, Module]:
    """All modules, with the fields that the company added."""
    found = {module.name: module for module in STANDARD}
    for record, name in CUSTOMISED.items():
        added = [field for field in custom_fields if field.record == record]
        found[name] = _with(found[name], added)
    return found


def _with(module: Module, added: Iterable[CustomField]) -> Module:
    columns = {
        custom_name(field.name): Column(
            name=custom_name(field.name), kind=KINDS[CUSTOM_TYPES[field.kind]], type=CUSTOM_TYPES[field.kind]
        )
        for field in added
    }
    return replace(
        module,
        table=replace(module.table, columns={**module.table.columns, **columns}),
        custom_names=frozenset(columns),
        formulas=frozenset(custom_name(field.name) for field in added if field.is_formula),
    )
