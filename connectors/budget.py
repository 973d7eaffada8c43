"""How often one CRM may be called, and how often it was: one budget for all threads that talk to it.

It waits and counts; what a CRM allows, and how its answers tell, is for the CRM modules.
"""

import threading
from time import monotonic, sleep

from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate

from connectors.errors import BudgetSpent


class Budget:
    """The calls one CRM permits: so many in a span of time, and so many a day less a reserve."""

    def __init__(self, crm: str, *, calls: int | None = None, seconds: float = 1, reserve: float = 0) -> None:
        self.crm = crm
        self.calls = 0
        """Made so far."""
        self._reserve = reserve
        self._lock = threading.Lock()
        self._resume_at = 0.0
        self._spent: str | None = None
        self.permit(calls, seconds)

    def permit(self, calls: int | None, seconds: float) -> None:
        """Allow so many calls in any span of so many seconds; None: as many as are made."""
        self._limiter = Limiter(InMemoryBucket([Rate(calls, int(Duration.SECOND * seconds))])) if calls else None

    def take(self) -> None:
        """Wait until one more call is permitted.

        Raises:
            BudgetSpent: today's share is used up.

        """
        if self._spent:
            raise BudgetSpent(self._spent)
        if (pause := self._resume_at - monotonic()) > 0:
            sleep(pause)
        if self._limiter:
            self._limiter.try_acquire(self.crm)
        with self._lock:
            self.calls += 1

    def pause(self, seconds: float) -> None:
        """Let no thread call for a while: the CRM asked for it."""
        with self._lock:
            self._resume_at = max(self._resume_at, monotonic() + seconds)

    def note_daily(self, *, used: int, allowed: int) -> None:
        """Take in what the CRM says of the day's allowance; once only the reserve is left, no call is made any more."""
        if used >= allowed * (1 - self._reserve):
            self.spend(f"{used:,} of {allowed:,} calls of the day are used, and {self._reserve:.0%} are left to others")

    def spend(self, reason: str) -> None:
        """Make no call any more in this run."""
        self._spent = (
            f"{self.crm}: {reason}. Stopped after {self.calls:,} calls; what was committed is kept, and the next run "
            "goes on from there. Raise the allowance, or lower ATTAIN_API_RESERVE, if this happens often."
        )
