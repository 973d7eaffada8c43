"""What every CRM needs on the wire: form bodies, and JSON whose numbers never go through a binary float.

How a number looks is the CRM modules' business: `Number` carries text they have already formed.
"""

from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response


class Number(str):
    """A JSON number, given as the text to write."""

    __slots__ = ()


def dumps(value: Any) -> str:
    """JSON text without white space."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{encode_basestring_ascii(k)}:{dumps(v)}" for k, v in value.items()) + "}"
    return "[" + ",".join(map(dumps, value)) + "]"


class JsonResponse(Response):
    """A response that writes its numbers exactly."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return dumps(content).encode()


async def form(request: Request) -> dict[str, str]:
    """The fields of a URL-encoded form."""
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
