"""One organisation of Zoho CRM as a source: what it has, and which of its APIs a stream is read by.

How records that tell when they changed are read is in `dated`, the calls in `records`, `coql` and `bulk`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache

from connectors.budget import Budget
from connectors.errors import ApiFailed, PlaceLost, Refused
from connectors.options import Options
from connectors.stream import Checkpoint, Count, Field, Limit, Page, Record, State, Stream
from connectors.zoho import bulk, coql, records
from connectors.zoho.api import Api, Unsupported
from connectors.zoho.columns import CURSOR, KEY, SUBFORM, Columns
from connectors.zoho.dated import LOST_PAGES, Dated
from connectors.zoho.stages import stages
from connectors.zoho.streams import CONVERTIBLE, LINKS, LISTS, STAGES
from connectors.zoho.tokens import Credentials

FEW_ROWS = 2_000
"""So many are listed for fewer credits than a bulk job costs."""
CALCULATED = frozenset({"formula", "rollup_summary"})
UNREADABLE = frozenset({"profileimage", "imageupload", "fileupload", "multiselectlookup", "multiuserlookup"})
"""Pictures, files, and relations that have a module of their own."""
MULTISELECT = "multiselectpicklist"
NO_OPTIONS = Options()


class Zoho:
    """One organisation, ready to be read."""

    crm = "zoho"
    page_rows = 40_000  # a bulk page of 200,000 takes some five calls

    def __init__(self, credentials: Credentials, options: Options = NO_OPTIONS) -> None:
        self.budget = Budget(self.crm, reserve=options.reserve)
        self._options = options
        self._api = Api(credentials, options, self.budget)
        self._described = cache(self._describe)
        self._has_coql = cache(self._probe)

    def server_time(self) -> datetime:
        """Zoho's clock at its last answer."""
        return self._api.server_time()

    def limits(self) -> Sequence[Limit]:
        """The API credits."""
        return self._api.limits()

    def fields(self, stream: Stream) -> Sequence[Field]:
        """Every field that the metadata shows; where there is none, those that are declared."""
        if _is_module(stream):
            found = self._described(stream.object, frozenset(stream.fields))
        else:
            found = tuple(Field(name, kind.value) for name, kind in stream.fields.items())
        return [field for field in found if not self._options.excludes(self.crm, stream.object, field.name)]

    def count(self, stream: Stream, since: datetime) -> Count | None:
        """The number of live records, with what changed since as slack; converted leads are in no count."""
        module = stream.object
        if not _is_module(stream) or module == CONVERTIBLE:
            return None
        try:
            rows = records.count(self._api, module)
            slack = coql.changed(self._api, module, since) if self._is_dated(stream) and self._has_coql(module) else 0
            return Count(rows, slack=slack)
        except (ApiFailed, Refused, Unsupported):
            return None

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        """The ids of all live records."""
        module = stream.object
        if not _is_module(stream):
            pages = self._listed(stream)
        elif self._is_big(module) and (job := self._first_job(module)):
            yield from self._job_keys(job)
            return
        elif self._has_coql(module):
            pages = coql.keys(self._api, module)
        else:
            pages = records.pages(self._api, module, [KEY], sort_by=KEY)
        yield from ([row[KEY] for row in rows] for rows in pages)

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        """Read what changed since `state`, or everything; what has no stamp is read whole each time."""
        if not self._is_dated(stream):
            yield from self._whole(stream)
        elif "watermark" in state:
            yield from self._dated(stream).changes(state)
        else:
            yield from self._dated(stream).all(state, is_big=self._is_big(stream.object))

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        """Read what changed since an instant once more; everything, where there are no stamps."""
        if self._is_dated(stream):
            yield from map(Page, self._dated(stream).since(since))
        else:
            yield from (event for event in self._whole(stream) if isinstance(event, Page))

    # what there is

    def _describe(self, module: str, declared: frozenset[str]) -> tuple[Field, ...]:
        try:
            answer = self._api.get(module, "settings/fields", {"module": module, "type": "all"})
        except Unsupported as error:
            raise Refused(f"Zoho shows no module {module}: {error}") from error
        if answer is None:
            raise Refused(f"Zoho shows no field of {module}: let the profile of the integration user read it")
        found = {KEY: Field(KEY, "bigint")}
        for row in answer["fields"]:
            name, type = row["api_name"], row.get("data_type", "text")
            is_list = row.get("json_type") == "jsonarray" and type not in (SUBFORM, MULTISELECT)
            if name in declared or not (type in UNREADABLE or is_list):
                found[name] = Field(name, type, is_calculated=type in CALCULATED)
        return tuple(found.values())

    def _probe(self, module: str) -> bool:
        """Whether queries know a module, and tell all of its records."""
        if module == CONVERTIBLE:
            return False
        try:
            coql.probe(self._api, module)
        except (Unsupported, Refused):
            return False
        return True

    def _is_dated(self, stream: Stream) -> bool:
        return (
            _is_module(stream)
            and stream.cursor == CURSOR
            and any(field.name == CURSOR for field in self.fields(stream))
        )

    def _is_big(self, module: str) -> bool:
        """Whether a bulk job is worth its credits."""
        if module == CONVERTIBLE:
            return False
        try:
            return records.count(self._api, module) > FEW_ROWS
        except (ApiFailed, Refused, Unsupported):
            return False

    # reading

    def _dated(self, stream: Stream) -> Dated:
        has_coql = self._has_coql(stream.object)
        return Dated(self._api, stream.object, self._columns(stream), has_coql=has_coql)

    def _columns(self, stream: Stream) -> Columns:
        has_coql = self._has_coql(stream.object)
        return Columns(self._api, stream.object, self.fields(stream), has_coql=has_coql)

    def _whole(self, stream: Stream) -> Iterator[Page | Checkpoint]:
        for attempt in range(1, LOST_PAGES + 1):
            try:
                yield from map(Page, self._undated(stream) if _is_module(stream) else self._listed(stream))
                break
            except PlaceLost as error:
                if attempt == LOST_PAGES:
                    raise ApiFailed(f"{error}, again and again. Rerun later.") from error
                yield Checkpoint(state={})
        yield Checkpoint(state={}, is_last=True, is_complete=True)

    def _undated(self, stream: Stream) -> Iterator[Sequence[Record]]:
        columns = self._columns(stream)
        first = columns.first(records.MOST_FIELDS)
        for rows in records.pages(self._api, stream.object, first, sort_by=KEY):
            yield columns.complete(rows, first)

    def _listed(self, stream: Stream) -> Iterator[Sequence[Record]]:
        """What has an API of its own, or is told as related lists only."""
        if stream.object == STAGES:
            yield stages(self._api)
        for path, parameters in LISTS.get(stream.object, ()):
            yield from records.listed(self._api, stream.object, path, parameters)
        for link in LINKS.get(stream.object, ()):
            for rows in records.pages(self._api, link.parent, [KEY], sort_by=KEY):
                for row in rows:
                    yield from records.linked(self._api, link, row[KEY])

    def _first_job(self, module: str) -> bulk.Job | None:
        try:
            return bulk.run(self._api, module, [KEY])
        except (Unsupported, Refused):
            return None

    def _job_keys(self, job: bulk.Job) -> Iterator[Sequence[str]]:
        while True:
            for table in bulk.tables(self._api, job):
                yield [str(id) for id in table[KEY].to_pylist()]
            if job.following is None:
                return
            job = bulk.run(self._api, job.module, job.names, job.following)


def _is_module(stream: Stream) -> bool:
    return stream.object not in LISTS and stream.object not in LINKS and stream.object != STAGES
