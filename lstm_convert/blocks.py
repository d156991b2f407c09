"""Arrays a block of rows at a time: memory stays bounded however large they are.

A large array is a view of a mapped file, of whose pages `blocks_of` and `copied` let go behind them; the file stays in
the system's cache.
"""

import math
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.beside import in_halves
from lstm_convert.mapped import FileMap, let_go, pieces

Array = NDArray[Any]

BYTES = 1 << 23
"""How much of an array is in memory at a time."""

LARGE = 1 << 20
"""An array of so many bytes is left in its file; a smaller one is copied, so that the file can be closed."""

# NumPy copies a transposed matrix several times as fast in tiles of so many rows and columns, which stay in the cache,
# each copied first to rows that are so much longer: numbers at distances of a power of two push one another out of it.
_TILE = (128, 1024)
_LONGER = 16
# Into so many pieces is divided what becomes wider on the way.
_PIECES = 16
# The memory of blocks that nobody uses any more. Fresh memory costs more time than what is done with it.
_SPARE: deque[Array] = deque(maxlen=4)


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


def room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array to be filled, in the memory of an earlier one where it is as large as a block.

    Args:
        shape: its shape.
        dtype: of its numbers.
    """
    size = math.prod(shape) * dtype.itemsize
    if not LARGE <= size <= BYTES:
        return np.empty(shape, dtype)
    memory = _SPARE.pop() if _SPARE else np.empty(BYTES, np.uint8)
    if memory.size < size:
        memory = np.empty(size, np.uint8)
    whole = np.frombuffer(memory.data, np.uint8)  # which all views of it keep alive
    weakref.finalize(whole, _SPARE.append, memory)
    return whole[:size].view(dtype).reshape(shape)


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
            yield copied(rows, room(rows.shape, rows.dtype))


def pairs_of(one: Array, other: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the same rows, or the same columns, of two arrays of one shape, both together about `BYTES`.

    Args:
        one: an array.
        other: another; its rows may be numbers of another type.
    """
    if not one.shape:
        one, other = one.reshape(1), other.reshape(1)
    if _is_turned(one) and _is_turned(other):
        one, other = one.T, other.T
    at_once = max(1, min(rows_at_once(array.shape, array.dtype) for array in (one, other)) // 2)
    for start in range(0, one.shape[0], at_once):
        rows = slice(start, start + at_once)
        yield next(blocks_of(one[rows])), next(blocks_of(other[rows]))
        let_go(one[rows])
        let_go(other[rows])


def not_finite(*arrays: Array) -> int:
    """Return how many numbers of some arrays are NaN or infinite."""
    is_large = any(array.nbytes >= LARGE for array in arrays)
    return sum(in_halves(_not_finite, arrays) if is_large else map(_not_finite, arrays))


def _not_finite(array: Array) -> int:
    with np.errstate(invalid="ignore"):  # some NaN are an error by themselves to some processors
        return sum(
            rows.size - int(np.count_nonzero(np.isfinite(rows)))
            for rows in ([array] if array.nbytes < LARGE else _rows_in_place(array))
        )


def _rows_in_place(array: Array) -> Iterator[Array]:
    """Yield an array's rows, or its columns where these lie closer, as views that span about `BYTES`."""
    rows = array.T if _is_turned(array) else array
    at_once = max(1, BYTES // max(1, abs(rows.strides[0])))
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]
        let_go(rows[start : start + at_once])


def copied(source: Array, target: Array) -> Array:
    """Copy an array into another of its shape, a transposed matrix in tiles, and return the other.

    Args:
        source: the array.
        target: the other, each row of it contiguous.
    """
    if source.ndim < 2 or _spanned(source) < LARGE:  # noqa: PLR2004 (a matrix, or more)
        target[...] = source
        return target
    turned = _is_turned(source)
    far, near = (source.T, target.T) if turned else (source, target)
    spanned_at_once = max(_TILE[0], BYTES // max(1, abs(far.strides[0])))
    fill = _turn if turned else np.copyto
    for first in range(0, len(far), spanned_at_once):
        rows = slice(first, first + spanned_at_once)
        fill(near[rows], far[rows])
        let_go(far[rows])
    return target


def _turn(target: Array, source: Array) -> None:
    """Copy a matrix into another one of its shape whose rows lie closer than its columns, tile by tile."""
    height, width = _TILE
    between = np.empty((min(height, len(source)), width + _LONGER), source.dtype)
    for top, left in product(*map(range, (0, 0), source.shape, _TILE)):
        tile = (slice(top, top + height), slice(left, left + width))
        rows, columns = source[tile].shape
        between[:rows, :columns] = source[tile]
        target[tile] = between[:rows, :columns]


def _spanned(array: Array) -> int:
    """Return over how many bytes an array's numbers lie, however few they are."""
    steps = zip(array.shape, array.strides, strict=True)
    return int(array.itemsize + sum((size - 1) * abs(step) for size, step in steps))


def taken(array: Array, places: Sequence[NDArray[np.intp]]) -> Array:
    """Return what some rows and columns of an array have in common, as a copy.

    Args:
        array: the array.
        places: which rows and which columns, by their numbers; of a vector, which numbers.
    """
    if _is_turned(array):
        return taken(array.T, places[::-1]).T
    rows, *others = places
    pieces = []
    for some in np.array_split(rows, max(1, _spanned(array) // BYTES)):
        pieces.append(array[np.ix_(some, *others)])
        let_go(array)
    return np.concatenate(pieces)


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
        file.writelines(pieces(map(bytes_of, blocks)))
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
