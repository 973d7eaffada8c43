"""What a HubSpot portal keeps: its objects with their properties, ids and names, and which of them can be associated.

Declarations only; rows are made in `rows`, requests are answered elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connectors.sandbox.company import CustomField, Stage
from connectors.sandbox.store import Column, Kind, Table

PIPELINE = ("default", "Sales Pipeline")
LEAD_PIPELINE = ("lead-pipeline-id", "Lead pipeline")
LEAD_STAGES = (
    ("new-stage-id", "New"),
    ("attempting-stage-id", "Attempting"),
    ("connected-stage-id", "Connected"),
    ("qualified-stage-id", "Qualified"),
    ("unqualified-stage-id", "Unqualified"),
)
PORTAL_ID = 4242
OWNER = "hubspot_owner_id"
BY_ID = '"hs_object_id"'
BY_NUMBER = f"cast({BY_ID} as integer)"
KINDS = {"number": Kind.NUMBER, "datetime": Kind.TIMESTAMP, "date": Kind.DATE, "bool": Kind.BOOLEAN}
CUSTOM_TYPES = {
    "text": "string",
    "long_text": "string",
    "number": "number",
    "money": "number",
    "date": "date",
    "boolean": "bool",
    "choice": "enumeration",
}
CUSTOMISED = {"opportunity": "deals", "account": "companies", "contact": "contacts"}
"""Class of a company's record to the object whose properties its custom fields become."""


