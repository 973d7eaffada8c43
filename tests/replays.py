"""Day after day of a company's life: every CRM is pulled, and what has landed is held against a dump of the CRM.

Expected values are told from the sandbox's records; neither connectors nor SQL of the product are asked for them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from connectors.errors import ConnectorError
from connectors.landing import Manifest, StreamLanding
from connectors.sandbox.server import Sandbox, Server
from connectors.sandbox.store import DELETED, VERSION, Column, Kind, Row, Where
from connectors.stream import Source, Stream
from connectors.sync import pull
from orchestration.settings import read_settings

ATTEMPTS = 3
METADATA = frozenset({"_key", "_version", "_modified_at", "_deleted", "_commit_id", "_synced_at"})
LIVE = """
select * from (
    select * from read_parquet($files, union_by_name = true, hive_partitioning = false)
    where _commit_id in (select commit_id from read_json($manifests, columns = {commit_id: 'varchar'}))
    qualify row_number() over (
        partition by _key order by _commit_id desc, _deleted desc, _modified_at desc nulls last
    ) = 1
)
where _deleted = 'false'
order by _key
"""


@dataclass(frozen=True)
class Truth:
    """Where the records of a stream are in the dump, if not under the stream's object, by its key, as long as live."""

    object: str
    key: Callable[[str], str] = str
    is_live: Callable[[Row, Sandbox], bool] = lambda row, sandbox: not (row[DELETED] or row.get("merged"))
    but: Set[str] = frozenset()
    """Fields that the CRM does not tell of all records."""


def _is_of_live_deal(row: Row, sandbox: Sandbox) -> bool:
    return row["object"] == "deals" and sandbox.store.get("hubspot.deals", row["record_id"]) is not None


TRUTHS = {
    # an activity has no change tracking, and a reopened deal gives its closing a new version under the old stamp
    ("dynamics", "opportunitycloses"): Truth("opportunityclose", but={"versionnumber"}),
    ("hubspot", "owners"): Truth("owners", is_live=lambda row, sandbox: True, but={"userId"}),
    ("hubspot", "deal_history"): Truth("history", lambda key: key.removeprefix("deals:"), _is_of_live_deal),
}
SETTINGS = {
    "hubspot": {"account_info", "exchange_rates", "property_options", "deal_stages"},
    "dynamics": {"option_labels"},
    "zoho": {"deal_stages"},
}
"""Streams of what the CRM is set up with, which is no object and has no dump."""
DATABASE = duckdb.connect()
"""Holds no data."""


@dataclass
class Replay:
    """A company, and the landing that follows it; run ids tell the days apart."""

    server: Server
    home: Path
    day: int = 0
    errors: list[str] = field(default_factory=list)
    """Of pulls that failed, and so were run again."""

    @property
    def sandbox(self) -> Sandbox:
        """The company's CRMs."""
        return self.server.sandbox

    def advance(self) -> int:
        """Let a day pass; how much happened."""
        self.day += 1
        to = self.sandbox.clock() + timedelta(days=1)
        while self._is_busy(to):
            to += timedelta(seconds=1)
        return sum(sum(kinds.values()) for kinds in self.sandbox.advance(to).values())

    def _is_busy(self, at: datetime) -> bool:
        """Whether something happens in the second in which a pull would begin: the next one sees it for sure."""
        around = at - timedelta(seconds=1), at + timedelta(seconds=1)
        return any(True for crm in self.sandbox.crms for _ in self.sandbox.company.changes(crm, *around))

    def pull(self, crm: str) -> Iterator[str]:
        """Pull all streams of a CRM; where the landing then differs from it."""
        settings = read_settings({**self.server.environment(), "ATTAIN_HOME": str(self.home)})
        source = settings.connect(crm)
        for stream in settings.streams[crm]:
            self._pull(source, stream)
        for stream in settings.streams[crm]:
            manifest = StreamLanding(self.home, crm, stream).last_manifest()
            assert manifest, stream.name
            if manifest.unavailable:
                yield from self._shown(crm, stream, manifest.unavailable)
            elif stream.name not in SETTINGS.get(crm, ()):
                yield from differences(self.sandbox, self.home, crm, stream, self._unseen(source, stream, manifest))

    def _pull(self, source: Source, stream: Stream) -> None:
        for attempt in count(1):
            try:
                pull(source, stream, home=self.home, run_id=f"day-{self.day:03d}-{attempt}")
                return
            except ConnectorError as error:  # a night that fails is run again
                self.errors.append(str(error))
                if attempt == ATTEMPTS:
                    raise

    def _shown(self, crm: str, stream: Stream, reason: str) -> Iterator[str]:
        if stream.object in self.sandbox.objects()[crm]:
            yield f"{crm} {stream.name}: there, but {reason}"

    def _unseen(self, source: Source, stream: Stream, manifest: Manifest) -> Set[str]:
        """Fields that change without any sign, and so are as old as the last whole read."""
        whole_at = datetime.fromisoformat(manifest.read_whole_at) if manifest.read_whole_at else None
        if whole_at and whole_at >= self.sandbox.clock().replace(microsecond=0):
            return frozenset()
        return {*stream.associations, *(field.name for field in source.fields(stream) if field.is_calculated)}


