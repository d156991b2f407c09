"""PyTorch's files from before 1.6: five pickles one behind the other, then the storages.

    pickle   the magic number
    pickle   the protocol version, 1001
    pickle   what the writing machine was like
    pickle   the object
    pickle   the keys of the storages, in the order in which they follow
    storage  for each key the count of its numbers (8 bytes, little-endian), then the numbers

*Source:* torch 2.13, torch/serialization.py, `_legacy_save` and `_legacy_load`.
"""

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lstm_convert.containers import Contents
from lstm_convert.containers.pickled_values import shown
from lstm_convert.containers.pickles import load
from lstm_convert.containers.raw import dtype_named
from lstm_convert.containers.torch_objects import CALLS, Storages
from lstm_convert.containers.torch_walk import Region, contents_of
from lstm_convert.errors import InvalidFile, UnknownFormat
from lstm_convert.mapped import FileMap, mapped

MAGIC = 0x1950A86A20F9469CFC6C
PICKLED_MAGIC = b"\x8a\x0a" + MAGIC.to_bytes(10, "little")
VERSION = 1001
COUNT = struct.Struct("<q")

TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
TAR_MEMBERS = frozenset({b"sys_info", b"pickle", b"storages", b"tensors"})


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 (the interface of every container)
    """Tell whether a file begins as torch files did before 1.6, or as the tar files before those."""
    return _is_tar(head) or (head.startswith(b"\x80") and PICKLED_MAGIC in head[:32])


def _is_tar(head: bytes) -> bool:
    return head[TAR_MAGIC_AT:].startswith(TAR_MAGIC) and head[:100].rstrip(b"\0") in TAR_MEMBERS


@contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Open a torch file from before 1.6 without executing anything in it.

    Yields:
        The tensors by name; `attributes[""]` says "legacy" and which unknown classes the file names.

    Raises:
        InvalidFile: the file is damaged, or its pickle asks for what no checkpoint needs.
        UnknownFormat: the file is one of the tar files of torch 0.1.
    """
    with path.open("rb") as file:
        head = file.read(512)
        if not head:
            raise InvalidFile("the file is empty", next_step="Copy or download it again.")
        if _is_tar(head):
            raise UnknownFormat(
                "this is a tar file as torch 0.1.1 and older wrote them, which is not read",
                next_step="If you trust it, open it with torch.load(path, weights_only=False) and torch.save it again.",
            )
    with mapped(path) as content:
        yield _contents(content)


def _contents(content: FileMap) -> Contents:
    end = 0
    for number, (what, expected) in enumerate([("magic number", MAGIC), ("version", VERSION)], start=1):
        found = load(content, f"pickle {number} of 5", {}, start=end)
        end = found.end
        if found.value != expected:
            raise InvalidFile(f"the {what} should be {expected}, is {shown(found.value)}")
    system = load(content, "pickle 3 of 5", {}, start=end)
    storages = Storages()
    loaded = load(content, "pickle 4 of 5", CALLS, storages.resolve, start=system.end)
    keys = load(content, "pickle 5 of 5", {}, start=loaded.end)
    tensors = contents_of(loaded, "legacy", _regions(content, keys.value, keys.end, storages).get)
    return replace(tensors, sha256=content.sha256)


def _regions(content: FileMap, keys: Any, start: int, storages: Storages) -> dict[str, Region]:
    """Return where the bytes of each storage are, which lie from some place on, after following them to the last."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InvalidFile("the list of storages is no list of keys")
    regions: dict[str, Region] = {}
    for key in keys:
        storage = storages.roots.get(key)
        if storage is None or key in regions:
            raise InvalidFile(f"storage {key:.50} is listed, but no tensor has it, or it is listed twice")
        count = COUNT.unpack_from(content, start)[0] if start + COUNT.size <= len(content) else None
        start += COUNT.size
        size = storage.count * dtype_named(storage.dtype).itemsize
        if count != storage.count or start + size > len(content):
            raise InvalidFile(
                f"storage {key} should have {storage.count} numbers in {size} bytes; "
                f"it states {'no' if count is None else count}, and {max(len(content) - start, 0)} bytes follow",
                next_step="Copy or download the file again.",
            )
        regions[key] = _region(content, start, size)
        start += size
    return regions


def _region(content: FileMap, start: int, size: int) -> Region:
    return Region(size, lambda: memoryview(content)[start : start + size], sys.byteorder != "little")