@dataclass(frozen=True, kw_only=True)
class Object:
    """A kind of record."""

    name: str
    """As in paths, and in the store after `hubspot.`."""
    singular: str
    type_id: str
    properties: Mapping[str, str]
    """Names to HubSpot's types."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Property to the object whose id it holds."""
    defaults: tuple[str, ...] = ()
    """Properties that are sent when none is asked for."""
    created: str = "hs_createdate"
    modified: str = "hs_lastmodifieddate"

    @property
    def is_custom(self) -> bool:
        """Whether the company itself defined it."""
        return self.type_id.startswith("2-")

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called in a path."""
        qualified = (f"p{PORTAL_ID}_{self.name}", f"p_{self.name}") if self.is_custom else ()
        return (self.name, self.singular, self.type_id, *qualified)


def typed(**names_by_type: str) -> dict[str, str]:
    """Declare properties as one list of names for each type."""
    return {name: type for type, names in names_by_type.items() for name in names.split()}


_ENGAGEMENT = typed(datetime="hs_timestamp", enumeration=OWNER)
_OBJECTS = (
    Object(
        name="users",
        singular="user",
        type_id="0-115",
        properties=typed(string="hs_email hs_given_name hs_family_name hs_job_title manager_email region"),
    ),
    Object(
        name="companies",
        singular="company",
        type_id="0-2",
        created="createdate",
        properties=typed(
            string="name domain country hs_merged_object_ids website",
            enumeration=f"industry {OWNER}",
            number="annualrevenue numberofemployees hs_parent_company_id",
        ),
        targets={"hs_parent_company_id": "companies"},
        defaults=("domain", "name"),
    ),
    Object(
        name="contacts",
        singular="contact",
        type_id="0-1",
        created="createdate",
        modified="lastmodifieddate",
        properties=typed(
            string="email firstname lastname jobtitle hs_merged_object_ids",
            phone_number="phone",
            enumeration=f"lifecyclestage hs_lead_status {OWNER}",
            number="associatedcompanyid",
        ),
        targets={"associatedcompanyid": "companies"},
        defaults=("email", "firstname", "lastname"),
    ),
    Object(
        name="leads",
        singular="lead",
        type_id="0-136",
        properties=typed(
            string="hs_lead_name hs_lead_source hs_merged_object_ids",
            enumeration=f"hs_lead_type hs_pipeline hs_pipeline_stage {OWNER}",
        ),
    ),
    Object(
        name="deals",
        singular="deal",
        type_id="0-3",
        created="createdate",
        properties=typed(
            string="dealname hs_merged_object_ids",
            enumeration=f"pipeline dealstage dealtype deal_currency_code hs_manual_forecast_category {OWNER}",
            number="amount hs_deal_stage_probability",
            bool="hs_is_closed hs_is_closed_won",
            datetime="closedate",
        ),
        defaults=("amount", "closedate", "dealname", "dealstage", "pipeline"),
    ),
    Object(
        name="deal_split",
        singular="deal_split",
        type_id="0-72",
        properties=typed(number="hs_deal_id hs_deal_split_amount hs_deal_split_percentage", enumeration=OWNER),
        targets={"hs_deal_id": "deals"},
    ),
    Object(
        name="products",
        singular="product",
        type_id="0-7",
        created="createdate",
        properties=typed(string="name hs_sku", enumeration="hs_product_type", number="price"),
        defaults=("name", "price"),
    ),
    Object(
        name="line_items",
        singular="line_item",
        type_id="0-8",
        created="createdate",
        properties=typed(
            string="name",
            enumeration="hs_line_item_currency_code",
            number="quantity price amount hs_product_id",
        ),
        targets={"hs_product_id": "products"},
        defaults=("quantity", "amount"),
    ),
    Object(
        name="quotes",
        singular="quote",
        type_id="0-14",
        properties=typed(
            string="hs_title", enumeration="hs_status hs_currency", number="hs_quote_amount", date="hs_expiration_date"
        ),
    ),
    Object(
        name="orders",
        singular="order",
        type_id="0-123",
        properties=typed(
            string="hs_order_name hs_external_order_id",
            enumeration=f"hs_external_order_status hs_currency_code {OWNER}",
            number="hs_total_price",
            datetime="hs_external_created_date",
        ),
    ),
    Object(
        name="invoices",
        singular="invoice",
        type_id="0-53",
        properties=typed(
            string="hs_number",
            enumeration=f"hs_invoice_status hs_currency {OWNER}",
            number="hs_amount_billed hs_amount_paid hs_balance_due",
            datetime="hs_invoice_date hs_due_date",
        ),
    ),
    Object(
        name="commerce_payments",
        singular="commerce_payment",
        type_id="0-101",
        properties=typed(
            enumeration="hs_latest_status hs_currency_code", number="hs_initial_amount", datetime="hs_initiated_date"
        ),
    ),
    Object(
        name="subscriptions",
        singular="subscription",
        type_id="0-69",
        properties=typed(
            string="hs_name",
            enumeration="hs_status hs_currency_code",
            number="hs_recurring_revenue",
            datetime="hs_recurring_billing_start_date hs_recurring_billing_end_date",
        ),
    ),
    Object(
        name="goal_targets",
        singular="goal_target",
        type_id="0-74",
        properties=typed(
            string="hs_goal_name",
            number="hs_target_amount hs_assignee_user_id",
            datetime="hs_start_datetime hs_end_datetime",
        ),
    ),
    Object(
        name="tasks",
        singular="task",
        type_id="0-27",
        properties=_ENGAGEMENT | typed(string="hs_task_subject", enumeration="hs_task_status hs_task_type"),
    ),
    Object(
        name="calls",
        singular="call",
        type_id="0-48",
        properties=_ENGAGEMENT | typed(string="hs_call_title", enumeration="hs_call_status", number="hs_call_duration"),
    ),
    Object(
        name="meetings",
        singular="meeting",
        type_id="0-47",
        properties=_ENGAGEMENT
        | typed(
            string="hs_meeting_title",
            enumeration="hs_meeting_outcome",
            datetime="hs_meeting_start_time hs_meeting_end_time",
        ),
    ),
    Object(
        name="emails",
        singular="email",
        type_id="0-49",
        properties=_ENGAGEMENT | typed(string="hs_email_subject", enumeration="hs_email_status hs_email_direction"),
    ),
    Object(
        name="notes",
        singular="note",
        type_id="0-46",
        properties=_ENGAGEMENT | typed(string="hs_note_body"),
    ),
    Object(
        name="survey",
        singular="survey",
        type_id="2-1001",
        properties=typed(string="comment", enumeration="kind", number="score", datetime="answered_at"),
        defaults=("kind",),
    ),
    Object(
        name="training",
        singular="training",
        type_id="2-1002",
        properties=typed(string="course", enumeration=OWNER, number="hours score", date="completed_on"),
        defaults=("course",),
    ),
)
OBJECTS: Mapping[str, Object] = {object.name: object for object in _OBJECTS}
ALIASES: Mapping[str, str] = {alias: object.name for object in _OBJECTS for alias in object.names}

OWNERS = Table(
    name="hubspot.owners",
    key="id",
    columns={
        **{
            name: Column(name=name, kind=Kind.TEXT, type="string")
            for name in ("email", "firstName", "lastName", "userId", "type", "teams")
        },
        "id": Column(name="id", kind=Kind.KEY, type="string"),
        **{name: Column(name=name, kind=Kind.TIMESTAMP, type="datetime") for name in ("createdAt", "updatedAt")},
    },
)
ASSOCIATIONS = Table(
    name="hubspot.associations",
    key="id",
    columns={
        name: Column(name=name, kind=Kind.KEY, type="string")
        for name in ("id", "from_type", "from_id", "to_type", "to_id")
    },
    indexes=("from_id", "to_id"),
)
HISTORY = Table(
    name="hubspot.history",
    key="id",
    columns={
        **{name: Column(name=name, kind=Kind.KEY, type="string") for name in ("id", "object", "record_id", "property")},
        "value": Column(name="value", kind=Kind.KEY, type="string"),
        "timestamp": Column(name="timestamp", kind=Kind.TIMESTAMP, type="datetime"),
    },
    indexes=("record_id",),
)
"""What a property was, from a moment on; the values as they are sent."""
TRACKED = ("dealstage", "amount", "closedate", OWNER)
"""Properties of deals whose past is kept."""

_ENGAGEMENTS = (
    ("tasks", 216, 204, 192),
    ("calls", 206, 194, 182),
    ("meetings", 212, 200, 188),
    ("emails", 210, 198, 186),
    ("notes", 214, 202, 190),
)
"""Object, and the types of its associations with deals, contacts and companies."""
_PAIRS: tuple[tuple[str, str, tuple[tuple[int, str | None], ...], tuple[tuple[int, str | None], ...]], ...] = (
    ("deals", "companies", ((5, "Primary"), (341, None)), ((6, "Primary"), (342, None))),
    ("contacts", "companies", ((1, "Primary"), (279, None)), ((2, "Primary"), (280, None))),
    ("deals", "contacts", ((3, None),), ((4, None),)),
    ("line_items", "deals", ((20, None),), ((19, None),)),
    ("line_items", "orders", ((514, None),), ((513, None),)),
    ("line_items", "quotes", ((68, None),), ((67, None),)),
    ("deal_split", "deals", ((312, None),), ((313, None),)),
    ("leads", "deals", ((583, None),), ((584, None),)),
    ("leads", "contacts", ((578, "Primary"),), ((579, "Primary"),)),
    ("orders", "deals", ((512, None),), ((511, None),)),
    ("orders", "companies", ((509, None),), ((510, None),)),
    ("invoices", "orders", ((516, None),), ((517, None),)),
    ("invoices", "deals", ((175, None),), ((176, None),)),
    ("invoices", "companies", ((179, None),), ((180, None),)),
    ("commerce_payments", "invoices", ((541, None),), ((542, None),)),
    ("commerce_payments", "companies", ((390, None),), ((391, None),)),
    ("subscriptions", "companies", ((298, None),), ((299, None),)),
    ("subscriptions", "deals", ((304, None),), ((305, None),)),
    ("quotes", "deals", ((64, None),), ((63, None),)),
    *(
        (name, other, ((type, None),), ((type - 1, None),))
        for name, to_deal, to_contact, to_company in _ENGAGEMENTS
        for other, type in (("deals", to_deal), ("contacts", to_contact), ("companies", to_company))
    ),
    *((name, "leads", ((600, None),), ((601, None),)) for name, *_ in _ENGAGEMENTS),
    ("survey", "companies", ((7001, None),), ((7002, None),)),
    ("survey", "contacts", ((7003, None),), ((7004, None),)),
)
TYPES_OF_ASSOCIATION: Mapping[tuple[str, str], tuple[tuple[int, str | None], ...]] = {
    **{(one, other): there for one, other, there, _ in _PAIRS},
    **{(other, one): back for one, other, _, back in _PAIRS},
}
PARENTS: Mapping[str, tuple[str, ...]] = {
    object: tuple(other for one, other, _, _ in _PAIRS if one == object) for object in OBJECTS
}
"""Object to those that its own record names."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "deals": ("line_items", "deal_split"),
    "orders": ("line_items",),
    "invoices": ("commerce_payments",),
}
"""Object to those whose records come and go with its own."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The properties of one portal: what every portal has, and what this company added."""

    tables: Mapping[str, Table]
    calculated: frozenset[tuple[str, str]]
    """Object and property."""
    custom: frozenset[tuple[str, str]]


