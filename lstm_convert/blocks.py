"""Arrays a block of rows at a time: memory stays bounded however large they are.

A large array is a view of a mapped file. The pages of it that are read count as this process's memory until they are
let go of, which `blocks_of` and `copied` do behind them; the file stays in the system's cache.

Only files of our own are mapped, which have no name: where somebody cuts a mapped file short, reading what is gone ends
the process by SIGBUS.
"""

import io
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.errors import InvalidFile

Array = NDArray[Any]

BYTES = 1 << 24
"""How much of an array is in memory at a time."""

LARGE = 1 << 20
"""An array of so many bytes is left in its file; a smaller one is copied, so that the file can be closed."""

# NumPy copies a transposed matrix several times as fast in strips so narrow that what they touch stays in the cache.
_STRIP = 16
# What is read at a time of so many bytes is let go of.
_MANY = 1 << 16
# Into so many a block is divided where each number becomes another, for which wider ones are made on the way.
_PIECES = 16


class FileMap(mmap.mmap):
    """A file mapped for reading, whose pages may be let go of: they are read again where they are needed."""

    @classmethod
    def of(cls, file: IO[bytes]) -> "FileMap":
        """Map a copy of a whole file that is open for reading, which nothing that others do to the file changes.

        Args:
            file: a file that others may write to.

        Raises:
            InvalidFile: it is empty, or there is no room for the copy.
        """
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        if size < LARGE:
            if content := file.read(size):
                return cls._holding(content)
        else:
            try:
                with tempfile.TemporaryFile() as copy:
                    _copy(file, copy, size)
                    if os.fstat(copy.fileno()).st_size:
                        return cls.of_own(copy)
            except OSError as error:
                raise InvalidFile(
                    f"this file cannot be copied, to be read: {error.strerror or error}",
                    next_step=f"It needs {size} bytes of room in the temporary folder; TMPDIR names another.",
                ) from error
        raise InvalidFile("this file is empty", next_step="Copy or download it again.")

    @classmethod
    def of_own(cls, file: IO[bytes]) -> "FileMap":
        """Map a temporary file without a name, which nobody else can cut short."""
        return cls(file.fileno(), 0, access=mmap.ACCESS_READ)

    @classmethod
    def _holding(cls, content: bytes) -> "FileMap":
        mapped = cls(-1, len(content))
        mapped.write(content)
        mapped.seek(0)
        return mapped


def _copy(file: IO[bytes], copy: IO[bytes], size: int) -> None:
    """Copy so much of a file, or what there is: within the system where it can, else through memory."""
    copied = 0
    try:
        while copied < size and (sent := os.sendfile(copy.fileno(), file.fileno(), copied, size - copied)):
            copied += sent
    except (AttributeError, OSError):  # Windows has no sendfile, that of macOS writes to sockets alone
        copy.seek(0)
        shutil.copyfileobj(file, copy)
        copy.flush()


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


