"""What tells of a person is shown by its shape alone, in whatever words a CRM has for it."""

import json

import pytest

from expectations.privacy import is_private, mask, mask_text

PRIVATE = [
    ("salesforce", "contacts", "Email"),
    ("salesforce", "contacts", "MobilePhone"),
    ("salesforce", "contacts", "MailingStreet"),
    ("salesforce", "contacts", "Birthdate"),
    ("salesforce", "users", "Name"),
    ("salesforce", "users", "Username"),
    ("hubspot", "contacts", "firstname"),
    ("hubspot", "contacts", "date_of_birth"),
    ("hubspot", "contacts", "city"),
    ("hubspot", "users", "hs_family_name"),
    ("hubspot", "leads", "hs_lead_name"),
    ("dynamics", "systemusers", "internalemailaddress"),
    ("dynamics", "contacts", "telephone1"),
    ("dynamics", "contacts", "address1_postalcode"),
    ("zoho", "contacts", "Full_Name"),
    ("zoho", "leads", "Secondary_Email"),
]
SHOWN = [
    ("salesforce", "accounts", "Name"),
    ("salesforce", "opportunities", "Name"),
    ("salesforce", "leads", "Country"),
    ("salesforce", "contacts", "MailingCountry"),
    ("salesforce", "contacts", "OwnerId"),
    ("hubspot", "deals", "amount"),
    ("dynamics", "contacts", "address1_country"),
    ("dynamics", "opportunities", "estimatedvalue"),
    ("zoho", "deals", "Closing_Date"),
    ("zoho", "products", "Storage_Capacity"),
]


@pytest.mark.parametrize(("crm", "stream", "field"), PRIVATE)
def test_what_tells_of_a_person_is_masked(crm: str, stream: str, field: str) -> None:
    assert mask(field, "Anna 42", crm=crm, stream=stream) == "xxxx 99"


@pytest.mark.parametrize(("crm", "stream", "field"), SHOWN)
def test_what_tells_of_the_business_is_shown(crm: str, stream: str, field: str) -> None:
    assert mask(field, "Acme 42", crm=crm, stream=stream) == "Acme 42"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("Email", "anna.müller@@example", "xxxx.xxxxxx@@xxxxxxx"),
        ("Phone", "+49 (30) 12e4", "+99 (99) 99x9"),
        ("Birthdate", "1984-02-30", "9999-99-99"),
        ("Email", None, None),
    ],
)
def test_the_shape_still_shows_what_is_wrong(field: str, value: str | None, shown: str | None) -> None:
    assert mask(field, value) == shown


def test_an_install_adds_fields_of_its_own() -> None:
    private = ("zoho.*.Shoe_Size", "*.*.*secret*")
    assert is_private("Shoe_Size", crm="zoho", stream="contacts", private=private)
    assert is_private("Top_Secret__c", crm="salesforce", stream="accounts", private=private)
    assert not is_private("Shoe_Size", crm="hubspot", stream="contacts", private=private)


def test_people_are_masked_within_objects_and_lists_that_landed_as_json() -> None:
    owner = json.dumps({"id": "77", "name": "Anna Miller", "email": "anna@example.com"})
    assert json.loads(mask("Owner", owner)) == {"id": "77", "name": "xxxx xxxxxx", "email": "xxxx@xxxxxxx.xxx"}
    account = json.dumps({"id": "78", "name": "Acme"})
    assert json.loads(mask("Account_Name", account)) == {"id": "78", "name": "Acme"}
    assert json.loads(mask("Emails", '["a@b.co"]')) == ["x@x.xx"]
    assert mask("Notes", {"people": [{"phone": "030 1"}]}) == {"people": [{"phone": "999 9"}]}


def test_an_address_in_a_free_text_is_masked_where_it_stands() -> None:
    assert mask("Description", "Ask anna@example.com, she knows.") == "Ask xxxx@xxxxxxx.xxx, she knows."
    assert mask_text("seen: bob@b.io (3 times)") == "seen: xxx@x.xx (3 times)"
    assert mask("Description", "{not json") == "{not json"
