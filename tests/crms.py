"""One CRM of the sandbox and a landing that it is pulled into: what contract tests do to both, and compare.

What ought to have landed is told from the sandbox's store; neither connectors nor SQL of the product are asked for it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import requests
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from connectors.landing import as_text
from connectors.sandbox import dynamics, hubspot, salesforce, zoho
from connectors.sandbox.server import Server
from connectors.sandbox.store import ALL, DELETED, LIVE, Where
from connectors.stream import Kind, Source, Stream
from connectors.sync import Mode, Pulled, pull
from orchestration.settings import STREAMS, read_settings

Rows = dict[str, dict[str, Any]]
"""Key to values, as decimals, instants and text."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one CRM calls the things that all have."""

    deals: str
    accounts: str
    deal: str
    account: str
    name: str
    amount: str
    modified: str
    pages: str
    """Requests for the records of deals, as a pattern for `METHOD URL`."""


WORDS = {
    "salesforce": Words(
        deals="opportunities",
        accounts="accounts",
        deal="Opportunity",
        account="Account",
        name="Name",
        amount="Amount",
        modified="SystemModstamp",
        pages=r"GET .*/query(All/\?q=select(\+|%20)Id|/)",
    ),
    "hubspot": Words(
        deals="deals",
        accounts="companies",
        deal="deals",
        account="companies",
        name="dealname",
        amount="amount",
        modified="hs_lastmodifieddate",
        pages=r"GET .*/objects/deals\?|POST .*/objects/deals/search",
    ),
    "dynamics": Words(
        deals="opportunities",
        accounts="accounts",
        deal="opportunity",
        account="account",
        name="name",
        amount="estimatedvalue",
        modified="modifiedon",
        pages=r"GET .*/v9.2/opportunities\?",
    ),
    "zoho": Words(
        deals="deals",
        accounts="accounts",
        deal="Deals",
        account="Accounts",
        name="Deal_Name",
        amount="Amount",
        modified="Modified_Time",
        pages=r"GET .*/v8/Deals\?|POST .*/v8/coql",
    ),
}
RECORD_IDS = {
    "salesforce": salesforce.record_id,
    "hubspot": hubspot.record_id,
    "dynamics": dynamics.record_id,
    "zoho": zoho.record_id,
}


SUBFORMS = ("Quoted_Items", "Ordered_Items", "Invoiced_Items", "Payments")


