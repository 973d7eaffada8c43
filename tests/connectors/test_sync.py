"""Pulling a stream: any sequence of changes, kills and resumptions ends in the CRM's own state."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.budget import Budget
from connectors.errors import ApiFailed, Refused
from connectors.landing import StreamLanding
from connectors.stream import Checkpoint, Count, Field, Limit, Page, State, Stream, fields
from connectors.sync import Mode, pull

DEALS = Stream(name="deals", object="Deal", key="id", fields=fields(text="id name"))
OPTIONAL = Stream(name="leads", object="Lead", key="id", fields=fields(text="id"), optional=True)


class ListSource:
    """A CRM that is a dictionary: read whole, a checkpoint behind each record, breaking where it is told to."""

    crm = "list"
    page_rows = 1

    def __init__(self, records: dict[str, str]) -> None:
        self.records = records
        self.budget = Budget("list")
        self.break_after: int | None = None

    def fields(self, stream: Stream) -> Sequence[Field]:
        return [Field(name, "string") for name in stream.fields]

    def count(self, stream: Stream, since: datetime) -> Count:
        return Count(len(self.records))

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        yield list(self.records)

    def limits(self) -> Sequence[Limit]:
        return []

    def read_since(self, stream: Stream, since: datetime) -> Iterator[Page]:
        yield Page([{"id": key, "name": name} for key, name in self.records.items()])

    def server_time(self) -> datetime:
        return datetime.now(UTC)

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        pending = [key for key in sorted(self.records) if key > state.get("after", "")]
        for number, key in enumerate(pending, start=1):
            if self.break_after is not None and number > self.break_after:
                raise ApiFailed("the line went dead")
            yield Page([{"id": key, "name": self.records[key]}])
            yield Checkpoint(state={"after": key})
        yield Checkpoint(state={}, is_last=True, is_complete=True)


class ClosedSource(ListSource):
    """A CRM whose edition does not have the object."""

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        raise Refused("this edition has no leads")
        yield


class ChangeLog(ListSource):
    """A CRM that tells what changed, in order, and forgets to tell of some deletes and additions."""

    def __init__(self, records: dict[str, str]) -> None:
        super().__init__(records)
        self.log = list(records)
        self.whole_reads = 0
        self.shown = ["id", "name"]
        self.is_calculated = False
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.slack = 0
        self.listings = 0

    def count(self, stream: Stream, since: datetime) -> Count:
        return Count(len(self.records), slack=self.slack)

    def keys(self, stream: Stream) -> Iterator[Sequence[str]]:
        self.listings += 1
        yield from super().keys(stream)

    def fields(self, stream: Stream) -> Sequence[Field]:
        return [Field(name, "string", is_calculated=self.is_calculated) for name in self.shown]

    def server_time(self) -> datetime:
        return self.now

    def read(self, stream: Stream, state: State) -> Iterator[Page | Checkpoint]:
        self.whole_reads += not state
        changed = self.log[state["position"] :] if state else list(self.records)
        yield Page([{"id": key, "name": self.records[key]} for key in changed if key in self.records])
        yield Checkpoint(state={"position": len(self.log)}, is_last=True, is_complete=not state)


class LateAddition(ChangeLog):
    """A CRM to which a record is added between the first read and the first count."""

    def count(self, stream: Stream, since: datetime) -> Count:
        if "late" not in self.records:
            self.records["late"] = "2"
            self.log.append("late")
        return super().count(stream, since)


def live(home: Path) -> dict[str, str]:
    """Key to name of the live records."""
    folder = home / "landing" / "list" / "deals"
    latest = duckdb.sql(f"""
        select id, name, _deleted
        from read_parquet('{folder}/**/*.parquet', union_by_name = true, hive_partitioning = false)
        where _commit_id in (select commit_id from read_json('{folder}/manifests/*.json'))
        qualify row_number() over (partition by id order by _commit_id desc, _deleted desc) = 1
    """).fetchall()
    return {key: name for key, name, deleted in latest if deleted == "false"}


KEYS = st.text("abcdef", min_size=1, max_size=2)
NIGHTS = st.lists(
    st.tuples(st.dictionaries(KEYS, st.text(max_size=3), max_size=6), st.none() | st.integers(0, 6)),
    min_size=1,
    max_size=5,
)


@given(NIGHTS)
@settings(max_examples=40, deadline=None)
def test_whatever_happened_before_an_undisturbed_full_read_ends_in_the_state_of_the_crm(nights: list) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        for number, (records, break_after) in enumerate(nights):
            source = ListSource(records)
            source.break_after = break_after
            try:
                pull(source, DEALS, home=home, run_id=f"run-{number}")
            except ApiFailed:
                continue
        source.break_after = None
        pull(source, DEALS, home=home, run_id="run-last", mode=Mode(full_refresh=True))
        assert live(home) == {key: name or None for key, name in source.records.items()}


def test_a_broken_read_keeps_what_was_committed_and_goes_on_from_there(tmp_path: Path) -> None:
    source = ListSource({"a": "1", "b": "2", "c": "3"})
    source.break_after = 2
    with pytest.raises(ApiFailed):
        pull(source, DEALS, home=tmp_path, run_id="run-1")
    assert live(tmp_path) == {"a": "1", "b": "2"}

    source.break_after = None
    assert pull(source, DEALS, home=tmp_path, run_id="run-2").rows == 1
    assert live(tmp_path) == {"a": "1", "b": "2", "c": "3"}


def test_a_record_gone_from_the_crm_is_marked_deleted(tmp_path: Path) -> None:
    source = ListSource({"a": "1", "b": "2"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    del source.records["a"]
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert live(tmp_path) == {"b": "2"}


def test_an_optional_stream_that_is_refused_is_reported_not_fatal(tmp_path: Path) -> None:
    pulled = pull(ClosedSource({}), OPTIONAL, home=tmp_path, run_id="run-1")
    assert pulled.unavailable == "this edition has no leads"


def test_any_other_stream_that_is_refused_is_fatal(tmp_path: Path) -> None:
    with pytest.raises(Refused):
        pull(ClosedSource({}), DEALS, home=tmp_path, run_id="run-1")


def test_an_optional_stream_that_was_there_before_may_not_vanish_in_silence(tmp_path: Path) -> None:
    pull(ListSource({"a": ""}), OPTIONAL, home=tmp_path, run_id="run-1")
    with pytest.raises(Refused):
        pull(ClosedSource({}), OPTIONAL, home=tmp_path, run_id="run-2")


def test_a_record_purged_without_a_trace_is_found_by_its_key(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1", "b": "2"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    del source.records["a"]
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert live(tmp_path) == {"b": "2"}
    assert source.whole_reads == 1


def test_a_purge_is_found_also_where_as_many_records_changed_as_would_excuse_it(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1", "b": "2"})
    source.slack = 5
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    assert source.listings == 0
    del source.records["a"]
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert (live(tmp_path), source.listings, source.whole_reads) == ({"b": "2"}, 1, 1)


@pytest.mark.parametrize(("purged", "listings"), [("a", 0), ("ab", 1)])
def test_keys_of_a_large_stream_are_listed_only_if_changes_cannot_explain_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, purged: str, listings: int
) -> None:
    monkeypatch.setattr("connectors.sync.LISTED_QUICKLY", 3)
    source = ChangeLog({"a": "1", "b": "2", "c": "3", "d": "4"})
    source.slack = 1
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    for key in purged:
        del source.records[key]
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert source.listings == listings
    assert live(tmp_path) == (source.records if listings else {"a": "1", **source.records})


def test_a_record_added_while_the_crm_counted_is_seen_by_another_look_without_listing_keys(tmp_path: Path) -> None:
    source = LateAddition({"a": "1"})
    source.slack = 1
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    assert (live(tmp_path), source.listings) == ({"a": "1", "late": "2"}, 0)


def test_a_record_that_no_change_told_of_is_fetched_by_a_whole_read(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    source.records["b"] = "2"
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert live(tmp_path) == {"a": "1", "b": "2"}
    assert source.whole_reads == 2


def test_keys_are_listed_every_night_where_nothing_else_tells_of_deletes(tmp_path: Path) -> None:
    source, stream = ChangeLog({"a": "1", "b": "2"}), replace(DEALS, is_reconciled_nightly=True)
    pull(source, stream, home=tmp_path, run_id="run-1")
    del source.records["a"]
    source.records["c"] = "3"
    source.log.append("c")  # as many as before, so that the count shows nothing
    pull(source, stream, home=tmp_path, run_id="run-2")
    assert live(tmp_path) == {"b": "2", "c": "3"}
    assert source.whole_reads == 1


def test_a_new_field_is_read_for_old_records_too_and_reported(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    source.shown = ["id", "name", "region"]
    pulled = pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert (pulled.drift, pulled.rows, source.whole_reads) == ({"added": ["region"]}, 1, 2)
    assert pull(source, DEALS, home=tmp_path, run_id="run-3").rows == 0


def test_a_field_that_is_gone_or_retyped_is_reported_and_breaks_nothing(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1"})
    source.shown = ["id", "name", "region"]
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    source.shown = ["id", "name"]
    assert pull(source, DEALS, home=tmp_path, run_id="run-2").drift == {"removed": ["region"]}
    assert source.whole_reads == 1


@pytest.mark.parametrize(("days", "whole_reads"), [(6, 1), (8, 2)])
def test_formulas_are_refreshed_by_a_whole_read_once_the_last_one_is_a_week_old(
    tmp_path: Path, days: int, whole_reads: int
) -> None:
    source = ChangeLog({"a": "1"})
    source.is_calculated = True
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    source.records["a"] = "worked out anew"
    source.now += timedelta(days=days)
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert source.whole_reads == whole_reads
    assert live(tmp_path) == {"a": "1" if whole_reads == 1 else "worked out anew"}


def test_a_repair_reads_again_and_leaves_the_place_to_go_on(tmp_path: Path) -> None:
    source = ChangeLog({"a": "1"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    source.records["a"] = "changed by a trigger that moves no stamp"
    pull(source, DEALS, home=tmp_path, run_id="run-2", mode=Mode(since=datetime(2025, 12, 1, tzinfo=UTC)))
    assert live(tmp_path) == {"a": "changed by a trigger that moves no stamp"}
    manifest = StreamLanding(tmp_path, "list", DEALS).last_manifest()
    assert manifest is not None and manifest.state == {"position": 1}
