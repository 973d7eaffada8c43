"""Great Expectations' own pages of a real gate: what failed is there, and nothing is fetched to show it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from expectations.report.data_docs import Page, write_data_docs

if TYPE_CHECKING:
    from conftest import Landing

DEAL = {
    "Id": "o1",
    "OwnerId": "u1",
    "StageName": "Closed Won",
    "Amount": None,
    "CloseDate": "2026-08-01",
    "IsClosed": "true",
    "IsWon": "true",
    "CreatedDate": "2026-05-01T08:00:00Z",
    "SystemModstamp": "2026-08-01T08:00:00Z",
}


def test_a_stream_on_which_an_expectation_failed_has_a_page_of_its_own(landing: Landing) -> None:
    landing.commit("salesforce", "opportunities", [DEAL])
    result = landing.check("salesforce", "opportunities")
    assert [check.rule for check in result.failing] == ["won_has_amount"]

    folder = landing.home / "pages"
    folder.mkdir()
    (page,) = write_data_docs(landing.home, result.run_id, folder)
    assert isinstance(page, Page)
    assert (page.stream, page.failed) == ("salesforce.opportunities", 1) and page.expected > 10
    html = (folder / page.href).read_text(encoding="utf-8")
    assert "the deal is won and has no amount" in html
    assert not re.findall(r"https?://|<script|<link|<img", html)


def test_a_night_whose_gates_never_ran_has_none(landing: Landing) -> None:
    assert write_data_docs(landing.home, "20260101T000000-00000000", landing.home) == ()
