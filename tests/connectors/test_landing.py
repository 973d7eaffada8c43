"""The landing: what is committed is there, what is not does not exist."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import ApiFailed, LandingDamaged
from connectors.landing import CommitWriter, Manifest, StreamLanding, as_text
from connectors.stream import Count, Field, Record, Stream, fields

DEALS = Stream(
    name="deals",
    object="Deal",
    key="id",
    cursor="changed",
    fields=fields(text="id name", decimal="amount", timestamp="changed"),
)


def landing_in(home: Path) -> StreamLanding:
    landing = StreamLanding(home, "crm", DEALS)
    landing.declare()
    return landing


def deal(key: str, **values: object) -> dict[str, object]:
    return {"id": key, "name": "A deal", "amount": Decimal("1.10"), "changed": "2026-01-01T00:00:00Z"} | values


def rows(landing: StreamLanding) -> list[tuple[str, ...]]:
    """Read as the warehouse does: only rows whose commit has a manifest."""
    return duckdb.sql(f"""
        select id, name, amount, _deleted
        from read_parquet('{landing.folder}/**/*.parquet', union_by_name = true, hive_partitioning = false)
        where _commit_id in (select commit_id from read_json('{landing.folder}/manifests/*.json'))
        order by _commit_id, id
    """).fetchall()


def live(landing: StreamLanding) -> list[str]:
    """Keys of live records, by the latest version of each."""
    latest: dict[str, str] = {}
    for key, _, _, deleted in sorted(
        duckdb.sql(f"""
        select id, _commit_id, _deleted, _deleted
        from read_parquet('{landing.folder}/**/*.parquet', union_by_name = true, hive_partitioning = false)
        where _commit_id in (select commit_id from read_json('{landing.folder}/manifests/*.json'))
    """).fetchall(),
        key=lambda row: row[:3],
    ):
        latest[key] = deleted
    return sorted(key for key, deleted in latest.items() if deleted == "false")


def commit(landing: StreamLanding, run_id: str, records: list[Record], *shown: Field) -> Manifest:
    writer = CommitWriter(landing, run_id=run_id, fields=shown)
    writer.write(records)
    return writer.commit({}, is_last=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        ("NA", "NA"),
        ("null", "null"),
        ('line\none, "quoted"', 'line\none, "quoted"'),
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (Decimal("12345678901234.56"), "12345678901234.56"),
        (Decimal("0.10"), "0.10"),
        (["b", "a"], '["b", "a"]'),
        ({"name": "Zürich"}, '{"name": "Zürich"}'),
    ],
)
def test_values_keep_their_exact_text(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_committed_rows_are_there_and_the_manifest_says_how_to_go_on(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    writer = CommitWriter(landing, run_id="run-1")
    writer.write([deal("1"), deal("2", amount=None)])
    writer.commit({"watermark": "x"}, is_last=True, count=Count(2))

    manifest = landing.last_manifest()
    assert manifest is not None
    assert (manifest.rows, manifest.source_count, manifest.state) == (2, 2, {"watermark": "x"})
    assert rows(landing) == [("1", "A deal", "1.10", "false"), ("2", "A deal", None, "false")]


def test_rows_of_a_run_that_died_do_not_exist_and_are_swept_away(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    died = CommitWriter(landing, run_id="run-1")
    died.write([deal("1")])
    died._close_file()  # the process is killed after the data file was closed, before the manifest
    died._publish(died._parts[0])
    assert list(landing.folder.glob("run=*/*.parquet"))

    writer = CommitWriter(landing, run_id="run-2")
    writer.write([deal("2")])
    writer.commit({}, is_last=True)
    assert rows(landing) == [("2", "A deal", "1.10", "false")]

    landing.sweep()
    assert [path.parent.name for path in landing.folder.glob("run=*/*")] == ["run=run-2"]


def test_an_empty_commit_still_notes_the_state(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    CommitWriter(landing, run_id="run-1").commit({"watermark": "y"}, is_last=True)
    manifest = landing.last_manifest()
    assert manifest is not None and (manifest.rows, list(manifest.files)) == (0, [])


def test_a_complete_read_marks_what_it_did_not_list_as_deleted(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    first = CommitWriter(landing, run_id="run-1")
    first.write([deal("1"), deal("2"), deal("3")])
    first.commit({}, is_last=True)

    resumed = CommitWriter(landing, run_id="run-2")
    resumed.write([deal("1")])
    resumed.commit({"after": "1"}, is_last=False)
    last = CommitWriter(landing, run_id="run-3")  # the run was killed here; another one goes on with the same read
    last.write([deal("3")])
    last.delete_unlisted()
    last.commit({}, is_last=True, is_complete=True)

    assert live(landing) == ["1", "3"]
    assert landing.live_rows() == 2


def test_a_delete_beats_a_live_row_of_the_same_commit(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    writer = CommitWriter(landing, run_id="run-1")
    writer.write([{"id": "1", "_deleted": True}, deal("1")])
    writer.commit({}, is_last=True)
    assert landing.live_rows() == 0


def test_a_manifest_of_another_format_is_refused_by_name(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    CommitWriter(landing, run_id="run-1").commit({}, is_last=True)
    (path,) = (landing.folder / "manifests").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(LandingDamaged, match=f"{path.name}.*format 99"):
        landing.last_manifest()


def test_a_new_declared_field_is_null_for_older_rows(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    writer = CommitWriter(landing, run_id="run-1")
    writer.write([deal("1")])
    writer.commit({}, is_last=True)

    wider = Stream(
        name="deals", object="Deal", key="id", cursor="changed", fields={**DEALS.fields, **fields(text="region")}
    )
    StreamLanding(tmp_path, "crm", wider).declare()
    folder = landing.folder
    assert duckdb.sql(
        f"select id, region from read_parquet('{folder}/**/*.parquet', union_by_name = true, hive_partitioning = false)"
    ).fetchall() == [("1", None)]


def test_every_field_the_crm_shows_lands_beside_the_declared_ones(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    commit(landing, "run-1", [deal("1", region__c="North")], Field("id", "id"), Field("region__c", "picklist"))
    assert duckdb.sql(f"select id, name, region__c from '{landing.folder}/run=*/*.parquet'").fetchall() == [
        ("1", "A deal", "North")
    ]


def test_new_gone_and_retyped_fields_are_noted(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    first = commit(landing, "run-1", [], Field("id", "id"), Field("size", "double"), Field("old", "string"))
    second = commit(landing, "run-2", [], Field("id", "id"), Field("size", "string"), Field("new", "date"))
    third = commit(landing, "run-3", [], Field("id", "id"), Field("size", "string"), Field("new", "date"))
    assert first.drift == third.drift == {}
    assert second.drift == {"added": ["new"], "removed": ["old"], "retyped": ["size: double to string"]}
    assert landing.drift_of("run-2") == second.drift
    assert landing.drift_of("run-3") == {}


def test_a_table_lands_like_the_same_records(tmp_path: Path) -> None:
    texts = ["", "NA", "null", "None", 'a "quoted"\nline', "nul\x00byte", "x" * 200_000, "Zürich 🤖"]
    by_rows, by_table = landing_in(tmp_path / "rows"), landing_in(tmp_path / "table")
    commit(by_rows, "run-1", [deal(str(number), name=text) for number, text in enumerate(texts)])
    names = pa.array([text or None for text in texts], pa.string())
    count = len(texts)
    table = pa.table({"name": names, "changed": ["2026-01-01T00:00:00Z"] * count, "id": [str(n) for n in range(count)]})
    commit(by_table, "run-1", table.append_column("amount", pa.array(["1.10"] * count)))

    def landed(landing: StreamLanding) -> list[tuple[str, ...]]:
        columns = "id, name, amount, changed, _key, _version, _modified_at, _deleted"
        return duckdb.sql(f"select {columns} from '{landing.folder}/run=*/*.parquet' order by id").fetchall()

    assert landed(by_rows) == landed(by_table)
    assert [name for _, name, *_ in landed(by_table)] == [text or None for text in texts]


def test_half_an_emoji_does_not_stop_the_night(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    commit(landing, "run-1", [deal("1", name="cut \ud83e"), deal("2", name="whole 🤖")])
    assert [name for _, name, _, _ in rows(landing)] == ["cut �", "whole 🤖"]


def test_a_large_read_goes_to_disk_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.landing.BYTES_AT_ONCE", 1_000_000)
    monkeypatch.setattr("connectors.landing.CELLS_AT_ONCE", 10_000)
    landing = landing_in(tmp_path)
    writer = CommitWriter(landing, run_id="run-1")
    for start in range(0, 60_000, 20_000):
        writer.write([deal(str(number)) for number in range(start, start + 20_000)])
    manifest = writer.commit({}, is_last=True)
    (file,) = manifest.files
    assert pq.ParquetFile(landing.folder / file).num_row_groups > 1
    assert (manifest.rows, manifest.live_rows, len(rows(landing))) == (60_000, 60_000, 60_000)


def test_a_manifest_of_the_first_format_is_read_and_gone_on_from(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    commit(landing, "run-1", [deal("1"), deal("2")])
    (path,) = (landing.folder / "manifests").glob("*.json")
    known = json.loads(path.read_text())
    first = {
        name: value for name, value in known.items() if name not in ("live_rows", "fields", "drift", "read_whole_at")
    }
    path.write_text(json.dumps(first | {"format": 1}))
    assert landing.live_rows() == 2
    assert commit(landing, "run-2", [deal("3")], Field("id", "id")).live_rows == 3


def test_a_listing_of_keys_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    landing = landing_in(tmp_path)
    commit(landing, "run-1", [deal("1")])
    files = sorted(landing.folder.rglob("*"))

    def breaking() -> Iterator[list[str]]:
        yield ["1"]
        raise ApiFailed("the line went dead")

    with pytest.raises(ApiFailed):
        landing.compare(breaking())
    assert sorted(landing.folder.rglob("*")) == files


def test_keys_are_compared_slice_by_slice_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.landing.KEYS_IN_SLICE", 7)
    landing = landing_in(tmp_path)
    commit(landing, "run-1", [deal(f"{number}") for number in range(50)])
    compared = landing.compare([[f"{number}" for number in range(25, 75)]])
    assert sorted(compared.gone) == sorted(f"{number}" for number in range(25))
    assert sorted(compared.lacking) == sorted(f"{number}" for number in range(50, 75))

    whole = CommitWriter(landing, run_id="run-2")
    whole.write([deal(f"{number}") for number in range(20)])
    whole.commit({"after": "19"}, is_last=False)
    whole.write([deal(f"{number}") for number in range(20, 40)])
    whole.delete_unlisted()
    whole.commit({}, is_last=True, is_complete=True)
    assert live(landing) == sorted(f"{number}" for number in range(40))
    assert landing.live_rows() == 40


KEYS = st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=6)


@given(st.lists(KEYS, min_size=1, max_size=5), st.sets(st.sampled_from("abcdefg")))
@settings(max_examples=30, deadline=None)
def test_live_rows_are_counted_and_compared_right_after_any_commits(
    commits: list[list[tuple[str, bool]]], listed: set[str]
) -> None:
    with TemporaryDirectory() as folder:
        landing = landing_in(Path(folder))
        for number, changes in enumerate(commits):
            records = [deal(key, _deleted=deleted) for key, deleted in changes]
            manifest = commit(landing, f"run-{number}", records)
            assert manifest.live_rows == len(live(landing))
        compared = landing.compare([sorted(listed)])
        assert sorted(compared.gone) == sorted(set(live(landing)) - listed)
        assert sorted(compared.lacking) == sorted(listed - set(live(landing)))


VALUES = st.dictionaries(
    st.sampled_from(["name", "amount", "changed"]), st.none() | st.text('a1:\x00\x1f",é', max_size=3)
)


@given(VALUES, VALUES)
@settings(max_examples=50, deadline=None)
def test_two_records_share_a_version_only_if_they_say_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    def said(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if value}

    with TemporaryDirectory() as folder:
        landing = landing_in(Path(folder))
        commit(landing, "run-1", [{"id": "1", **one}, {"id": "1", **other}])
        ((versions,),) = duckdb.sql(
            f"select count(distinct _version) from '{landing.folder}/run=*/*.parquet'"
        ).fetchall()
    assert (versions == 1) == (said(one) == said(other))
