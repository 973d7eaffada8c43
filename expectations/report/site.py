"""Writes the report's pages: the facts, put into words, charts and templates.

Nothing is read here but the templates; the numbers are `facts`' and the drawings `charts`'.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from expectations.privacy import mask, mask_text
from expectations.report import charts
from expectations.report.charts import Points
from expectations.report.data_docs import Page
from expectations.report.facts import MARTS, TREND_DAYS, Check, Facts, Incident, LetPass, Reconciled, Sample, Stream

QUEUE_SHOWN = 50
"""Incidents on the first page; the queue's own page has all."""
ALL = "(all)"
DIMENSIONS = ("completeness", "validity", "uniqueness", "consistency", "timeliness", "integrity")
QUEUES = {"checks": "Checks that block", "records": "Records held back", "duplicates": "Possible duplicates"}
QUEUE_COLOURS = {"checks": "var(--bad)", "records": charts.SERIES[0], "duplicates": charts.SERIES[3]}
TITLES = {"hubspot": "HubSpot", MARTS: "Marts"}
FAILING = ("failed", "could_not_check", "waived")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """For whom the pages are written."""

    timezone: str
    currency: str
    private_fields: tuple[str, ...] = ()
    """Patterns of `crm.stream.field` to mask beyond those that are known to tell of a person."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the numbers may be trusted, in one sentence and the reasons for it."""

    tone: str
    """good, care or bad."""
    headline: str
    explanation: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trend:
    """A score over time, 0 to 1."""

    points: Points
    coverage: float | None
    spark: Markup

    @property
    def now(self) -> float:
        """The last score."""
        return self.points[-1][1]

    def change(self, days: int) -> float | None:
        """How far the score has moved since so many days before the last; None without one as old."""
        then = [score for day, score in self.points if day <= self.points[-1][0] - timedelta(days=days)]
        return self.now - then[-1] if then else None


@dataclass(frozen=True, kw_only=True)
class Card:
    """The scores of one CRM."""

    crm: str
    title: str
    href: str
    overall: Trend
    rows: Sequence[tuple[str, Trend]]


