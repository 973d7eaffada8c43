"""`$batch`: requests in a multipart body, which may have longer URLs than those that come alone.

Only what reads: change sets are not offered.
"""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from connectors.sandbox.dynamics.answers import Refused

MOST_URL = 65_536
MOST_REQUESTS = 1_000

Serve = Callable[[Request], Awaitable[Response]]


async def serve_batch(request: Request, serve: Serve) -> Response:
    """Answer each request of a batch, in order."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    if not boundary or not request.headers["content-type"].startswith("multipart/mixed"):
        raise Refused(400, "0x80048d19", "Missing or invalid Content-Type of the batch.")
    parts = (await request.body()).decode().split(f"--{boundary[1]}")[1:-1]
    if len(parts) > MOST_REQUESTS:
        raise Refused(400, "0x80048d19", f"A batch contains more than {MOST_REQUESTS} requests.")
    name = "batchresponse_1"
    answers = [_part(await serve(_request(request, part))) for part in parts]
    body = b"".join(b"--%s\r\n%s\r\n" % (name.encode(), answer) for answer in answers) + b"--%s--\r\n" % name.encode()
    return Response(body, media_type=f"multipart/mixed; boundary={name}")


def _request(outer: Request, part: str) -> Request:
    head, _, inner = part.strip("\r\n").replace("\r\n", "\n").partition("\n\n")
    if "application/http" not in head.lower():
        raise Refused(400, "0x80048d19", "A part of the batch is no HTTP request.")
    lines = inner.split("\n")
    line = re.fullmatch(r"GET (\S+) HTTP/1\.1", lines[0])
    if not line:
        raise Refused(400, "0x80048d19", f"The request line of a part is malformed: {lines[0][:100]}")
    if len(line[1]) > MOST_URL:
        raise Refused(400, "0x80048d19", "The URL of a part is too long.")
    given = dict(header.split(": ", 1) for header in lines[1:] if header)
    url = urlsplit(line[1])
    headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    headers += [(name, value) for name, value in outer.scope["headers"] if name in (b"host", b"authorization")]
    scope = {**outer.scope, "method": "GET", "path": url.path, "raw_path": url.path.encode(), "headers": headers}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    return Request({**scope, "query_string": url.query.encode(), "path_params": {}}, receive)


def _part(answer: Response) -> bytes:
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"HTTP/1.1 {answer.status_code} {'OK' if answer.status_code == 200 else 'Error'}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        "",
    ]
    return "\r\n".join(lines).encode() + b"\r\n" + bytes(answer.body)
