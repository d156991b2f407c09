"""Zip archives of arrays: all members checked before any is read, stored ones read in place, written reproducibly."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from lstm_convert.blocks import LARGE, blocks_of, kept
from lstm_convert.containers.bounds import refuse_bomb
from lstm_convert.errors import InvalidFile, Unsupported
from lstm_convert.mapped import FileMap, Stream, mapped, pieces

START = b"PK\x03\x04"
ALIGNMENT = 64

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
ZIP64_EXTRA_BYTES = 20
PADDING_EXTRA = struct.Struct("<2sH")
LONGEST_NAME = 0xFFFF
NEEDS_ZIP64 = 2**30
"""A member this large gets 64-bit sizes; zipfile itself would want them at 2 GiB, less a margin."""

_READ_AT_ONCE = 1 << 20

ENCRYPTED, UTF_8 = 0x1, 0x800
BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile raises on damaged archives."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What Keras, PyTorch and NumPy write; decompressing bzip2 and LZMA may take any memory."""

COPY_AGAIN = "Copy or download the file again."


@dataclass(frozen=True)
class Member:
    """One member as it lies in the archive: its data begin at `start`; `stored` says that they are uncompressed."""

    name: str
    size: int
    stored: bool
    start: int
    crc: int


@dataclass(frozen=True)
class Archive:
    """An open archive, its members by name in the archive's order; `own` says that we made it where nobody writes."""

    members: Mapping[str, Member]
    zip: zipfile.ZipFile
    map: FileMap
    own: bool

    def stream(self, name: str) -> IO[bytes]:
        """Open a member for reading from its beginning."""
        with refusing(name):
            return self.zip.open(name)

    def read(self, name: str) -> memoryview:
        """Return a member's bytes: a view of the file where they are stored as they are, else of what they grew to."""
        member = self.members[name]
        if member.stored:
            return memoryview(self.map)[member.start : member.start + member.size]
        with refusing(name), self.stream(name) as stream:
            blocks = (np.frombuffer(block, np.uint8) for block in iter(partial(stream.read, _READ_AT_ONCE), b""))
            return kept((member.size,), np.dtype(np.uint8), blocks).data

    def checked(self, name: str) -> memoryview:
        """Return a member's bytes after comparing them with their checksum, but where we just made both."""
        content, checksum = self.read(name), 0
        if self.own:
            return content
        for block in blocks_of(np.frombuffer(content, np.uint8)):
            checksum = zlib.crc32(block.data, checksum)
        if checksum != self.members[name].crc:
            raise InvalidFile(f"the member {name} does not have the checksum it states", next_step=COPY_AGAIN)
        return content


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn what zipfile raises on a damaged archive into InvalidFile."""
    try:
        yield
    except InvalidFile:
        raise
    except BROKEN as error:
        raise InvalidFile(f"{what}: the zip archive is damaged ({error})", next_step=COPY_AGAIN) from error


def names(path: Path) -> tuple[str, ...]:
    """Return the names of an archive's members; of a truncated one, whose directory at the end is gone, the first.

    One kind of file after the other asks for those of the same archive, whose directory is read once.
    """
    noted = path.stat()
    return _names(path, noted.st_dev, noted.st_ino, noted.st_size, noted.st_mtime_ns)


@lru_cache(maxsize=1)
def _names(path: Path, *_noted: int) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(info.filename for info in archive.infolist() if not info.filename.endswith("/"))
    except BROKEN:
        return (_first_name(path),)


def _first_name(path: Path) -> str:
    with path.open("rb") as file:
        header = file.read(LOCAL_HEADER.size)
        length = LOCAL_HEADER.unpack(header)[-2] if len(header) == LOCAL_HEADER.size else 0
        return file.read(length).decode("utf-8", "replace")


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Archive]:
    """Open an archive after checking its directory.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Yields:
        The archive. What its members' bytes are viewed by keeps the file mapped for as long as it is used.

    Raises:
        InvalidFile: the archive is damaged or contradicts itself: two members of one name, members that overlap or lie
            outside the file, a size that is not the size, encryption, a bomb.
    """
    with mapped(path, own=own) as content:
        with refusing("its directory"):
            small = len(content) < LARGE
            archive = zipfile.ZipFile(io.BytesIO(content) if small else io.BufferedReader(Stream(memoryview(content))))
            members = _members(archive, content)
        with archive:
            yield Archive(members, archive, content, own)


def _members(archive: zipfile.ZipFile, content: FileMap) -> dict[str, Member]:
    members: dict[str, Member] = {}
    ends: list[tuple[int, int, str]] = [(archive.start_dir, len(content), "the directory")]
    for info in archive.infolist():
        member = _member(info, content)
        if member.name in members:
            raise InvalidFile(f"two members have the name {member.name}")
        members[member.name] = member
        ends.append((info.header_offset, member.start + info.compress_size, member.name))
    for (_, end, name), (start, _, following) in pairwise(sorted(ends)):
        if end > start:
            raise InvalidFile(f"the member {name} reaches into {following}", next_step=COPY_AGAIN)
    refuse_bomb(sum(member.size for member in members.values()), len(content))
    return {name: member for name, member in members.items() if not name.endswith("/")}


def _member(info: zipfile.ZipInfo, content: FileMap) -> Member:
    """Check one entry of the directory against the member's own header, and return where its data are."""
    signature, _, flags, method, *_, name_length, extra_length = LOCAL_HEADER.unpack_from(content, info.header_offset)
    name = content[(begin := info.header_offset + LOCAL_HEADER.size) : begin + name_length]
    if signature != START or method != info.compress_type or name != _encoded(info):
        raise InvalidFile(f"the directory and the header of {info.filename} differ", next_step=COPY_AGAIN)
    if info.filename.startswith("/") or ".." in info.filename.split("/") or "\\" in info.filename:
        raise InvalidFile(f"the member {info.filename} leads out of the archive", next_step=COPY_AGAIN)
    if (flags | info.flag_bits) & ENCRYPTED:
        raise InvalidFile(f"the member {info.filename} is encrypted", next_step="Decrypt the archive first.")
    if info.compress_type not in METHODS:
        raise InvalidFile(
            f"the member {info.filename} is compressed by method {info.compress_type}, which is not read",
            next_step="Store the archive without compression: unzip it, then zip -0 -r.",
        )
    stored = info.compress_type == zipfile.ZIP_STORED
    if stored and info.file_size != info.compress_size:
        raise InvalidFile(f"the member {info.filename} is stored as it is, yet has two sizes", next_step=COPY_AGAIN)
    start = info.header_offset + LOCAL_HEADER.size + name_length + extra_length
    return Member(info.filename, info.file_size, stored, start, info.CRC)