@dataclass(frozen=True, eq=False)
class Rows:
    """An array whose rows are made when they are asked for; `numpy.asarray` makes all of them.

    Args:
        shape: its shape.
        dtype: its numbers' type.
        make: returns the rows from one number up to another, contiguous.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[int, int], Array]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 (numpy's own signature)
        return np.array(self.make(0, self.shape[0]), dtype=dtype, copy=copy or None)


def rows_at_once(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return how many rows of an array of some shape take about `BYTES`."""
    return max(1, BYTES // max(1, math.prod(shape[1:]) * dtype.itemsize))


def blocks_of(array: Array | Rows) -> Iterator[Array]:
    """Yield an array's rows in their order, contiguous and so many at a time that they take about `BYTES`.

    Args:
        array: any array; of one without axes, itself is the only block.
    """
    array = array if isinstance(array, Rows) else np.asarray(array)
    if not array.shape:
        yield np.asarray(array)
        return
    at_once = rows_at_once(array.shape, array.dtype)
    for start in range(0, array.shape[0], at_once):
        stop = min(start + at_once, array.shape[0])
        if isinstance(array, Rows):
            yield array.make(start, stop)
        elif (rows := array[start:stop]).flags.c_contiguous:
            yield rows
            let_go(rows)
        else:
            yield copied(rows, np.empty(rows.shape, rows.dtype))


def pairs_of(one: Array, other: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the same rows, or the same columns, of two arrays of one shape, some at a time.

    Args:
        one: an array.
        other: another; its rows may be numbers of another type.
    """
    if not one.shape:
        one, other = one.reshape(1), other.reshape(1)
    if _is_turned(one) and _is_turned(other):
        one, other = one.T, other.T
    at_once = min(rows_at_once(array.shape, array.dtype) for array in (one, other))
    for start in range(0, one.shape[0], at_once):
        rows = slice(start, start + at_once)
        yield next(blocks_of(one[rows])), next(blocks_of(other[rows]))
        let_go(one[rows])
        let_go(other[rows])


def not_finite(*arrays: Array) -> int:
    """Return how many numbers of some arrays are NaN or infinite."""
    with np.errstate(invalid="ignore"):  # some NaN are an error by themselves to some processors
        return sum(
            block.size - int(np.count_nonzero(np.isfinite(block)))
            for array in arrays
            for block in ([array] if array.nbytes < LARGE else blocks_of(array.T if _is_turned(array) else array))
        )


def copied(source: Array, target: Array) -> Array:
    """Copy an array into another of its shape, a transposed matrix in narrow strips, and return the other.

    Args:
        source: the array.
        target: the other, each row of it contiguous.
    """
    if source.nbytes < LARGE or source.ndim < 2:  # noqa: PLR2004 (a matrix, or more)
        target[...] = source
        return target
    turned = _is_turned(source)
    far, near = (source.T, target.T) if turned else (source, target)
    spanned_at_once = max(_STRIP, BYTES // max(1, abs(far.strides[0])))
    for first in range(0, len(far), spanned_at_once):
        last = min(first + spanned_at_once, len(far))
        at_once = _STRIP if turned else spanned_at_once
        for start in range(first, last, at_once):
            strip = slice(start, min(start + at_once, last))
            near[strip] = far[strip]
        let_go(far[first:last])
    return target


def _is_turned(array: Array) -> bool:
    """Return whether an array is a matrix whose columns lie closer than its rows."""
    return array.ndim == 2 and abs(array.strides[0]) < abs(array.strides[1])  # noqa: PLR2004 (a matrix)


def kept(shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[Array]) -> Array:
    """Return the array that blocks of rows make: in memory where it is small, else in a temporary file without a name.

    Args:
        shape: of all of it.
        dtype: of its numbers, and of the blocks'.
        blocks: its rows in their order, contiguous.
    """
    if math.prod(shape) * dtype.itemsize < LARGE:
        return np.concatenate([block.reshape(-1) for block in blocks] or [np.empty(0, dtype)]).reshape(shape)
    with tempfile.TemporaryFile() as file:
        for block in blocks:
            file.write(bytes_of(block))
        file.flush()
        return placed(FileMap.of_own(file), dtype, shape)


def changed(array: Array, dtype: np.dtype[Any], change: Callable[[Array], Array]) -> Array:
    """Return an array number by number made into another, which is kept as `kept` does.

    Args:
        array: any array.
        dtype: of the other.
        change: what is done to some of its numbers.
    """
    pieces = (piece for block in blocks_of(array) for piece in np.array_split(block.reshape(-1), _PIECES))
    return kept(array.shape, dtype, map(change, pieces))


def placed(content: FileMap | memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], start: int = 0) -> Array:
    """Return an array whose numbers lie in a mapped file in C order: a view of it where it is large, else a copy.

    Args:
        content: the file, or a part of it.
        dtype: of its numbers.
        shape: its shape.
        start: where it begins.
    """
    count = math.prod(shape)
    if not count * dtype.itemsize:
        return np.empty(shape, dtype)
    return owned(np.frombuffer(content, dtype, count, start).reshape(shape))


def owned(view: Array) -> Array:
    """Return a view of a mapped file as it is where it is large, else a copy."""
    return view if view.nbytes >= LARGE else view.copy()


def bytes_of(block: Array) -> memoryview:
    """Return the bytes of a contiguous array, without copying them."""
    return block.reshape(-1).view(np.uint8).data


def let_go(view: Array) -> None:
    """Let go of the pages that a view of a mapped file spans; nothing where it is none."""
    base: Any = view
    while base is not None and not isinstance(base, FileMap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
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
