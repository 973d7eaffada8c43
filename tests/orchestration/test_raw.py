"""From which as-of day on a pull counts; how a CRM is read is tested with the connectors."""

from datetime import UTC, date, datetime

import pytest

from orchestration.raw import day_of_knowledge

EVENING = datetime(2026, 8, 14, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("as_of", "timezone", "known_on"),
    [
        (date(2026, 8, 14), "UTC", date(2026, 8, 14)),
        (date(2026, 7, 31), "UTC", date(2026, 7, 31)),
        (date(2027, 1, 1), "UTC", date(2026, 8, 14)),  # looking ahead
        (date(2026, 8, 15), "Asia/Tokyo", date(2026, 8, 15)),  # where it is the next day already
        (date(2026, 8, 15), "America/New_York", date(2026, 8, 14)),
    ],
)
def test_what_is_read_today_never_waits_for_a_day_that_has_not_come(as_of: date, timezone: str, known_on: date) -> None:
    assert day_of_knowledge(as_of, EVENING, timezone) == known_on
