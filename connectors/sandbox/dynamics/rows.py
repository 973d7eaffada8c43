"""A company's records as the rows of Dataverse's tables.

One record can be several rows: a deal brings its lines, its way through the process and its end. Nothing is stored or
served here.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.sandbox.company import (
    Account,
    Activity,
    ActivityKind,
    Campaign,
    CampaignMember,
    Contact,
    Custom,
    Invoice,
    Lead,
    LeadStatus,
    Line,
    Opportunity,
    Order,
    Outcome,
    PriceBook,
    Product,
    Quota,
    Record,
    Rep,
    Step,
    Survey,
    Territory,
    Training,
    World,
)
from connectors.sandbox.dynamics.tables import Choices, record_id

Rows = Iterator[tuple[str, dict[str, Any]]]
"""Tables' names, each with one row."""

SHARED = frozenset({"businessunit", "team", "metric"})
"""Tables that no record of the company stands for: their rows come along with each record that needs them."""
STATES = {Outcome.OPEN: (0, 1, 100000001), Outcome.WON: (1, 3, 100000005), Outcome.LOST: (2, 4, 100000006)}
LEAD_STATES = {
    LeadStatus.OPEN: (0, 1),
    LeadStatus.WORKING: (0, 2),
    LeadStatus.QUALIFIED: (1, 3),
    LeadStatus.UNQUALIFIED: (2, 4),
}
ORDER_STATES = {"Draft": (0, 1), "Activated": (3, 100001), "Cancelled": (2, 4)}
INVOICE_STATES = {"Open": (0, 4), "Paid": (2, 100001), "Void": (3, 100003)}
ACTIVITIES = {
    ActivityKind.TASK: "task",
    ActivityKind.CALL: "phonecall",
    ActivityKind.MEETING: "appointment",
    ActivityKind.EMAIL: "email",
}
MAIN = {
    Rep: "systemuser",
    Territory: "territory",
    Product: "product",
    PriceBook: "pricelevel",
    Account: "account",
    Contact: "contact",
    Lead: "lead",
    Opportunity: "opportunity",
    Campaign: "campaign",
    CampaignMember: "campaignresponse",
    Quota: "goal",
    Order: "salesorder",
    Invoice: "invoice",
    Survey: "new_surveyresponse",
    Training: "new_training",
}


def main_entity(record: Record) -> str:
    """The table in which a record has its own row."""
    return ACTIVITIES[record.kind] if isinstance(record, Activity) else MAIN[type(record)]


def main_id(record: Record) -> str:
    """The id of that row."""
    match record:
        case Rep():
            key = record.email
        case Product():
            key = record.name
        case _:
            key = record.key
    return record_id(main_entity(record), key)


def _id(entity: str, key: str | None) -> str | None:
    return None if key is None else record_id(entity, key)


def _stamps(created_at: datetime, modified_at: datetime) -> dict[str, Any]:
    return {"createdon": created_at.replace(microsecond=0), "modifiedon": modified_at.replace(microsecond=0)}


def _owner(email: str | None) -> dict[str, Any]:
    return {"_ownerid_value": _id("systemuser", email), "owneridtype": email and "systemuser"}


def _customer(account_key: str | None, column: str = "customerid") -> dict[str, Any]:
    return {f"_{column}_value": _id("account", account_key), f"{column}type": account_key and "account"}


def _currency(code: str) -> dict[str, Any]:
    return {"_transactioncurrencyid_value": record_id("transactioncurrency", code)}


