"""What the gates found, kept as one JSON file per run and gate.

Written for people and for `attain status`; no gate reads a verdict back.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from expectations.rule import CheckResult, Dimension, GateResult, Severity, Status


def file_of(home: Path, result: GateResult) -> Path:
    """Where a gate's result lies."""
    return home / "quality" / "results" / result.run_id / f"{result.crm}.{result.stream}.json"


def save(home: Path, result: GateResult) -> Path:
    """Keep a result; one of the same run and gate is replaced, in one step."""
    path = file_of(home, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps({**asdict(result), "blocks": result.blocks}, indent=2) + "\n", encoding="utf-8")
    return fresh.replace(path)


def load(path: Path) -> GateResult:
    """Read a result back."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept.pop("blocks")
    checks = tuple(_check(check) for check in kept.pop("checks"))
    return GateResult(**kept, checks=checks)


def _check(kept: dict[str, Any]) -> CheckResult:
    typed = {
        "dimension": Dimension(kept["dimension"]),
        "severity": Severity(kept["severity"]),
        "status": Status(kept["status"]),
        "sample_keys": tuple(kept["sample_keys"]),
    }
    return CheckResult(**{**kept, **typed})


def latest_results(home: Path) -> tuple[GateResult, ...]:
    """Give the newest result of every gate, by name of the gate."""
    newest: dict[str, tuple[int, Path]] = {}
    for path in (home / "quality" / "results").glob("*/[!.]*.json"):
        written = path.stat().st_mtime_ns
        if written > newest.get(path.name, (0, path))[0]:
            newest[path.name] = (written, path)
    return tuple(load(path) for _, (_, path) in sorted(newest.items()))