class HangUp(Response):
    """Promises more than it sends, and breaks the line."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"results": [', "more_body": True})
        raise ConnectionResetError("the sandbox hangs up")


def error_page(status: int) -> Response:
    """What a proxy in front of a CRM says."""
    return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>", status_code=status)


@dataclass
class Org:
    """One CRM as served by the sandbox, and the landing it is pulled into."""

    crm: str
    server: Server
    home: Path
    changes: Mapping[str, str] = field(default_factory=dict)
    """To the environment that the sandbox gives its clients."""
    urls: list[str] = field(default_factory=list)
    """Requests that `answer` has watched, as `METHOD URL`."""
    runs: int = 0

    def __post_init__(self) -> None:
        self.words = WORDS[self.crm]
        self.vendor: Any = self.server.sandbox.vendors[self.crm]
        self._source: Source | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {**self.server.environment(), "ATTAIN_HOME": str(self.home), **self.changes}

    def connect(self) -> Source:
        self._source = read_settings(self.environment).connect(self.crm)
        return self._source

    @property
    def source(self) -> Source:
        return self._source or self.connect()

    def stream(self, name: str) -> Stream:
        return next(stream for stream in STREAMS[self.crm] if stream.name == name)

    def pull(self, stream: str | Stream, **mode: Any) -> Pulled:
        self.runs += 1
        stream = self.stream(stream) if isinstance(stream, str) else stream
        return pull(self.source, stream, home=self.home, run_id=f"run-{self.runs:03d}", mode=Mode(**mode))

    def answer(self, pattern: str, response: Callable[[], Response], *, after: int = 0, times: int = 1) -> None:
        """Answer some of the requests that match `pattern` (on `METHOD URL`) in the CRM's place."""
        matched = 0

        def intercept(request: Request) -> Response | None:
            nonlocal matched
            url = f"{request.method} {request.url}"
            self.urls.append(url)
            if not re.search(pattern, url, re.IGNORECASE):
                return None
            matched += 1
            return response() if after < matched <= after + times else None

        self.server.sandbox.intercept = intercept

    def behave(self) -> None:
        self.server.sandbox.intercept = None

    # the landing

    def versions(self, stream: str) -> list[dict[str, str | None]]:
        """Every committed version of every record, oldest first."""
        folder = self.home / "landing" / self.crm / stream
        with duckdb.connect() as db:
            found = db.execute(
                """
                select * from read_parquet($files, union_by_name = true, hive_partitioning = false)
                where _commit_id in (
                    select commit_id from read_json($manifests, columns = {commit_id: 'varchar'})
                )
                order by _commit_id, _deleted, _modified_at nulls first
                """,
                {"files": f"{folder}/**/*.parquet", "manifests": f"{folder}/manifests/*.json"},
            )
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def commits(self, stream: str) -> int:
        """How many there were: each look that follows the first is one, too."""
        return len(list((self.home / "landing" / self.crm / stream / "manifests").glob("*.json")))

    def latest(self, stream: str) -> dict[str, dict[str, str | None]]:
        return {str(version["_key"]): version for version in self.versions(stream)}

    def landed(self, stream: str) -> Rows:
        """The live records."""
        declared = self.stream(stream)
        live = {key: row for key, row in self.latest(stream).items() if row["_deleted"] == "false"}
        return {key: _typed(declared, row) for key, row in live.items()}

    # the CRM

    def truth(self, stream: str) -> Rows:
        """The live records, as the CRM has them."""
        declared = self.stream(stream)
        return {row[declared.key]: _typed(declared, row) for row in self._truth(declared)}

    def _truth(self, stream: Stream) -> Iterator[dict[str, Any]]:
        if self.crm == "hubspot" and stream.name in HUBSPOT_LISTINGS:
            yield from HUBSPOT_LISTINGS[stream.name](self.server)
        elif self.crm == "dynamics" and stream.name == "option_labels":
            yield from _option_labels(self.server)
        else:
            if f"{self.crm}.{stream.object}" not in self.server.store.tables:
                return
            where = LIVE & Where("merged = 0") if stream.fields.get("merged") else LIVE
            for row in map(_opened, self.server.store.find(f"{self.crm}.{stream.object}", where)):
                yield row | {column: self._associated(row, to) for column, to in stream.associations.items()}

    def _associated(self, row: Mapping[str, Any], to: str) -> str:
        where = Where(
            f'from_id = ? and to_type = ? and to_id in (select hs_object_id from "hubspot.{to}" where not {DELETED})',
            (row["hs_object_id"], to),
        )
        links = self.server.store.find("hubspot.associations", where, order_by="cast(to_id as integer)")
        return "[" + ", ".join(f'"{link["to_id"]}"' for link in links) + "]"

    def keys(self, object: str, count: int | None = None) -> list[str]:
        table = self.server.store.tables[f"{self.crm}.{object}"]
        return [row[table.key] for row in self.server.store.find(table.name, order_by=f'"{table.key}"', limit=count)]

    def newest(self, object: str) -> datetime:
        (text,) = self.server.store.values(f"{self.crm}.{object}", [f'max("{self.words.modified}")'])
        return datetime.fromisoformat(text)

    def add(self, count: int, *, stamp: datetime | None = None, **values: Any) -> list[str]:
        """Add deals that are like the first one, all with the same stamp."""
        object, table = self.words.deal, self.server.store.tables[f"{self.crm}.{self.words.deal}"]
        model = self.server.store.find(table.name, limit=1)[0]
        stamp = (stamp or datetime.now(UTC)).replace(microsecond=0)
        known = self.server.store.count(table.name, ALL)
        keys = [RECORD_IDS[self.crm](object, f"added {known + number}") for number in range(count)]
        rows = ({**model, **values, self.words.modified: stamp, table.key: key} for key in keys)
        self.server.store.insert(table.name, rows)
        return keys

    def change(self, key: str, **values: Any) -> None:
        self.vendor.change(self.words.deal, key, values)

    def delete(self, key: str) -> None:
        if self.crm == "salesforce":
            self.change(key, IsDeleted=True)
        self.server.store.delete(f"{self.crm}.{self.words.deal}", key)

    def restore(self, key: str) -> None:
        self.server.store.restore(f"{self.crm}.{self.words.deal}", key)
        self.change(key, **({"IsDeleted": False} if self.crm == "salesforce" else {}))

    def merge(self, winner: str, loser: str) -> None:
        """Merge two accounts."""
        if self.crm != "hubspot":
            self.vendor.merge(self.words.account, winner, loser)
            return
        response = requests.post(
            f"{self.server.url}/crm/v3/objects/companies/merge",
            json={"primaryObjectId": winner, "objectIdToMerge": loser},
            headers={"Authorization": f"Bearer {hubspot.ACCESS_TOKEN}"},
            timeout=10,
        )
        assert response.ok, response.text


