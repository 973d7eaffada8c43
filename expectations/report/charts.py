"""The report's charts: Altair specifications drawn as SVG that lies in the page, without a script.

Colours are CSS variables of the page, so one drawing serves light and dark. What the points mean is for `site`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

INK, MUTED, RULE, FAINT = "var(--ink)", "var(--muted)", "var(--rule)", "var(--faint)"
SERIES = tuple(f"var(--series-{number})" for number in range(1, 9))
RECENT_DAYS = 30
"""The part of a trend that is drawn strong."""

_NO_PADDING = {"left": 0, "right": 0, "top": 6, "bottom": 4}

Points = Sequence[tuple[date, float]]


def sparkline(points: Points, *, said: str) -> Markup:
    """Draw a trend in the height of a line of text, its last 30 days strong; `said` is read to who cannot see it."""
    if len(points) < 2:
        return Markup()
    last = points[-1][0]
    recent = last - timedelta(days=RECENT_DAYS)
    rows = [_row(day, score) for day, score in points]
    strong = [row for row in rows if row["day"] >= recent.isoformat()]
    low = min(score for _, score in points)
    y = alt.Y("value:Q", axis=None, scale=alt.Scale(domain=[min(low, 0.99), 1], nice=False))
    x = alt.X("day:T", axis=None, scale=alt.Scale(domain=[rows[0]["day"], rows[-1]["day"]]))
    chart = alt.layer(
        _line(rows, x, y, FAINT, 1.25),
        _line(strong, x, y, INK, 1.5),
        alt.Chart(_data(rows[-1:])).mark_point(color=INK, filled=True, size=14, opacity=1).encode(x=x, y=y),
    ).properties(width=120, height=24)
    return _svg(chart, title=said, css="spark", padding={"left": 2, "right": 4, "top": 4, "bottom": 4})


def trend(series: Mapping[str, Points], *, title: str, said: str, colours: Mapping[str, str]) -> Markup:
    """Draw scores over time, one line for each name, with its name at the line's end."""
    rows = [{**_row(day, value), "name": name} for name, points in series.items() for day, value in points]
    ends = _apart([{**_row(*points[-1]), "name": name} for name, points in series.items() if points])
    if not rows:
        return Markup()
    names = list(series)
    low = min(row["value"] for row in rows)
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(domain=[min(low, 0.95), 1], nice=False),
        axis=alt.Axis(format=".0%" if low < 0.97 else ".1%", tickCount=4, grid=True),
    )
    x = alt.X("day:T", title=None, axis=alt.Axis(format="%-d %b", tickCount=5, grid=False))
    colour = alt.Color("name:N", legend=None, scale=alt.Scale(domain=names, range=[colours[name] for name in names]))
    lines = alt.Chart(_data(rows)).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour)
    labels = (
        alt.Chart(_data(ends))
        .mark_text(align="left", dx=6, fontSize=13)
        .encode(x=x, y=alt.Y("place:Q"), text="name:N", color=colour)
    )
    chart = alt.layer(lines, labels).properties(width=400, height=170)
    return _svg(chart, title=title, said=said, css="chart", padding={**_NO_PADDING, "right": 80})


def stacked_days(
    days: Sequence[date], counts: Mapping[str, Sequence[int]], *, title: str, said: str, colours: Mapping[str, str]
) -> Markup:
    """Draw how many there were of each kind, day by day, one upon the other."""
    rows = [
        {**_row(day, count), "name": name, "order": order}
        for order, (name, values) in enumerate(counts.items())
        for day, count in zip(days, values, strict=True)
    ]
    if not any(row["value"] for row in rows):
        return Markup()
    names = list(counts)
    chart = (
        alt.Chart(_data(rows))
        .mark_area(interpolate="step-after", opacity=0.85)
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%-d %b", tickCount=5, grid=False)),
            y=alt.Y("value:Q", title=None, stack="zero", axis=alt.Axis(tickCount=4, format=",d", tickMinStep=1)),
            color=alt.Color(
                "name:N", legend=None, scale=alt.Scale(domain=names, range=[colours[name] for name in names])
            ),
            order="order:Q",
        )
        .properties(width=480, height=170)
    )
    return _svg(chart, title=title, said=said, css="chart", padding=_NO_PADDING)


def _row(day: date, value: float) -> dict[str, Any]:
    return {"day": day.isoformat(), "value": value}


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _line(rows: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, colour: str, width: float) -> alt.Chart:
    line: alt.Chart = alt.Chart(_data(rows)).mark_line(color=colour, strokeWidth=width).encode(x=x, y=y)
    return line


def _apart(ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move the names at the lines' ends so far apart that none covers another, in the order of the lines."""
    if not ends:
        return ends
    lowest = min(0.95, *(end["value"] for end in ends))
    gap = (1 - lowest) * 0.09
    ceiling = 1.0
    for end in sorted(ends, key=lambda end: -end["value"]):
        end["place"] = min(end["value"], ceiling)
        ceiling = end["place"] - gap
    return ends


def _svg(
    chart: alt.LayerChart | alt.FacetChart | alt.Chart,
    *,
    title: str,
    css: str,
    padding: Mapping[str, int],
    said: str = "",
) -> Markup:
    styled = (
        chart.properties(background="transparent", padding=dict(padding))
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED,
            labelFontSize=13,
            domainColor=RULE,
            tickColor=RULE,
            gridColor=RULE,
            labelFont="system-ui, sans-serif",
        )
        .configure_text(font="system-ui, sans-serif")
    )
    drawn = vl_convert.vegalite_to_svg(styled.to_json(validate=False))
    return _accessible(drawn, title, said, css)


def _accessible(drawn: str, title: str, said: str, css: str) -> Markup:
    """Give the drawing a title and a description, the size of its place, and no parts that are read out one by one."""
    view_box = re.search(r'viewBox="[^"]+"', drawn)
    body = re.sub(r'\s(?:aria-[a-z]+|role)="[^"]*"', "", drawn[drawn.index(">") + 1 :])
    described = f"<title>{escape(title)}</title>" + (f"<desc>{escape(said)}</desc>" if said else "")
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{css}" role="img" {view_box.group() if view_box else ""}>'
        f"{described}{body}"
    )
