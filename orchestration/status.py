"""What `attain status` tells: what is fresh, what is blocked, what is quarantined, what is published.

Read from the manifests, the gates' results and the quarantine; nothing is contacted or changed.
"""

import json
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connectors.landing import Manifest, StreamLanding
from expectations.quarantine import open_quarantine
from expectations.results import latest_results
from expectations.rule import GateResult
from orchestration.checks import describe
from orchestration.settings import Settings


def status_report(settings: Settings) -> RenderableType:
    """Render the state of everything under the data folder."""
    home = settings.home
    results = {(result.crm, result.stream): result for result in latest_results(home)}
    return Group(_streams(settings, results), _quarantine(home), _published(home))


def is_blocked(home: Path) -> bool:
    """Whether the last look at any stream or mart found something critical."""
    return any(result.blocks for result in latest_results(home))


def _streams(settings: Settings, results: dict[tuple[str, str], GateResult]) -> Table:
    table = Table("CRM", "stream", "last pulled (UTC)", "records", "gate", title="Streams", title_justify="left")
    for crm, streams in settings.streams.items():
        for stream in streams:
            if manifest := StreamLanding(settings.home, crm, stream).last_manifest():
                result = results.get((crm, stream.name))
                table.add_row(crm, stream.name, manifest.committed_at[:16], *_verdict(manifest, result))
    if marts := results.get(("warehouse", "marts")):
        table.add_row("", "marts", f"{marts.checked_at:%Y-%m-%dT%H:%M}", *_judged(marts))
    return table


def _verdict(manifest: Manifest, result: GateResult | None) -> tuple[str, Text]:
    if manifest.unavailable:
        return "", Text(f"not available: {manifest.unavailable}", style="yellow")
    return _judged(result) if result else ("", Text("not checked yet"))


def _judged(result: GateResult) -> tuple[str, Text]:
    colour = "red" if result.blocks else "yellow" if result.quarantined else "green"
    return f"{result.records:,}", Text(describe(result), style=colour)


def _quarantine(home: Path) -> RenderableType:
    held = open_quarantine(home)
    if not held:
        return "Nothing is quarantined."
    table = Table("CRM", "stream", "record", "rule", "what is wrong", "since (UTC)", title=f"Quarantined: {len(held)}")
    table.title_justify = "left"
    for record in held:
        cells = (record.crm, record.stream, record.key, record.rule, record.reason, record.first_seen_at[:16])
        table.add_row(*map(Text, cells))  # as text: a key or reason may look like markup
    return table


def _published(home: Path) -> str:
    manifest = home / "published" / "current" / "manifest.json"
    if not manifest.exists():
        return "Nothing is published yet."
    release = json.loads(manifest.read_text())
    return (
        f"Published: run {release['run_id']} as of {release['as_of']}, at {release['published_at']} UTC, "
        f"{len(release['marts'])} marts in {manifest.parent}"
    )
