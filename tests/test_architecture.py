"""Who may import whom, and that a CRM or stream is never added by halves."""

import ast
from pathlib import Path

import pytest
import yaml

from orchestration.settings import STREAMS

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "connectors": {"expectations", "orchestration", "dagster", "dagster_dbt", "dbt"},
    "expectations": {"connectors", "orchestration", "dagster", "dagster_dbt", "dbt"},
}


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_only_orchestration_knows_dagster_and_the_others_do_not_know_each_other(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / package).rglob("*.py")
        if (found := imported_by(path) & FORBIDDEN[package])
    }
    assert not wrong


def test_dbt_project_holds_no_python() -> None:
    assert not [path for path in (ROOT / "dbt_project").rglob("*.py") if "target" not in path.parts]


def test_tests_have_no_init_files() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("crm", STREAMS)
def test_a_crm_is_in_every_folder_under_its_own_name(crm: str) -> None:
    expected = [
        ROOT / "connectors" / crm / "streams.py",
        ROOT / "connectors" / "sandbox" / crm / "tables.py",
        ROOT / "expectations" / f"{crm}.py",
        ROOT / "dbt_project" / "models" / "staging" / crm / f"_{crm}__sources.yml",
        ROOT / "dbt_project" / "models" / "staging" / crm / f"_{crm}__models.yml",
    ]
    assert not [str(path.relative_to(ROOT)) for path in expected if not path.exists()]


@pytest.mark.parametrize("crm", STREAMS)
def test_every_stream_is_a_source_and_every_staging_model_has_a_stream_and_a_description(crm: str) -> None:
    folder = ROOT / "dbt_project" / "models" / "staging" / crm
    sources = yaml.safe_load((folder / f"_{crm}__sources.yml").read_text())["sources"]
    tables = {table["name"] for source in sources if source["name"] == crm for table in source["tables"]}
    models = {model["name"] for model in yaml.safe_load((folder / f"_{crm}__models.yml").read_text())["models"]}
    files = {path.stem for path in folder.glob("*.sql")}

    streams = {stream.name for stream in STREAMS[crm]}
    assert tables == streams
    assert files == models <= {f"stg_{crm}__{name}" for name in streams}


@pytest.mark.parametrize("crm", STREAMS)
def test_declarations_are_sound(crm: str) -> None:
    names = {stream.name for stream in STREAMS[crm]}
    for stream in STREAMS[crm]:
        fields = set(stream.fields)
        assert stream.key in fields, stream.name
        assert stream.cursor is None or stream.cursor in fields, stream.name
        assert set(stream.required) <= fields, stream.name
        assert set(stream.references) <= fields, stream.name
        assert set(stream.references.values()) <= names, stream.name
