"""Where the CRMs keep a record: the stream that it lands in, and the id that it has there.

For the truth, which is held against what has landed; how records are served is for the CRMs' own packages.
"""

from collections.abc import Callable, Mapping

from connectors.sandbox import dynamics, hubspot, salesforce, zoho
from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Contact,
    Lead,
    Line,
    Opportunity,
    Quota,
    Rep,
)

RECORD_IDS: Mapping[str, Callable[[str, str], str]] = {
    "salesforce": salesforce.record_id,
    "hubspot": hubspot.record_id,
    "dynamics": dynamics.record_id,
    "zoho": zoho.record_id,
}
Home = tuple[str, str]
"""Stream, and the object whose records land in it."""
HOMES: Mapping[tuple[str, type], Home] = {
    ("salesforce", Rep): ("users", "User"),
    ("salesforce", Account): ("accounts", "Account"),
    ("salesforce", Contact): ("contacts", "Contact"),
    ("salesforce", Lead): ("leads", "Lead"),
    ("salesforce", Opportunity): ("opportunities", "Opportunity"),
    ("salesforce", Quota): ("forecasting_quotas", "ForecastingQuota"),
    ("hubspot", Rep): ("users", "users"),
    ("hubspot", Account): ("companies", "companies"),
    ("hubspot", Contact): ("contacts", "contacts"),
    ("hubspot", Lead): ("leads", "leads"),
    ("hubspot", Opportunity): ("deals", "deals"),
    ("hubspot", Line): ("line_items", "line_items"),
    ("hubspot", Quota): ("goal_targets", "goal_targets"),
    ("dynamics", Rep): ("systemusers", "systemuser"),
    ("dynamics", Account): ("accounts", "account"),
    ("dynamics", Contact): ("contacts", "contact"),
    ("dynamics", Lead): ("leads", "lead"),
    ("dynamics", Opportunity): ("opportunities", "opportunity"),
    ("dynamics", Line): ("opportunityproducts", "opportunityproduct"),
    ("dynamics", Quota): ("goals", "goal"),
    ("zoho", Rep): ("users", "users"),
    ("zoho", Account): ("accounts", "Accounts"),
    ("zoho", Contact): ("contacts", "Contacts"),
    ("zoho", Lead): ("leads", "Leads"),
    ("zoho", Opportunity): ("deals", "Deals"),
    ("zoho", Quota): ("forecast_quotas", "Forecast_Quotas"),
}
ACTIVITIES: Mapping[str, Mapping[ActivityKind, Home]] = {
    crm: dict(zip(ActivityKind, homes, strict=True))
    for crm, homes in {
        "salesforce": (("tasks", "Task"), ("tasks", "Task"), ("events", "Event"), ("tasks", "Task")),
        "hubspot": (("tasks", "tasks"), ("calls", "calls"), ("meetings", "meetings"), ("emails", "emails")),
        "dynamics": (
            ("tasks", "task"),
            ("phonecalls", "phonecall"),
            ("appointments", "appointment"),
            ("emails", "email"),
        ),
        "zoho": (("tasks", "Tasks"), ("calls", "Calls"), ("events", "Events"), ("tasks", "Tasks")),
    }.items()
}
"""By kind, in the order of tasks, calls, meetings and e-mails."""


def address(crm: str, record: type, key: str, activity: Activity | None = None) -> tuple[str, str]:
    """Stream and id of a record, by its class and key; activities of different kinds are kept in different places."""
    stream, object = ACTIVITIES[crm][activity.kind] if activity else HOMES[crm, record]
    return stream, RECORD_IDS[crm](object, key)
