"""What is read from Salesforce: one declaration for each object, and for any custom object that is named.

How it is read is in the modules beside this one.
"""

import re
from functools import partial

from connectors.stream import Stream, fields

_stream = partial(Stream, key="Id", cursor="SystemModstamp")

STREAMS = (
    _stream(
        name="users",
        object="User",
        fields=fields(
            text="Id Username Email Name ManagerId UserRoleId Department Division Title UserType",
            boolean="IsActive",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"ManagerId": "users"},
        required=("Name", "Email"),
    ),
    _stream(
        name="user_roles",
        object="UserRole",
        fields=fields(text="Id Name ParentRoleId", timestamp="SystemModstamp"),
        references={"ParentRoleId": "user_roles"},
    ),
    _stream(
        name="accounts",
        object="Account",
        fields=fields(
            text="Id Name Type ParentId OwnerId Industry BillingCountry Website MasterRecordId CurrencyIsoCode",
            decimal="AnnualRevenue NumberOfEmployees",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"ParentId": "accounts", "OwnerId": "users"},
        required=("Name",),
    ),
    _stream(
        name="contacts",
        object="Contact",
        fields=fields(
            text="Id AccountId OwnerId FirstName LastName Email Phone Title MasterRecordId",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OwnerId": "users"},
    ),
    _stream(
        name="leads",
        object="Lead",
        fields=fields(
            text="Id OwnerId FirstName LastName Company Email Status LeadSource Country"
            " ConvertedAccountId ConvertedContactId ConvertedOpportunityId MasterRecordId",
            date="ConvertedDate",
            boolean="IsConverted IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OwnerId": "users", "ConvertedOpportunityId": "opportunities"},
        required=("Status", "IsConverted"),
    ),
    _stream(
        name="opportunities",
        object="Opportunity",
        fields=fields(
            text="Id Name AccountId OwnerId StageName Type LeadSource ForecastCategoryName CurrencyIsoCode",
            decimal="Amount Probability",
            date="CloseDate",
            boolean="IsClosed IsWon IsDeleted",
            timestamp="LastStageChangeDate CreatedDate LastModifiedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OwnerId": "users"},
        required=("OwnerId", "StageName", "Amount", "CloseDate", "IsClosed", "IsWon"),
    ),
    _stream(
        name="opportunity_stages",
        object="OpportunityStage",
        fields=fields(
            text="Id MasterLabel ApiName ForecastCategoryName",
            decimal="SortOrder DefaultProbability",
            boolean="IsActive IsClosed IsWon",
            timestamp="SystemModstamp",
        ),
    ),
    _stream(
        name="opportunity_history",
        object="OpportunityHistory",
        cursor="CreatedDate",
        fields=fields(
            text="Id OpportunityId StageName ForecastCategory",
            decimal="Amount ExpectedRevenue Probability PrevAmount",
            date="CloseDate PrevCloseDate",
            boolean="IsDeleted",
            timestamp="CreatedDate",
        ),
        references={"OpportunityId": "opportunities"},
    ),
    _stream(
        name="opportunity_field_history",
        object="OpportunityFieldHistory",
        cursor="CreatedDate",
        fields=fields(
            text="Id OpportunityId Field DataType OldValue NewValue", boolean="IsDeleted", timestamp="CreatedDate"
        ),
        references={"OpportunityId": "opportunities"},
        optional=True,
    ),
    _stream(
        name="opportunity_line_items",
        object="OpportunityLineItem",
        fields=fields(
            text="Id OpportunityId Product2Id",
            decimal="Quantity UnitPrice TotalPrice",
            date="ServiceDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OpportunityId": "opportunities", "Product2Id": "products"},
    ),
    _stream(
        name="opportunity_splits",
        object="OpportunitySplit",
        fields=fields(
            text="Id OpportunityId SplitOwnerId SplitTypeId SplitNote",
            decimal="SplitPercentage SplitAmount",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={
            "OpportunityId": "opportunities",
            "SplitOwnerId": "users",
            "SplitTypeId": "opportunity_split_types",
        },
        optional=True,
    ),
    _stream(
        name="opportunity_split_types",
        object="OpportunitySplitType",
        fields=fields(
            text="Id MasterLabel DeveloperName", boolean="IsActive IsTotalValidated", timestamp="SystemModstamp"
        ),
        optional=True,
    ),
    _stream(
        name="opportunity_team_members",
        object="OpportunityTeamMember",
        fields=fields(
            text="Id OpportunityId UserId TeamMemberRole",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OpportunityId": "opportunities", "UserId": "users"},
        optional=True,
    ),
    _stream(
        name="products",
        object="Product2",
        fields=fields(
            text="Id Name ProductCode Family",
            boolean="IsActive IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        required=("Name",),
    ),
    _stream(
        name="price_books",
        object="Pricebook2",
        fields=fields(text="Id Name", boolean="IsActive IsStandard IsDeleted", timestamp="CreatedDate SystemModstamp"),
    ),
    _stream(
        name="price_book_entries",
        object="PricebookEntry",
        fields=fields(
            text="Id Pricebook2Id Product2Id",
            decimal="UnitPrice",
            boolean="IsActive IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"Pricebook2Id": "price_books", "Product2Id": "products"},
    ),
    _stream(
        name="forecasting_quotas",
        object="ForecastingQuota",
        fields=fields(
            text="Id QuotaOwnerId PeriodId",
            decimal="QuotaAmount QuotaQuantity",
            date="StartDate",
            boolean="IsAmount IsQuantity",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"QuotaOwnerId": "users", "PeriodId": "periods"},
        optional=True,
        is_reconciled_nightly=True,
    ),
    _stream(
        name="periods",
        object="Period",
        fields=fields(
            text="Id Type FullyQualifiedLabel",
            decimal="Number",
            date="StartDate EndDate",
            boolean="IsForecastPeriod",
            timestamp="SystemModstamp",
        ),
        optional=True,
    ),
    _stream(
        name="territories",
        object="Territory2",
        fields=fields(text="Id Name DeveloperName ParentTerritory2Id Territory2ModelId", timestamp="SystemModstamp"),
        references={"ParentTerritory2Id": "territories", "Territory2ModelId": "territory_models"},
        optional=True,
        is_reconciled_nightly=True,
    ),
    _stream(
        name="territory_models",
        object="Territory2Model",
        fields=fields(text="Id Name State", timestamp="SystemModstamp"),
        optional=True,
    ),
    _stream(
        name="user_territories",
        object="UserTerritory2Association",
        fields=fields(text="Id UserId Territory2Id RoleInTerritory2", boolean="IsActive", timestamp="SystemModstamp"),
        references={"UserId": "users", "Territory2Id": "territories"},
        optional=True,
        is_reconciled_nightly=True,
    ),
    _stream(
        name="object_territories",
        object="ObjectTerritory2Association",
        fields=fields(text="Id ObjectId Territory2Id AssociationCause", timestamp="SystemModstamp"),
        references={"Territory2Id": "territories"},
        optional=True,
        is_reconciled_nightly=True,
    ),
    _stream(
        name="tasks",
        object="Task",
        fields=fields(
            text="Id OwnerId WhoId WhatId AccountId Subject Status TaskSubtype",
            decimal="CallDurationInSeconds",
            date="ActivityDate",
            boolean="IsClosed IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OwnerId": "users", "AccountId": "accounts"},
    ),
    _stream(
        name="events",
        object="Event",
        fields=fields(
            text="Id OwnerId WhoId WhatId AccountId Subject",
            decimal="DurationInMinutes",
            date="ActivityDate",
            boolean="IsDeleted",
            timestamp="StartDateTime EndDateTime CreatedDate SystemModstamp",
        ),
        references={"OwnerId": "users", "AccountId": "accounts"},
    ),
    _stream(
        name="campaigns",
        object="Campaign",
        fields=fields(
            text="Id Name ParentId OwnerId Type Status",
            decimal="BudgetedCost ActualCost",
            date="StartDate EndDate",
            boolean="IsActive IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OwnerId": "users", "ParentId": "campaigns"},
    ),
    _stream(
        name="campaign_members",
        object="CampaignMember",
        fields=fields(
            text="Id CampaignId LeadId ContactId Status",
            date="FirstRespondedDate",
            boolean="HasResponded IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"CampaignId": "campaigns", "LeadId": "leads", "ContactId": "contacts"},
        is_reconciled_nightly=True,
    ),
    _stream(
        name="currency_types",
        object="CurrencyType",
        fields=fields(
            text="Id IsoCode",
            decimal="ConversionRate DecimalPlaces",
            boolean="IsActive IsCorporate",
            timestamp="SystemModstamp",
        ),
        optional=True,
    ),
    _stream(
        name="dated_conversion_rates",
        object="DatedConversionRate",
        fields=fields(
            text="Id IsoCode", decimal="ConversionRate", date="StartDate NextStartDate", timestamp="SystemModstamp"
        ),
        optional=True,
        is_reconciled_nightly=True,
    ),
    _stream(
        name="orders",
        object="Order",
        fields=fields(
            text="Id OrderNumber AccountId OpportunityId OwnerId Status",
            decimal="TotalAmount",
            date="EffectiveDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OpportunityId": "opportunities", "OwnerId": "users"},
        optional=True,
    ),
    _stream(
        name="order_items",
        object="OrderItem",
        fields=fields(
            text="Id OrderId Product2Id",
            decimal="Quantity UnitPrice TotalPrice",
            date="ServiceDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OrderId": "orders", "Product2Id": "products"},
        optional=True,
    ),
    _stream(
        name="contracts",
        object="Contract",
        fields=fields(
            text="Id ContractNumber AccountId OwnerId Status",
            decimal="ContractTerm",
            date="StartDate EndDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "OwnerId": "users"},
        optional=True,
    ),
    _stream(
        name="quotes",
        object="Quote",
        fields=fields(
            text="Id QuoteNumber Name OpportunityId AccountId Status",
            decimal="GrandTotal",
            date="ExpirationDate",
            boolean="IsSyncing IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"OpportunityId": "opportunities", "AccountId": "accounts"},
        optional=True,
    ),
    _stream(
        name="quote_line_items",
        object="QuoteLineItem",
        fields=fields(
            text="Id QuoteId Product2Id",
            decimal="Quantity UnitPrice TotalPrice Discount",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"QuoteId": "quotes", "Product2Id": "products"},
        optional=True,
    ),
    _stream(
        name="assets",
        object="Asset",
        fields=fields(
            text="Id Name AccountId Product2Id Status",
            decimal="Quantity Price",
            date="PurchaseDate UsageEndDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"AccountId": "accounts", "Product2Id": "products"},
        optional=True,
    ),
    _stream(
        name="invoices",
        object="Invoice",
        fields=fields(
            text="Id DocumentNumber BillingAccountId ReferenceEntityId Status",
            decimal="TotalAmount Balance",
            date="InvoiceDate DueDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"BillingAccountId": "accounts"},
        optional=True,
    ),
    _stream(
        name="invoice_payments",
        object="PaymentLineInvoice",
        fields=fields(
            text="Id InvoiceId AssociatedAccountId Type",
            decimal="Amount",
            date="EffectiveDate",
            boolean="IsDeleted",
            timestamp="CreatedDate SystemModstamp",
        ),
        references={"InvoiceId": "invoices", "AssociatedAccountId": "accounts"},
        optional=True,
    ),
)


def custom_stream(object: str) -> Stream:
    """Declare an org's own object by its API name: `Survey_Response__c`."""
    name = re.sub(r"\W|(?<=_)_+", "", re.sub(r"__c$", "", object)).lower()
    return _stream(name=name, object=object, fields=fields(text="Id", timestamp="SystemModstamp"))
