"""What time it is in the sandbox: ours, or one that only moves when it is moved.

What happens to the company in between is its own affair.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Our time."""
    return datetime.now(UTC)


class SimulatedClock:
    """Stands still until it is set; it is never set back."""

    def __init__(self, at: datetime) -> None:
        self._now = at

    def __call__(self) -> datetime:
        """The time it shows."""
        return self._now

    def check(self, to: datetime) -> None:
        """Refuse a moment that has passed.

        Raises:
            ValueError: and says what time it is.

        """
        if to < self._now:
            raise ValueError(f"it is {self._now.isoformat()} already, and time goes forward only")

    def set(self, to: datetime) -> None:
        """Move on."""
        self.check(to)
        self._now = to
