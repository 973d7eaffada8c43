"""What all tests share: where outside data lies, and how patient property tests are on a slow machine."""

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
