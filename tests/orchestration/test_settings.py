"""Settings: a CRM is on, off, or a clear error."""

import pytest

from connectors import zoho
from connectors.errors import ConfigurationError
from orchestration.settings import read_settings

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
        (DYNAMICS, ["dynamics"]),
        (SALESFORCE | HUBSPOT | DYNAMICS, ["salesforce", "hubspot", "dynamics"]),
    ],
)
def test_a_crm_is_on_when_its_variables_are_set(environment: dict[str, str], on: list[str]) -> None:
    assert list(read_settings(environment).credentials) == on


@pytest.mark.parametrize("whole", [SALESFORCE, SALESFORCE_JWT, DYNAMICS])
def test_a_half_set_crm_is_an_error_that_names_what_is_missing(whole: dict[str, str]) -> None:
    for missing in whole:
        half = {name: value for name, value in whole.items() if name != missing}
        named = "SALESFORCE_" if missing.startswith("SALESFORCE") else missing
        with pytest.raises(ConfigurationError, match=named):
            read_settings(half)


def test_a_hubspot_address_without_a_token_is_half_set() -> None:
    with pytest.raises(ConfigurationError, match="HUBSPOT_ACCESS_TOKEN"):
        read_settings({"HUBSPOT_URL": "https://api.hubapi.com"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SALESFORCE_URL", "acme.my.salesforce.com"),
        ("SALESFORCE_URL", "http://acme.my.salesforce.com"),
        ("ATTAIN_TIMEZONE", "Mars/Olympus"),
        ("ATTAIN_HOME", "/data/the team's"),
        ("ATTAIN_HOME", "/data/[2026]"),
    ],
)
def test_a_senseless_value_is_an_error_that_names_it(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_settings(SALESFORCE | {name: value})


def test_plain_http_is_for_this_machine_only() -> None:
    assert read_settings(SALESFORCE | {"SALESFORCE_URL": "http://127.0.0.1:8750"}).credentials


def test_zoho_is_on_with_a_refresh_token_and_never_by_halves() -> None:
    with pytest.raises(ConfigurationError, match="ZOHO_CLIENT_SECRET, ZOHO_REFRESH_TOKEN"):
        read_settings({"ZOHO_CLIENT_ID": "id"})
    given = {"ZOHO_CLIENT_ID": "id", "ZOHO_CLIENT_SECRET": "secret", "ZOHO_REFRESH_TOKEN": "token"}
    found = read_settings(given | {"ZOHO_ACCOUNTS_URL": "https://accounts.zoho.eu/"}).credentials["zoho"]
    assert isinstance(found, zoho.Credentials)
    assert (found.accounts_url, found.url) == ("https://accounts.zoho.eu", None)
