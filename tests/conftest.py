"""What all tests share: where outside data lies, whether there is a browser, and patience on a slow machine."""

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("attain", deadline=None)
settings.load_profile("attain")

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def maven_crm() -> Path:
    """A real CRM export, kept outside the repository."""
    folder = SHARED / "data" / "maven_crm"
    if not folder.is_dir():
        pytest.skip("the Maven CRM export is not on this machine")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser for the tests that look at pages."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not on this machine")
    return path
