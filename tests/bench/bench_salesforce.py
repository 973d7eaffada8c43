"""A million Salesforce opportunities by Bulk, against the download of the same bytes and DuckDB's copy of them.

Then what a night costs on which half a percent of them changed. A process has read the users before its clock starts,
for the opportunities are never a night's first stream: what the first use of a library takes, others have paid.

Run it with `make bench`; it measures and prints, and asserts nothing but that every row has landed.
`python tests/bench/bench_salesforce.py 100000` measures fewer.
"""

import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import duckdb
import requests
from deals import OPENED_AT, many_deals
from measure import measured, serving
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.landing import StreamLanding
from connectors.stream import Stream
from connectors.sync import pull
from orchestration.settings import STREAMS, read_settings

DEALS = 1_000_000
CHANGED = 0.005
FIELDS = 30
USERS = next(stream for stream in STREAMS["salesforce"] if stream.object == "User")
OPPORTUNITIES = next(stream for stream in STREAMS["salesforce"] if stream.object == "Opportunity")


def sync(environment: Mapping[str, str], home: str, run_id: str, stream: Stream = OPPORTUNITIES) -> int:
    """Pull the opportunities, or another stream; the number of record versions that came."""
    source = read_settings({**environment, "ATTAIN_HOME": home}).connect("salesforce")
    return pull(source, stream, home=Path(home), run_id=run_id).rows


def finished_job(environment: Mapping[str, str], columns: list[str]) -> tuple[str, dict[str, str]]:
    """The URL of a Bulk query's results, and how to ask for them."""
    url = environment["SALESFORCE_URL"]
    form = {
        "grant_type": "client_credentials",
        "client_id": environment["SALESFORCE_CLIENT_ID"],
        "client_secret": environment["SALESFORCE_CLIENT_SECRET"],
    }
    token = requests.post(f"{url}/services/oauth2/token", data=form, timeout=60).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    jobs = f"{url}/services/data/v59.0/jobs/query"
    query = {"operation": "queryAll", "query": f"SELECT {', '.join(columns)} FROM Opportunity"}
    job = requests.post(jobs, json=query, headers=headers, timeout=600).json()
    while requests.get(f"{jobs}/{job['id']}", headers=headers, timeout=60).json()["state"] != "JobComplete":
        sleep(0.1)
    return f"{jobs}/{job['id']}/results", headers


def download(url: str, headers: Mapping[str, str], folder: str) -> int:
    """The floor's first half: the pages as files; their bytes."""
    session, locator, size = requests.Session(), "", 0
    session.headers.update(headers)
    while locator != "null":
        parameters = {"maxRecords": "50000", **({"locator": locator} if locator else {})}
        with session.get(url, params=parameters, stream=True, timeout=600) as page:
            page.raise_for_status()
            path = Path(folder) / f"{size:012d}.csv"
            with path.open("wb") as file:
                for piece in page.iter_content(1 << 20):
                    file.write(piece)
            locator, size = page.headers.get("Sforce-Locator", "null"), size + path.stat().st_size
    return size


def copy(folder: str) -> int:
    """The floor's second half; its rows."""
    with duckdb.connect() as db:
        db.execute("set enable_progress_bar = false")
        pages = f"from read_csv('{folder}/*.csv', all_varchar = true, header = true, quote = '\"', escape = '\"')"
        db.execute(f"copy ({pages}) to '{folder}/all.parquet' (format parquet)")
        (rows,) = db.execute(f"select count(*) from '{folder}/all.parquet'").fetchone() or (0,)
    return int(rows)


def thirty_fields(environment: Mapping[str, str]) -> tuple[list[str], Mapping[str, str]]:
    """The fields to read, and the environment that leaves the others out."""
    source = read_settings(environment).connect("salesforce")
    names = [field.name for field in source.fields(OPPORTUNITIES)]
    wanted = [*OPPORTUNITIES.fields, *(name for name in names if name not in OPPORTUNITIES.fields)][:FIELDS]
    others = " ".join(f"salesforce.Opportunity.{name}" for name in names if name not in wanted)
    return wanted, {**environment, "ATTAIN_EXCLUDE_FIELDS": others}


def bench(deals: int, folder: Path) -> Table:
    """Sync, floor and the next night, side by side."""
    changed = int(deals * CHANGED)
    table = Table("", "seconds", "rows/s", "peak MiB", "", box=box.SIMPLE_HEAD)

    def show(name: str, rows: int, what: Any, note: str = "") -> None:
        table.add_row(name, f"{what.seconds:.1f}", f"{rows / what.seconds:,.0f}", f"{what.mebibytes:,}", note)

    with serving(many_deals, "salesforce", deals, changed, crm="salesforce", at=OPENED_AT) as served:
        columns, environment = thirty_fields(served)
        measured(sync, environment, str(folder / "ahead"), "ahead")  # has the sandbox render its results ahead
        first, second = ((environment, str(folder), run_id) for run_id in ("first", "second"))
        whole = measured(sync, *first, ahead=partial(sync, *first, USERS))
        landing = StreamLanding(folder, "salesforce", OPPORTUNITIES)
        live = landing.live_rows()
        assert live >= deals, live

        pages = folder / "pages"
        pages.mkdir()
        download_ = measured(download, *finished_job(environment, columns), str(pages))
        copy_ = measured(copy, str(pages))
        assert copy_.result == live, (copy_.result, live)

        to = {"to": "2026-08-15T18:00:00+00:00"}
        with closing(requests.post(f"{served['URL']}/sandbox/advance", json=to, timeout=600)) as advanced:
            assert advanced.json()["salesforce"] == {"saved": changed}
        night = measured(sync, *second, ahead=partial(sync, *second, USERS))
        assert night.result >= changed, night.result

    floor = download_.seconds + copy_.seconds
    megabytes = download_.result / 1e6
    show(f"sync, {live:,} × {len(columns)} fields", live, whole, f"{whole.seconds / floor:.2f} × the floor")
    show("floor: download", live, download_, f"{megabytes:,.0f} MB")
    show("floor: DuckDB copy", live, copy_)
    table.add_row("floor", f"{floor:.1f}", f"{live / floor:,.0f}", "", "")
    note = f"{night.seconds / whole.seconds:.1%} of the whole sync"
    show(f"sync, {changed:,} changed", night.result, night, note)
    return table


def main() -> None:
    """Print the table."""
    deals = int(sys.argv[1]) if len(sys.argv) > 1 else DEALS
    with TemporaryDirectory() as folder:
        Console().print(bench(deals, Path(folder)))


if __name__ == "__main__":
    main()
