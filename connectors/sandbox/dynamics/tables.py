"""The tables of a Dataverse organisation: names, entity sets, columns, what is tracked.

Declarations only: how a company's records fill them is in `rows`, how they are served in the other modules.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.sandbox.company import CustomField
from connectors.sandbox.store import Column, Kind, Table

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://sandbox.example/dataverse")

KINDS = {
    "Uniqueidentifier": Kind.KEY,
    "Lookup": Kind.KEY,
    "Owner": Kind.KEY,
    "Customer": Kind.KEY,
    "Money": Kind.NUMBER,
    "Decimal": Kind.NUMBER,
    "Integer": Kind.INTEGER,
    "BigInt": Kind.INTEGER,
    "State": Kind.INTEGER,
    "Status": Kind.INTEGER,
    "Picklist": Kind.INTEGER,
    "Boolean": Kind.BOOLEAN,
    "DateTime": Kind.TIMESTAMP,
    "DateOnly": Kind.DATE,
    "String": Kind.TEXT,
    "Memo": Kind.TEXT,
    "EntityName": Kind.TEXT,
}
CUSTOM_TYPES = {
    "text": "String",
    "long_text": "Memo",
    "number": "Decimal",
    "money": "Money",
    "date": "DateOnly",
    "boolean": "Boolean",
    "choice": "Picklist",
}
CUSTOMERS = ("account", "contact")
POLYMORPHIC = {
    "ownerid": ("owneridtype", ("systemuser", "team")),
    "goalownerid": ("goalowneridtype", ("systemuser", "team")),
    "customerid": ("customeridtype", CUSTOMERS),
    "parentcustomerid": ("parentcustomeridtype", CUSTOMERS),
    "regardingobjectid": (
        "regardingobjecttypecode",
        ("account", "campaign", "contact", "lead", "opportunity", "salesorder", "invoice"),
    ),
}
"""Lookups into several tables: the column that names the table of a row, and the tables."""


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A Dataverse table, as its metadata describes it."""

    name: str
    set: str
    primary_name: str
    table: Table
    is_tracked: bool
    calculated: frozenset[str] = frozenset()
    """Columns worked out when read: their value changes while the record's stamp and version stay."""
    secured: frozenset[str] = frozenset()
    """Columns under column-level security that the application user may not read."""
    hidden: frozenset[str] = frozenset()
    """Columns that are there for others, but not for the application user: not even in the metadata."""

    @property
    def key(self) -> str:
        """Its primary id."""
        return self.table.key

    @property
    def is_custom(self) -> bool:
        """Whether the company made it."""
        return self.name.startswith("new_")

    @property
    def readable(self) -> tuple[str, ...]:
        """The columns that a query may name."""
        return tuple(name for name, column in self.columns.items() if column.type != "EntityName")

    @property
    def columns(self) -> dict[str, Column]:
        """All columns that are shown at all."""
        return {name: column for name, column in self.table.columns.items() if name not in self.hidden}


def record_id(entity: str, key: str) -> str:
    """The GUID of a company's record: the same in every run."""
    return str(uuid.uuid5(NAMESPACE, f"{entity}:{key}"))


def lookup_name(column: Column) -> str:
    """The attribute of a column: lookups are queried by `_attribute_value`."""
    return column.name.removeprefix("_").removesuffix("_value") if column.target else column.name


def _entity(
    name: str,
    set: str,
    lookups: Mapping[str, str] | None = None,
    *,
    key: str | None = None,
    primary_name: str = "name",
    is_tracked: bool = True,
    has_stamps: bool = True,
    **names_by_type: str,
) -> Entity:
    key = key or f"{name}id"
    columns = {key: Column(name=key, kind=Kind.KEY, type="Uniqueidentifier")}
    for lookup, target in (lookups or {}).items():
        columns |= _lookup(lookup, target)
    for type, names in names_by_type.items():
        columns |= {column: Column(name=column, kind=KINDS[type], type=type) for column in names.split()}
    if has_stamps:
        columns |= {n: Column(name=n, kind=Kind.TIMESTAMP, type="DateTime") for n in ("createdon", "modifiedon")}
        columns["versionnumber"] = Column(name="versionnumber", kind=Kind.INTEGER, type="BigInt")
    indexes = tuple(n for n in ("modifiedon", PARENTS.get(name)) if n in columns)
    table = Table(name=f"dynamics.{name}", key=key, columns=columns, indexes=indexes)
    return Entity(name=name, set=set, primary_name=primary_name, table=table, is_tracked=is_tracked)


