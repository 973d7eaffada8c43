"""Publishes the marts: a copy in a folder of its own, made visible by the switch of one link after all else passed.

Readers keep the release they have open; what goes into a mart is decided in `dbt_project`.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb

from orchestration.resources import Progress, Run
from orchestration.warehouse import WAREHOUSE, Mart

PUBLISHED_FILE = Path("published") / "current" / "attain.duckdb"
"""What BI opens, under the data folder."""
RELEASES_KEPT = 3
"""Readers that opened an older release may keep it for that many nights."""


@dataclass(frozen=True)
class PublishedMart:
    """One mart of a release."""

    schema: str
    name: str
    rows: int
    file: str


@dataclass(frozen=True)
class Release:
    """What the manifest of a release says."""

    run_id: str
    as_of: str
    published_at: str
    marts: Sequence[PublishedMart]


def publish(home: Path, marts: Sequence[Mart], run: Run) -> Release:
    """Copy the marts out of the warehouse and switch `published/current` to the copy, all or nothing."""
    root = home / "published"
    release_folder = root / "releases" / run.run_id
    draft = root / "releases" / f".{run.run_id}.draft"
    _remove_drafts(root)
    draft.mkdir(parents=True)
    release = Release(
        run_id=run.run_id,
        as_of=run.as_of.isoformat(),
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        marts=_copy(home / WAREHOUSE, draft, marts),
    )
    (draft / "manifest.json").write_text(json.dumps(asdict(release), indent=2))
    _make_read_only(draft)
    draft.replace(release_folder)
    switch(root / "current", release_folder)
    _prune(root)
    return release


def switch(link: Path, target: Path) -> None:
    """Point a link at a folder in one step; there is no moment without one."""
    draft = link.with_name(f".{link.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(target, link.parent))
    draft.replace(link)


def published_asset(marts: Sequence[Mart]) -> dg.AssetsDefinition:
    """Build the asset that stands for what BI reads."""

    @dg.asset(
        name="published",
        deps=[mart.asset_key for mart in marts],
        group_name="published",
        kinds={"duckdb", "parquet"},
        description="The marts as people read them: one read-only DuckDB file and one Parquet file for each mart.",
    )
    def published(run: dg.ResourceParam[Run], progress: dg.ResourceParam[Progress]) -> dg.MaterializeResult[None]:
        progress.stage("publish")
        release = publish(run.home, marts, run)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(run.home / "published" / "current"),
                "as of": release.as_of,
                "rows": {f"{mart.schema}.{mart.name}": mart.rows for mart in release.marts},
            }
        )

    return published


def _copy(warehouse: Path, folder: Path, marts: Sequence[Mart]) -> list[PublishedMart]:
    with duckdb.connect(str(folder / "attain.duckdb")) as db:
        db.execute(f"attach '{warehouse}' as warehouse (read_only)")
        return [_copy_one(db, folder, mart) for mart in marts]


def _copy_one(db: duckdb.DuckDBPyConnection, folder: Path, mart: Mart) -> PublishedMart:
    table, file = f"{mart.schema}.{mart.name}", f"{mart.schema}/{mart.name}.parquet"
    (folder / mart.schema).mkdir(exist_ok=True)
    db.execute(f"create schema if not exists {mart.schema}")
    db.execute(f"create table {table} as from warehouse.{table} order by all")
    _copy_comments(db, mart)
    db.execute(f"copy {table} to '{folder / file}' (format parquet)")
    (rows,) = db.execute(f"select count(*) from {table}").fetchone() or (0,)
    return PublishedMart(mart.schema, mart.name, rows, file)


def _copy_comments(db: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    """Carry the descriptions over, so that a BI tool shows what a column means."""
    where = f"database_name = 'warehouse' and schema_name = '{mart.schema}' and table_name = '{mart.name}'"
    tables = db.execute(f"select comment from duckdb_tables() where {where} and comment is not null").fetchall()
    columns = db.execute(
        f"select column_name, comment from duckdb_columns() where {where} and comment is not null"
    ).fetchall()
    for (comment,) in tables:
        db.execute(f"comment on table {mart.schema}.{mart.name} is {_quoted(comment)}")
    for column, comment in columns:
        db.execute(f'comment on column {mart.schema}.{mart.name}."{column}" is {_quoted(comment)}')


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)


def _remove_drafts(root: Path) -> None:
    for draft in (root / "releases").glob(".*.draft"):
        shutil.rmtree(draft)


def _prune(root: Path) -> None:
    for old in sorted((root / "releases").iterdir())[:-RELEASES_KEPT]:
        if old != (root / "current").resolve():
            shutil.rmtree(old)