@dataclass(frozen=True, kw_only=True)
class ShownSample:
    """A record that broke a rule, with the values that the rule looks at."""

    key: str
    values: Sequence[str | None]
    incident_id: str | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A rule that failed, with some of the records that broke it."""

    check: Check
    fields: Sequence[str]
    samples: Sequence[ShownSample]
    let_pass: LetPass | None


def write_pages(facts: Facts, folder: Path, reader: Reader, *, now: datetime, docs: Sequence[Page] = ()) -> Path:
    """Write all pages into a folder and give the first one, which links to the Data Docs."""
    render = partial(_render, _environment(reader), folder, facts=facts)
    scores = _trends(facts)
    cards = [_card(crm, rows) for crm, rows in scores.items()]
    findings = _findings(facts, reader)
    crms = sorted({stream.crm for stream in facts.streams}, key=lambda crm: (crm == MARTS, crm))
    links = [
        {"href": "index.html", "name": "Tonight"},
        {"href": "queue.html", "name": "Queue"},
        *({"href": f"{crm}.html", "name": title(crm)} for crm in crms),
    ]
    shared: dict[str, Any] = {"links": links, "now": now, "timezone": reader.timezone, "currency": reader.currency}
    streams = {crm: [stream for stream in facts.streams if stream.crm == crm] for crm in crms}
    render(
        "queue.html",
        **shared,
        queues=[(heading, found) for queue, heading in QUEUES.items() if (found := _queued(facts, queue))],
        pace=_pace(facts),
    )
    for crm in crms:
        render(
            f"{crm}.html",
            "crm.html.j2",
            **shared,
            crm=crm,
            card=next((card for card in cards if card.crm == crm), None),
            findings=[finding for finding in findings if finding.check.crm == crm],
            streams=streams[crm],
            rules=_by_stream(check for check in facts.checks if check.crm == crm),
        )
    return render(
        "index.html",
        **shared,
        verdict=verdict(facts, reader),
        figures=_figures(facts, scores, reader),
        cards=cards,
        findings=findings,
        shown=QUEUE_SHOWN,
        commands=commands(facts.incidents[0].incident_id) if facts.incidents else [],
        streams=[(crm, rows) for crm, rows in streams.items() if crm != MARTS],
        trend_chart=_trend_chart(scores),
        queue_chart=_queue_chart(facts),
        queue_legend=[(QUEUES[queue].lower(), colour) for queue, colour in QUEUE_COLOURS.items()],
        reconciled_first=[row for row in facts.reconciled if _is_told_first(row)],
        reconciled_rest=[row for row in facts.reconciled if not _is_told_first(row)],
        docs=docs,
    )


def verdict(facts: Facts, reader: Reader) -> Verdict:
    """Say whether the numbers that people read this morning may be trusted, and why."""
    blocking = tuple(_cause(check) for check in facts.checks if check.blocks and check.run_id == facts.night.run_id)
    causes = tuple(dict.fromkeys((*blocking, *(() if blocking else facts.night.errors))))
    if not facts.is_published:
        stand = (
            f"What people read stays as it was: the numbers as of {_day(date.fromisoformat(facts.release.as_of))}."
            if facts.release
            else "Nothing has been published yet, so there are no numbers to read."
        )
        return Verdict(tone="bad", headline="Nothing new was published tonight.", explanation=stand, causes=causes)
    held = facts.at_risk.records
    published = f"Published as of {_day(facts.night.as_of)}."
    if not held:
        return Verdict(
            tone="good",
            headline="Tonight’s numbers may be trusted.",
            explanation=f"{published} No record is held back.",
        )
    return Verdict(
        tone="care",
        headline=f"Tonight’s numbers may be trusted, but for {_plural(held, 'record')} held back.",
        explanation=f"{published} {_worth(facts, reader)} Each of them counts as it was when last good, "
        "or not at all if it never was.",
    )


def title(crm: str) -> str:
    """Name a CRM as people write it."""
    return TITLES.get(crm, crm.title())


def _worth(facts: Facts, reader: Reader) -> str:
    sums = {
        "of won deals": facts.at_risk.amount,
        "of open pipeline": facts.at_risk.pipeline,
        "of payout": facts.at_risk.payout,
    }
    parts = [f"{_money(amount)} {reader.currency} {name}" for name, amount in sums.items() if amount]
    return f"The records held back touch up to {_and(parts)}." if parts else "The records held back touch no money."


def _cause(check: Check) -> str:
    words = f"{title(check.crm)} {check.stream}: {check.reason}"
    if check.status == "could_not_check":
        words = f"{title(check.crm)} {check.stream}: could not check whether {check.reason}"
    return f"{words} ({check.detail})" if check.detail else words


def _figures(facts: Facts, scores: Mapping[str, Mapping[str, Trend]], reader: Reader) -> list[dict[str, str]]:
    figures = []
    if scores:
        lowest = min(scores, key=lambda crm: scores[crm][ALL].now)
        figures.append({"name": "lowest score", "value": _percent(scores[lowest][ALL].now), "note": title(lowest)})
    if facts.streams:
        crm_streams = [stream for stream in facts.streams if stream.crm != MARTS]
        checks = sum(stream.checks for stream in facts.streams)
        records = sum(stream.records for stream in crm_streams)
        figures.append(
            {
                "name": "records looked at",
                "value": f"{records:,}",
                "note": f"{checks:,} rules on {len(crm_streams)} streams",
            }
        )
        held = sum(stream.quarantined for stream in crm_streams)
        figures.append({"name": "held back", "value": f"{held:,}", "note": _share(held, records)})
    if facts.incidents or facts.pace:
        late = sum(incident.is_overdue for incident in facts.incidents)
        figures.append(
            {
                "name": "open incidents",
                "value": f"{len(facts.incidents):,}",
                "note": f"{late:,} overdue" if late else "none overdue",
            }
        )
        risk = facts.at_risk
        figures.append(
            {
                "name": f"money at risk, {reader.currency}",
                "value": _money(risk.amount + risk.pipeline),
                "note": f"{_money(risk.payout)} of payout",
            }
        )
    return figures


def _share(part: int, whole: int) -> str:
    if not part or not whole:
        return "every record flows"
    share = part / whole
    return f"{share:.2%} of them" if share >= 0.0001 else "less than 0.01% of them"


def _pace(facts: Facts) -> str:
    if facts.pace is None:
        return ""
    words = f"In the last 30 days {_plural(facts.pace.opened, 'incident')} opened and {facts.pace.resolved:,} closed"
    times = {"to acknowledge": facts.pace.hours_to_acknowledge, "to resolve": facts.pace.hours_to_resolve}
    means = [f"{hours:.1f} hours {what}" for what, hours in times.items() if hours is not None]
    return f"{words}; on average it took {_and(means)}." if means else f"{words}."


def commands(incident_id: str) -> list[tuple[str, str]]:
    """What a steward may type about an incident, and what comes of it."""
    return [
        (f"attain quality show {incident_id}", "what is wrong, the record, what was done about it"),
        (f"attain quality assign {incident_id} --to NAME", "take it, or give it to somebody"),
        (f"attain quality resolve {incident_id} --reason FalsePositive --comment TEXT", "it is right as it is"),
        (
            f"attain quality waive {incident_id} --days 14 --reason Other --comment TEXT",
            "ask a second person to let it flow",
        ),
        ("attain quality approve W-000001", "be the second person"),
        ("attain quality list --overdue", "what is late"),
    ]


def _queued(facts: Facts, queue: str) -> list[Incident]:
    return [incident for incident in facts.incidents if incident.queue == queue]


def _trends(facts: Facts) -> dict[str, dict[str, Trend]]:
    """The scores by CRM and dimension."""
    points: dict[tuple[str, str], list[tuple[date, float]]] = defaultdict(list)
    coverage: dict[tuple[str, str], float | None] = {}
    for score in facts.scores:
        points[score.crm, score.dimension].append((score.day, score.score))
        coverage[score.crm, score.dimension] = score.coverage
    found: dict[str, dict[str, Trend]] = defaultdict(dict)
    for (crm, dimension), series in sorted(points.items()):
        said = f"{title(crm)} {dimension.strip('()')}: {_percent(series[-1][1])} on {_day(series[-1][0])}"
        found[crm][dimension] = Trend(series, coverage[crm, dimension], charts.sparkline(series, said=said))
    return {crm: rows for crm, rows in found.items() if ALL in rows}


def _card(crm: str, rows: Mapping[str, Trend]) -> Card:
    ordered = [(name, rows[name]) for name in DIMENSIONS if name in rows]
    return Card(
        crm=crm,
        title=title(crm),
        href=f"{crm}.html",
        overall=rows[ALL],
        rows=[*ordered, ("all", rows[ALL])],
    )


def _trend_chart(scores: Mapping[str, Mapping[str, Trend]]) -> Markup:
    series = {title(crm): rows[ALL].points for crm, rows in scores.items()}
    if not any(len(points) > 1 for points in series.values()):
        return Markup()
    colours = dict(zip(series, charts.SERIES * (len(series) // len(charts.SERIES) + 1), strict=False))
    said = "; ".join(f"{name} {_percent(points[-1][1])}" for name, points in series.items())
    return charts.trend(series, title=f"Scores in the last {TREND_DAYS} days", said=said, colours=colours)


def _queue_chart(facts: Facts) -> Markup:
    if len(facts.queue) < 2:
        return Markup()
    counts = {queue: [getattr(day, queue) for day in facts.queue] for queue in QUEUE_COLOURS}
    said = f"{len(facts.incidents)} open now"
    return charts.stacked_days(
        [day.day for day in facts.queue], counts, title="Open incidents by day", said=said, colours=QUEUE_COLOURS
    )


def _findings(facts: Facts, reader: Reader) -> list[Finding]:
    samples: dict[tuple[str, str, str], list[Sample]] = defaultdict(list)
    for sample in facts.samples:
        samples[sample.crm, sample.stream, sample.rule].append(sample)
    let_pass = {(found.crm, found.stream, found.rule): found for found in facts.let_pass}
    incidents = {
        (incident.crm, incident.stream, incident.rule, incident.key): incident.incident_id
        for incident in facts.incidents
    }
    return [
        Finding(
            check=check,
            fields=check.fields,
            samples=[
                _shown(sample, check.fields, incidents, reader)
                for sample in samples[check.crm, check.stream, check.rule]
            ],
            let_pass=let_pass.get((check.crm, check.stream, check.rule)),
        )
        for check in facts.checks
        if check.status in FAILING
    ]


def _shown(
    sample: Sample,
    fields: Sequence[str],
    incidents: Mapping[tuple[str, str, str, str | None], str],
    reader: Reader,
) -> ShownSample:
    record = json.loads(sample.payload)
    values = [
        mask(field, record.get(field), crm=sample.crm, stream=sample.stream, private=reader.private_fields)
        for field in fields
    ]
    return ShownSample(
        key=sample.key,
        values=[None if value is None else str(value) for value in values],
        incident_id=incidents.get((sample.crm, sample.stream, sample.rule, sample.key)),
    )


def _by_stream(checks: Any) -> list[tuple[str, list[Check]]]:
    ordered = sorted(checks, key=lambda check: check.stream)
    return [(stream, list(found)) for stream, found in groupby(ordered, key=lambda check: check.stream)]


def _is_told_first(row: Reconciled) -> bool:
    """Whether a reconciled measure is one that people see in the marts, or does not come out even."""
    return row.mart_value is not None or row.difference != 0


def _environment(reader: Reader) -> Environment:
    environment = Environment(
        loader=PackageLoader("expectations.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "count": lambda number: f"{number:,}",
        "money": _money,
        "measure": _measure,
        "percent": _percent,
        "points": _points,
        "day": _day,
        "moment": partial(_moment, zone=ZoneInfo(reader.timezone)),
        "title": title,
        "sentence": _sentence,
        "masked": mask_text,
        "newest": _newest,
    }
    environment.filters.update(filters)
    return environment


def _render(environment: Environment, folder: Path, page: str, template: str | None = None, **values: Any) -> Path:
    loader: Any = environment.loader
    style = Markup(loader.get_source(environment, "style.css")[0])
    text = environment.get_template(template or f"{page}.j2").render(here=page, style=style, **values)
    path = folder / page
    path.write_text(text, encoding="utf-8")
    return path


def _money(amount: Decimal) -> str:
    """Write an amount without its cents, to be read at a glance; what is not nothing never reads as nothing."""
    return "under 1" if 0 < amount < 1 else f"{amount:,.0f}"


def _measure(value: Decimal, row: Reconciled) -> str:
    """Write a reconciled value in full: amounts to the cent, for a difference of one must show."""
    return f"{value:,.0f}" if row.measure == "records" else f"{value:,.2f}"


def _percent(score: float) -> str:
    """Write a share; only what is whole reads as 100 %."""
    return f"{(Decimal(str(score)) * 100).quantize(Decimal('0.1'), ROUND_FLOOR)}%"


def _points(change: float) -> str:
    return f"{abs(change) * 100:.1f}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _moment(at: datetime, *, zone: ZoneInfo) -> str:
    local = at.replace(tzinfo=at.tzinfo or UTC).astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M}"


def _newest(streams: Sequence[Stream]) -> datetime | None:
    return max((stream.newest_at for stream in streams if stream.newest_at), default=None)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
