"""The stages of deals, which Zoho CRM tells in two places: the pipelines, and the choices of the field.

How other things are listed is in `records`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.stream import Record
from connectors.zoho.api import Api

MODULE = "Deals"
FIELD = "Stage"
TOLD = ("display_value", "actual_value", "sequence_number", "forecast_type", "probability")


def stages(api: Api) -> list[Record]:
    """A row for each stage of each pipeline, and for each stage that no pipeline has any more."""
    answer = api.get("stages", "settings/fields", {"module": MODULE, "type": "all"}) or {"fields": []}
    choices = [
        choice
        for field in answer["fields"]
        if field["api_name"] == FIELD
        for choice in field.get("pick_list_values") or ()
    ]
    odds = {choice["id"]: choice for choice in choices}
    found = {row["id"]: row for pipeline in _pipelines(api) for row in _placed(pipeline, odds)}
    placed = {id.rpartition("-")[2] for id in found}
    return [*found.values(), *({"id": id, **_told(odds[id])} for id in odds if id not in placed)]


def _pipelines(api: Api) -> Iterator[Mapping[str, Any]]:
    layouts = api.get("stages", "settings/layouts", {"module": MODULE}) or {"layouts": []}
    for layout in layouts["layouts"]:
        answer = api.get("stages", "settings/pipeline", {"layout_id": layout["id"]}) or {"pipeline": []}
        yield from answer["pipeline"]


def _placed(pipeline: Mapping[str, Any], odds: Mapping[str, Mapping[str, Any]]) -> Iterator[Record]:
    for stage in pipeline["maps"]:
        yield {
            "id": f"{pipeline['id']}-{stage['id']}",
            "pipeline_id": pipeline["id"],
            "pipeline_name": pipeline["display_value"],
            **_told({**odds.get(stage["id"], {}), **stage}),
        }


def _told(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stage.get(name) for name in TOLD}
