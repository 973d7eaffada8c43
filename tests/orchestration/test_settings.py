"""Settings: a CRM is on, off, or a clear error."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors import hubspot, zoho
from connectors.errors import ConfigurationError
from orchestration.settings import STREAMS, read_settings

SALESFORCE = {
    "SALESFORCE_URL": "https://acme.my.salesforce.com/",
    "SALESFORCE_CLIENT_ID": "id",
    "SALESFORCE_CLIENT_SECRET": "secret",
}
SALESFORCE_JWT = {
    "SALESFORCE_URL": "https://acme.my.salesforce.com",
    "SALESFORCE_CLIENT_ID": "id",
    "SALESFORCE_USERNAME": "me@acme.com",
    "SALESFORCE_PRIVATE_KEY_FILE": "/key",
}
HUBSPOT = {"HUBSPOT_ACCESS_TOKEN": "token"}
HUBSPOT_GRANT = {"HUBSPOT_CLIENT_ID": "id", "HUBSPOT_CLIENT_SECRET": "secret", "HUBSPOT_REFRESH_TOKEN": "grant"}
DYNAMICS = {
    "DYNAMICS_URL": "https://acme.crm.dynamics.com",
    "DYNAMICS_TENANT_ID": "tenant",
    "DYNAMICS_CLIENT_ID": "id",
    "DYNAMICS_CLIENT_SECRET": "secret",
}


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, []),
        ({"SALESFORCE_URL": "", "HUBSPOT_ACCESS_TOKEN": "  "}, []),
        (SALESFORCE, ["salesforce"]),
        (SALESFORCE_JWT, ["salesforce"]),
        (HUBSPOT, ["hubspot"]),
        (HUBSPOT_GRANT, ["hubspot"]),
        (DYNAMICS, ["dynamics"]),
        (SALESFORCE | HUBSPOT | DYNAMICS, ["salesforce", "hubspot", "dynamics"]),
    ],
)
def test_a_crm_is_on_when_its_variables_are_set(environment: dict[str, str], on: list[str]) -> None:
    assert list(read_settings(environment).credentials) == on


@pytest.mark.parametrize("whole", [SALESFORCE, SALESFORCE_JWT, HUBSPOT_GRANT, DYNAMICS])
def test_a_half_set_crm_is_an_error_that_names_what_is_missing(whole: dict[str, str]) -> None:
    for missing in whole:
        half = {name: value for name, value in whole.items() if name != missing}
        named = "SALESFORCE_" if missing.startswith("SALESFORCE") else missing
        with pytest.raises(ConfigurationError, match=named):
            read_settings(half)


def test_a_hubspot_address_without_a_token_is_half_set() -> None:
    with pytest.raises(ConfigurationError, match="HUBSPOT_ACCESS_TOKEN"):
        read_settings({"HUBSPOT_URL": "https://api.hubapi.com"})


def test_hubspot_is_entered_by_a_token_or_by_a_grant_and_never_by_both() -> None:
    found = read_settings(HUBSPOT_GRANT | {"HUBSPOT_API_VERSION": "2026-09"}).credentials["hubspot"]
    assert found == hubspot.Credentials(
        client_id="id", client_secret="secret", refresh_token="grant", api_version="2026-09"
    )
    assert read_settings(HUBSPOT).credentials["hubspot"] == hubspot.Credentials(access_token="token", api_version="v3")
    for name, value in HUBSPOT_GRANT.items():
        with pytest.raises(ConfigurationError, match=r"HUBSPOT_ACCESS_TOKEN or .*HUBSPOT_REFRESH_TOKEN, not by both"):
            read_settings(HUBSPOT | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SALESFORCE_URL", "acme.my.salesforce.com"),
        ("SALESFORCE_URL", "http://acme.my.salesforce.com"),
        ("ATTAIN_TIMEZONE", "Mars/Olympus"),
        ("ATTAIN_HOME", "/data/the team's"),
        ("ATTAIN_HOME", "/data/[2026]"),
        ("ATTAIN_API_RESERVE", "91"),
        ("ATTAIN_API_RESERVE", "-1"),
        ("ATTAIN_API_RESERVE", "10%"),
        ("ATTAIN_WHOLE_READ_DAYS", "367"),
        ("ATTAIN_WHOLE_READ_DAYS", "0.5"),
        ("ATTAIN_WHOLE_READ_DAYS", "weekly"),
        ("HUBSPOT_API_VERSION", "v4"),
        ("HUBSPOT_API_VERSION", "2026-9"),
        ("HUBSPOT_API_VERSION", "2026-10"),
        ("HUBSPOT_API_VERSION", "latest"),
    ],
)
def test_a_senseless_value_is_an_error_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_settings(SALESFORCE | HUBSPOT | {name: value})


def test_reserve_and_days_between_whole_reads_are_as_set_or_sensible() -> None:
    assert (read_settings({}).options.reserve, read_settings({}).whole_every) == (0.1, timedelta(days=7))
    given = read_settings({"ATTAIN_API_RESERVE": "25", "ATTAIN_WHOLE_READ_DAYS": "30"})
    assert (given.options.reserve, given.whole_every) == (0.25, timedelta(days=30))
    none = read_settings({"ATTAIN_API_RESERVE": "0", "ATTAIN_WHOLE_READ_DAYS": "0"})
    assert (none.options.reserve, none.whole_every) == (0, timedelta(0))


def test_fields_to_leave_out_are_listed_with_commas_or_spaces() -> None:
    listed = "salesforce.Contact.Birthdate, hubspot.*.phone\n*.*.Description"
    options = read_settings({"ATTAIN_EXCLUDE_FIELDS": listed}).options
    assert options.excludes("salesforce", "Contact", "Birthdate")
    assert options.excludes("hubspot", "contacts", "phone")
    assert options.excludes("dynamics", "account", "Description")
    assert not options.excludes("salesforce", "Lead", "Birthdate")
    assert not read_settings({}).options.excludes("salesforce", "Contact", "Birthdate")


def test_objects_of_the_organisations_own_are_streams_besides_those_that_all_have() -> None:
    streams = read_settings(SALESFORCE | {"SALESFORCE_OBJECTS": "Survey_Response__c, Visit__c"}).streams
    own = streams["salesforce"][len(STREAMS["salesforce"]) :]
    assert [(stream.name, stream.object, stream.optional) for stream in own] == [
        ("survey_response", "Survey_Response__c", False),
        ("visit", "Visit__c", False),
    ]
    assert {crm: len(streams[crm]) for crm in streams} == {
        crm: len(known) + (2 if crm == "salesforce" else 0) for crm, known in STREAMS.items()
    }


@pytest.mark.parametrize(
    ("objects", "named"),
    [
        ("Opportunity", "Opportunity"),
        ("opportunity", "opportunity"),
        ("Survey__c, accounts", "accounts"),
        ("Survey__c Survey__c", "Survey__c"),
        ("Survey__c, SURVEY__c", "SURVEY__c"),
    ],
)
def test_an_object_that_is_read_already_is_an_error_that_names_it(objects: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SALESFORCE_OBJECTS names {named}, which Attain reads already"):
        read_settings(SALESFORCE | {"SALESFORCE_OBJECTS": objects})


def test_an_object_called_like_a_stream_lands_beside_it() -> None:
    streams = read_settings(SALESFORCE | {"SALESFORCE_OBJECTS": "Survey__c, Accounts__c"}).streams["salesforce"]
    assert [(stream.name, stream.object) for stream in streams[-2:]] == [
        ("survey", "Survey__c"),
        ("custom_accounts", "Accounts__c"),
    ]
    assert len({stream.name for stream in streams}) == len(streams)


def test_two_objects_that_would_land_as_one_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Custom_Users__c, which would land as custom_users .*take one"):
        read_settings(SALESFORCE | {"SALESFORCE_OBJECTS": "Users__c Custom_Users__c"})


def test_plain_http_is_for_this_machine_only() -> None:
    assert read_settings(SALESFORCE | {"SALESFORCE_URL": "http://127.0.0.1:8750"}).credentials


def test_zoho_is_on_with_a_refresh_token_and_never_by_halves() -> None:
    with pytest.raises(ConfigurationError, match="ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN"):
        read_settings({"ZOHO_CLIENT_ID": "id"})
    given = {"ZOHO_CLIENT_ID": "id", "ZOHO_CLIENT_SECRET": "secret", "ZOHO_REFRESH_TOKEN": "token"}
    found = read_settings(given | {"ZOHO_ACCOUNTS_URL": "https://accounts.zoho.eu/"}).credentials["zoho"]
    assert isinstance(found, zoho.Credentials)
    assert (found.accounts_url, found.url) == ("https://accounts.zoho.eu", None)


def test_the_stewards_database_lies_in_the_data_folder_unless_another_is_named(tmp_path: Path) -> None:
    assert read_settings({"ATTAIN_HOME": str(tmp_path)}).state_url == f"sqlite:///{tmp_path}/quality/steward.db"
    named = read_settings({"ATTAIN_STATE_URL": "postgresql://db/attain", "ATTAIN_STEWARD": "ann"})
    assert (named.state_url, named.steward) == ("postgresql://db/attain", "ann")
