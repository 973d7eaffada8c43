"""The landing: what is committed is there, what is not does not exist."""

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import LandingDamaged
from connectors.landing import CommitWriter, StreamLanding, as_text, version_of
from connectors.stream import Count, Stream, fields

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

    assert sorted(key for keys in landing.live_keys() for key in keys) == ["1", "3"]


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


VALUES = st.dictionaries(st.sampled_from("abc"), st.none() | st.text('ab\x00",é', max_size=3), max_size=3)


@given(VALUES, VALUES)
@settings(max_examples=200)
def test_two_records_share_a_version_only_if_they_say_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    def said(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if value is not None}

    same = version_of(list(one.items()), "false") == version_of(list(other.items()), "false")
    assert same == (said(one) == said(other))
