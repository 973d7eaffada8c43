"""The pages as a steward meets them: the verdict first, nothing private, nothing from elsewhere, on any screen."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from mornings import AS_OF, Left, build_quality_marts
from selenium import webdriver
from selenium.webdriver.common.by import By

from expectations.report.site import Reader

HELD = {"crm": "salesforce", "stream": "opportunities", "rule": "won_has_amount", "reason": "the deal has no amount"}
FAILED = {
    "stream": "opportunities",
    "rule": "won_has_amount",
    "reason": "the deal has no amount",
    "status": "failed",
    "failed": 1,
    "fields": ["Amount", "OwnerEmail"],
    "quarantined": 1,
}
BLOCKED = {
    **FAILED,
    "rule": "complete",
    "severity": "critical",
    "blocks": True,
    "reason": "other records landed than the CRM counts",
    "detail": "990 against 1000",
}


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<main") :]))


def headline(page: str) -> str:
    return text_of(page[: page.index("</h1>")]).strip()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """A night that published with one record held back, after 90 nights like it."""
    left = Left(tmp_path_factory.mktemp("busy"))
    payload = {"Id": "006A", "Amount": None, "OwnerEmail": "anna@example.com", "Name": "Big <b>deal</b>"}
    left.results(
        "salesforce", FAILED, {**FAILED, "stream": "contacts", "rule": "contact_email_valid", "severity": "info"}
    )
    left.held("salesforce", "opportunities", {**HELD, "key": "006A", "payload": json.dumps(payload)})
    left.incidents(
        {
            **HELD,
            "incident_id": "INC-000007",
            "key": "006A",
            "amount_at_risk": 125_000,
            "payout_at_risk": 4_250,
            "opened_at": "2026-08-01 02:03:00",
        },
        *(
            {
                **HELD,
                "incident_id": f"INC-{number:06}",
                "key": f"{number}",
                "reason": f"{number} <script>alert(1)</script>",
            }
            for number in range(100, 160)
        ),
    )
    left.published()
    days = [AS_OF - timedelta(days=age) for age in range(91)]
    dimensions = ("(all)", "completeness", "validity", "uniqueness", "consistency", "timeliness", "integrity")
    build_quality_marts(
        left.home,
        scores=[
            (crm, dimension, day, 0.9999 - 0.0002 * ((AS_OF - day).days % 7), 0.8)
            for crm in ("salesforce", "hubspot")
            for dimension in dimensions
            for day in days
        ],
        reconciled=[
            (
                "salesforce",
                "opportunities",
                "won_amount",
                "USD",
                None,
                100,
                0,
                100,
                0,
                Decimal("99.99"),
                Decimal("0.01"),
            )
        ],
    )
    return left


Pages = Mapping[str, str]


@pytest.fixture(scope="module")
def pages(busy: Left) -> Pages:
    """The pages of that night, written once."""
    busy.page()
    return {path.stem: path.read_text(encoding="utf-8") for path in (busy.home / "pages").iterdir()}


def test_a_clean_night_may_be_trusted(left: Left) -> None:
    left.results("hubspot", {"stream": "deals", "rule": "key_unique", "reason": "two records have the same key"})
    left.incidents()
    left.published()
    page = left.page()
    assert headline(page) == "Tonight’s numbers may be trusted."
    assert 'class="verdict good"' in page and "Nothing waits for a steward" in page


def test_records_held_back_are_counted_and_valued_in_the_verdict(pages: Pages) -> None:
    page = pages["index"]
    assert headline(page) == "Tonight’s numbers may be trusted, but for 61 records held back."
    assert "up to 125,000 USD of won deals and 4,250 USD of payout" in text_of(page)


def test_a_blocked_night_says_what_blocks_and_whose_numbers_people_read(left: Left) -> None:
    left.results("salesforce", BLOCKED)
    left.published(run_id="20260812T020000-00000000", as_of="2026-08-12")
    page = left.page(errors=("salesforce/opportunities: Blocked: complete",))
    assert headline(page) == "Nothing new was published tonight."
    said = text_of(page)
    assert "the numbers as of 12 August 2026" in said
    assert "Salesforce opportunities: other records landed than the CRM counts (990 against 1000)" in said
    assert "Blocked: complete" not in said  # the same, in the words of the machine


def test_a_night_that_never_came_to_a_gate_says_why_without_addresses(left: Left) -> None:
    page = left.page(errors=("Salesforce does not accept the credentials of robot@example.com",))
    said = text_of(page)
    assert "Nothing has been published yet" in said
    assert "Salesforce does not accept the credentials of xxxxx@xxxxxxx.xxx" in said
    assert "What this report cannot know" in said and "No gate has left a result yet" in said


def test_samples_show_the_fields_of_the_rule_and_hide_people(pages: Pages) -> None:
    assert "xxxx@xxxxxxx.xxx" in pages["index"] and "anna@example.com" not in pages["index"]
    assert "attain quality show INC-000007" in pages["index"]
    assert "Big" not in pages["index"]  # the rule does not look at it


def test_an_install_hides_fields_of_its_own(left: Left) -> None:
    left.results("salesforce", FAILED)
    left.held("salesforce", "opportunities", {**HELD, "key": "006A", "payload": json.dumps({"Amount": "12.50"})})
    assert "12.50" in left.page()
    hidden = left.page(reader=Reader(timezone="UTC", currency="USD", private_fields=("*.opportunities.amount",)))
    assert "99.99" in hidden and "12.50" not in hidden


def test_the_first_page_shows_50_incidents_and_the_queue_all(pages: Pages) -> None:
    first, queue = pages["index"], pages["queue"]
    assert first.count("INC-0001") == 49 and "All 61 open incidents" in first
    assert queue.count("INC-0001") == 60


def test_a_crms_page_has_all_its_rules(pages: Pages) -> None:
    said = text_of(pages["salesforce"])
    assert "contact_email_valid" in said and "won_has_amount" in said


def test_a_cent_of_difference_shows_and_only_what_is_whole_reads_as_100_percent(pages: Pages) -> None:
    said = text_of(pages["index"])
    assert "99.99" in said and "0.01" in said
    assert re.findall(r'class="score">([^<]+)', pages["index"]) == ["99.9%", "99.9%"]


def test_times_are_the_readers(pages: Pages, left: Left) -> None:
    assert "19 Aug 2026, 04:03" in pages["queue"]
    left.incidents({**HELD, "incident_id": "INC-000001", "key": "1"})
    assert "19 Aug 2026, 02:03" in left.page(reader=Reader(timezone="UTC", currency="USD"))


def test_texts_from_a_crm_stay_texts(pages: Pages) -> None:
    assert "100 &lt;script&gt;alert(1)&lt;/script&gt;" in pages["queue"]


def test_nothing_is_run_or_fetched(pages: Pages) -> None:
    for page in pages.values():
        assert "<script" not in page
        assert not re.findall(r'(?:src|href|url)\W+(?:https?:)?//[^"\')]+', page)


@pytest.fixture
def screen(pages: Pages, browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def opened(screen: webdriver.Chrome, page: Path, *, width: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    screen.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme_is = {"name": "prefers-color-scheme", "value": scheme}
    screen.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_is]})
    screen.get(page.as_uri())


CONTRAST = """
    const rgb = color => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => { for (; e; e = e.parentElement) {
        const color = rgb(getComputedStyle(e).backgroundColor);
        if (color.length < 4 || color[3] === 1) return color;
    } return [255, 255, 255]; };
    const low = new Set();
    for (const e of document.querySelectorAll('main *, header *, footer *')) {
        const text = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
        if (!text || !e.getClientRects().length) continue;
        const style = getComputedStyle(e), ink = e.closest('svg') ? style.fill : style.color;
        if (e.tagName === 'title' || e.tagName === 'desc') continue;
        const [a, b] = [light(rgb(ink)), light(ground(e))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) low.add(e.tagName + ' ' + e.textContent.trim());
    }
    return [...low];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_in_light_and_dark(screen: webdriver.Chrome, busy: Left, scheme: str) -> None:
    opened(screen, busy.home / "pages" / "index.html", width=1280, scheme=scheme)
    screen.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert screen.execute_script(CONTRAST) == []


@pytest.mark.parametrize("page", ["index", "queue", "salesforce"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(screen: webdriver.Chrome, busy: Left, page: str, width: int) -> None:
    opened(screen, busy.home / "pages" / f"{page}.html", width=width)
    screen.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert screen.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_who_cannot_see_the_page_can_hear_it(screen: webdriver.Chrome, busy: Left) -> None:
    opened(screen, busy.home / "pages" / "index.html", width=1280)
    assert screen.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    levels = [int(heading.tag_name[1]) for heading in screen.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))
    charts = screen.find_elements(By.CSS_SELECTOR, "svg")
    assert len(charts) == 16  # a line for each CRM and dimension, the scores of all, the open incidents
    for chart in charts:
        assert chart.get_attribute("role") == "img" and chart.find_element(By.TAG_NAME, "title")
    assert not screen.find_elements(By.CSS_SELECTOR, "th:not([scope])")
