"""Dynamics 365: what is read from it, and how.

msal gets the token; the Dataverse Web API is read with plain requests, because Microsoft's own client knows no change
tracking and can swallow page errors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, cached_property
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from msal import ConfidentialClientApplication
from msal.exceptions import MsalError

from connectors.errors import ApiFailed, AuthenticationFailed, Refused
from connectors.session import Transport, polite_session
from connectors.stream import Checkpoint, Count, Page, Record, State, Stream, fields

PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
PAGE_ROWS = 5_000
PAGES_PER_COMMIT = 10
OVERLAP = timedelta(minutes=10)
"""How far behind its watermark an incremental read starts: a long transaction shows its rows late."""
FOUNDED = datetime(2003, 1, 1, tzinfo=UTC)

STREAMS = (
    Stream(
        name="systemusers",
        object="systemuser",
        key="systemuserid",
        cursor="modifiedon",
        fields=fields(
            text="systemuserid fullname internalemailaddress domainname title"
            " _parentsystemuserid_value _businessunitid_value",
            boolean="isdisabled",
            timestamp="createdon modifiedon",
        ),
        references={"_parentsystemuserid_value": "systemusers", "_businessunitid_value": "businessunits"},
        required=("fullname", "internalemailaddress"),
    ),
    Stream(
        name="businessunits",
        object="businessunit",
        key="businessunitid",
        cursor="modifiedon",
        fields=fields(
            text="businessunitid name _parentbusinessunitid_value",
            boolean="isdisabled",
            timestamp="createdon modifiedon",
        ),
        optional=True,
    ),
    Stream(
        name="transactioncurrencies",
        object="transactioncurrency",
        key="transactioncurrencyid",
        cursor="modifiedon",
        fields=fields(
            text="transactioncurrencyid isocurrencycode currencyname",
            decimal="exchangerate",
            timestamp="createdon modifiedon",
        ),
        required=("isocurrencycode",),
        optional=True,
    ),
    Stream(
        name="accounts",
        object="account",
        key="accountid",
        cursor="modifiedon",
        fields=fields(
            text="accountid name industrycode _parentaccountid_value _ownerid_value address1_country websiteurl"
            " _masterid_value _transactioncurrencyid_value",
            decimal="revenue numberofemployees statecode",
            boolean="merged",
            timestamp="createdon modifiedon",
        ),
        references={"_parentaccountid_value": "accounts", "_ownerid_value": "systemusers"},
        required=("name",),
    ),
    Stream(
        name="contacts",
        object="contact",
        key="contactid",
        cursor="modifiedon",
        fields=fields(
            text="contactid firstname lastname emailaddress1 telephone1 jobtitle _parentcustomerid_value _ownerid_value"
            " _masterid_value",
            decimal="statecode",
            boolean="merged",
            timestamp="createdon modifiedon",
        ),
        references={"_ownerid_value": "systemusers"},
    ),
    Stream(
        name="leads",
        object="lead",
        key="leadid",
        cursor="modifiedon",
        fields=fields(
            text="leadid fullname companyname emailaddress1 leadsourcecode _qualifyingopportunityid_value"
            " _ownerid_value _masterid_value",
            decimal="statecode statuscode",
            boolean="merged",
            timestamp="createdon modifiedon",
        ),
        references={"_ownerid_value": "systemusers", "_qualifyingopportunityid_value": "opportunities"},
        required=("statecode",),
    ),
    Stream(
        name="opportunities",
        object="opportunity",
        key="opportunityid",
        cursor="modifiedon",
        fields=fields(
            text="opportunityid name _parentaccountid_value _customerid_value _ownerid_value stepname stageid"
            " _transactioncurrencyid_value msdyn_forecastcategory",
            decimal="estimatedvalue actualvalue closeprobability statecode statuscode",
            date="estimatedclosedate actualclosedate",
            timestamp="createdon modifiedon",
        ),
        references={"_ownerid_value": "systemusers"},
        required=("statecode", "estimatedvalue", "actualvalue", "actualclosedate", "_ownerid_value"),
    ),
    Stream(
        name="processstages",
        object="processstage",
        key="processstageid",
        fields=fields(text="processstageid stagename", decimal="stagecategory"),
        optional=True,
    ),
    Stream(
        name="products",
        object="product",
        key="productid",
        cursor="modifiedon",
        fields=fields(
            text="productid name productnumber _parentproductid_value",
            decimal="price statecode",
            timestamp="createdon modifiedon",
        ),
        required=("name",),
    ),
    Stream(
        name="opportunityproducts",
        object="opportunityproduct",
        key="opportunityproductid",
        cursor="modifiedon",
        fields=fields(
            text="opportunityproductid _opportunityid_value _productid_value productdescription",
            decimal="quantity priceperunit extendedamount",
            timestamp="createdon modifiedon",
        ),
        references={"_opportunityid_value": "opportunities", "_productid_value": "products"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one environment: an app registration that is also an application user."""

    url: str
    tenant_id: str
    client_id: str
    client_secret: str
    authority_url: str = PUBLIC_AUTHORITY
    ca_bundle: str | None = None


