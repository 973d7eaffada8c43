"""The objects of the Salesforce org: their fields, what can be written, how they may be read.

Declarations only; what the records hold is told in `rows`.
"""

from collections.abc import Mapping

from connectors.sandbox.company import CustomField, World
from connectors.sandbox.store import DELETED, Column, Kind, Table

KINDS = {
    "id": Kind.KEY,
    "reference": Kind.KEY,
    "boolean": Kind.BOOLEAN,
    "int": Kind.INTEGER,
    "double": Kind.NUMBER,
    "currency": Kind.NUMBER,
    "percent": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.TIMESTAMP,
}
STAMPS = "CreatedDate LastModifiedDate SystemModstamp"
ADDRESS = ("Street", "City", "State", "PostalCode", "Country")
READ_ONLY = {
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "IsClosed",
    "IsWon",
    "LastStageChangeDate",
    "IsConverted",
    "BillingAddress",
    "ExpectedRevenue",
    "HasOpportunityLineItem",
    "Fiscal",
    "FiscalQuarter",
    "FiscalYear",
    *STAMPS.split(),
}
REQUIRED = {
    "Account": ("Name",),
    "Contact": ("LastName",),
    "Lead": ("LastName", "Company"),
    "Opportunity": ("Name", "StageName", "CloseDate"),
    "Product2": ("Name",),
    "OpportunityLineItem": ("OpportunityId", "Quantity"),
}
PREFIXES = {
    "User": "005",
    "UserRole": "00E",
    "Account": "001",
    "Contact": "003",
    "Lead": "00Q",
    "Opportunity": "006",
    "OpportunityStage": "01J",
    "OpportunityHistory": "008",
    "OpportunityFieldHistory": "017",
    "OpportunityLineItem": "00k",
    "OpportunitySplit": "1gS",
    "OpportunitySplitType": "1gT",
    "OpportunityTeamMember": "00q",
    "Product2": "01t",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "ForecastingQuota": "0J9",
    "Period": "026",
    "Territory2": "0MI",
    "Territory2Model": "0MA",
    "UserTerritory2Association": "0OM",
    "ObjectTerritory2Association": "0TY",
    "Task": "00T",
    "Event": "00U",
    "Campaign": "701",
    "CampaignMember": "00v",
    "CurrencyType": "01L",
    "DatedConversionRate": "04w",
    "Order": "801",
    "OrderItem": "802",
    "Contract": "800",
    "Quote": "0Q0",
    "QuoteLineItem": "0QL",
    "Asset": "02i",
    "Invoice": "3tt",
    "PaymentLineInvoice": "1PL",
    "Survey_Response__c": "a0S",
    "Training__c": "a0T",
}
NOT_IN_BULK = frozenset({"OpportunityStage", "Period", "CurrencyType", "DatedConversionRate", "Territory2Model"})
"""Objects that the Bulk API does not know."""
MULTI_CURRENCY = frozenset({"CurrencyType", "DatedConversionRate"})
"""Objects of orgs with more than one currency."""
CHILDREN = {
    "Opportunity": {
        "OpportunityLineItem": "OpportunityId",
        "OpportunityHistory": "OpportunityId",
        "OpportunityFieldHistory": "OpportunityId",
        "OpportunitySplit": "OpportunityId",
        "OpportunityTeamMember": "OpportunityId",
        "Quote": "OpportunityId",
    },
    "Quote": {"QuoteLineItem": "QuoteId"},
    "Order": {"OrderItem": "OrderId"},
    "Invoice": {"PaymentLineInvoice": "InvoiceId"},
    "Pricebook2": {"PricebookEntry": "Pricebook2Id"},
    "User": {"UserTerritory2Association": "UserId"},
}
"""Objects whose records live and die with another's, and the field that says whose."""


def _table(object: str, references: Mapping[str, str | None] | None = None, **names_by_type: str) -> Table:
    columns = {"Id": Column(name="Id", kind=Kind.KEY, type="id")}
    for name, target in (references or {}).items():
        columns[name] = Column(name=name, kind=Kind.KEY, type="reference", target=target)
    for type, names in names_by_type.items():
        for name in names.split():
            columns[name] = Column(name=name, kind=KINDS.get(type, Kind.TEXT), type=type)
    stamp = "SystemModstamp" if "SystemModstamp" in columns else "CreatedDate"
    indexes = [f'"{stamp}", "Id"', DELETED]
    if object in _PARENT_FIELDS:
        indexes.append(f'"{_PARENT_FIELDS[object]}"')
    return Table(name=f"salesforce.{object}", key="Id", columns=columns, indexes=indexes)