def _lookup(name: str, target: str) -> dict[str, Column]:
    type = {"ownerid": "Owner", "customerid": "Customer", "parentcustomerid": "Customer"}.get(name, "Lookup")
    columns = {f"_{name}_value": Column(name=f"_{name}_value", kind=Kind.KEY, type=type, target=target)}
    if name in POLYMORPHIC:
        companion = POLYMORPHIC[name][0]
        columns[companion] = Column(name=companion, kind=Kind.TEXT, type="EntityName")
    return columns


PARENTS = {
    "opportunityproduct": "_opportunityid_value",
    "opportunityclose": "_opportunityid_value",
    "opportunitysalesprocess": "_opportunityid_value",
    "new_opportunitysplit": "_new_opportunityid_value",
    "productpricelevel": "_pricelevelid_value",
    "salesorderdetail": "_salesorderid_value",
    "invoicedetail": "_invoiceid_value",
    "new_payment": "_new_invoiceid_value",
}
"""Tables whose rows are parts of another table's record, with the lookup to it: they go where it goes."""

CURRENCY = {"transactioncurrencyid": "transactioncurrency"}
OWNED = {"ownerid": "systemuser"}
STATUS: dict[str, Any] = {"State": "statecode", "Status": "statuscode"}
ACTIVITY: dict[str, Any] = {
    "key": "activityid",
    "primary_name": "subject",
    "String": "subject",
    "Memo": "description",
    "DateTime": "scheduledstart scheduledend actualstart actualend",
    "Integer": "scheduleddurationminutes actualdurationminutes",
    **STATUS,
}
LINE: dict[str, Any] = {"String": "productdescription", "Decimal": "quantity", "Money": "priceperunit extendedamount"}