@dataclass(frozen=True)
class Table:
    """What the environment says of one table."""

    entity_set: str
    is_tracked: bool


class Dynamics:
    """One Dataverse environment, ready to be read."""

    crm = "dynamics"

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._api = f"{credentials.url.rstrip('/')}/api/data/v9.2/"
        self._transport = Transport(
            vendor_domain="dynamics.com", base_url=credentials.url, ca_bundle=credentials.ca_bundle
        )
        self._session = polite_session(self._transport)
        self._entra = _entra(credentials)
        self._column_names = cache(self._describe)

    def missing_fields(self, stream: Stream) -> Sequence[str]:
        """Declared columns that the table does not have."""
        return [name for name in stream.fields if name not in self._column_names(stream)]

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Ask for the row count, which Dataverse takes from a snapshot up to a day old."""
        try:
            answer = self._get(stream, self._api + f"RetrieveTotalRecordCount(EntityNames=['{stream.object}'])")
            return Count(int(answer["EntityRecordCountCollection"]["Values"][0]), is_exact=False)
        except (ApiFailed, Refused, LookupError):
            return None

    def server_time(self) -> datetime:
        """The environment's clock at its last answer."""
        return self._transport.server_time()

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`: by change tracking where the table has it, else by the cursor or whole."""
        method = self._tracked if self._table(stream).is_tracked else self._dated
        origin = self._origin(stream)
        try:
            if state and any(state.get(name) != value for name, value in origin.items()):
                raise _LinkExpired  # a delta link answers with the columns, and at the address, that it was made for
            yield from method(stream, state)
        except _LinkExpired:
            yield Checkpoint(state={})
            yield from method(stream, {})

    def _origin(self, stream: Stream) -> State:
        return {"url": self._api, "columns": self._readable(stream)}

    def _tracked(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Follow links as received; the last page of a round carries the link to the next round.

        Not a byte is changed but the case of escapes: urllib3 writes %2f as %2F, which means the same.
        """
        is_complete = state.get("is_complete", True)
        link: str | None = state.get("next_link") or state.get("delta_link") or self._query(stream)
        origin, number, is_resumed = self._origin(stream), 0, bool(state)
        while link:
            answer = self._get(stream, link, track_changes=True, may_expire=is_resumed)
            yield Page([self._record(stream, row) for row in answer["value"]])
            number += 1
            following = answer.get("@odata.nextLink")
            if following == link:
                raise ApiFailed(f"Dynamics repeats the same page of {stream.object}: stopped, not looping")
            if following and number % PAGES_PER_COMMIT == 0:
                yield Checkpoint(state={**origin, "next_link": following, "is_complete": is_complete})
            link = following
        end = {**origin, "delta_link": answer.get("@odata.deltaLink"), "is_complete": False}
        if not end["delta_link"]:
            raise ApiFailed(
                f"Dynamics ended the changes of {stream.object} without a delta link: nothing was lost, rerun"
            )
        yield Checkpoint(state=end, is_last=True, is_complete=is_complete)

    def _dated(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read by the cursor, which shows no deletes; a table without one is read whole, which does."""
        now, cursor = self.server_time(), self._cursor(stream)
        since = datetime.fromisoformat(state["watermark"]) if cursor and "watermark" in state else None
        newest = since or FOUNDED
        link: str | None = self._query(stream, modified_since=since - OVERLAP if since else None)
        while link:
            answer = self._get(stream, link)
            if cursor:
                stamps = (datetime.fromisoformat(row[cursor]) for row in answer["value"])
                newest = max([newest, *stamps])
            yield Page([self._record(stream, row) for row in answer["value"]])
            previous, link = link, answer.get("@odata.nextLink")
            if link == previous:
                raise ApiFailed(f"Dynamics repeats the same page of {stream.object}: stopped, not looping")
        end = {**self._origin(stream), "watermark": min(newest, now).isoformat()}
        yield Checkpoint(state=end, is_last=True, is_complete=since is None)

    def _query(self, stream: Stream, *, modified_since: datetime | None = None) -> str:
        query = f"?$select={','.join(self._readable(stream))}"
        if modified_since:
            query += f"&$filter={stream.cursor} ge {modified_since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            query += f"&$orderby={stream.cursor},{stream.key}"
        return self._api + self._table(stream).entity_set + quote(query, safe="?$=&,:")

    def _record(self, stream: Stream, row: Mapping[str, Any]) -> Record:
        if str(row.get("@odata.context", "")).endswith("/$deletedEntity"):
            return {stream.key: row["id"], "_deleted": True}
        return {**row, "_deleted": row.get("merged") is True}

    def _table(self, stream: Stream) -> Table:
        try:
            return self._tables[stream.object]
        except KeyError:
            raise Refused(
                f"Dynamics shows no table {stream.object}: give the application user a role that may read it"
            ) from None

    @cached_property
    def _tables(self) -> Mapping[str, Table]:
        columns = "LogicalName,EntitySetName,ChangeTrackingEnabled"
        answer = self._get(None, self._api + f"EntityDefinitions?$select={columns}")
        return {
            row["LogicalName"]: Table(row["EntitySetName"], bool(row["ChangeTrackingEnabled"]))
            for row in answer["value"]
        }

    def _describe(self, stream: Stream) -> frozenset[str]:
        self._table(stream)
        path = f"EntityDefinitions(LogicalName='{stream.object}')/Attributes?$select=LogicalName"
        names = [row["LogicalName"] for row in self._get(stream, self._api + path)["value"]]
        return frozenset(names) | {f"_{name}_value" for name in names}  # a lookup is selected by its value

    def _cursor(self, stream: Stream) -> str | None:
        return stream.cursor if stream.cursor in self._readable(stream) else None

    def _readable(self, stream: Stream) -> list[str]:
        return [name for name in stream.fields if name in self._column_names(stream)]

    def _get(
        self, stream: Stream | None, url: str, *, track_changes: bool = False, may_expire: bool = False
    ) -> Mapping[str, Any]:
        name = stream.object if stream else "table definitions"
        prefer = [f"odata.maxpagesize={PAGE_ROWS}"] + ["odata.track-changes"] * track_changes
        request = self._session.prepare_request(
            requests.Request(
                "GET",
                self._api,
                headers={
                    "Authorization": f"Bearer {self._token()}",
                    "Accept": "application/json",
                    "OData-Version": "4.0",
                    "OData-MaxVersion": "4.0",
                    "If-None-Match": "null",
                    "Prefer": ",".join(prefer),
                },
            )
        )
        request.url = url  # links must go back exactly as they came; requests would quote them anew
        try:
            response = self._session.send(request)
            if response.ok:
                answer: Mapping[str, Any] = json.loads(response.content, parse_float=Decimal)
                return answer
        except (requests.RequestException, ValueError) as error:
            raise ApiFailed(f"Dynamics failed on {name}: {error}") from error
        raise _error(name, response, may_expire=may_expire)

    def _token(self) -> str:
        try:
            answer = self._entra.acquire_token_for_client([f"{self._credentials.url.rstrip('/')}/.default"])
        except (requests.RequestException, ValueError, MsalError) as error:
            raise ApiFailed(f"Entra gives no token for Dynamics: {error}") from error
        if "access_token" not in answer:
            raise AuthenticationFailed(
                f"Entra does not accept the credentials for Dynamics: {answer.get('error_description', answer)}. "
                "Check DYNAMICS_TENANT_ID, DYNAMICS_CLIENT_ID and DYNAMICS_CLIENT_SECRET."
            )
        return str(answer["access_token"])


class _LinkExpired(ApiFailed):
    """A stored link is too old or unknown: only a full read can tell what happened since."""


def _error(name: str, response: requests.Response, *, may_expire: bool) -> Exception:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = response.text[:300]
    match response.status_code:
        case 401:
            return AuthenticationFailed(
                f"Dynamics does not accept the token: {message}. Check that the app is an application user."
            )
        case 403 | 404:
            return Refused(
                f"Dynamics does not show {name}: {message}. Give the application user a role that may read it."
            )
        case 400 | 410 if may_expire:
            return _LinkExpired(f"Dynamics no longer knows where the last read of {name} ended: {message}")
        case status:
            return ApiFailed(f"Dynamics failed on {name}: {status} {message}")


def _entra(credentials: Credentials) -> ConfidentialClientApplication:
    """Log in through Microsoft's public host name, whatever host the authority really has.

    msal takes https only and asks Microsoft about hosts it does not know; the transport leads to the configured one.
    """
    transport = Transport(
        vendor_domain="microsoftonline.com",
        base_url=credentials.authority_url,
        ca_bundle=credentials.ca_bundle,
    )
    session = polite_session(transport)
    session.hooks["response"].append(_https_endpoints)
    try:
        return ConfidentialClientApplication(
            credentials.client_id,
            client_credential=credentials.client_secret,
            authority=f"{PUBLIC_AUTHORITY}/{credentials.tenant_id}",
            http_client=session,
        )
    except (requests.RequestException, ValueError, MsalError) as error:
        raise AuthenticationFailed(
            f"The Entra tenant of Dynamics cannot be reached at {credentials.authority_url}: {error}. "
            "Check DYNAMICS_TENANT_ID and DYNAMICS_AUTHORITY_URL."
        ) from error


def _https_endpoints(response: requests.Response, **_: Any) -> None:
    """Name a plain-http authority's endpoints with https, as msal demands; the transport undoes it."""
    if response.url.endswith("openid-configuration") and response.ok:
        host = urlsplit(str(response.request.url)).netloc
        response._content = response.content.replace(f"http://{host}".encode(), f"https://{host}".encode())
