"""A server of a test's own, in a thread of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], **shared: Any) -> Iterator[str]:
    """Yield the address at which a handler answers; all requests have what is shared."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Shared", (handler,), shared)) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
