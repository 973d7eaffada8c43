"""Reading records of Zoho CRM in lists: by page token, by id, by what they are related to, and what is gone.

Queries are in `coql`, files in `bulk`; what is read when is decided in `source`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.errors import ApiFailed, IncompleteRead
from connectors.stream import Record
from connectors.zoho.api import Api
from connectors.zoho.streams import CONVERTIBLE, Link
from connectors.zoho.values import flat

PAGE_ROWS = 200
MOST_FIELDS = 50
MOST_IDS = 100

Parameters = Mapping[str, str | int]


def pages(
    api: Api, module: str, names: Sequence[str], *, sort_by: str, since: datetime | None = None
) -> Iterator[list[Record]]:
    """All records, or those that changed since an instant, in ascending order.

    Raises:
        PlaceLost: a page token has expired, or has been followed as far as it goes.

    """
    parameters: dict[str, str | int] = {
        "fields": ",".join(names),
        "per_page": PAGE_ROWS,
        "sort_by": sort_by,
        "sort_order": "asc",
        **_converted(module),
    }
    while answer := api.get(module, module, parameters, since=since):
        yield rows_of(module, answer, "data")
        following = about(answer).get("next_page_token")
        if following is None and about(answer).get("more_records"):
            raise IncompleteRead(f"Zoho announces more {module}, but gives no page token: nothing was lost, rerun")
        if following is None:
            return
        if following == parameters.get("page_token"):
            raise ApiFailed(f"Zoho repeats the same page of {module}: stopped, not looping")
        parameters["page_token"] = following


def by_ids(api: Api, module: str, names: Sequence[str], ids: Sequence[str]) -> list[Record]:
    """Some records, those that still exist; only so does Zoho CRM give the rows of subforms."""
    parameters = {"fields": ",".join(names), "ids": ",".join(ids), **_converted(module)}
    answer = api.get(module, module, parameters)
    return rows_of(module, answer, "data") if answer else []


def deleted(api: Api, module: str, since: datetime) -> Iterator[list[str]]:
    """Ids of what was deleted since an instant, and not restored.

    Raises:
        Unsupported: Zoho CRM does not tell, for this module.
        PlaceLost: there are more than it tells.

    """
    listed = _numbered(api, module, f"{module}/deleted", {"type": "all", "per_page": PAGE_ROWS}, "data", since)
    yield from ([row["id"] for row in rows] for rows in listed)


def linked(api: Api, link: Link, parent: str) -> Iterator[list[Record]]:
    """The records of a related list of one record, as links."""
    parameters: Parameters = {"fields": f"id,{link.says}", "per_page": PAGE_ROWS}
    name = f"{link.related} of {link.parent}"
    kind = {link.kind_field: link.related} if link.kind_field else {}
    for rows in _numbered(api, name, f"{link.parent}/{parent}/{link.related}", parameters, "data"):
        yield [
            {
                "id": f"{parent}-{row['id']}",
                link.parent_field: parent,
                link.field: row["id"],
                link.says: row.get(link.says),
                **kind,
            }
            for row in rows
        ]


def listed(api: Api, object: str, path: str, parameters: Parameters) -> Iterator[list[Record]]:
    """What has an API of its own: users, roles and the like."""
    yield from _numbered(api, object, path, parameters, object)


def count(api: Api, module: str) -> int:
    """How many live records there are; converted leads are not counted."""
    answer = api.get(module, f"{module}/actions/count") or {}
    try:
        return int(answer["count"])
    except (KeyError, ValueError, TypeError):
        raise ApiFailed(f"Zoho failed on {module}: it gives no count") from None


def rows_of(name: str, answer: Mapping[str, Any], key: str) -> list[Record]:
    """The records in an answer."""
    rows = answer.get(key)
    if not isinstance(rows, list):
        raise ApiFailed(f"Zoho failed on {name}: the answer has no {key}")
    return [flat(row) for row in rows]


def about(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The paging part of an answer."""
    return answer.get("info") or {}


def _converted(module: str) -> Parameters:
    return {"converted": "both"} if module == CONVERTIBLE else {}


def _numbered(
    api: Api, name: str, path: str, parameters: Parameters, key: str, since: datetime | None = None
) -> Iterator[list[Record]]:
    """Pages by number, for what has no page tokens; some of it knows no page but the first."""
    previous: Iterable[Record] = ()
    page = 1
    while answer := api.get(name, path, {**parameters, "page": page} if page > 1 else parameters, since=since):
        rows = rows_of(name, answer, key)
        if rows and rows == previous:
            raise ApiFailed(f"Zoho repeats the same page of {name}: stopped, not looping")
        yield rows
        if not about(answer).get("more_records"):
            return
        previous, page = rows, page + 1
