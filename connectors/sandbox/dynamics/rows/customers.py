"""Customers as rows: accounts, contacts, leads, campaigns and who answered them, activities, surveys.

Deals are elsewhere.
"""

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Contact,
    Lead,
    LeadStatus,
    Survey,
)
from connectors.sandbox.dynamics.rows.shape import Rows, Shape, currency, customer, optional_id, owner, stamps
from connectors.sandbox.dynamics.tables import record_id

LEAD_STATES = {
    LeadStatus.OPEN: (0, 1),
    LeadStatus.WORKING: (0, 2),
    LeadStatus.QUALIFIED: (1, 3),
    LeadStatus.UNQUALIFIED: (2, 4),
}
ACTIVITIES = {
    ActivityKind.TASK: "task",
    ActivityKind.CALL: "phonecall",
    ActivityKind.MEETING: "appointment",
    ActivityKind.EMAIL: "email",
}


def account(shape: Shape, account: Account) -> Rows:
    """An account."""
    yield (
        "account",
        {
            "accountid": record_id("account", account.key),
            "name": account.name,
            "industrycode": shape.choices.code("account", "industrycode", account.industry),
            "address1_country": account.country,
            "websiteurl": account.website,
            "revenue": account.revenue,
            "numberofemployees": account.employees,
            "statecode": 0,
            "statuscode": 1,
            "merged": False,
            "_parentaccountid_value": optional_id("account", account.parent_key),
            **owner(account.owner_email),
            **currency(account.currency),
            **stamps(account.created_at, account.modified_at),
            **shape.custom("account", account.custom),
        },
    )


def contact(shape: Shape, contact: Contact) -> Rows:
    """A contact."""
    yield (
        "contact",
        {
            "contactid": record_id("contact", contact.key),
            "firstname": contact.first_name,
            "lastname": contact.last_name,
            "fullname": f"{contact.first_name} {contact.last_name}",
            "emailaddress1": contact.email,
            "telephone1": contact.phone,
            "jobtitle": contact.title,
            "statecode": 0,
            "statuscode": 1,
            "merged": False,
            **customer(contact.account_key, "parentcustomerid"),
            **owner(contact.owner_email),
            **stamps(contact.created_at, contact.modified_at),
            **shape.custom("contact", contact.custom),
        },
    )


def lead(shape: Shape, lead: Lead) -> Rows:
    """A lead."""
    state, status = LEAD_STATES[lead.status or LeadStatus.OPEN]  # every lead has a status here
    yield (
        "lead",
        {
            "leadid": record_id("lead", lead.key),
            "firstname": lead.first_name,
            "lastname": lead.last_name,
            "fullname": f"{lead.first_name} {lead.last_name}",
            "companyname": lead.company,
            "emailaddress1": lead.email,
            "address1_country": lead.country,
            "leadsourcecode": shape.choices.code("lead", "leadsourcecode", lead.source),
            "statecode": state,
            "statuscode": status,
            "merged": False,
            "_qualifyingopportunityid_value": optional_id("opportunity", lead.opportunity_key),
            "_parentaccountid_value": optional_id("account", lead.account_key),
            "_parentcontactid_value": optional_id("contact", lead.contact_key),
            **owner(lead.owner_email),
            **stamps(lead.created_at, lead.modified_at),
        },
    )


def campaign(shape: Shape, campaign: Campaign) -> Rows:
    """A campaign."""
    yield (
        "campaign",
        {
            "campaignid": record_id("campaign", campaign.key),
            "name": campaign.name,
            "codename": campaign.key,
            "typecode": shape.choices.code("campaign", "typecode", campaign.type),
            "statecode": 0,
            "statuscode": shape.choices.code("campaign", "statuscode", campaign.status),
            "proposedstart": campaign.starts_on,
            "proposedend": campaign.ends_on,
            "budgetedcost": campaign.budget,
            "totalactualcost": campaign.cost,
            **owner(campaign.owner_email),
            **currency(campaign.currency),
            **stamps(campaign.created_at, campaign.modified_at),
        },
    )


def campaign_member(shape: Shape, member: CampaignMember) -> Rows:
    """The answer, or the lack of one, of somebody whom a campaign reached."""
    has_responded = member.status == "Responded"
    yield (
        "campaignresponse",
        {
            "activityid": record_id("campaignresponse", member.key),
            "subject": member.status,
            "responsecode": 1 if has_responded else None,
            "receivedon": member.responded_on,
            "statecode": 1 if has_responded else 0,
            "statuscode": 2 if has_responded else 1,
            "_regardingobjectid_value": record_id("campaign", member.campaign_key),
            "regardingobjecttypecode": "campaign",
            "_new_contactid_value": optional_id("contact", member.contact_key),
            "_new_leadid_value": optional_id("lead", member.lead_key),
            **stamps(member.created_at, member.modified_at),
        },
    )


def activity(shape: Shape, activity: Activity) -> Rows:
    """An activity, in the table of its kind."""
    regarding = {
        "opportunity": activity.opportunity_key,
        "lead": activity.lead_key,
        "contact": activity.contact_key,
        "account": activity.account_key,
    }
    table, key = next(((table, key) for table, key in regarding.items() if key), (None, None))
    entity, at = ACTIVITIES[activity.kind], activity.happens_at.replace(microsecond=0)
    yield (
        entity,
        {
            "activityid": record_id(entity, activity.key),
            "subject": activity.subject,
            "scheduledstart": at,
            "scheduledend": at,
            "actualend": at if activity.is_done else None,
            "scheduleddurationminutes": activity.minutes,
            "actualdurationminutes": activity.minutes if activity.is_done else None,
            "statecode": 1 if activity.is_done else 0,
            "statuscode": 2 if activity.is_done else 1,
            "_regardingobjectid_value": optional_id(table, key) if table else None,
            "regardingobjecttypecode": table,
            **owner(activity.owner_email),
            **stamps(activity.created_at, activity.modified_at),
        },
    )


def survey(shape: Shape, survey: Survey) -> Rows:
    """An answer to a survey, in the company's own table."""
    yield (
        "new_surveyresponse",
        {
            "new_surveyresponseid": record_id("new_surveyresponse", survey.key),
            "new_name": survey.kind,
            "new_kind": shape.choices.code("new_surveyresponse", "new_kind", survey.kind),
            "new_score": survey.score,
            "new_comment": survey.comment,
            "new_answeredon": survey.answered_at.replace(microsecond=0),
            "_new_accountid_value": record_id("account", survey.account_key),
            "_new_contactid_value": optional_id("contact", survey.contact_key),
            **stamps(survey.created_at, survey.modified_at),
        },
    )
