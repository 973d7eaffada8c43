"""The warehouse: dbt builds staging, intermediate and marts from what the gates let through.

SQL and its tests are in `dbt_project`; this module only runs them and says which marts are for the public.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from filelock import FileLock

from orchestration.calendar import business_units, time_zones
from orchestration.resources import Progress, Run
from orchestration.settings import PROJECT_ROOT, Settings

DBT_FOLDER = PROJECT_ROOT / "dbt_project"
FX_RATES = DBT_FOLDER / "seeds" / "fx_rates.csv"
BUILD = "warehouse"
"""Name of the step that runs dbt."""
WAREHOUSE, TARGET = "warehouse.duckdb", "dbt_target"
"""What dbt writes, under the data folder: the DuckDB file, and what it parsed, compiled and found."""
LOCK_PATIENCE_SECONDS = 300
SAMPLE_ROWS = 3


@dataclass(frozen=True, order=True)
class Mart:
    """A table people may read."""

    schema: str
    name: str

    @property
    def asset_key(self) -> dg.AssetKey:
        """The key dagster-dbt gives a model with a schema of its own."""
        return dg.AssetKey([self.schema, self.name])


def prepared_project() -> DbtProject:
    """Open the dbt project, with a manifest at least as new as its files.

    Of processes that find it stale together one parses and the others wait; none ever sees half a manifest.
    """
    project = DbtProject(DBT_FOLDER, profiles_dir=DBT_FOLDER)
    parsed = project.manifest_path.parent / "parsed"
    parsed.mkdir(parents=True, exist_ok=True)
    with FileLock(parsed / "lock"):
        if _is_stale(project.manifest_path):
            dbt_cli(project).cli(["parse", "--quiet"], target_path=parsed).wait()
            (parsed / "manifest.json").replace(project.manifest_path)
    return project


def dbt_cli(project: DbtProject) -> DbtCliResource:
    """The dbt of this environment, whether or not that is on the PATH."""
    return DbtCliResource(project_dir=project, dbt_executable=str(Path(sys.executable).with_name("dbt")))


def marts(project: DbtProject) -> Sequence[Mart]:
    """Every model that an exposure depends on, so the publish list is what the dbt project declares."""
    manifest = json.loads(project.manifest_path.read_text())
    exposed = {node for exposure in manifest["exposures"].values() for node in exposure["depends_on"]["nodes"]}
    nodes = (manifest["nodes"][node] for node in exposed)
    return sorted(Mart(node["schema"], node["name"]) for node in nodes)


def warehouse_assets(project: DbtProject, settings: Settings) -> dg.AssetsDefinition:
    """Build one asset for each model and seed, and one check for each dbt test."""

    @dbt_assets(manifest=project.manifest_path, project=project, name=BUILD)
    def warehouse(
        context: dg.AssetExecutionContext,
        run: dg.ResourceParam[Run],
        progress: dg.ResourceParam[Progress],
        dbt: DbtCliResource,
    ) -> Iterator[Any]:
        progress.stage("build")
        wait_until_free(run.home / WAREHOUSE)
        # One folder for all nights: what dbt parsed last night need not be parsed again, and nothing piles up.
        _results_file(run.home).unlink(missing_ok=True)
        arguments, target = dbt_arguments(dbt_vars(run, settings)), run.home / TARGET
        yield from dbt.cli(arguments, context=context, target_path=target).stream()

    return warehouse


def dbt_findings(home: Path, *statuses: str) -> list[str]:
    """What the last build's tests found, with the first rows that failed, and which models could not be built."""
    if not _results_file(home).exists():
        return []
    results = json.loads(_results_file(home).read_text())["results"]
    with duckdb.connect(str(home / WAREHOUSE), read_only=True) as db:
        return [_finding(db, result) for result in results if result["status"] in statuses]


def _finding(db: duckdb.DuckDBPyConnection, result: Mapping[str, Any]) -> str:
    kind, _, name = result["unique_id"].split(".")[:3]
    if kind != "test" or result["status"] == "error":
        return f"dbt {kind} {name}: {result['message']}"
    failing = db.execute(f"from ({result['compiled_code']}\n) limit {SAMPLE_ROWS}")
    columns = [column[0] for column in failing.description or ()]
    rows = (zip(columns, row, strict=True) for row in failing.fetchall())
    samples = "; ".join(", ".join(f"{column} {value}" for column, value in row) for row in rows)
    return f"dbt test {name}: {result['failures']} rows, for example {samples}"


def _results_file(home: Path) -> Path:
    return home / TARGET / "run_results.json"


def dbt_vars(run: Run, settings: Settings) -> Mapping[str, Any]:
    """What the models need to know of a run; they never ask a clock."""
    return {
        "as_of_date": run.as_of.isoformat(),
        "business_timezone": settings.timezone,
        "business_timezones": time_zones(business_units()),
        "company_currency": settings.currency,
    }


def dbt_arguments(variables: Mapping[str, Any]) -> list[str]:
    """Build everything; unit tests are for those who change the SQL, not for every night."""
    return ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(dict(variables))]


def wait_until_free(path: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait for a dbt process to let go of the DuckDB file: killing a run does not kill the dbt it started."""
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while path.exists():
        try:
            duckdb.connect(str(path)).close()
            return
        except duckdb.IOException as error:
            if "lock" not in str(error) or time.monotonic() > deadline:
                raise dg.Failure(
                    f"{path} is in use by another program. Close it and run again; to query, open the published copy.",
                    allow_retries=False,
                ) from error
            sleep(1)


def _is_stale(manifest: Path) -> bool:
    if not manifest.exists():
        return True
    sources = (path for folder in _source_folders() for path in folder.rglob("*") if path.is_file())
    return max(path.stat().st_mtime for path in (*sources, DBT_FOLDER / "dbt_project.yml")) > manifest.stat().st_mtime


def _source_folders() -> list[Path]:
    return [DBT_FOLDER / name for name in ("models", "seeds", "macros", "tests")]
