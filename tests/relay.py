"""A server in front of another one that answers some of its requests as a store in trouble does."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from served import served

CUT, LOST = -1, -2


def none(_method: str, _path: str) -> None:
    """Let every request pass."""


@dataclass
class Relay:
    """A relay.

    Args:
        behind: the server that requests are passed on to.
        trouble: what becomes of a request, by its method and path: the status to answer with instead, CUT to hang up,
            LOST to pass it on and hang up then, or None to pass it on and its answer back.
        address: its own.
    """

    behind: str
    trouble: Callable[[str, str], int | None] = none
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    """What answers the requests to a relay."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which has the client wait for the body of each answer
    relay: Relay

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status = self.relay.trouble(self.command, self.path)
        answer = self.passed_on(body) if status in (None, LOST) else (status, {"content-length": "0"}, b"")
        if status in (CUT, LOST):
            self.close_connection = True
        else:
            self.answer(*answer)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 (as the standard library calls them)

    def passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.relay.behind.removeprefix("http://"))
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            whole = answer.read()
        finally:
            connection.close()
        length = {} if self.command == "HEAD" else {"content-length": str(len(whole))}
        return answer.status, {**headers, **length}, whole

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError):  # who asked may want no more of it
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def relay(behind: str) -> Iterator[Relay]:
    """Yield a relay in front of a server."""
    made = Relay(behind)
    with served(Handler, relay=made) as made.address:
        yield made
