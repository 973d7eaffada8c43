"""What is read from Dynamics 365: one declaration for each table, and one for the labels of choices.

Declarations only; how they are read is in `source`.
"""

import re

from connectors.stream import Stream, fields

OPTION_LABELS = "option_labels"
STAMPS = "createdon modifiedon"
ORDERED = "_customerid_value _ownerid_value _transactioncurrencyid_value"


def _activity(name: str, object: str) -> Stream:
    return Stream(
        name=name,
        object=object,
        key="activityid",
        cursor="modifiedon",
        fields=fields(
            text="activityid subject _ownerid_value _regardingobjectid_value _regardingobjectid_value_type",
            decimal="statecode statuscode actualdurationminutes scheduleddurationminutes",
            timestamp=f"scheduledstart scheduledend actualend {STAMPS}",
        ),
        references={"_ownerid_value": "systemusers"},
        optional=True,
    )


def _lines(name: str, object: str, parent: str, parents: str) -> Stream:
    return Stream(
        name=name,
        object=object,
        key=f"{object}id",
        cursor="modifiedon",
        fields=fields(
            text=f"{object}id {parent} _productid_value productdescription _transactioncurrencyid_value",
            decimal="quantity priceperunit extendedamount",
            timestamp=STAMPS,
        ),
        references={parent: parents, "_productid_value": "products"},
        optional=True,
    )