def _encoded(info: zipfile.ZipInfo) -> bytes:
    """Return a member's name as its header should have it."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & UTF_8 else "cp437")


@dataclass(frozen=True)
class NewMember:
    """A member to be written: its size is known, its bytes are made when their turn comes."""

    name: str
    size: int
    chunks: Callable[[], Iterable[bytes | memoryview]]

    @classmethod
    def of(cls, name: str, content: bytes) -> "NewMember":
        """Return a small member whose bytes are known."""
        return cls(name, len(content), lambda: [content])


def write(path: Path, members: Iterable[NewMember]) -> None:
    """Write members one by one, uncompressed, their data aligned to 64 bytes; equal members give an equal file.

    Args:
        path: where to.
        members: in their order.

    Raises:
        Unsupported: the name of one is longer than an archive can tell.
    """
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for member in members:
            if (length := len(member.name.encode())) > LONGEST_NAME:
                raise Unsupported(f"a zip archive has names of at most {LONGEST_NAME} bytes; one has {length} bytes")
            info = zipfile.ZipInfo(member.name)  # dated 1980-01-01, whenever it is written
            info.create_system = 3  # the same bytes on every system
            info.file_size = member.size
            large = member.size >= NEEDS_ZIP64
            header = LOCAL_HEADER.size + length + ZIP64_EXTRA_BYTES * large
            info.extra = _padding(archive.start_dir + header)
            with archive.open(info, "w", force_zip64=large) as target:
                for piece in pieces(member.chunks(), file.tell()):
                    target.write(piece)


def _padding(start: int) -> bytes:
    """Return an extra field that moves data from `start` to the next multiple of the alignment.

    *Source:* torch 2.13, caffe2/serialize/inline_container.cc pads in the same way, with a field named `FB`.
    """
    length = -(start + PADDING_EXTRA.size) % ALIGNMENT
    return PADDING_EXTRA.pack(b"FB", length) + b"Z" * length
