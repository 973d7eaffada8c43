"""The quality score of each CRM and day, worked out from the gates' results as the mart `quality_score` does.

For alerts and the audit pack, which must also work on a night whose marts were not built; no other score is known here.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from expectations.scratch import text

MARTS = "warehouse"
"""The gate on the marts: in results it has a CRM's place, and no score."""

_RESULTS = """
    create view results as
    select * from read_parquet({files}, union_by_name = true, hive_partitioning = false)
    where crm <> '{marts}' and as_of between $since and $until
    qualify run_id = last_value(run_id) over (
        partition by crm, stream, as_of order by checked_at
        rows between unbounded preceding and unbounded following
    )
"""
"""What the last run of each day found."""

_SCORES = """
    with measured as (
        select crm, dimension, as_of, sum(failed) / sum(evaluated) as failing
        from results
        where status in ('passed', 'failed', 'waived') and evaluated > 0
        group by all
    ),

    weights as (
        select *
        from read_csv($weights, types = {'weight': 'decimal(9, 6)', 'valid_from': 'date', 'valid_to': 'date'})
    )

    select measured.crm, measured.as_of, sum(weight * (1 - failing)) / sum(weight)
    from measured
    join weights
        on weights.dimension = measured.dimension
        and measured.as_of between weights.valid_from and coalesce(weights.valid_to, date '9999-12-31')
    group by all
    order by all
"""


@dataclass(frozen=True)
class Score:
    """How good a CRM's records were on a day, from 0 to 1."""

    crm: str
    day: date
    value: float


def has_results(home: Path) -> bool:
    """Whether any gate has left a result."""
    return any((home / "quality" / "results").glob("*/[!.]*.parquet"))


def open_results(db: duckdb.DuckDBPyConnection, home: Path, since: date, until: date) -> None:
    """Create the view `results`: what the last run of each of these days found on the CRMs' streams."""
    files = text(str(home / "quality" / "results" / "*" / "*.parquet"))
    days = {"$since": since, "$until": until}
    query = _RESULTS.format(files=files, marts=MARTS)
    for name, day in days.items():
        query = query.replace(name, f"date {text(day.isoformat())}")  # a view takes no parameters
    db.execute(query)


def scores(home: Path, weights: Path, *, since: date, until: date) -> list[Score]:
    """Give the scores of the days that have one, by CRM and day; `weights` is the seed `quality_weights`."""
    if not has_results(home):
        return []
    with duckdb.connect() as db:
        open_results(db, home, since, until)
        rows = db.execute(_SCORES, {"weights": str(weights)}).fetchall()
    return [Score(*row) for row in rows]
