"""Numbers and their bytes: little-endian, C order, and the types that NumPy has only with ml_dtypes."""

import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from lstm_convert import blocks
from lstm_convert.beside import ahead
from lstm_convert.blocks import bytes_of
from lstm_convert.containers import Stored
from lstm_convert.mapped import let_go

NARROW_FLOATS = frozenset({"bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"})


def dtype_named(name: str) -> np.dtype[Any]:
    """Return the dtype of this name; bfloat16 and its kin come from ml_dtypes, which is imported only for them."""
    if name in NARROW_FLOATS:
        import ml_dtypes  # noqa: PLC0415 (most files have no such type)

        return cast("np.dtype[Any]", np.dtype(getattr(ml_dtypes, name)))
    return np.dtype(name)


def byte_count(stored: Stored) -> int:
    """Return how many bytes an array takes, without reading it."""
    count = stored.dtype.itemsize
    for size in stored.shape:
        count *= size
    return count


def little_endian(stored: Stored) -> Iterator[memoryview]:
    """Yield the bytes of an array, little-endian and in C order, block by block.

    Raises:
        ValueError: the array that was read is not the one that was announced.
    """
    rows = 0
    made = stored.blocks()
    for block in ahead(made) if byte_count(stored) >= blocks.LARGE else made:
        if block.dtype != stored.dtype or block.shape[1:] != stored.shape[1:]:
            raise ValueError(f"announced {stored.dtype}{stored.shape}, read {block.dtype} {block.shape[1:]} a row")
        rows += len(block) if stored.shape else 1
        native = block.dtype.newbyteorder("<")
        yield bytes_of(block if block.dtype.byteorder != ">" else block.astype(native))
        let_go(block)  # only now: where it is no copy, what is written is read here
    if rows != math.prod(stored.shape[:1]):
        raise ValueError(f"announced {stored.dtype}{stored.shape}, read {rows} rows")
