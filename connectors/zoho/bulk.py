"""Reading a whole module of Zoho CRM by jobs: each writes up to 200,000 rows into a zipped CSV file.

The files are read as text columns, batch by batch; their rows never become Python objects.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import pyarrow as pa
from pyarrow import csv
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from connectors.errors import ApiFailed, IncompleteRead
from connectors.session import LINE_BROKEN
from connectors.zoho.api import Api

PATH = "/crm/bulk/v8/read"
MOST_FIELDS = 500
BLOCK_BYTES = 8 << 20
"""More than the longest row, and as much as is in memory at once."""
PAUSES = (0.05, 10.0)
"""Seconds before the first and between the later looks at a job."""
PATIENCE_SECONDS = 3_600


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is done."""

    module: str
    names: Sequence[str]
    id: str
    rows: int
    following: str | None
    """Token of the next page; None after the last."""


def run(api: Api, module: str, names: Sequence[str], page_token: str | None = None) -> Job:
    """Let Zoho CRM write a page of a module into a file.

    Raises:
        Unsupported: it does not do that for the module.
        PlaceLost: the page token has expired.

    """
    query: dict[str, Any] = {"module": {"api_name": module}, "fields": list(names)}
    query["page_token" if page_token else "page"] = page_token or 1
    answer = api.post(module, PATH, {"query": query}) or {}
    try:
        id = str(answer["data"][0]["details"]["id"])
        result = _wait(api, module, id)
        following = result["next_page_token"] if result["more_records"] else None
        if result["more_records"] and not following:
            raise IncompleteRead(f"Zoho announces more {module}, but gives no page token: nothing was lost, rerun")
        return Job(module=module, names=names, id=id, rows=int(result["count"]), following=following)
    except (LookupError, TypeError, ValueError) as error:
        raise ApiFailed(f"Zoho failed on the bulk read of {module}: the answer lacks {error}") from error


def _wait(api: Api, module: str, id: str) -> Any:
    pause, longest = PAUSES
    deadline = monotonic() + PATIENCE_SECONDS
    while monotonic() < deadline:
        sleep(pause)
        pause = min(pause * 2, longest)
        answer = api.get(module, f"{PATH}/{id}") or {}
        job = answer["data"][0]
        if job["state"] == "COMPLETED":
            return job["result"]
        if job["state"] == "FAILURE":
            raise ApiFailed(f"Zoho failed on the bulk read of {module}: {job.get('result')}. Run again.")
    raise ApiFailed(f"Zoho has not finished the bulk read of {module} within an hour. Run again.")


def tables(api: Api, job: Job) -> Iterator[pa.Table]:
    """The rows of a job, as text.

    Raises:
        IncompleteRead: the file is damaged, or holds fewer rows or cells than announced.

    """
    with TemporaryDirectory(prefix="attain-zoho-") as folder:
        file = Path(folder) / "result.zip"
        _download(api, job, file)
        rows = 0
        try:
            for table in _read(file, job.names):
                rows += table.num_rows
                yield table
        except (zipfile.BadZipFile, pa.ArrowInvalid, EOFError) as error:
            raise IncompleteRead(
                f"The bulk file of {job.module} from Zoho is damaged after row {rows:,}: {error}. Run again."
            ) from error
    if rows != job.rows:
        raise IncompleteRead(
            f"Zoho announced {job.rows:,} rows of {job.module}, and its file holds {rows:,}: nothing was lost, rerun"
        )


def _download(api: Api, job: Job, file: Path) -> None:
    try:
        for attempt in Retrying(retry=retry_if_exception_type(LINE_BROKEN), stop=stop_after_attempt(5), reraise=True):
            with attempt:
                api.save(job.module, f"{PATH}/{job.id}/result", file)
    except LINE_BROKEN as error:
        raise ApiFailed(f"Zoho failed on the bulk file of {job.module}: {error}") from error


def _read(file: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    with zipfile.ZipFile(file) as archive:
        (entry,) = archive.namelist()
        with archive.open(entry) as lines:
            try:
                reader = csv.open_csv(
                    lines,
                    read_options=csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
                    parse_options=csv.ParseOptions(newlines_in_values=True),
                    convert_options=csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()),
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=True,
                        include_columns=list(names),
                    ),
                )
            except KeyError as error:
                raise pa.ArrowInvalid(f"it lacks a column: {error}") from error
            for batch in reader:
                yield pa.Table.from_batches([batch])
