"""As much of the Hugging Face Hub as its own client asks for to find, read and commit the files of a model."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
from served import served

COMMIT = "0" * 40
LARGE = (".npz", ".h5")  # the endings of files that are not stored in the repository itself, but beside it

_PLAIN, _LZ4, _LZ4_BY_FOUR = range(3)


@dataclass
class Repository:
    """A model on the hub.

    Args:
        name: whose it is, and what it is called.
        files: its files.
        address: of the hub.
        refused: the statuses that are answered next instead of what is asked for, by the name of the question; None
            lets one pass.
        lost: the names of questions that are done as asked, and whose answer then does not come.
        asked: the names of all questions so far.
        stored: large files that were uploaded, by SHA-256; a commit makes them files.
    """

    name: str
    files: dict[str, bytes]
    address: str = ""
    refused: dict[str, list[int | None]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)


class Hub(BaseHTTPRequestHandler):
    """A hub with one model."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which has the client wait for the body of each answer
    repository: Repository

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        model = self.repository
        api, plain = f"/api/models/{model.name}", f"/{model.name}"
        questions = {
            f"{api}/tree/main": self.tree,
            f"{api}/paths-info/main": self.paths,
            f"{plain}/resolve/main": self.resolve,
            f"{api}/preupload/main": self.preupload,
            f"{plain}.git/info/lfs/objects/batch": self.batch,
            f"{plain}.git/stored": self.upload,
            f"{api}/xet-write-token/main": self.token,
            "/xet/v1/xorbs/default": self.xorb,
            "/xet/v1/shards": self.shard,
            f"{api}/commit/main": self.commit,
            f"{api}/revision/main": self.info,
            api: self.info,
        }
        for start, question in questions.items():
            if path == start or path.startswith(f"{start}/"):
                name = question.__name__
                model.asked.append(name)
                refusals = model.refused.get(name)
                if refusals and (status := refusals.pop(0)):
                    self.answer({"error": f"no {name} today"}, status)
                    return
                found = question(path.removeprefix(start).strip("/"), body)
                if name in model.lost:
                    self.close_connection = True
                elif found is None:
                    self.answer({"error": "no such entry"}, 404, "EntryNotFound")
                else:
                    self.answer(found)
                return
        self.answer({"error": "no such repository"}, 404, "RepoNotFound")

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 (as the standard library calls them)

    def info(self, *_: Any) -> Any:
        return {"id": self.repository.name, "sha": COMMIT, "siblings": []}

    def tree(self, folder: str, _: bytes) -> Any:
        start = f"{folder}/" if folder else ""
        below = [name for name in self.repository.files if name.startswith(start)]
        folders = {parent.as_posix() for name in below for parent in PurePosixPath(name).parents} - {".", folder}
        found = [self.listed(name) for name in below] + [
            {"type": "directory", "path": name, "oid": COMMIT} for name in folders if name.startswith(start)
        ]
        if "recursive=true" not in self.path:
            found = [entry for entry in found if "/" not in entry["path"].removeprefix(start)]
        return found if found or not folder else None

    def paths(self, _: str, body: bytes) -> Any:
        return [self.listed(name) for name in parse_qs(body.decode())["paths"] if name in self.repository.files]

    def listed(self, name: str) -> dict[str, Any]:
        data = self.repository.files[name]
        return {"type": "file", "path": name, "size": len(data), "oid": oid(data)}

    def resolve(self, name: str, _: bytes) -> Any:
        return self.repository.files.get(name)

    def preupload(self, _: str, body: bytes) -> Any:
        """Say of each file that is to come how it is to come."""
        files = [
            {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}
            for path in (entry["path"] for entry in json.loads(body)["files"])
        ]
        return {"files": files}

    def batch(self, _: str, body: bytes) -> Any:
        """Say where large files are uploaded to, where that is done by Git LFS."""
        stored = f"{self.repository.address}/{self.repository.name}.git/stored"
        wanted = json.loads(body)["objects"]
        return {"objects": [{**each, "actions": {"upload": {"href": f"{stored}/{each['oid']}"}}} for each in wanted]}

    def upload(self, oid: str, body: bytes) -> Any:
        assert self.store(body) == oid
        return b""

    def token(self, *_: Any) -> Any:
        """Say where large files are uploaded to, where that is done by Xet."""
        return {"accessToken": "token", "exp": 1 << 40, "casUrl": f"{self.repository.address}/xet"}

    def xorb(self, _: str, body: bytes) -> Any:
        """Take a file in compressed chunks: each has a version, its size, how it is compressed, and its size then."""
        whole = b""
        while body and not body.startswith(b"XETBLOB"):
            size, how, then = int.from_bytes(body[1:4], "little"), body[4], int.from_bytes(body[5:8], "little")
            whole += unpacked(body[8 : 8 + size], how, then)
            body = body[8 + size :]
        self.store(whole)
        return {"was_inserted": True}

    def shard(self, *_: Any) -> Any:
        return {"result": 1}

    def store(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        self.repository.stored[name] = data
        return name

    def commit(self, _: str, body: bytes) -> Any:
        model = self.repository
        for entry in (json.loads(line) for line in body.splitlines()):
            match entry:
                case {"key": "file", "value": {"path": path, "content": content}}:
                    model.files[path] = base64.b64decode(content)
                case {"key": "lfsFile", "value": {"path": path, "oid": oid}}:
                    model.files[path] = model.stored[oid]
        return {"commitUrl": f"{model.address}/{model.name}/commit/{COMMIT}", "commitOid": COMMIT}

    def answer(self, found: Any, status: int = 200, code: str = "") -> None:
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        headers = {"content-length": len(body), "etag": '"1"', "x-repo-commit": COMMIT, "x-error-code": code}
        for header, value in headers.items():
            self.send_header(header, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def oid(data: bytes) -> str:
    """Return what git calls a file of these bytes."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def unpacked(chunk: bytes, how: int, size: int) -> bytes:
    """Return a chunk as it was before it was compressed, perhaps with every fourth byte together."""
    if how == _PLAIN:
        return chunk
    data = bytes(pa.decompress(chunk, size, "lz4", asbytes=True))
    if how == _LZ4:
        return data
    assert how == _LZ4_BY_FOUR
    apart = bytearray(size)
    for first in range(4):
        apart[first::4] = data[: len(range(first, size, 4))]
        data = data[len(range(first, size, 4)) :]
    return bytes(apart)


@contextmanager
def hub(name: str, files: Mapping[str, bytes]) -> Iterator[Repository]:
    """Yield a model on a hub that answers at its address."""
    model = Repository(name, dict(files))
    with served(Hub, repository=model) as model.address:
        yield model
