"""As much of the Hugging Face Hub as its own client asks for to find the files of a model and to read them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """A hub with one model."""

    protocol_version = "HTTP/1.1"
    repository: str
    files: Mapping[str, bytes]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = path.removeprefix(f"/{self.repository}/resolve/").partition("/")[2]
        if path.startswith(f"/api/models/{self.repository}/tree/"):
            self.answer([self.listed(name) for name in self.files])
        elif path in (f"/api/models/{self.repository}", f"/api/models/{self.repository}/revision/main"):
            self.answer({"id": self.repository, "sha": COMMIT, "siblings": []})
        else:
            self.answer(self.files.get(name))

    do_HEAD = do_GET  # noqa: N815 (as the standard library calls them)

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        is_known = self.path.startswith(f"/api/models/{self.repository}/paths-info/")
        self.answer([self.listed(name) for name in asked["paths"] if name in self.files] if is_known else None)

    def listed(self, name: str) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(self.files[name]), "oid": COMMIT}

    def answer(self, found: Any) -> None:
        body = (
            found if isinstance(found, bytes) else json.dumps(list(found) if isinstance(found, map) else found).encode()
        )
        self.send_response(404 if found is None else 200)
        for header, value in {"content-length": len(body), "etag": '"1"', "x-repo-commit": COMMIT}.items():
            self.send_header(header, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hub(repository: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the address of a hub that has the files of one model."""
    handler = type("OneModel", (Hub,), {"repository": repository, "files": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
