"""Numbers and their bytes: little-endian, C order, and the types that NumPy has only with ml_dtypes."""

from typing import Any, cast

import numpy as np

from lstm_convert.containers import Stored

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


def little_endian(stored: Stored) -> memoryview:
    """Read an array and return its bytes, little-endian and in C order, whatever order and strides it has.

    Raises:
        ValueError: the array that was read is not the one that was announced.
    """
    array = stored.read()
    if array.shape != stored.shape or array.dtype != stored.dtype:
        raise ValueError(f"announced {stored.dtype}{stored.shape}, read {array.dtype}{array.shape}")
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.byteorder == ">":
        flat = flat.astype(flat.dtype.newbyteorder("<"))
    return flat.view(np.uint8).data