class Render:
    """Renders the records of one company."""

    def __init__(self, world: World, choices: Choices) -> None:
        self._world = world
        self._choices = choices
        self._stages = {stage.key: stage for stage in world.stages["dynamics"]}
        self._founded = _stamps(world.founded_at, world.founded_at)
        self._kinds = {(field.record, field.name): field.kind for field in world.custom_fields}
        self._by_type: dict[type, Callable[[Any], Rows]] = {
            Rep: self._rep,
            Territory: self._territory,
            Product: self._product,
            PriceBook: self._price_book,
            Account: self._account,
            Contact: self._contact,
            Lead: self._lead,
            Opportunity: self._opportunity,
            Campaign: self._campaign,
            CampaignMember: self._campaign_member,
            Activity: self._activity,
            Quota: self._quota,
            Order: self._order,
            Invoice: self._invoice,
            Survey: self._survey,
            Training: self._training,
        }

    def rows(self, record: Record) -> Rows:
        """The rows of one record, its own first."""
        yield from self._by_type[type(record)](record)

    def foundation(self) -> Rows:
        """What is there before any record: the company's unit, its currencies, the stages of its process."""
        yield "businessunit", self._unit(self._world.name)
        for code, rate in self._world.rates.items():
            yield (
                "transactioncurrency",
                {
                    "transactioncurrencyid": record_id("transactioncurrency", code),
                    "isocurrencycode": code,
                    "currencyname": code,
                    "currencysymbol": code,
                    "exchangerate": rate,
                    "statecode": 0,
                    **self._founded,
                },
            )
        for number, label in enumerate(dict.fromkeys(stage.label for stage in self._stages.values())):
            row = {"processstageid": record_id("processstage", label), "stagename": label, "stagecategory": number}
            yield "processstage", row

    def calculated(self, record: Record) -> dict[str, Any]:
        """The custom columns of a record's own row: those that are worked out when read are among them."""
        return self._custom(main_entity(record), getattr(record, "custom", {}))

    def _custom(self, entity: str, custom: Custom) -> dict[str, Any]:
        return {f"new_{name}": self._custom_value(entity, name, value) for name, value in custom.items()}

    def _custom_value(self, entity: str, name: str, value: Any) -> Any:
        match self._kinds[(entity, name)]:
            case "choice":
                return self._choices.code(entity, f"new_{name}", value)
            case "number" | "money" if value is not None:
                return Decimal(value)
        return value

    def _unit(self, name: str, key: str | None = None) -> dict[str, Any]:
        parent = record_id("businessunit", self._world.name) if key else None
        return {
            "businessunitid": record_id("businessunit", key or name),
            "name": name,
            "isdisabled": False,
            "_parentbusinessunitid_value": parent,
            **self._founded,
        }

    def _rep(self, rep: Rep) -> Rows:
        unit = f"region:{rep.region}" if rep.region else self._world.name
        yield (
            "systemuser",
            {
                "systemuserid": record_id("systemuser", rep.email),
                "fullname": rep.name,
                "firstname": rep.first_name,
                "lastname": rep.last_name,
                "internalemailaddress": rep.email,
                "domainname": rep.email,
                "title": rep.title,
                "isdisabled": not rep.is_active,
                "_parentsystemuserid_value": _id("systemuser", rep.manager_email),
                "_businessunitid_value": record_id("businessunit", unit),
                "_territoryid_value": _id("territory", rep.territory),
                **_stamps(rep.created_at, rep.modified_at),
            },
        )
        if rep.region:
            yield "businessunit", self._unit(rep.region, unit)
        if rep.team:
            row = {"teamid": record_id("team", rep.team), "name": rep.team, "teamtype": 0, **self._founded}
            yield "team", row | {"_businessunitid_value": record_id("businessunit", self._world.name)}

    def _territory(self, territory: Territory) -> Rows:
        yield (
            "territory",
            {
                "territoryid": record_id("territory", territory.key),
                "name": territory.name,
                "_managerid_value": _id("systemuser", territory.manager_email),
                "_parentterritoryid_value": _id("territory", territory.parent_key),
                **_stamps(territory.created_at, territory.modified_at),
            },
        )

    def _product(self, product: Product) -> Rows:
        yield (
            "product",
            {
                "productid": record_id("product", product.name),
                "name": product.name,
                "productnumber": product.sku,
                "price": product.price,
                "statecode": 0,
                "statuscode": 1,
                **_currency(self._world.currency),
                **_stamps(product.created_at, product.modified_at),
            },
        )

    def _price_book(self, book: PriceBook) -> Rows:
        common = {**_currency(book.currency), **_stamps(book.created_at, book.modified_at)}
        id = record_id("pricelevel", book.key)
        yield "pricelevel", {"pricelevelid": id, "name": book.name, "statecode": 0, "statuscode": 100001, **common}
        for product, price in book.prices.items():
            yield (
                "productpricelevel",
                {
                    "productpricelevelid": record_id("productpricelevel", f"{book.key}:{product}"),
                    "_pricelevelid_value": id,
                    "_productid_value": record_id("product", product),
                    "amount": price,
                    **common,
                },
            )

    def _account(self, account: Account) -> Rows:
        yield (
            "account",
            {
                "accountid": record_id("account", account.key),
                "name": account.name,
                "industrycode": self._choices.code("account", "industrycode", account.industry),
                "address1_country": account.country,
                "websiteurl": account.website,
                "revenue": account.revenue,
                "numberofemployees": account.employees,
                "statecode": 0,
                "statuscode": 1,
                "merged": False,
                "_parentaccountid_value": _id("account", account.parent_key),
                **_owner(account.owner_email),
                **_currency(account.currency),
                **_stamps(account.created_at, account.modified_at),
                **self._custom("account", account.custom),
            },
        )

    def _contact(self, contact: Contact) -> Rows:
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
                **_customer(contact.account_key, "parentcustomerid"),
                **_owner(contact.owner_email),
                **_stamps(contact.created_at, contact.modified_at),
                **self._custom("contact", contact.custom),
            },
        )

    def _lead(self, lead: Lead) -> Rows:
        state, status = LEAD_STATES[lead.status]
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
                "leadsourcecode": self._choices.code("lead", "leadsourcecode", lead.source),
                "statecode": state,
                "statuscode": status,
                "merged": False,
                "_qualifyingopportunityid_value": _id("opportunity", lead.opportunity_key),
                "_parentaccountid_value": _id("account", lead.account_key),
                "_parentcontactid_value": _id("contact", lead.contact_key),
                **_owner(lead.owner_email),
                **_stamps(lead.created_at, lead.modified_at),
            },
        )

    def _opportunity(self, deal: Opportunity) -> Rows:
        stage = self._stages[deal.stage]
        state, status, category = STATES[stage.outcome]
        is_open = stage.outcome is Outcome.OPEN
        id = record_id("opportunity", deal.key)
        # what a lost deal would have brought stays in the estimate
        yield (
            "opportunity",
            {
                "opportunityid": id,
                "name": deal.name,
                "stepname": stage.label,
                "stageid": record_id("processstage", stage.label),
                "estimatedvalue": deal.amount,
                "actualvalue": deal.amount if stage.outcome is Outcome.WON else None,
                "closeprobability": stage.probability,
                "estimatedclosedate": deal.close_date,
                "actualclosedate": None if is_open else deal.close_date,
                "msdyn_forecastcategory": category,
                "new_type": self._choices.code("opportunity", "new_type", deal.type),
                "new_leadsource": self._choices.code("opportunity", "new_leadsource", deal.source),
                "statecode": state,
                "statuscode": status,
                "_parentaccountid_value": _id("account", deal.account_key),
                "_parentcontactid_value": _id("contact", deal.contact_key),
                "_campaignid_value": _id("campaign", deal.campaign_key),
                **_customer(deal.account_key),
                **_owner(deal.owner_email),
                **_currency(deal.currency),
                **_stamps(deal.created_at, deal.modified_at),
                **self._custom("opportunity", deal.custom),
            },
        )
        stamps = _stamps(deal.created_at, deal.modified_at)
        for key, line in _numbered(deal.lines):
            yield (
                "opportunityproduct",
                {
                    "opportunityproductid": record_id("opportunityproduct", f"{deal.key}:{key}"),
                    "opportunityproductname": line.product,
                    "_opportunityid_value": id,
                    **_line(line, deal.currency, stamps),
                },
            )
        yield "opportunitysalesprocess", self._process(deal, id)
        yield from self._ends(deal, id)
        for number, split in enumerate(deal.splits):
            yield (
                "new_opportunitysplit",
                {
                    "new_opportunitysplitid": record_id("new_opportunitysplit", f"{deal.key}:{number}"),
                    "new_name": f"{split.percent}%",
                    "new_percent": split.percent,
                    "new_isoverlay": split.is_overlay,
                    "_new_opportunityid_value": id,
                    "_new_userid_value": record_id("systemuser", split.rep_email),
                    **stamps,
                },
            )

    def _process(self, deal: Opportunity, id: str) -> dict[str, Any]:
        """The way of a deal through the process: the stages it has seen, in order."""
        labels = [self._stages[step.stage].label for step in deal.history] or [self._stages[deal.stage].label]
        path = [record_id("processstage", label) for label in labels]
        is_open = self._stages[deal.stage].outcome is Outcome.OPEN
        return {
            "businessprocessflowinstanceid": record_id("opportunitysalesprocess", deal.key),
            "name": "Opportunity Sales Process",
            "traversedpath": ",".join(dict.fromkeys(path)),
            "activestagestartedon": deal.stage_changed_at.replace(microsecond=0),
            "completedon": None if is_open else deal.stage_changed_at.replace(microsecond=0),
            "statecode": 0 if is_open else 1,
            "statuscode": 1 if is_open else 2,
            "_opportunityid_value": id,
            "_activestageid_value": path[-1],
            **_stamps(deal.created_at, deal.modified_at),
        }

    def _ends(self, deal: Opportunity, id: str) -> Rows:
        """One closing activity for each time the deal was won or lost: a deal can be opened again."""
        steps = deal.history or (
            Step(
                at=deal.stage_changed_at,
                stage=deal.stage,
                amount=deal.amount,
                close_date=deal.close_date,
                owner_email=deal.owner_email,
            ),
        )
        outcome = Outcome.OPEN
        for step in steps:
            before, outcome = outcome, self._stages[step.stage].outcome
            if outcome is Outcome.OPEN or outcome is before:
                continue
            at = step.at.replace(microsecond=0)
            yield (
                "opportunityclose",
                {
                    "activityid": record_id("opportunityclose", f"{deal.key}:{at.isoformat()}"),
                    "subject": f"Opportunity {outcome}",
                    "actualrevenue": step.amount if outcome is Outcome.WON else None,
                    "actualend": at,
                    "statecode": 1,
                    "statuscode": 2,
                    "_opportunityid_value": id,
                    **_owner(step.owner_email),
                    **_currency(deal.currency),
                    **_stamps(at, at),
                },
            )

    def _campaign(self, campaign: Campaign) -> Rows:
        yield (
            "campaign",
            {
                "campaignid": record_id("campaign", campaign.key),
                "name": campaign.name,
                "codename": campaign.key,
                "typecode": self._choices.code("campaign", "typecode", campaign.type),
                "statecode": 0,
                "statuscode": self._choices.code("campaign", "statuscode", campaign.status),
                "proposedstart": campaign.starts_on,
                "proposedend": campaign.ends_on,
                "budgetedcost": campaign.budget,
                "totalactualcost": campaign.cost,
                **_owner(campaign.owner_email),
                **_currency(campaign.currency),
                **_stamps(campaign.created_at, campaign.modified_at),
            },
        )

    def _campaign_member(self, member: CampaignMember) -> Rows:
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
                "_new_contactid_value": _id("contact", member.contact_key),
                "_new_leadid_value": _id("lead", member.lead_key),
                **_stamps(member.created_at, member.modified_at),
            },
        )

    def _activity(self, activity: Activity) -> Rows:
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
                "_regardingobjectid_value": _id(table, key) if table else None,
                "regardingobjecttypecode": table,
                **_owner(activity.owner_email),
                **_stamps(activity.created_at, activity.modified_at),
            },
        )

    def _quota(self, quota: Quota) -> Rows:
        metric = record_id("metric", "Revenue")
        is_quarter = (quota.ends_on - quota.starts_on).days < 100
        yield (
            "goal",
            {
                "goalid": record_id("goal", quota.key),
                "title": f"Revenue {quota.starts_on:%Y-%m}",
                "targetmoney": quota.amount,
                "goalstartdate": quota.starts_on,
                "goalenddate": quota.ends_on,
                "fiscalyear": quota.starts_on.year,
                "fiscalperiod": (quota.starts_on.month + 2) // 3 if is_quarter else 301,
                "amountdatatype": 0,
                "isamount": True,
                "isfiscalperiodgoal": True,
                "statecode": 0,
                "statuscode": 0,
                "_goalownerid_value": record_id("systemuser", quota.rep_email),
                "goalowneridtype": "systemuser",
                "_metricid_value": metric,
                **_currency(quota.currency),
                **_stamps(quota.created_at, quota.modified_at),
            },
        )
        row = {"metricid": metric, "name": "Revenue", "isamount": True, "amountdatatype": 0, "statecode": 0}
        yield "metric", {**row, "statuscode": 1, **self._founded}

    def _order(self, order: Order) -> Rows:
        state, status = ORDER_STATES[order.status]
        id, stamps = record_id("salesorder", order.key), _stamps(order.created_at, order.modified_at)
        yield (
            "salesorder",
            {
                "salesorderid": id,
                "name": order.number,
                "ordernumber": order.number,
                "totalamount": order.amount,
                "submitdate": order.ordered_on,
                "datefulfilled": order.ordered_on if order.status == "Activated" else None,
                "statecode": state,
                "statuscode": status,
                "_opportunityid_value": record_id("opportunity", order.opportunity_key),
                **_customer(order.account_key),
                **_owner(order.owner_email),
                **_currency(order.currency),
                **stamps,
            },
        )
        for key, line in _numbered(order.lines):
            row = {"salesorderdetailid": record_id("salesorderdetail", f"{order.key}:{key}"), "_salesorderid_value": id}
            yield "salesorderdetail", row | _line(line, order.currency, stamps)

    def _invoice(self, invoice: Invoice) -> Rows:
        state, status = INVOICE_STATES[invoice.status]
        id = record_id("invoice", invoice.key)
        common = {**_currency(invoice.currency), **_stamps(invoice.created_at, invoice.modified_at)}
        yield (
            "invoice",
            {
                "invoiceid": id,
                "name": invoice.number,
                "invoicenumber": invoice.number,
                "totalamount": invoice.amount,
                "datedelivered": invoice.invoiced_on,
                "duedate": invoice.due_on,
                "statecode": state,
                "statuscode": status,
                "_salesorderid_value": record_id("salesorder", invoice.order_key),
                "_opportunityid_value": record_id("opportunity", invoice.opportunity_key),
                **_customer(invoice.account_key),
                **_owner(invoice.owner_email),
                **common,
            },
        )
        yield (
            "invoicedetail",
            {
                "invoicedetailid": record_id("invoicedetail", invoice.key),
                "productdescription": f"As ordered: {invoice.number}",
                "quantity": Decimal(1),
                "priceperunit": invoice.amount,
                "extendedamount": invoice.amount,
                "_invoiceid_value": id,
                **common,
            },
        )
        for payment in invoice.payments:
            yield (
                "new_payment",
                {
                    "new_paymentid": record_id("new_payment", payment.key),
                    "new_name": f"{invoice.number} {payment.paid_on}",
                    "new_paidon": payment.paid_on,
                    "new_amount": payment.amount,
                    "_new_invoiceid_value": id,
                    **common,
                },
            )

    def _survey(self, survey: Survey) -> Rows:
        yield (
            "new_surveyresponse",
            {
                "new_surveyresponseid": record_id("new_surveyresponse", survey.key),
                "new_name": survey.kind,
                "new_kind": self._choices.code("new_surveyresponse", "new_kind", survey.kind),
                "new_score": survey.score,
                "new_comment": survey.comment,
                "new_answeredon": survey.answered_at.replace(microsecond=0),
                "_new_accountid_value": record_id("account", survey.account_key),
                "_new_contactid_value": _id("contact", survey.contact_key),
                **_stamps(survey.created_at, survey.modified_at),
            },
        )

    def _training(self, training: Training) -> Rows:
        yield (
            "new_training",
            {
                "new_trainingid": record_id("new_training", training.key),
                "new_name": training.course,
                "new_hours": training.hours,
                "new_score": training.score,
                "new_completedon": training.completed_on,
                "_new_userid_value": record_id("systemuser", training.rep_email),
                **_stamps(training.created_at, training.modified_at),
            },
        )


def _numbered(lines: tuple[Line, ...]) -> Iterator[tuple[int, Line]]:
    """Lines with what tells them apart for good."""
    for number, line in enumerate(lines):
        yield (number if line.ordinal is None else line.ordinal), line


def _line(line: Line, currency: str, stamps: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "productdescription": None,
        "quantity": Decimal(line.quantity),
        "priceperunit": line.unit_price,
        "extendedamount": line.amount,
        "_productid_value": record_id("product", line.product),
        **_currency(currency),
        **stamps,
    }


def records(world: World) -> Rows:
    """Every row of a company's organisation, each once."""
    render = Render(world, Choices())
    seen: set[str] = set()
    yield from render.foundation()
    for record in world.records("dynamics"):
        for entity, row in render.rows(record):
            if entity not in SHARED or (id := row[f"{entity}id"]) not in seen:
                if entity in SHARED:
                    seen.add(id)
                yield entity, row
