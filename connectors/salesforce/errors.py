"""What Salesforce's errors mean for a read: which ones end it, and which ones only call for another way to ask.

Raised by `org`, `rest` and `bulk`, told apart by `source`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession, SalesforceResourceNotFound

from connectors.errors import ApiFailed, AuthenticationFailed, PlaceLost, Refused
from connectors.stream import Stream

TOO_LARGE = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "QUERY_TOO_COMPLICATED", "Retried more than")
LOST = ("INVALID_QUERY_LOCATOR",)
NOT_IN_BULK = ("not supported by the Bulk API", "Not supported in Bulk Query", "not supported in Bulk Query")


class WindowTooLarge(ApiFailed):
    """The org cannot answer for so many records at once; it can for fewer."""


class NotInBulk(ApiFailed):
    """The Bulk API does not do this query; REST does."""


@contextmanager
def named_errors(stream: Stream) -> Iterator[None]:
    """Turn the library's errors into ours, naming the object."""
    try:
        yield
    except SalesforceExpiredSession as error:
        raise AuthenticationFailed(
            f"Salesforce ended the session and does not take the new one: {_reason(error)}. "
            "Check that the app of SALESFORCE_CLIENT_ID may use the API."
        ) from error
    except SalesforceError as error:
        raise meaning(stream, _reason(error), is_missing=isinstance(error, SalesforceResourceNotFound)) from error
    except (requests.RequestException, KeyError, TypeError) as error:  # the last two: not the answer it should be
        raise ApiFailed(f"Salesforce failed on {stream.object}: {error!r}") from error


def _reason(error: SalesforceError) -> str:
    """What Salesforce said, without the URL, which may hold a query of hundreds of fields."""
    content = error.content
    if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        content = "; ".join(f"{entry.get('errorCode')}: {str(entry.get('message')).strip()}" for entry in content)
    return f"{error.status} {str(content)[:500]}"


def meaning(stream: Stream, text: str, *, is_missing: bool = False) -> Exception:
    """The error that a refusal of Salesforce is."""
    if is_missing or "INVALID_TYPE" in text:
        return Refused(
            f"Salesforce does not show the object {stream.object}: grant the integration user read access ({text})"
        )
    kinds = ((TOO_LARGE, WindowTooLarge), (LOST, PlaceLost), (NOT_IN_BULK, NotInBulk))
    kind = next((kind for codes, kind in kinds if any(code in text for code in codes)), ApiFailed)
    return kind(f"Salesforce failed on {stream.object}: {text}")
