"""The quality report: static pages that tell a steward what the night found, opened without a server."""

from pathlib import Path

REPORT = Path("quality") / "report" / "index.html"
"""What a steward opens, under the data folder."""
