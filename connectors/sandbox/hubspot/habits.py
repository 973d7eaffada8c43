"""What HubSpot is known or suspected to do with some requests and not with others: switches, for tests to turn.

Values only; whoever answers a request looks them up.
"""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass
class Habits:
    """May be changed while the portal is served."""

    compares_ids_as_text: bool = False
    """Whether search orders and compares `hs_object_id` as text; nobody outside HubSpot knows for sure."""
    has_short_pages: bool = True
    """Whether some pages hold fewer records than asked for although more follow."""
    most_search_results: int = 10_000
    """Behind them a search shows nothing."""
    totals_saturate: bool = True
    """Whether a search that finds more than it shows claims to have found just as many as it shows."""
    search_delay: timedelta = timedelta(0)
    """How long a search does not see what was written."""
    is_search_unordered: bool = False
    """Whether results that are sorted by a moment come slightly out of order."""
    association_page: int = 100
    sends_milliseconds: bool = False
    """Whether dates and moments come as milliseconds since 1970 instead of words."""
    timezone: str = "UTC"
    """Of the portal: the zone in which its users pick days."""
    hidden: set[tuple[str, str]] = field(default_factory=set)
    """Object and property that the app may not see, or that does not exist yet."""
