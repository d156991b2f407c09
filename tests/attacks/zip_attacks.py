"""Zip archives that unfold without end, contradict themselves or name places outside: as .pt, .keras and .npz."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from attacks import Attack
from attacks.pickle_attacks import called

_LOCAL, _ENTRY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_EMPTY = b"\x80\x02}."


def _npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


# What makes an archive be taken for one of each kind, and how its file is called.
KINDS: dict[str, tuple[str, dict[str, bytes]]] = {
    "torch": ("a.pt", {"a/data.pkl": _EMPTY, "a/data/0": bytes(24)}),
    "keras": ("a.keras", {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": bytes(24)}),
    "npz": ("a.npz", {"x.npy": _npy(np.ones(3)), "y.npy": _npy(np.ones(2))}),
}


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def _bomb(members: dict[str, bytes]) -> bytes:
    """One member of 200 MB of zeros, in 200 kB."""
    *others, last = members
    return _archive({name: members[name] for name in others} | {last: bytes(200_000_000)}, zipfile.ZIP_DEFLATED)


def _many_small_bombs(members: dict[str, bytes]) -> bytes:
    """A hundred members of 60 MB each, none of them beyond what one may have; the same bytes each time."""
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(60_000_000)
    packed = deflated.compress(zeros) + deflated.flush()
    content, entries = b"", b""
    for name in [*members, *(f"x/{number}.npy" for number in range(100))]:
        header = struct.pack("<4H3I2H", 0, 8, 0, 33, zlib.crc32(zeros), len(packed), len(zeros), len(name), 0)
        entries += (
            _ENTRY
            + struct.pack("<2H", 20, 20)
            + header
            + struct.pack("<3H2I", 0, 0, 0, 0, len(content))
            + name.encode()
        )
        content += _LOCAL + struct.pack("<H", 20) + header + name.encode() + packed
    return _with_directory(content, entries, len(members) + 100)


def _with_directory(content: bytes, entries: bytes, count: int) -> bytes:
    return content + entries + _END + struct.pack("<4H2IH", 0, 0, count, count, len(entries), len(content), 0)


def _overlapping(members: dict[str, bytes]) -> bytes:
    """The last member lies inside another one, so that the same bytes are unfolded twice."""
    *_, last = members
    inner = _archive({last: members[last]})
    inner = inner[: inner.index(_ENTRY)]
    content = bytearray(_archive({"wrapped.npy": inner, **members}))
    struct.pack_into("<I", content, content.rindex(_ENTRY) + 42, content.index(inner))
    return bytes(content)


def _twice(members: dict[str, bytes]) -> bytes:
    first, *_ = members
    return _renamed(_archive({**members, "z" * len(first): b"other"}), "z" * len(first), first)


def _renamed(content: bytes, old: str, new: str) -> bytes:
    return content.replace(old.encode(), new.encode())


def _field(signature: bytes, offset: int, width: str, value: int, members: dict[str, bytes]) -> bytes:
    """Change one number of the last header of a kind."""
    content = bytearray(_archive(members))
    struct.pack_into(width, content, content.rindex(signature) + offset, value)
    return bytes(content)


def _other_name_inside(members: dict[str, bytes]) -> bytes:
    """The directory names a member otherwise than the member does itself."""
    content = _archive(members)
    last = list(members)[-1].encode()
    return content[::-1].replace(last[::-1], (b"Z" + last[1:])[::-1], 1)[::-1]


def _shorter_than_it_says(members: dict[str, bytes]) -> bytes:
    """A compressed member holds less than it says, and the sum is that of what it holds."""
    *_, last = members
    content = bytearray(_archive(members, zipfile.ZIP_DEFLATED))
    for signature, offset in ((_LOCAL, 22), (_ENTRY, 24)):
        struct.pack_into("<I", content, content.rindex(signature) + offset, len(members[last]) + 1000)
    return bytes(content)


def _named(name: str, members: dict[str, bytes]) -> bytes:
    return _archive({**members, name: b"escaped"})


BUILDERS = {
    "a bomb": (_bomb, "would grow from"),
    "many small bombs": (_many_small_bombs, "would grow from"),
    "overlapping members": (_overlapping, "reaches into"),
    "two members of one name": (_twice, "two members have the name"),
    "a name that climbs": (partial(_named, "../../escaped.npy"), "leads out of the archive"),
    "an absolute name": (partial(_named, "/escaped.npy"), "leads out of the archive"),
    "a name of Windows": (partial(_named, "..\\escaped.npy"), "leads out of the archive"),
    "a lying size": (partial(_field, _ENTRY, 24, "<I", 2**31), "two sizes"),
    "a lying compressed size": (partial(_field, _ENTRY, 20, "<I", 2**31), "two sizes"),
    "both sizes of zip64 that are not there": (partial(_field, _ENTRY, 20, "<Q", 2**64 - 1), ""),
    "a member behind the end": (partial(_field, _ENTRY, 42, "<I", 2**31), "zip archive is damaged"),
    "another method in the directory": (partial(_field, _ENTRY, 10, "<H", 8), "differ"),
    "encryption": (partial(_field, _ENTRY, 8, "<H", 1), "is encrypted"),
    "a name of its own in the header": (_other_name_inside, "differ"),
    "a directory before the beginning": (partial(_field, _END, 16, "<I", 2**31), ""),
    "a directory without end": (partial(_field, _END, 12, "<I", 2**31), ""),
    "bzip2": (lambda members: _archive(members, zipfile.ZIP_BZIP2), "method 12, which is not read"),
    "LZMA": (lambda members: _archive(members, zipfile.ZIP_LZMA), "method 14, which is not read"),
    "less than it says": (_shorter_than_it_says, ""),
}


def attacks() -> Iterator[Attack]:
    """Yield every archive as every kind of file, and what only one kind can be."""
    for kind, (file, members) in KINDS.items():
        for name, (build, said) in BUILDERS.items():
            yield Attack(f"{kind}: {name}", file, partial(_write, file, build, members), said)
    for name, content, said in _OF_NPZ:
        yield Attack(f"npz: {name}", "a.npz", partial(_write, "a.npz", _archive, {"x.npy": content}), said)


def _write(file: str, build: object, members: dict[str, bytes], folder: Path) -> None:
    (folder / file).write_bytes(build(members))  # type: ignore[operator]


def _header(said: str, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(said)) + said.encode()


def _described(descr: str, shape: str) -> bytes:
    return _header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


_OF_NPZ = (
    ("an array of Python objects", _described("'|O'", "(1,)") + called("os.system"), "Python objects"),
    ("code in a header", _header("__import__('os').system('touch executed')"), "damaged"),
    ("a header nested deep", _header("(" * 9000), "damaged"),
    ("a lying shape", _described("'<f8'", "(9999999999, 9999999999)"), "should have"),
    ("a shape that is nothing times too much", _described("'<f8'", "(0, 99999999999, 99999999999)"), ""),
    ("arrays in an array", _described("'(1000,1000)<f4'", "(0,)"), "is not read"),
    ("a text as long as memory", _described("'<U2000000000'", "(1,)"), ""),
    ("records", _described("[('x', '<f4')]", "(1,)") + bytes(4), "records"),
    ("a version that is none", _header("{}", 9), "version"),
)
