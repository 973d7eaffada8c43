"""What an environment says of its tables: their names, columns and options, and which of them we may read.

Asked once for each table; records are read in `source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from connectors.dynamics.streams import OPTION_LABELS
from connectors.dynamics.web_api import WebApi
from connectors.errors import ApiFailed, Refused
from connectors.options import Options
from connectors.stream import Record, Stream

SHOWN = "LogicalName,AttributeType,AttributeTypeName,AttributeOf,IsValidForRead,IsSecured,SourceType"
LOOKUPS = frozenset({"Lookup", "Owner", "Customer"})
UNREADABLE = frozenset(
    {"VirtualType", "EntityNameType", "PartyListType", "ImageType", "FileType", "ManagedPropertyType"}
    | {"CalendarRulesType"}
)
"""Kinds of attributes that a query cannot select, or that come as files."""
FILES = frozenset({("annotation", "documentbody"), ("activitymimeattachment", "body")})
"""Columns of text that are files in base64."""
CHOICES = {
    "PicklistType": "PicklistAttributeMetadata",
    "MultiSelectPicklistType": "MultiSelectPicklistAttributeMetadata",
    "StateType": "StateAttributeMetadata",
    "StatusType": "StatusAttributeMetadata",
}
CAN_READ = 4


@dataclass(frozen=True, kw_only=True)
class Table:
    """What the environment says of one table."""

    entity_set: str
    key: str
    is_tracked: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column that may be selected."""

    name: str
    type: str
    is_calculated: bool
    is_polymorphic: bool
    """A lookup into several tables: which one, comes with each value."""


class Metadata:
    """One environment's tables."""

    def __init__(self, api: WebApi, options: Options) -> None:
        self._api = api
        self._options = options
        self.columns = cache(self._columns)

    def table(self, stream: Stream) -> Table:
        """The table of a stream.

        Raises:
            Refused: there is none, or none that we can tell records of apart.

        """
        table = self._tables.get(stream.object)
        if table is None:
            raise Refused(f"Dynamics shows no table {stream.object}: give the application user a role that may read it")
        if table.key != stream.key:
            raise Refused(
                f"Records of the Dynamics table {stream.object} are known by {table.key}, not by {stream.key}: "
                "Attain cannot read it by configuration"
            )
        return table

    def labels(self, stream: Stream) -> Iterator[Record]:
        """Every option of every choice of a table, as records of the stream of labels."""
        types = {column.type: None for column in self.columns(stream)}
        names = {column.name for column in self.columns(stream)}
        for cast in (CHOICES[type] for type in types if type in CHOICES):
            query = "?$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
            for row in self._ask(stream, f"/Microsoft.Dynamics.CRM.{cast}{query}"):
                if row["LogicalName"] in names:
                    yield from _labels(stream.object, row)

    @cached_property
    def _tables(self) -> Mapping[str, Table]:
        columns = "LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled"
        answer = self._api.json("table definitions", f"{self._api.root}EntityDefinitions?$select={columns}")
        return {
            row["LogicalName"]: Table(
                entity_set=row["EntitySetName"],
                key=row["PrimaryIdAttribute"],
                is_tracked=bool(row["ChangeTrackingEnabled"]),
            )
            for row in answer["value"]
        }

    def _columns(self, stream: Stream) -> Sequence[Column]:
        self.table(stream)
        attributes = [row for row in self._ask(stream, f"?$select={SHOWN}") if self._is_readable(stream, row)]
        polymorphic = {
            row["LogicalName"]
            for row in self._ask(stream, "/Microsoft.Dynamics.CRM.LookupAttributeMetadata?$select=LogicalName,Targets")
            if len(row["Targets"] or ()) > 1
        }
        columns = [
            Column(
                name=f"_{row['LogicalName']}_value" if row["AttributeType"] in LOOKUPS else row["LogicalName"],
                type=row["AttributeTypeName"]["Value"],
                is_calculated=bool(row["SourceType"]),
                is_polymorphic=row["LogicalName"] in polymorphic,
            )
            for row in attributes
        ]
        return [c for c in columns if not self._options.excludes("dynamics", stream.object, c.name)]

    def _is_readable(self, stream: Stream, attribute: Record) -> bool:
        return bool(
            attribute["IsValidForRead"]
            and attribute["AttributeOf"] is None
            and attribute["AttributeTypeName"]["Value"] not in UNREADABLE
            and (stream.object, attribute["LogicalName"]) not in FILES
            and not (attribute["IsSecured"] and attribute["MetadataId"] not in self._readable_secured)
        )

    @cached_property
    def _readable_secured(self) -> frozenset[str]:
        """Columns under column-level security that we may read; the others would come as nulls, as if empty."""
        try:
            user = self._api.json("the application user", f"{self._api.root}WhoAmI")["UserId"]
            function = "Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()"
            answer = self._api.json("column privileges", f"{self._api.root}systemusers({user})/{function}")
        except (ApiFailed, Refused):
            return frozenset()
        return frozenset(row["AttributeId"] for row in answer["AttributePrivileges"] if row["CanRead"] == CAN_READ)

    def _ask(self, stream: Stream, path: str) -> Sequence[Record]:
        url = f"{self._api.root}EntityDefinitions(LogicalName='{stream.object}')/Attributes{path}"
        rows: Sequence[Record] = self._api.json(stream.object, url)["value"]
        return rows


def _labels(table: str, attribute: Record) -> Iterator[Record]:
    column, options = attribute["LogicalName"], attribute.get("OptionSet") or attribute.get("GlobalOptionSet") or {}
    for option in options.get("Options", ()):
        shown = option["Label"]["UserLocalizedLabel"] or {}
        yield {
            "option_id": f"{table}.{column}.{option['Value']}",
            "table_name": table,
            "column_name": column,
            "value": option["Value"],
            "label": shown.get("Label"),
        }


def is_labels(stream: Stream) -> bool:
    """Whether a stream is the one of labels, which no table stands for."""
    return stream.object == OPTION_LABELS
