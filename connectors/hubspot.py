"""HubSpot: what is read from it, and how.

hubspot-api-client makes the requests; its models are bypassed, since building them costs ten times the JSON, and its
default of never retrying a search is replaced.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import urllib3
from hubspot import HubSpot as Client
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest

from connectors.errors import ApiFailed, AuthenticationFailed, Refused
from connectors.session import CONNECT_AND_READ_SECONDS, retries
from connectors.stream import Checkpoint, Count, Page, Record, State, Stream, fields

PUBLIC_URL = "https://api.hubapi.com"
LIST_PAGE, SEARCH_PAGE = 100, 200
SEARCH_CAP = 10_000
"""A search shows no more than its first 10,000 results; the walk starts a new one behind the last id seen."""
PAGES_PER_COMMIT = 100
OVERLAP = timedelta(hours=1)
"""How far behind its watermark an incremental read starts: search shows changes late and out of order."""
FOUNDED = datetime(2006, 1, 1, tzinfo=UTC)

STREAMS = (
    Stream(
        name="owners",
        object="owners",
        key="id",
        fields=fields(
            text="id email firstName lastName userId userIdIncludingInactive type teams",
            boolean="archived",
            timestamp="createdAt updatedAt",
        ),
        required=("id", "email"),
    ),
    Stream(
        name="users",
        object="users",
        key="hs_object_id",
        fields=fields(
            text="hs_object_id hs_email hs_given_name hs_family_name hs_job_title manager_email region",
            timestamp="hs_createdate hs_lastmodifieddate",
        ),
        optional=True,
    ),
    Stream(
        name="companies",
        object="companies",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name domain industry country hubspot_owner_id hs_parent_company_id hs_merged_object_ids",
            decimal="annualrevenue numberofemployees",
            timestamp="createdate hs_lastmodifieddate",
        ),
        references={"hubspot_owner_id": "owners"},
        required=("name",),
    ),
    Stream(
        name="contacts",
        object="contacts",
        key="hs_object_id",
        cursor="lastmodifieddate",
        fields=fields(
            text="hs_object_id email firstname lastname phone jobtitle hubspot_owner_id"
            " associatedcompanyid lifecyclestage hs_lead_status hs_merged_object_ids",
            timestamp="createdate lastmodifieddate",
        ),
        references={"hubspot_owner_id": "owners", "associatedcompanyid": "companies"},
    ),
    Stream(
        name="leads",
        object="leads",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id hs_lead_name hs_lead_type hs_lead_source hs_pipeline hs_pipeline_stage hubspot_owner_id",
            timestamp="hs_createdate hs_lastmodifieddate",
        ),
        references={"hubspot_owner_id": "owners"},
        associations={"deal_ids": "deals"},
        optional=True,
    ),
    Stream(
        name="deal_stages",
        object="deals",
        key="id",
        fields=fields(
            text="id label pipeline_id pipeline_label",
            decimal="displayOrder probability",
            boolean="isClosed archived",
            timestamp="createdAt updatedAt",
        ),
    ),
    Stream(
        name="deals",
        object="deals",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id dealname pipeline dealstage dealtype deal_currency_code hubspot_owner_id"
            " hs_manual_forecast_category hs_merged_object_ids",
            decimal="amount hs_deal_stage_probability",
            boolean="hs_is_closed hs_is_closed_won",
            timestamp="closedate createdate hs_lastmodifieddate",
        ),
        references={"hubspot_owner_id": "owners", "dealstage": "deal_stages"},
        required=("dealstage", "amount", "closedate", "hubspot_owner_id"),
        associations={"company_ids": "companies"},
    ),
    Stream(
        name="products",
        object="products",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name hs_sku hs_product_type",
            decimal="price",
            timestamp="createdate hs_lastmodifieddate",
        ),
        required=("name",),
    ),
    Stream(
        name="line_items",
        object="line_items",
        key="hs_object_id",
        cursor="hs_lastmodifieddate",
        fields=fields(
            text="hs_object_id name hs_product_id hs_line_item_currency_code",
            decimal="quantity price amount",
            timestamp="createdate hs_lastmodifieddate",
        ),
        references={"hs_product_id": "products"},
        associations={"deal_ids": "deals"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to reach and enter one portal: a private app's or service key's token."""

    access_token: str
    url: str = PUBLIC_URL
    ca_bundle: str | None = None


