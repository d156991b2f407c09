"""NumPy's .npy: one array of plain numbers or texts.

*Source:* NumPy 2.4, numpy/lib/format.py (versions 1.0 and 2.0).
"""

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lstm_convert.errors import InvalidFile

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]

START = npy.MAGIC_PREFIX
READ_HEADER: dict[tuple[int, int], Callable[[IO[bytes]], Header]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
NO_HEADER = (MemoryError, SyntaxError, TokenError, TypeError, ValueError)
"""What NumPy raises on headers that are no Python literal."""


def header(file: IO[bytes], name: str) -> Header:
    """Return an array's shape, whether it lies in Fortran's order, and its dtype; the file is then at its numbers.

    Args:
        file: at its beginning.
        name: what an error calls it.

    Raises:
        InvalidFile: it is damaged, or an array is of Python objects, which would have to be unpickled.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers written by Python 2 are read as well
        try:
            version = npy.read_magic(file)
            if version not in READ_HEADER:
                raise InvalidFile(f"{name} has version {version} of the .npy format; versions 1.0 and 2.0 are read")
            shape, fortran_order, dtype = READ_HEADER[version](file)
        except NO_HEADER as error:
            if isinstance(error, InvalidFile):
                raise
            raise InvalidFile(f"the header of {name} is damaged ({error!s:.200})") from error
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        raise InvalidFile(
            f"{name} is an array of {'Python objects' if dtype.hasobject else 'records'}, which is not read",
            next_step="Save plain numbers: numpy.savez(path, name=numpy.asarray(values, dtype=float)).",
        )
    if any(size < 0 for size in shape):
        raise InvalidFile(f"{name} has the shape {shape}")
    return shape, fortran_order, dtype


def read(path: Path, largest: int) -> NDArray[Any]:
    """Return the array of a file.

    Args:
        path: the file.
        largest: how many bytes it may have.

    Raises:
        InvalidFile: it is larger, empty, damaged, or as `header` raises.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise InvalidFile(f"is larger than {largest} bytes")
        shape, fortran_order, dtype = header(file, path.name)
        if 0 in shape:
            raise InvalidFile(f"holds no numbers: its shape is {shape}")
        wanted, found = math.prod(shape) * dtype.itemsize, size - file.tell()
        if wanted != found:
            raise InvalidFile(f"should have {wanted} bytes of {dtype}{shape}, has {found}")
        return np.fromfile(file, dtype, math.prod(shape)).reshape(shape, order="F" if fortran_order else "C")
