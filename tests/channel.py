"""A chat channel's incoming webhook, for tests: it takes messages over HTTP, or says that it does not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread


class Channel:
    """What has been posted, and what the webhook answers."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.status = 200
        channel = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                channel.messages.append(json.loads(body)["text"])
                self.send_response(channel.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def open_channel() -> Iterator[Channel]:
    """Serve a channel."""
    channel = Channel()
    thread = Thread(target=channel.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield channel
    finally:
        channel.server.shutdown()
        thread.join()
        channel.server.server_close()