def _stages(server: Server) -> Iterator[dict[str, Any]]:
    stamp = server.sandbox.company.founded_at.isoformat()
    for number, stage in enumerate(server.sandbox.company.stages["hubspot"]):
        yield {
            "id": stage.id,
            "label": stage.label,
            "pipeline_id": hubspot.PIPELINE[0],
            "pipeline_label": hubspot.PIPELINE[1],
            "displayOrder": number,
            "probability": Decimal(stage.probability) / 100,
            "isClosed": stage.outcome.value != "open",
            "archived": False,
            "createdAt": stamp,
            "updatedAt": stamp,
        }


def _history(server: Server) -> Iterator[dict[str, Any]]:
    live = {row["hs_object_id"] for row in server.store.find("hubspot.deals")}
    for row in server.store.find("hubspot.history"):
        if row["record_id"] in live:
            id = f"{row['record_id']}:{row['property']}:{row['timestamp']}"
            yield {**row, "id": id, "deal_id": row["record_id"], "sourceType": "CRM_UI"}


def _choices(server: Server) -> Iterator[dict[str, Any]]:
    for object in ("companies", "contacts", "leads", "deals", "products"):
        for described in server.sandbox.hubspot.settings.described(hubspot.OBJECTS[object]):
            for option in described["options"]:
                id = f"{object}:{described['name']}:{option['value']}"
                yield {**option, "id": id, "object": object, "property": described["name"]}


def _account(server: Server) -> Iterator[dict[str, Any]]:
    currencies = sorted(set(server.sandbox.company.rates) - {server.sandbox.company.currency})
    yield {
        "portalId": "4242",
        "accountType": "STANDARD",
        "timeZone": "UTC",
        "companyCurrency": server.sandbox.company.currency,
        "additionalCurrencies": currencies,
        "utcOffset": "+00:00",
    }


HUBSPOT_LISTINGS: Mapping[str, Callable[[Server], Iterator[dict[str, Any]]]] = {
    "account_info": _account,
    "deal_history": _history,
    "deal_stages": _stages,
    "exchange_rates": lambda server: server.sandbox.hubspot.settings.rates(),
    "owners": lambda server: map(hubspot.owner_answer, server.store.find("hubspot.owners", ALL)),
    "property_options": _choices,
}


def _option_labels(server: Server) -> Iterator[dict[str, Any]]:
    vendor = server.sandbox.dynamics
    for (table, column), labels in vendor.choices.labels.items():
        if column in vendor.entities[table].columns and table in {stream.object for stream in STREAMS["dynamics"]}:
            for value, label in labels.items():
                id = f"{table}.{column}.{value}"
                yield {"option_id": id, "table_name": table, "column_name": column, "value": value, "label": label}


def _targets(row: Mapping[str, Any]) -> dict[str, Any]:
    """Which table each lookup into several (Dynamics) leads to."""
    lookups = dynamics.POLYMORPHIC.items()
    return {f"_{name}_value_type": row[companion] for name, (companion, _) in lookups if companion in row}


def _opened(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its subforms (Zoho CRM), which the store keeps as JSON, as the landing writes lists."""
    subforms = {name: as_text(json.loads(row[name], parse_float=Decimal)) for name in SUBFORMS if row.get(name)}
    return {**row, **subforms, **_targets(row)}


def _typed(stream: Stream, row: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {**stream.fields, **dict.fromkeys(stream.associations, Kind.TEXT)}
    return {name: _cast(kind, row.get(name)) for name, kind in kinds.items()}


def _cast(kind: Kind, value: Any) -> Any:
    text = _text(value)
    if text is None:
        return None
    if kind is Kind.DECIMAL:
        return Decimal(text)
    if kind is Kind.TIMESTAMP:
        return datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() else datetime.fromisoformat(text)
    return text


def _text(value: Any) -> str | None:
    match value:
        case None | "":
            return None
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case list():
            return str(value).replace("'", '"').replace("True", "true")
    return str(value)
