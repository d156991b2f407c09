"""Files mapped for reading: the pages of one that are read count as this process's memory until they are let go of.

A file that others may write to is leased, or else copied first, to one of our own without a name: where somebody cuts
a mapped file short, reading what is gone ends the process by SIGBUS.
"""

import hashlib
import io
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.beside import beside
from lstm_convert.errors import InvalidFile
from lstm_convert.leases import Lease, lease_of

Array = NDArray[Any]

HELD = 1 << 20
"""A file of fewer bytes is held in memory, not copied to another."""

# So much is written at a time, for which systems find room fastest; what is read of so many bytes at a time is let go.
_PIECE = 1 << 18
_MANY = 1 << 16
# So much of a file is copied before it is hashed.
_HASHED = 1 << 23


class FileMap(mmap.mmap):
    """A file mapped for reading, whose pages may be let go of: they are read again where they are needed."""

    sha256: Callable[[], str] = str
    """Returns that of the bytes, once it is known."""
    name: str = ""
    lease: Lease | None = None
    """What has others wait who would write to the file, where it is not our own."""

    @classmethod
    def of(cls, file: IO[bytes]) -> "FileMap":
        """Map a whole file that is open for reading, so that nothing that others do to the file changes the map.

        Args:
            file: a file that others may write to.

        Raises:
            InvalidFile: it is empty, it is cut short meanwhile, or there is no room for the copy.
        """
        lease = lease_of(file)
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        if size < HELD:
            if content := file.read(size):
                return cls._holding(content)
        elif lease is not None:
            return cls._leased(file, lease)
        else:
            try:
                with tempfile.TemporaryFile() as copy:
                    copy.truncate(size)
                    mapped = cls.of_own(copy)
                    mapped.sha256 = _copied(file, copy, memoryview(mapped))
                    return mapped
            except OSError as error:
                raise InvalidFile(
                    f"this file cannot be copied, to be read: {error.strerror or error}",
                    next_step=f"It needs {size} bytes of room in the temporary folder; TMPDIR names another.",
                ) from error
        raise InvalidFile("this file is empty", next_step="Copy or download it again.")

    @classmethod
    def of_own(cls, file: IO[bytes]) -> "FileMap":
        """Map a file of our own, which nobody else can cut short.

        Args:
            file: the file.
        """
        file.flush()
        return cls(file.fileno(), 0, access=mmap.ACCESS_READ)

    @classmethod
    def _leased(cls, file: IO[bytes], lease: Lease) -> "FileMap":
        mapped = cls.of_own(file)
        mapped.name, mapped.lease = str(file.name), lease
        whole, rest = divmod(len(mapped), _HASHED)
        mapped.sha256 = beside(partial(_sha256, memoryview(mapped), [*[_HASHED] * whole, rest]))
        return mapped

    @classmethod
    def _holding(cls, content: bytes) -> "FileMap":
        mapped = cls(-1, len(content))
        mapped.write(content)
        mapped.seek(0)
        mapped.sha256 = hashlib.sha256(content).hexdigest
        return mapped


def _copied(file: IO[bytes], copy: IO[bytes], mapped: memoryview) -> Callable[[], str]:
    """Copy as much of a file as the copy has room for, and return what waits for the SHA-256 of the copy."""
    missing = len(mapped)
    there: SimpleQueue[int] = SimpleQueue()
    sha256 = beside(partial(_sha256, mapped, iter(there.get, 0)))
    try:
        while count := _copy(file, copy, min(missing, _HASHED)):
            there.put(count)
            missing -= count
    finally:
        there.put(0)
    if missing:
        raise InvalidFile("this file is cut short", next_step="Wait until whoever writes it is done, and try again.")
    return sha256


def _copy(file: IO[bytes], copy: IO[bytes], most: int) -> int:
    """Copy so many bytes, or what there is, and return how many."""
    buffer, missing = memoryview(bytearray(_PIECE)), most
    while count := file.readinto(buffer[:missing]):  # type: ignore[attr-defined]  # IO leaves it out
        copy.write(buffer[:count])
        missing -= count
    copy.flush()
    return most - missing


def _sha256(mapped: memoryview, counts: Iterable[int]) -> str:
    """Return that of a mapped file, of which so many bytes more are there each time."""
    found, place = hashlib.sha256(), 0
    for count in counts:
        piece = mapped[place : place + count]
        found.update(piece)
        let_go(np.frombuffer(piece, np.uint8))
        place += count
    return found.hexdigest()


def pieces(chunks: Iterable[bytes | memoryview], place: int = 0) -> Iterator[memoryview]:
    """Yield bytes in pieces that are written fast, and mapped fast: all end in the file at multiples of one size.

    Args:
        chunks: the bytes.
        place: where in the file they begin.
    """
    for chunk in chunks:
        content = memoryview(chunk)
        while content:
            piece = content[: _PIECE - place % _PIECE]
            yield piece
            content, place = content[len(piece) :], place + len(piece)


@contextmanager
def mapped(path: Path, *, own: bool = False) -> Iterator[FileMap]:
    """Yield a file mapped for reading; it stays so for as long as there are views of it.

    Args:
        path: the file.
        own: whether it is one that we made where nobody else writes, so that no copy is needed.

    Raises:
        InvalidFile: as `FileMap.of` raises.
    """
    with path.open("rb") as file:
        found = FileMap.of_own(file) if own else FileMap.of(file)
    try:
        yield found
    finally:
        with suppress(BufferError):  # views of the map are still in use: it closes with the last of them
            found.close()


class Stream(io.RawIOBase):
    """Bytes, mapped ones among them, as a file that is read."""

    def __init__(self, content: memoryview) -> None:
        self.content, self.place = content, 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, counted from the beginning, from here or from the end."""
        self.place = max(0, offset + (0, self.place, len(self.content))[whence])
        return self.place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as there are bytes."""
        found = self.content[self.place : self.place + len(buffer)]
        buffer[: len(found)] = found
        self.place += len(found)
        if len(found) >= _MANY:
            let_go(np.frombuffer(found, np.uint8))
        return len(found)


def map_of(view: Array) -> FileMap | None:
    """Return the mapped file that an array is a view of, or None.

    Args:
        view: the array.
    """
    base: Any = view
    while base is not None and not isinstance(base, FileMap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


def let_go(view: Array) -> None:
    """Let go of the pages that a view of a mapped file spans; nothing where it is none.

    Raises:
        InvalidFile: somebody waits to write to the file.
    """
    base = map_of(view)
    if base is not None and base.lease is not None and base.lease.is_wanted:
        raise InvalidFile(
            "what is read is about to change",
            [f"{base.name}: somebody opens it to write to it"],
            "Wait until whoever writes it is done, and try again.",
        )
    if base is None or not view.size or not hasattr(base, "madvise"):  # Windows takes pages back by itself
        return
    steps = [(size - 1) * step for size, step in zip(view.shape, view.strides, strict=True)]
    address = _address(np.frombuffer(base, np.uint8, 1))
    first = _address(view) + sum(min(step, 0) for step in steps) - address
    last = first + sum(map(abs, steps)) + view.itemsize
    start = first - first % mmap.PAGESIZE
    base.madvise(mmap.MADV_DONTNEED, start, last - start)


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
