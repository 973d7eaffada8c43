from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from crms import Org

from connectors import session
from connectors.hubspot import api as hubspot_api
from connectors.sandbox.company import Company, CustomField
from connectors.sandbox.generate import generate
from connectors.sandbox.server import Sandbox, Server, running


@pytest.fixture(scope="session")
def halden() -> Company:
    return generate()


@pytest.fixture(scope="module", autouse=True)
def no_pauses() -> Iterator[None]:
    """Retry at once, unless the CRM itself asks for a pause; the sandbox allows more searches than HubSpot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "BACKOFF_SECONDS", 0)
        patch.setattr(hubspot_api, "SEARCHES_PER_SECOND", 1_000)
        yield


@pytest.fixture(scope="session")
def small(halden: Company) -> Company:
    """Halden with all its deals, but few of the people and products on them, so that a CRM of it is set up fast."""
    deals = tuple(
        replace(deal, lines=deal.lines[: number % 8 == 0]) for number, deal in enumerate(halden.opportunities)
    )
    return replace(halden, contacts=halden.contacts[::8], leads=halden.leads[::8], opportunities=deals)


@pytest.fixture(scope="session")
def address(halden: Company) -> Iterator[Server]:
    """One server for all tests, since starting and stopping it takes longer than most of them."""
    with running(halden) as server:
        yield server


@contextmanager
def served(crm: str, small: Company, address: Server, home: Path) -> Iterator[Org]:
    """Serve a CRM of the test's own, at the common address."""
    sandbox = Sandbox(small, [crm])
    address.sandbox.intercept = lambda request: sandbox  # an application is as good as a response
    with closing(sandbox.store):
        yield Org(crm, Server(sandbox, address.url), home)


@pytest.fixture(params=["salesforce", "hubspot", "dynamics", "zoho"])
def org(request: pytest.FixtureRequest, small: Company, address: Server, tmp_path: Path) -> Iterator[Org]:
    """Each CRM in turn."""
    with served(request.param, small, address, tmp_path) as org:
        yield org


@pytest.fixture(params=["salesforce", "hubspot", "dynamics", "zoho"])
def with_formula(request: pytest.FixtureRequest, small: Company, address: Server, tmp_path: Path) -> Iterator[Org]:
    """Each CRM in turn, with few deals, of which each has a formula that comes to 1.5."""
    formula = CustomField(record="opportunity", name="weighted_value", kind="money", is_formula=True)
    deals = [deal for deal in small.opportunities if deal.crm == request.param][:20]
    deals = [replace(deal, custom={formula.name: Decimal("1.5")}) for deal in deals]
    others = (field for field in small.custom_fields if field.record != formula.record)
    company = replace(small, opportunities=tuple(deals), custom_fields=(formula, *others))
    with served(request.param, company, address, tmp_path) as org:
        yield org


@pytest.fixture
def salesforce(small: Company, address: Server, tmp_path: Path) -> Iterator[Org]:
    with served("salesforce", small, address, tmp_path) as org:
        yield org


@pytest.fixture
def hubspot(small: Company, address: Server, tmp_path: Path) -> Iterator[Org]:
    with served("hubspot", small, address, tmp_path) as org:
        yield org


@pytest.fixture
def dynamics(small: Company, address: Server, tmp_path: Path) -> Iterator[Org]:
    with served("dynamics", small, address, tmp_path) as org:
        yield org
