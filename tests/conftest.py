"""What all tests share: outside data, a browser, a company after its first night, patience on a slow machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from mornings import Left
from nights import FirstNight, first_night_in
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

settings.register_profile("attain", deadline=None)
settings.load_profile("attain")

OFFLINE = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole nights first: they take longest, and at the end nobody should wait for one."""
    items.sort(key=lambda item: item.path.parent != TESTS)


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


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[webdriver.Chrome]:
    """The browser, open, with a window as large as a desk's."""
    options = Options()
    options.binary_location = chromium
    for argument in (*OFFLINE.split(), "--window-size=2400,1400"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstNight]:
    """A sandbox company after its first night; shared, since a night takes half a minute."""
    with first_night_in(tmp_path_factory.mktemp("first_night")) as night:
        yield night


@pytest.fixture
def left(tmp_path: Path) -> Left:
    """A data folder in which a test says what the night has left."""
    return Left(tmp_path)
