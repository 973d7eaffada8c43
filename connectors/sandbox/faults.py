"""What can go wrong on the way to a CRM, on demand.

The faults only; how each CRM words them is in the module that carries its name.
"""

from enum import StrEnum


class Fault(StrEnum):
    """A way in which one request goes wrong."""

    TOO_MANY = "too-many"
    """429 with Retry-After."""
    TOO_MANY_BARE = "too-many-bare"
    """429 that does not say how long to wait."""
    SERVER_ERROR = "server-error"
    HTML_PAGE = "html-page"
    """An edge server's error page instead of the CRM's answer."""
    RESET = "reset"
    """The line breaks in the middle of the body."""
    SLOW = "slow"
    EXPIRED = "expired"
    """The session or token dies."""
    DAILY_LIMIT = "daily-limit"
    LOST_CURSOR = "lost-cursor"
    """The query locator, page token or delta token of the request is no longer known."""