def live(home: Path, crm: str, stream: Stream) -> pa.Table:
    """The live records that are committed, by key; the same records are the same table."""
    folder = home / "landing" / crm / stream.name
    files = {"files": f"{folder}/**/*.parquet", "manifests": f"{folder}/manifests/*.json"}
    found = DATABASE.cursor().execute(LIVE, files).to_arrow_table()
    return found.select(sorted({*found.column_names} - METADATA | {"_key"}))


def uncommitted(home: Path) -> list[Path]:
    """Files with records that no manifest names."""
    named = {
        manifest.parent.parent / file
        for manifest in home.glob("landing/*/*/manifests/*.json")
        for file in json.loads(manifest.read_text())["files"]
    }
    return sorted(set(home.glob("landing/*/*/run=*/*")) - named)


def differences(sandbox: Sandbox, home: Path, crm: str, stream: Stream, but: Set[str] = frozenset()) -> Iterator[str]:
    """What is missing, extra, doubled or stale in the landing; fields in `but` are not compared."""
    truth = TRUTHS.get((crm, stream.name)) or Truth(stream.object)
    table = sandbox.store.tables[f"{crm}.{truth.object}"]
    landed = live(home, crm, stream)
    columns = {_landed_name(crm, column): column for column in table.columns.values() if column.name != table.key}
    columns |= {name: Column(name=name, kind=Kind.TEXT, type="ids") for name in stream.associations}
    associated = _associated(sandbox, stream) if stream.associations else {}
    compared = [name for name in columns if name in landed.column_names and name not in but | truth.but]
    kinds = [columns[name].kind for name in compared]
    found = {
        key: tuple(map(plain, kinds, values))
        for key, *values in zip(*(landed[name].to_pylist() for name in ("_key", *compared)), strict=True)
    }
    if len(found) != landed.num_rows:
        yield f"{crm} {stream.name}: {landed.num_rows - len(found)} doubled"
    for row in sandbox.dump(crm, truth.object):
        if truth.is_live(row, sandbox):
            key = truth.key(row[table.key])
            row["versionnumber"] = row[VERSION]  # of Dynamics
            row.update({name: associated.get((row[table.key], to)) for name, to in stream.associations.items()})
            expected = tuple(plain(kind, row[columns[name].name]) for kind, name in zip(kinds, compared, strict=True))
            yield from _difference(f"{crm} {stream.name} {key}", compared, expected, found.pop(key, None))
    yield from (f"{crm} {stream.name} {key}: extra" for key in found)


def _associated(sandbox: Sandbox, stream: Stream) -> Mapping[tuple[str, str], str]:
    """What records of a HubSpot object belong to: id and other object to a list of that one's live ids."""
    found: dict[tuple[str, str], list[str]] = {}
    for object in set(stream.associations.values()):
        live_ids = {row["hs_object_id"] for row in sandbox.dump("hubspot", object) if not row[DELETED]}
        where = Where('"from_type" = ? and "to_type" = ?', (stream.object, object))
        for link in sandbox.store.find("hubspot.associations", where, order_by="cast(to_id as integer)"):
            if link["to_id"] in live_ids:
                found.setdefault((link["from_id"], object), []).append(link["to_id"])
    return {key: json.dumps(ids) for key, ids in found.items()}


def _difference(what: str, names: Sequence[str], expected: Sequence[Any], found: Sequence[Any] | None) -> Iterator[str]:
    if found is None:
        yield f"{what}: missing"
    elif found != expected:
        yield f"{what}: " + ", ".join(
            f"{name} is {there!r}, not {here!r}"
            for name, here, there in zip(names, expected, found, strict=True)
            if here != there
        )


def _landed_name(crm: str, column: Column) -> str:
    """What a CRM's API calls a column of its records."""
    is_lookup = crm == "dynamics" and column.type in ("Lookup", "Owner", "Customer")
    return f"_{column.name}_value" if is_lookup else column.name


def plain(kind: Kind, value: Any) -> Any:
    """A value in a form that is equal whenever the value is."""
    if value is None or value == "":
        return None
    match kind:
        case Kind.NUMBER | Kind.INTEGER:
            return Decimal(str(value))
        case Kind.BOOLEAN:
            return str(value).lower()
        case Kind.DATE:
            return str(value)[:10]
        case Kind.TIMESTAMP:
            return instant(str(value))
        case _ if isinstance(value, str) and value[:1] in ("[", "{"):
            return _parsed(value)
        case _:
            return str(value)


def _parsed(text: str) -> Any:
    """JSON as values, in which a number is as good as its text and an empty list as nothing."""
    try:
        return json.loads(text, parse_float=str, parse_int=str) or None
    except ValueError:
        return text


def instant(text: str) -> datetime:
    """A moment, whether told in words or in milliseconds."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
