"""Everything a connector raises, as one tree; callers outside this package catch `ConnectorError` and print it.

    ConnectorError
    ├── ConfigurationError      settings missing or contradictory
    ├── AuthenticationFailed    the CRM does not accept the credentials
    ├── Refused                 the credentials are good, but the object or field is not to be had
    ├── ApiFailed               the CRM answered with an error, or with nothing, after all retries
    │   └── PlaceLost           it no longer knows where in a list a read was; the list can be begun anew
    ├── BudgetSpent             the day's share of API calls is used up; the next run goes on
    ├── IncompleteRead          fewer rows, cells or pages arrived than the CRM announced
    └── LandingDamaged          the landing holds something this version did not write

Messages name the CRM, the object and what to do; nothing here retries or logs.
"""


class ConnectorError(Exception):
    """A pull could not be done; the message says what to do."""


class ConfigurationError(ConnectorError):
    """Settings are missing or contradict each other."""


class AuthenticationFailed(ConnectorError):
    """The CRM does not accept the credentials."""


class Refused(ConnectorError):
    """The CRM knows the caller but does not hand out this object."""


class ApiFailed(ConnectorError):
    """The CRM answered with an error after all retries."""


class PlaceLost(ApiFailed):
    """The CRM no longer knows the place in a list: a cursor, a page token, a link."""


class BudgetSpent(ConnectorError):
    """No more calls may be made today."""


class IncompleteRead(ConnectorError):
    """Less arrived than the CRM announced."""


class LandingDamaged(ConnectorError):
    """The landing holds something this version cannot read."""