def catalogue(custom_fields: Iterable[CustomField], stages: Iterable[Stage]) -> Catalogue:
    """The properties of a portal with these custom fields and deal stages."""
    added: dict[str, dict[str, str]] = {name: {} for name in OBJECTS}
    # HubSpot renamed the first of the two to the second; portals that are old enough have both
    dates = [f"{prefix}{stage.id}" for stage in stages for prefix in ("hs_date_entered_", "hs_v2_date_entered_")]
    calculated = {("deals", name) for name in dates}
    custom = {("users", "manager_email"), ("users", "region")}
    for it in custom_fields:
        object = CUSTOMISED[it.record]
        added[object][it.name] = CUSTOM_TYPES[it.kind]
        custom.add((object, it.name))
        if it.is_formula:
            calculated.add((object, it.name))
    added["deals"] |= dict.fromkeys(dates, "datetime")
    custom |= {(object.name, name) for object in OBJECTS.values() if object.is_custom for name in object.properties}
    return Catalogue(
        tables={name: _table(object, added[name]) for name, object in OBJECTS.items()},
        calculated=frozenset(calculated),
        custom=frozenset(custom),
    )


def _table(object: Object, added: Mapping[str, str]) -> Table:
    columns = {"hs_object_id": Column(name="hs_object_id", kind=Kind.KEY, type="number")}
    for name, type in {**object.properties, **added}.items():
        kind = Kind.KEY if name.endswith("_id") else KINDS.get(type, Kind.TEXT)
        columns[name] = Column(name=name, kind=kind, type=type, target=object.targets.get(name))
    # every object has both names of each stamp; one of them is always empty
    for name in ("hs_lastmodifieddate", "lastmodifieddate", "createdate", "hs_createdate"):
        columns[name] = Column(name=name, kind=Kind.TIMESTAMP, type="datetime")
    indexes = (BY_NUMBER, object.modified)
    return Table(name=f"hubspot.{object.name}", key="hs_object_id", columns=columns, indexes=indexes)


TABLES: Mapping[str, Table] = catalogue((), ()).tables
"""What every portal has."""