_PARENT_FIELDS = {child: field for children in CHILDREN.values() for child, field in children.items()}

_TABLES = (
    _table(
        "User",
        {"ManagerId": "User", "UserRoleId": "UserRole"},
        string="Username FirstName LastName Name Department Division Title TimeZoneSidKey",
        email="Email",
        picklist="UserType DefaultCurrencyIsoCode",
        boolean="IsActive",
        datetime=STAMPS,
    ),
    _table(
        "UserRole",
        {"ParentRoleId": "UserRole"},
        string="Name DeveloperName",
        datetime="LastModifiedDate SystemModstamp",
    ),
    _table(
        "Account",
        {"ParentId": "Account", "OwnerId": "User", "MasterRecordId": "Account"},
        string="Name BillingCity BillingState BillingPostalCode BillingCountry",
        textarea="BillingStreet Description",
        address="BillingAddress",
        picklist="Type Industry CurrencyIsoCode",
        url="Website",
        currency="AnnualRevenue",
        int="NumberOfEmployees",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Contact",
        {"AccountId": "Account", "OwnerId": "User", "ReportsToId": "Contact", "MasterRecordId": "Contact"},
        string="FirstName LastName Name Title",
        email="Email",
        phone="Phone",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Lead",
        {
            "OwnerId": "User",
            "ConvertedAccountId": "Account",
            "ConvertedContactId": "Contact",
            "ConvertedOpportunityId": "Opportunity",
            "MasterRecordId": "Lead",
        },
        string="FirstName LastName Name Company Country",
        email="Email",
        picklist="Status LeadSource",
        date="ConvertedDate",
        boolean="IsConverted IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Opportunity",
        {
            "AccountId": "Account",
            "OwnerId": "User",
            "ContactId": "Contact",
            "CampaignId": "Campaign",
            "Pricebook2Id": "Pricebook2",
        },
        string="Name Fiscal",
        textarea="Description",
        picklist="StageName Type LeadSource ForecastCategory ForecastCategoryName CurrencyIsoCode",
        currency="Amount ExpectedRevenue",
        percent="Probability",
        double="TotalOpportunityQuantity",
        int="FiscalQuarter FiscalYear",
        date="CloseDate",
        boolean="IsClosed IsWon HasOpportunityLineItem IsDeleted",
        datetime=f"LastStageChangeDate {STAMPS}",
    ),
    _table(
        "OpportunityStage",
        string="MasterLabel ApiName",
        picklist="ForecastCategoryName",
        int="SortOrder",
        percent="DefaultProbability",
        boolean="IsActive IsClosed IsWon",
        datetime=STAMPS,
    ),
    _table(
        "OpportunityHistory",
        {"OpportunityId": "Opportunity"},
        picklist="StageName ForecastCategory CurrencyIsoCode",
        currency="Amount ExpectedRevenue PrevAmount",
        percent="Probability",
        date="CloseDate PrevCloseDate",
        boolean="IsDeleted",
        datetime="CreatedDate",
    ),
    _table(
        "OpportunityFieldHistory",
        {"OpportunityId": "Opportunity"},
        picklist="Field DataType",
        anyType="OldValue NewValue",
        boolean="IsDeleted",
        datetime="CreatedDate",
    ),
    _table(
        "OpportunityLineItem",
        {"OpportunityId": "Opportunity", "Product2Id": "Product2", "PricebookEntryId": "PricebookEntry"},
        string="Name",
        double="Quantity",
        currency="UnitPrice TotalPrice ListPrice",
        percent="Discount",
        date="ServiceDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "OpportunitySplit",
        {"OpportunityId": "Opportunity", "SplitOwnerId": "User", "SplitTypeId": "OpportunitySplitType"},
        string="SplitNote",
        percent="SplitPercentage",
        currency="SplitAmount",
        picklist="CurrencyIsoCode",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "OpportunitySplitType",
        string="MasterLabel DeveloperName",
        boolean="IsActive IsTotalValidated",
        datetime=STAMPS,
    ),
    _table(
        "OpportunityTeamMember",
        {"OpportunityId": "Opportunity", "UserId": "User"},
        picklist="TeamMemberRole",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Product2",
        string="Name ProductCode",
        picklist="Family",
        boolean="IsActive IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Pricebook2",
        string="Name Description",
        boolean="IsActive IsStandard IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "PricebookEntry",
        {"Pricebook2Id": "Pricebook2", "Product2Id": "Product2"},
        string="Name",
        currency="UnitPrice",
        picklist="CurrencyIsoCode",
        boolean="IsActive IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "ForecastingQuota",
        {"QuotaOwnerId": "User", "PeriodId": "Period", "Territory2Id": "Territory2"},
        string="ProductFamily",
        currency="QuotaAmount",
        double="QuotaQuantity",
        picklist="CurrencyIsoCode",
        boolean="IsAmount IsQuantity",
        date="StartDate",
        datetime=STAMPS,
    ),
    _table(
        "Period",
        picklist="Type",
        string="FullyQualifiedLabel",
        int="Number",
        date="StartDate EndDate",
        boolean="IsForecastPeriod",
        datetime="SystemModstamp",
    ),
    _table(
        "Territory2",
        {"ParentTerritory2Id": "Territory2", "Territory2ModelId": "Territory2Model", "ForecastUserId": "User"},
        string="Name DeveloperName",
        datetime="LastModifiedDate SystemModstamp",
    ),
    _table(
        "Territory2Model",
        string="Name DeveloperName",
        picklist="State",
        datetime=STAMPS,
    ),
    _table(
        "UserTerritory2Association",
        {"UserId": "User", "Territory2Id": "Territory2"},
        picklist="RoleInTerritory2",
        boolean="IsActive",
        datetime="LastModifiedDate SystemModstamp",
    ),
    _table(
        "ObjectTerritory2Association",
        {"ObjectId": None, "Territory2Id": "Territory2"},
        picklist="AssociationCause",
        datetime="LastModifiedDate SystemModstamp",
    ),
    _table(
        "Task",
        {"OwnerId": "User", "WhoId": None, "WhatId": None, "AccountId": "Account"},
        string="Subject",
        picklist="Status Priority TaskSubtype",
        int="CallDurationInSeconds",
        date="ActivityDate",
        boolean="IsClosed IsDeleted",
        datetime=f"CompletedDateTime {STAMPS}",
    ),
    _table(
        "Event",
        {"OwnerId": "User", "WhoId": None, "WhatId": None, "AccountId": "Account"},
        string="Subject",
        int="DurationInMinutes",
        date="ActivityDate",
        boolean="IsDeleted",
        datetime=f"StartDateTime EndDateTime {STAMPS}",
    ),
    _table(
        "Campaign",
        {"OwnerId": "User", "ParentId": "Campaign"},
        string="Name",
        picklist="Type Status CurrencyIsoCode",
        currency="BudgetedCost ActualCost",
        date="StartDate EndDate",
        boolean="IsActive IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "CampaignMember",
        {"CampaignId": "Campaign", "LeadId": "Lead", "ContactId": "Contact"},
        picklist="Status",
        boolean="HasResponded IsDeleted",
        date="FirstRespondedDate",
        datetime=STAMPS,
    ),
    _table(
        "CurrencyType",
        picklist="IsoCode",
        double="ConversionRate",
        int="DecimalPlaces",
        boolean="IsActive IsCorporate",
        datetime=STAMPS,
    ),
    _table(
        "DatedConversionRate",
        picklist="IsoCode",
        double="ConversionRate",
        date="StartDate NextStartDate",
        datetime=STAMPS,
    ),
    _table(
        "Order",
        {"AccountId": "Account", "OpportunityId": "Opportunity", "OwnerId": "User", "Pricebook2Id": "Pricebook2"},
        string="OrderNumber",
        picklist="Status StatusCode CurrencyIsoCode",
        currency="TotalAmount",
        date="EffectiveDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "OrderItem",
        {"OrderId": "Order", "Product2Id": "Product2"},
        double="Quantity",
        currency="UnitPrice TotalPrice",
        date="ServiceDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Contract",
        {"AccountId": "Account", "OwnerId": "User"},
        string="ContractNumber",
        picklist="Status",
        int="ContractTerm",
        date="StartDate EndDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Quote",
        {
            "OpportunityId": "Opportunity",
            "AccountId": "Account",
            "ContactId": "Contact",
            "OwnerId": "User",
            "Pricebook2Id": "Pricebook2",
        },
        string="QuoteNumber Name",
        picklist="Status CurrencyIsoCode",
        currency="GrandTotal",
        date="ExpirationDate",
        boolean="IsSyncing IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "QuoteLineItem",
        {
            "QuoteId": "Quote",
            "OpportunityLineItemId": "OpportunityLineItem",
            "Product2Id": "Product2",
            "PricebookEntryId": "PricebookEntry",
        },
        double="Quantity",
        currency="UnitPrice ListPrice TotalPrice",
        percent="Discount",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Asset",
        {"AccountId": "Account", "OwnerId": "User", "Product2Id": "Product2"},
        string="Name",
        picklist="Status CurrencyIsoCode",
        double="Quantity",
        currency="Price",
        date="PurchaseDate UsageEndDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Invoice",
        {"BillingAccountId": "Account", "ReferenceEntityId": "Order", "OwnerId": "User"},
        string="DocumentNumber",
        picklist="Status CurrencyIsoCode",
        currency="TotalAmount Balance",
        date="InvoiceDate DueDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "PaymentLineInvoice",
        {"InvoiceId": "Invoice", "AssociatedAccountId": "Account"},
        currency="Amount",
        picklist="Type CurrencyIsoCode",
        date="EffectiveDate",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
    _table(
        "Survey_Response__c",
        {"OwnerId": "User", "Account__c": "Account", "Contact__c": "Contact"},
        string="Name",
        picklist="Kind__c",
        double="Score__c",
        textarea="Comment__c",
        boolean="IsDeleted",
        datetime=f"Answered_At__c {STAMPS}",
    ),
    _table(
        "Training__c",
        {"OwnerId": "User", "Rep__c": "User"},
        string="Name Course__c",
        double="Hours__c",
        percent="Score__c",
        date="Completed_On__c",
        boolean="IsDeleted",
        datetime=STAMPS,
    ),
)
TABLES: Mapping[str, Table] = {table.name.partition(".")[2]: table for table in _TABLES}
"""What an org has before the company adds fields of its own."""
HARD_DELETED = frozenset(
    {"CampaignMember", *(name for name, table in TABLES.items() if "IsDeleted" not in table.columns)}
)
"""Objects whose deleted records are gone at once: no recycle bin holds them."""

CUSTOM_TYPES = {
    "text": "string",
    "long_text": "textarea",
    "number": "double",
    "money": "currency",
    "date": "date",
    "boolean": "boolean",
    "choice": "picklist",
}
CUSTOM_OWNERS = {"opportunity": "Opportunity", "account": "Account", "contact": "Contact"}


def custom_name(field: str) -> str:
    """What Salesforce calls a field of the company's own: `contract_term_months` is `Contract_Term_Months__c`."""
    return f"{field.title()}__c"


def tables(world: World) -> dict[str, Table]:
    """The objects of a company's org, with the fields that the company added."""
    present = {name: table for name, table in TABLES.items() if len(world.rates) > 1 or name not in MULTI_CURRENCY}
    for field in world.custom_fields:
        if object := CUSTOM_OWNERS.get(field.record):
            table, column = present[object], _custom(field)
            columns = {**table.columns, column.name: column}
            present[object] = Table(name=table.name, key=table.key, columns=columns, indexes=table.indexes)
    return present


def _custom(field: CustomField) -> Column:
    type = CUSTOM_TYPES[field.kind]
    return Column(name=custom_name(field.name), kind=KINDS.get(type, Kind.TEXT), type=type)


def formulas(world: World) -> frozenset[tuple[str, str]]:
    """Object and field of all formulas."""
    return frozenset(
        (CUSTOM_OWNERS[field.record], custom_name(field.name))
        for field in world.custom_fields
        if field.is_formula and field.record in CUSTOM_OWNERS
    )