STANDARD = (
    _entity(
        "systemuser",
        "systemusers",
        {"parentsystemuserid": "systemuser", "businessunitid": "businessunit", "territoryid": "territory"},
        primary_name="fullname",
        String="fullname firstname lastname internalemailaddress domainname title",
        Boolean="isdisabled",
    ),
    _entity(
        "team",
        "teams",
        {"businessunitid": "businessunit"},
        String="name",
        Picklist="teamtype",
    ),
    _entity(
        "businessunit",
        "businessunits",
        {"parentbusinessunitid": "businessunit"},
        String="name",
        Boolean="isdisabled",
    ),
    _entity(
        "territory",
        "territories",
        {"managerid": "systemuser", "parentterritoryid": "territory"},
        String="name",
    ),
    _entity(
        "transactioncurrency",
        "transactioncurrencies",
        primary_name="currencyname",
        String="isocurrencycode currencyname currencysymbol",
        Decimal="exchangerate",
        State="statecode",
    ),
    _entity(
        "account",
        "accounts",
        {"parentaccountid": "account", "masterid": "account", **OWNED, **CURRENCY},
        String="name address1_country websiteurl",
        Memo="description",
        Money="revenue",
        Picklist="industrycode",
        Integer="numberofemployees",
        Boolean="merged",
        **STATUS,
    ),
    _entity(
        "contact",
        "contacts",
        {"parentcustomerid": "account", "masterid": "contact", **OWNED},
        primary_name="fullname",
        String="firstname lastname fullname emailaddress1 telephone1 jobtitle",
        Boolean="merged",
        **STATUS,
    ),
    _entity(
        "lead",
        "leads",
        {
            "qualifyingopportunityid": "opportunity",
            "parentaccountid": "account",
            "parentcontactid": "contact",
            "masterid": "lead",
            **OWNED,
        },
        primary_name="fullname",
        String="firstname lastname fullname companyname emailaddress1 address1_country",
        Picklist="leadsourcecode",
        Boolean="merged",
        **STATUS,
    ),
    _entity(
        "opportunity",
        "opportunities",
        {
            "parentaccountid": "account",
            "parentcontactid": "contact",
            "customerid": "account",
            "campaignid": "campaign",
            "pricelevelid": "pricelevel",
            **OWNED,
            **CURRENCY,
        },
        String="name stepname",
        Memo="description",
        Uniqueidentifier="stageid",
        Money="estimatedvalue actualvalue",
        Integer="closeprobability",
        DateOnly="estimatedclosedate actualclosedate",
        Picklist="msdyn_forecastcategory new_type new_leadsource",
        **STATUS,
    ),
    _entity(
        "processstage",
        "processstages",
        primary_name="stagename",
        is_tracked=False,
        has_stamps=False,
        String="stagename",
        Picklist="stagecategory",
    ),
    _entity(
        "opportunityclose",
        "opportunitycloses",
        {"opportunityid": "opportunity", **OWNED, **CURRENCY},
        is_tracked=False,
        key="activityid",
        primary_name="subject",
        String="subject",
        Money="actualrevenue",
        DateTime="actualend",
        **STATUS,
    ),
    _entity(
        "opportunitysalesprocess",
        "opportunitysalesprocesses",
        {"opportunityid": "opportunity", "activestageid": "processstage"},
        key="businessprocessflowinstanceid",
        String="name",
        Memo="traversedpath",
        DateTime="activestagestartedon completedon",
        **STATUS,
    ),
    _entity(
        "product",
        "products",
        {"parentproductid": "product", **CURRENCY},
        String="name productnumber",
        Memo="description",
        Money="price",
        **STATUS,
    ),
    _entity("pricelevel", "pricelevels", CURRENCY, String="name", **STATUS),
    _entity(
        "productpricelevel",
        "productpricelevels",
        {"pricelevelid": "pricelevel", "productid": "product", **CURRENCY},
        primary_name="productnumber",
        String="productnumber",
        Money="amount",
    ),
    _entity(
        "opportunityproduct",
        "opportunityproducts",
        {"opportunityid": "opportunity", "productid": "product", **CURRENCY},
        primary_name="opportunityproductname",
        String="opportunityproductname productdescription",
        Decimal="quantity",
        Money="priceperunit extendedamount",
    ),
    _entity("metric", "metrics", String="name", Boolean="isamount", Picklist="amountdatatype", **STATUS),
    _entity(
        "goal",
        "goals",
        {"goalownerid": "systemuser", "metricid": "metric", "parentgoalid": "goal", **CURRENCY},
        is_tracked=False,
        primary_name="title",
        String="title",
        Money="targetmoney stretchtargetmoney actualmoney inprogressmoney",
        Decimal="targetdecimal percentage",
        Integer="targetinteger",
        DateOnly="goalstartdate goalenddate",
        Picklist="fiscalperiod fiscalyear amountdatatype",
        Boolean="isfiscalperiodgoal isamount",
        DateTime="lastrolledupdate",
        **STATUS,
    ),
    _entity("task", "tasks", {"regardingobjectid": "opportunity", **OWNED}, **ACTIVITY),
    _entity(
        "phonecall",
        "phonecalls",
        {"regardingobjectid": "opportunity", **OWNED},
        Boolean="directioncode",
        **ACTIVITY,
    ),
    _entity("appointment", "appointments", {"regardingobjectid": "opportunity", **OWNED}, **ACTIVITY),
    _entity(
        "email",
        "emails",
        {"regardingobjectid": "opportunity", **OWNED},
        Boolean="directioncode",
        **ACTIVITY,
    ),
    _entity(
        "campaign",
        "campaigns",
        {**OWNED, **CURRENCY},
        String="name codename",
        Picklist="typecode",
        DateOnly="proposedstart proposedend",
        Money="budgetedcost totalactualcost",
        **STATUS,
    ),
    _entity(
        "campaignresponse",
        "campaignresponses",
        {"regardingobjectid": "campaign", "new_contactid": "contact", "new_leadid": "lead"},
        is_tracked=False,
        key="activityid",
        primary_name="subject",
        String="subject",
        Picklist="responsecode",
        DateOnly="receivedon",
        **STATUS,
    ),
    _entity(
        "salesorder",
        "salesorders",
        {"opportunityid": "opportunity", "customerid": "account", **OWNED, **CURRENCY},
        String="name ordernumber",
        Money="totalamount",
        DateOnly="submitdate datefulfilled",
        **STATUS,
    ),
    _entity(
        "salesorderdetail",
        "salesorderdetails",
        {"salesorderid": "salesorder", "productid": "product", **CURRENCY},
        primary_name="productdescription",
        **LINE,
    ),
    _entity(
        "invoice",
        "invoices",
        {"salesorderid": "salesorder", "opportunityid": "opportunity", "customerid": "account", **OWNED, **CURRENCY},
        String="name invoicenumber",
        Money="totalamount",
        DateOnly="datedelivered duedate",
        **STATUS,
    ),
    _entity(
        "invoicedetail",
        "invoicedetails",
        {"invoiceid": "invoice", "productid": "product", **CURRENCY},
        primary_name="productdescription",
        **LINE,
    ),
    _entity(
        "quote",
        "quotes",
        {"opportunityid": "opportunity", "customerid": "account", **OWNED, **CURRENCY},
        String="name quotenumber",
        Money="totalamount",
        DateOnly="effectivefrom effectiveto",
        **STATUS,
    ),
    _entity(
        "contract",
        "contracts",
        {"customerid": "account", **OWNED, **CURRENCY},
        primary_name="title",
        String="title contractnumber",
        Money="totalprice",
        DateOnly="activeon expireson",
        **STATUS,
    ),
    _entity(
        "annotation",
        "annotations",
        {"objectid": "opportunity", **OWNED},
        primary_name="subject",
        String="subject",
        Memo="notetext",
    ),
    _entity(
        "new_opportunitysplit",
        "new_opportunitysplits",
        {"new_opportunityid": "opportunity", "new_userid": "systemuser"},
        primary_name="new_name",
        String="new_name",
        Decimal="new_percent",
        Boolean="new_isoverlay",
    ),
    _entity(
        "new_payment",
        "new_payments",
        {"new_invoiceid": "invoice", **CURRENCY},
        primary_name="new_name",
        String="new_name",
        DateOnly="new_paidon",
        Money="new_amount",
    ),
    _entity(
        "new_surveyresponse",
        "new_surveyresponses",
        {"new_accountid": "account", "new_contactid": "contact"},
        primary_name="new_name",
        String="new_name",
        Memo="new_comment",
        Picklist="new_kind",
        Integer="new_score",
        DateTime="new_answeredon",
    ),
    _entity(
        "new_training",
        "new_trainings",
        {"new_userid": "systemuser"},
        primary_name="new_name",
        String="new_name",
        Decimal="new_hours",
        Integer="new_score",
        DateOnly="new_completedon",
    ),
)
ENTITIES = {entity.name: entity for entity in STANDARD}
"""What every organisation of the sandbox has; the company's custom fields come on top."""


def with_custom_fields(fields: Iterable[CustomField]) -> dict[str, Entity]:
    """All tables, with the columns a company added to them."""
    entities = dict(ENTITIES)
    for field in fields:
        entity, name, type = entities[field.record], f"new_{field.name}", CUSTOM_TYPES[field.kind]
        columns = {**entity.table.columns, name: Column(name=name, kind=KINDS[type], type=type)}
        entities[field.record] = replace(
            entity,
            table=replace(entity.table, columns=columns),
            calculated=entity.calculated | ({name} if field.is_formula else set()),
        )
    return entities
