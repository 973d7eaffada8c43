"""Pulling a stream: any sequence of changes, kills and resumptions ends in the CRM's own state."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import ApiFailed, Refused
from connectors.landing import StreamLanding
from connectors.stream import Checkpoint, Count, Page, State, Stream, fields
from connectors.sync import pull

DEALS = Stream(name="deals", object="Deal", key="id", fields=fields(text="id name"))
OPTIONAL = Stream(name="leads", object="Lead", key="id", fields=fields(text="id"), optional=True)


class ListSource:
    """A CRM that is a dictionary: read whole, a checkpoint behind each record, breaking where it is told to."""

    crm = "list"

    def __init__(self, records: dict[str, str]) -> None:
        self.records = records
        self.break_after: int | None = None

    def missing_fields(self, stream: Stream) -> Sequence[str]:
        return []

    def count(self, stream: Stream, since: datetime) -> Count:
        return Count(len(self.records))

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


def live(home: Path) -> list[str]:
    return sorted(key for keys in StreamLanding(home, "list", DEALS).live_keys() for key in keys)


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
        pull(source, DEALS, home=home, run_id="run-last", full_refresh=True)
        assert live(home) == sorted(source.records)


def test_a_broken_read_keeps_what_was_committed_and_goes_on_from_there(tmp_path: Path) -> None:
    source = ListSource({"a": "1", "b": "2", "c": "3"})
    source.break_after = 2
    with pytest.raises(ApiFailed):
        pull(source, DEALS, home=tmp_path, run_id="run-1")
    assert live(tmp_path) == ["a", "b"]

    source.break_after = None
    assert pull(source, DEALS, home=tmp_path, run_id="run-2").rows == 1
    assert live(tmp_path) == ["a", "b", "c"]


def test_a_record_gone_from_the_crm_is_marked_deleted(tmp_path: Path) -> None:
    source = ListSource({"a": "1", "b": "2"})
    pull(source, DEALS, home=tmp_path, run_id="run-1")
    del source.records["a"]
    pull(source, DEALS, home=tmp_path, run_id="run-2")
    assert live(tmp_path) == ["b"]


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