STREAMS = (
    Stream(
        name="systemusers",
        object="systemuser",
        key="systemuserid",
        cursor="modifiedon",
        fields=fields(
            text="systemuserid fullname internalemailaddress domainname title"
            " _parentsystemuserid_value _businessunitid_value _territoryid_value",
            boolean="isdisabled",
            timestamp=STAMPS,
        ),
        references={"_parentsystemuserid_value": "systemusers", "_businessunitid_value": "businessunits"},
        required=("fullname", "internalemailaddress"),
    ),
    Stream(
        name="teams",
        object="team",
        key="teamid",
        cursor="modifiedon",
        fields=fields(text="teamid name _businessunitid_value", decimal="teamtype", timestamp=STAMPS),
        references={"_businessunitid_value": "businessunits"},
        optional=True,
    ),
    Stream(
        name="businessunits",
        object="businessunit",
        key="businessunitid",
        cursor="modifiedon",
        fields=fields(
            text="businessunitid name _parentbusinessunitid_value",
            boolean="isdisabled",
            timestamp=STAMPS,
        ),
        optional=True,
    ),
    Stream(
        name="territories",
        object="territory",
        key="territoryid",
        cursor="modifiedon",
        fields=fields(
            text="territoryid name _managerid_value _parentterritoryid_value",
            timestamp=STAMPS,
        ),
        references={"_managerid_value": "systemusers", "_parentterritoryid_value": "territories"},
        optional=True,
    ),
    Stream(
        name="transactioncurrencies",
        object="transactioncurrency",
        key="transactioncurrencyid",
        cursor="modifiedon",
        fields=fields(
            text="transactioncurrencyid isocurrencycode currencyname",
            decimal="exchangerate",
            timestamp=STAMPS,
        ),
        required=("isocurrencycode",),
        optional=True,
    ),
    Stream(
        name="accounts",
        object="account",
        key="accountid",
        cursor="modifiedon",
        fields=fields(
            text="accountid name industrycode _parentaccountid_value _ownerid_value address1_country websiteurl"
            " _masterid_value _transactioncurrencyid_value",
            decimal="revenue numberofemployees statecode",
            boolean="merged",
            timestamp=STAMPS,
        ),
        references={"_parentaccountid_value": "accounts", "_ownerid_value": "systemusers"},
        required=("name",),
    ),
    Stream(
        name="contacts",
        object="contact",
        key="contactid",
        cursor="modifiedon",
        fields=fields(
            text="contactid firstname lastname emailaddress1 telephone1 jobtitle _parentcustomerid_value _ownerid_value"
            " _masterid_value",
            decimal="statecode",
            boolean="merged",
            timestamp=STAMPS,
        ),
        references={"_ownerid_value": "systemusers"},
    ),
    Stream(
        name="leads",
        object="lead",
        key="leadid",
        cursor="modifiedon",
        fields=fields(
            text="leadid fullname companyname emailaddress1 address1_country leadsourcecode"
            " _qualifyingopportunityid_value _ownerid_value _masterid_value",
            decimal="statecode statuscode",
            boolean="merged",
            timestamp=STAMPS,
        ),
        references={"_ownerid_value": "systemusers", "_qualifyingopportunityid_value": "opportunities"},
        required=("statecode",),
    ),
    Stream(
        name="opportunities",
        object="opportunity",
        key="opportunityid",
        cursor="modifiedon",
        fields=fields(
            text="opportunityid name _parentaccountid_value _customerid_value _ownerid_value stepname stageid"
            " _transactioncurrencyid_value msdyn_forecastcategory _campaignid_value",
            decimal="estimatedvalue actualvalue closeprobability statecode statuscode",
            date="estimatedclosedate actualclosedate",
            timestamp=STAMPS,
        ),
        references={"_ownerid_value": "systemusers"},
        required=("statecode", "estimatedvalue", "actualvalue", "actualclosedate", "_ownerid_value"),
    ),
    Stream(
        name="processstages",
        object="processstage",
        key="processstageid",
        fields=fields(text="processstageid stagename", decimal="stagecategory"),
        optional=True,
    ),
    Stream(
        name="opportunitycloses",
        object="opportunityclose",
        key="activityid",
        cursor="modifiedon",
        fields=fields(
            text="activityid subject _opportunityid_value _ownerid_value _transactioncurrencyid_value",
            decimal="actualrevenue statecode statuscode",
            timestamp=f"actualend {STAMPS}",
        ),
        references={"_opportunityid_value": "opportunities", "_ownerid_value": "systemusers"},
        optional=True,
    ),
    Stream(
        name="opportunitysalesprocesses",
        object="opportunitysalesprocess",
        key="businessprocessflowinstanceid",
        cursor="modifiedon",
        fields=fields(
            text="businessprocessflowinstanceid _opportunityid_value _activestageid_value traversedpath",
            decimal="statecode statuscode",
            timestamp=f"activestagestartedon completedon {STAMPS}",
        ),
        references={"_opportunityid_value": "opportunities"},
        optional=True,
    ),
    Stream(
        name="products",
        object="product",
        key="productid",
        cursor="modifiedon",
        fields=fields(
            text="productid name productnumber _parentproductid_value",
            decimal="price statecode",
            timestamp=STAMPS,
        ),
        required=("name",),
    ),
    Stream(
        name="pricelevels",
        object="pricelevel",
        key="pricelevelid",
        cursor="modifiedon",
        fields=fields(
            text="pricelevelid name _transactioncurrencyid_value",
            decimal="statecode",
            timestamp=STAMPS,
        ),
        optional=True,
    ),
    Stream(
        name="productpricelevels",
        object="productpricelevel",
        key="productpricelevelid",
        cursor="modifiedon",
        fields=fields(
            text="productpricelevelid _pricelevelid_value _productid_value _transactioncurrencyid_value",
            decimal="amount",
            timestamp=STAMPS,
        ),
        references={"_pricelevelid_value": "pricelevels", "_productid_value": "products"},
        optional=True,
    ),
    Stream(
        name="opportunityproducts",
        object="opportunityproduct",
        key="opportunityproductid",
        cursor="modifiedon",
        fields=fields(
            text="opportunityproductid _opportunityid_value _productid_value productdescription",
            decimal="quantity priceperunit extendedamount",
            timestamp=STAMPS,
        ),
        references={"_opportunityid_value": "opportunities", "_productid_value": "products"},
    ),
    Stream(
        name="metrics",
        object="metric",
        key="metricid",
        cursor="modifiedon",
        fields=fields(text="metricid name", decimal="amountdatatype", boolean="isamount", timestamp=STAMPS),
        optional=True,
    ),
    Stream(
        name="goals",
        object="goal",
        key="goalid",
        cursor="modifiedon",
        fields=fields(
            text="goalid title _goalownerid_value _goalownerid_value_type _metricid_value _parentgoalid_value"
            " _transactioncurrencyid_value",
            decimal="targetmoney targetdecimal targetinteger stretchtargetmoney actualmoney inprogressmoney percentage"
            " amountdatatype fiscalperiod fiscalyear statecode",
            boolean="isamount isfiscalperiodgoal",
            date="goalstartdate goalenddate",
            timestamp=f"lastrolledupdate {STAMPS}",
        ),
        references={"_metricid_value": "metrics", "_parentgoalid_value": "goals"},
        optional=True,
    ),
    _activity("tasks", "task"),
    _activity("phonecalls", "phonecall"),
    _activity("appointments", "appointment"),
    _activity("emails", "email"),
    Stream(
        name="campaigns",
        object="campaign",
        key="campaignid",
        cursor="modifiedon",
        fields=fields(
            text="campaignid name codename typecode _ownerid_value _transactioncurrencyid_value",
            decimal="budgetedcost totalactualcost statecode statuscode",
            date="proposedstart proposedend",
            timestamp=STAMPS,
        ),
        references={"_ownerid_value": "systemusers"},
        optional=True,
    ),
    Stream(
        name="campaignresponses",
        object="campaignresponse",
        key="activityid",
        cursor="modifiedon",
        fields=fields(
            text="activityid subject responsecode _regardingobjectid_value _regardingobjectid_value_type",
            decimal="statecode statuscode",
            date="receivedon",
            timestamp=STAMPS,
        ),
        optional=True,
    ),
    Stream(
        name="salesorders",
        object="salesorder",
        key="salesorderid",
        cursor="modifiedon",
        fields=fields(
            text=f"salesorderid name ordernumber _opportunityid_value {ORDERED}",
            decimal="totalamount statecode statuscode",
            date="submitdate datefulfilled",
            timestamp=STAMPS,
        ),
        references={"_opportunityid_value": "opportunities", "_ownerid_value": "systemusers"},
        optional=True,
    ),
    _lines("salesorderdetails", "salesorderdetail", "_salesorderid_value", "salesorders"),
    Stream(
        name="invoices",
        object="invoice",
        key="invoiceid",
        cursor="modifiedon",
        fields=fields(
            text=f"invoiceid name invoicenumber _salesorderid_value _opportunityid_value {ORDERED}",
            decimal="totalamount statecode statuscode",
            date="datedelivered duedate",
            timestamp=STAMPS,
        ),
        references={"_salesorderid_value": "salesorders", "_ownerid_value": "systemusers"},
        optional=True,
    ),
    _lines("invoicedetails", "invoicedetail", "_invoiceid_value", "invoices"),
    Stream(
        name="quotes",
        object="quote",
        key="quoteid",
        cursor="modifiedon",
        fields=fields(
            text=f"quoteid name quotenumber _opportunityid_value {ORDERED}",
            decimal="totalamount statecode statuscode",
            date="effectivefrom effectiveto",
            timestamp=STAMPS,
        ),
        references={"_opportunityid_value": "opportunities", "_ownerid_value": "systemusers"},
        optional=True,
    ),
    Stream(
        name="contracts",
        object="contract",
        key="contractid",
        cursor="modifiedon",
        fields=fields(
            text=f"contractid title contractnumber {ORDERED}",
            decimal="totalprice statecode statuscode",
            date="activeon expireson",
            timestamp=STAMPS,
        ),
        references={"_ownerid_value": "systemusers"},
        optional=True,
    ),
    Stream(
        name=OPTION_LABELS,
        object=OPTION_LABELS,
        key="option_id",
        fields=fields(text="option_id table_name column_name value label"),
        optional=True,
    ),
)


def custom_stream(object: str) -> Stream:
    """Declare any other table, by its logical name: what it has besides id and stamps lands as text."""
    name = re.sub(r"\W", "_", object.lower())
    key = f"{object.lower()}id"
    return Stream(
        name=f"_{name}" if name[:1].isdigit() else name,
        object=object.lower(),
        key=key,
        cursor="modifiedon",
        fields=fields(text=key, timestamp=STAMPS),
    )