class HubSpot:
    """One HubSpot portal, ready to be read."""

    crm = "hubspot"

    def __init__(self, credentials: Credentials) -> None:
        self._crm = Client(
            access_token=credentials.access_token,
            host=credentials.url.rstrip("/"),
            retry=retries(),
            ssl_ca_cert=credentials.ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE"),
        ).crm
        # Each access to one of these properties would open a connection pool of its own, so they are kept.
        self._objects = self._crm.objects.basic_api
        self._search_api = self._crm.objects.search_api
        self._associations = self._crm.associations.v4.batch_api
        self._clock = datetime.now(UTC)
        self._property_names = cache(self._describe)

    def missing_fields(self, stream: Stream) -> Sequence[str]:
        """Declared properties that the portal does not have; archived or renamed ones among them."""
        if stream.name in _LISTINGS:
            return []
        return [name for name in stream.fields if name not in self._property_names(stream)]

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """Ask search how many live records there are, and how many changed `since`; totals saturate at the cap."""
        if stream.cursor is None:
            return None
        total = self._total(stream, [])
        return Count(total, is_exact=total < SEARCH_CAP, slack=self._total(stream, [_changed_since(stream, since)]))

    def server_time(self) -> datetime:
        """The portal's clock at its last answer."""
        return self._clock

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`: search for the live, the archived listing for the deleted."""
        if stream.name in _LISTINGS:
            yield Page(list(_LISTINGS[stream.name](self)))
            yield Checkpoint(state={}, is_last=True, is_complete=stream.name == "owners")
        elif stream.cursor is None or "watermark" not in state:
            yield from self._read_all(stream, state)
        else:
            yield from self._read_changes(stream, datetime.fromisoformat(state["watermark"]))

    def _read_all(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        # The listing is ordered by id, so its end is the only moment at which the watermark may move.
        started = state.get("started", self._clock.isoformat())
        newest = state.get("newest", FOUNDED.isoformat())
        pages = self._list(stream, archived=False, after=state.get("after"))
        for number, (records, after) in enumerate(pages, start=1):
            newest = max([newest, *self._modified(stream, records)])
            yield Page(records)
            if number % PAGES_PER_COMMIT == 0 and after:
                yield Checkpoint(state={"after": after, "started": started, "newest": newest})
        for records, _ in self._list(stream, archived=True):
            yield Page(records)
        end = {"watermark": min(newest, started)} if stream.cursor else {}
        yield Checkpoint(state=end, is_last=True, is_complete=True)

    def _read_changes(self, stream: Stream, watermark: datetime) -> Iterator[Page | Checkpoint]:
        now = self._clock
        since = watermark - OVERLAP
        newest = watermark.isoformat()
        for records in self._changed(stream, since):
            newest = max([newest, *self._modified(stream, records)])
            yield Page(records)
        for records, _ in self._list(stream, archived=True):
            yield Page([record for record in records if _is_archived_since(record, since)])
        yield Checkpoint(state={"watermark": min(newest, now.isoformat())}, is_last=True)

    def _list(
        self, stream: Stream, *, archived: bool, after: str | None = None
    ) -> Iterator[tuple[list[Record], str | None]]:
        while True:
            arguments: dict[str, Any] = {"limit": LIST_PAGE, "archived": archived}
            arguments["properties"] = self._readable(stream)
            if after:
                arguments["after"] = after
            page = self._call(self._objects.get_page, stream, stream.object, **arguments)
            previous, after = after, _next(page)
            yield self._records(stream, page["results"]), after
            if not after:
                return
            _must_advance(stream, previous, after)

    def _changed(self, stream: Stream, since: datetime) -> Iterator[list[Record]]:
        changed = _changed_since(stream, since)
        filters: list[Mapping[str, Any]] = [changed]
        after: str | None = None
        last_id, seen = "", 0
        while True:
            page = self._search(
                stream,
                {
                    "filterGroups": [{"filters": filters}],
                    "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                    "properties": self._readable(stream),
                    "limit": SEARCH_PAGE,
                    **({"after": after} if after else {}),
                },
            )
            if results := page["results"]:
                last_id, seen = results[-1]["id"], seen + len(results)
                yield self._records(stream, results)
            previous, after = after, _next(page)
            if not after:
                return
            _must_advance(stream, previous, after)
            offset = int(after) if after.isdigit() else seen  # pages may be short, so the cursor knows better
            if offset > SEARCH_CAP - SEARCH_PAGE:
                beyond = {"propertyName": "hs_object_id", "operator": "GT", "value": last_id}
                filters, after, seen = [changed, beyond], None, 0

    def _total(self, stream: Stream, filters: Sequence[Mapping[str, Any]]) -> int:
        groups = [{"filters": filters}] if filters else []
        return int(self._search(stream, {"limit": 1, "filterGroups": groups, "properties": [], "sorts": []})["total"])

    def _search(self, stream: Stream, body: Mapping[str, Any]) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._call(self._search_api.do_search, stream, stream.object, body)
        return page

    def _records(self, stream: Stream, results: Sequence[Mapping[str, Any]]) -> list[Record]:
        records: list[Record] = [_flat(result) for result in results]
        for column, target in stream.associations.items():
            live = [record["hs_object_id"] for record in records if not record["_deleted"]]
            targets = self._associated(stream, target, live)
            records = [{**record, column: targets.get(record["hs_object_id"], [])} for record in records]
        return [*records, *({"hs_object_id": lost, "_deleted": True} for lost in _merged_away(records))]

    def _associated(self, stream: Stream, target: str, ids: Sequence[str]) -> Mapping[str, list[str]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        inputs: list[dict[str, str]] = [{"id": id_} for id_ in ids]
        while inputs:
            asked = {entry["id"]: entry.get("after") for entry in inputs[:LIST_PAGE]}
            page = self._call(
                self._associations.get_page,
                stream,
                stream.object,
                target,
                BatchInputPublicFetchAssociationsBatchRequest(inputs=inputs[:LIST_PAGE]),
            )
            inputs = inputs[LIST_PAGE:]
            for result in page["results"]:
                origin = str(result["from"]["id"])
                found.setdefault(origin, []).extend(result["to"])
                if after := _next(result):
                    _must_advance(stream, asked[origin], after)
                    inputs.append({"id": origin, "after": after})
        return {origin: _primary_first(associated) for origin, associated in found.items()}

    def _owners(self) -> Iterator[Record]:
        """Active owners, then the deactivated ones, who still own what they sold."""
        stream, api = _stream("owners"), self._crm.owners.owners_api
        for archived in (False, True):
            after: str | None = None
            while True:
                arguments = {"limit": LIST_PAGE, "archived": archived} | ({"after": after} if after else {})
                page = self._call(api.get_page, stream, **arguments)
                yield from ({"archived": archived, **owner} for owner in page["results"])
                previous, after = after, _next(page)
                if not after:
                    break
                _must_advance(stream, previous, after)

    def _deal_stages(self) -> Iterator[Record]:
        page = self._call(self._crm.pipelines.pipelines_api.get_all, _stream("deal_stages"), "deals")
        for pipeline in page["results"]:
            for stage in pipeline["stages"]:
                named = {"pipeline_id": pipeline["id"], "pipeline_label": pipeline["label"]}
                yield {**stage, **stage.get("metadata", {}), **named}

    def _describe(self, stream: Stream) -> frozenset[str]:
        page = self._call(self._crm.properties.core_api.get_all, stream, stream.object)
        return frozenset(item["name"] for item in page["results"]) | {"hs_object_id"}

    def _readable(self, stream: Stream) -> list[str]:
        return [name for name in stream.fields if name in self._property_names(stream)]

    def _modified(self, stream: Stream, records: Sequence[Record]) -> list[str]:
        stamps = (record.get(stream.cursor) for record in records if stream.cursor)
        return [_instant(stamp).isoformat() for stamp in stamps if stamp]

    def _call(self, method: Callable[..., Any], stream: Stream, *args: Any, **kwargs: Any) -> Any:
        """Call one SDK method for its bare response, and parse that without touching a float."""
        with _named_errors(stream):
            response = method(*args, **kwargs, _preload_content=False, _request_timeout=CONNECT_AND_READ_SECONDS)
            if sent := response.headers.get("Date"):
                self._clock = parsedate_to_datetime(sent)
            return json.loads(response.data, parse_float=Decimal)


_LISTINGS: Mapping[str, Callable[[HubSpot], Iterator[Record]]] = {
    "owners": HubSpot._owners,
    "deal_stages": HubSpot._deal_stages,
}
"""Streams that are no CRM objects and have an endpoint of their own, without properties, search or archive."""


@contextmanager
def _named_errors(stream: Stream) -> Iterator[None]:
    """Turn the SDK's errors, which are one class per API package, into ours, naming the object."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, json.JSONDecodeError) as error:
        raise ApiFailed(f"HubSpot failed on {stream.object}: {error}") from error
    except Exception as error:
        status, text = getattr(error, "status", None), _message(error)
        match status:
            case None:
                raise
            case 401:
                raise AuthenticationFailed(
                    f"HubSpot does not accept the token: {text}. Check HUBSPOT_ACCESS_TOKEN."
                ) from error
            case 403 | 404:
                raise Refused(
                    f"HubSpot does not show {stream.object}: {text}. Grant the app its read scope."
                ) from error
            case _:
                raise ApiFailed(f"HubSpot failed on {stream.object}: {status} {text}") from error


def _message(error: Exception) -> str:
    body = getattr(error, "body", None) or b""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300] or str(error)


def _flat(result: Mapping[str, Any]) -> dict[str, Any]:
    archived = bool(result.get("archived"))
    return {
        **result["properties"],
        "hs_object_id": str(result["id"]),
        "archivedAt": result.get("archivedAt"),
        "_deleted": archived,
    }


def _primary_first(associated: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of associated records; the one that HubSpot labels primary comes first."""

    def is_other(to: Mapping[str, Any]) -> bool:
        return all(kind.get("label") != "Primary" for kind in to["associationTypes"])

    return list(dict.fromkeys(str(to["toObjectId"]) for to in sorted(associated, key=is_other)))


def _changed_since(stream: Stream, since: datetime) -> Mapping[str, str]:
    return {"propertyName": str(stream.cursor), "operator": "GTE", "value": str(int(since.timestamp() * 1000))}


def _merged_away(records: Sequence[Record]) -> Iterator[str]:
    """Ids that a survivor has swallowed; the API lists them nowhere as deleted."""
    for record in records:
        for lost in (record.get("hs_merged_object_ids") or "").split(";"):
            if lost and lost != record["hs_object_id"]:
                yield lost


def _is_archived_since(record: Record, since: datetime) -> bool:
    """Whether an archived record was archived late enough; what it swallowed while it lived has no such date."""
    return not record.get("archivedAt") or _instant(record["archivedAt"]) >= since


def _next(page: Mapping[str, Any]) -> str | None:
    """Where the next page begins, or nothing: a short or empty page is not the last one if it has this."""
    after: str | None = ((page.get("paging") or {}).get("next") or {}).get("after")
    return after


def _must_advance(stream: Stream, previous: str | None, following: str) -> None:
    if following == previous:
        raise ApiFailed(f"HubSpot repeats the same page of {stream.object} (cursor {following}): stopped, not looping")


def _instant(text: str) -> datetime:
    """Read an ISO instant or epoch milliseconds; HubSpot sends both."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return datetime.fromisoformat(text)


def _stream(name: str) -> Stream:
    return next(stream for stream in STREAMS if stream.name == name)
