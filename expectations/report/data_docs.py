"""Great Expectations' own pages, made self-contained: what each suite expected of a stream, and what it saw.

Rendered by Great Expectations from the validation results that the gates kept; what they mean for the night is told by
`site`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.privacy import mask_text

FOLDER = "data_docs"
_TITLE = "Data documentation compiled by Great Expectations"
_NOT_OURS = re.compile(
    r"<(script|style|nav|footer|noscript)\b.*?</\1>|<(?:link|img)\b[^>]*>|<title></title>|<a href=\"\.\./[^>]*>",
    re.DOTALL,
)
"""What these pages ask other servers for, and links to pages that are not there. Without them all is shown, plainly."""
_STYLE = """
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 74rem; margin: 1rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { border-bottom: 1px solid #8886; padding: .4rem .6rem .4rem 0; text-align: left; vertical-align: top; }
ul { padding-left: 1.2rem; }
.row > .col-lg-2, .modal, .cooltip span, button { display: none; }
i.text-success::before { content: "✓"; color: #1d8a57; }
i.text-danger::before { content: "✗"; color: #d0453b; }
i.text-warning::before { content: "!"; color: #b07a10; }
h5, h6 { font-size: 1.05rem; margin: 1.2rem 0 .3rem; }
</style>
"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of Data Docs."""

    stream: str
    """`crm.stream`"""
    href: str
    """From the report's first page."""
    failed: int
    expected: int


def write_data_docs(home: Path, run_id: str, folder: Path) -> tuple[Page, ...]:
    """Write a page for each stream on which an expectation failed that night, as far as the gates kept their results.

    The others are left out: a page takes as long to write as a gate takes to judge.
    """
    kept = sorted((home / "quality" / "results" / run_id / "gx").glob("[!.]*.json"))
    return tuple(_written(folder, kept)) if kept else ()


def _written(folder: Path, kept: list[Path]) -> Iterator[Page]:
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for path in kept:
        result = json.loads(path.read_text(encoding="utf-8"))
        if not result["success"]:
            href = f"{FOLDER}/{path.stem}.html"
            (folder / href).write_text(_page(path.stem, _masked(result)), encoding="utf-8")
            statistics = result["statistics"]
            yield Page(
                stream=path.stem,
                href=href,
                failed=statistics["unsuccessful_expectations"],
                expected=statistics["evaluated_expectations"],
            )


def _page(stream: str, result: Mapping[str, Any]) -> str:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    document = ValidationResultsPageRenderer(run_info_at_end=True).render(
        ExpectationSuiteValidationResultSchema().load(result)
    )
    view: Any = DefaultJinjaPageView()
    page = _NOT_OURS.sub("", view.render(document))
    titled = page.replace("<html>", '<html lang="en">').replace(_TITLE, stream)
    heading = f'<p><a href="../index.html">Back to the report</a></p><h1>{stream}</h1>'
    return titled.replace("</head>", f"{_STYLE}</head>", 1).replace("<body>", f"<body>{heading}", 1)


def _masked(part: Any) -> Any:
    """Mask the e-mail addresses in all texts of a result."""
    if isinstance(part, str):
        return mask_text(part)
    if isinstance(part, Mapping):
        return {name: _masked(value) for name, value in part.items()}
    return [_masked(value) for value in part] if isinstance(part, list) else part
