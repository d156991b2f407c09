"""NumPy's .npz: a zip archive of .npy files. A member `__metadata__.npy` may hold a JSON text about all of them.

*Source:* NumPy 2.4, numpy/lib/format.py (the .npy format, versions 1.0 and 2.0).
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format  # noqa: A004 (its own name)
from numpy.typing import NDArray

from lstm_convert.blocks import placed
from lstm_convert.containers import Contents, Stored, npy, zips
from lstm_convert.containers.raw import byte_count, little_endian
from lstm_convert.errors import InvalidFile, Unsupported

SUFFIX = ".npy"
METADATA = "__metadata__"
WRITABLE_KINDS = "biufcSU"


def sniff(head: bytes, path: Path) -> bool:
    """Tell whether a file is a zip archive of .npy files and nothing else."""
    return head.startswith(zips.START) and all(name.endswith(SUFFIX) for name in zips.names(path))


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Open an .npz file; the text in its `__metadata__`, if it has one, is `attributes[""]["__metadata__"]`.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Yields:
        The arrays, large ones mapped where they are stored as they are.

    Raises:
        InvalidFile: the archive is damaged, or an array is of Python objects, which would have to be unpickled.
    """
    with zips.opened(path, own=own) as archive:
        arrays = {name.removesuffix(SUFFIX): _stored(archive, name) for name in archive.members}
        metadata = arrays.pop(METADATA, None)
        documents = {"": {METADATA: _text(metadata.read())}} if metadata else {}
        yield Contents(arrays, documents, archive.map.sha256)


def _stored(archive: zips.Archive, name: str) -> Stored:
    shape, fortran_order, dtype, start = _header(archive, name)
    size = math.prod(shape) * dtype.itemsize
    if start + size != archive.members[name].size:
        found = archive.members[name].size - start
        raise InvalidFile(f"{name} should have {size} bytes of {dtype}{shape}, has {found}", next_step=zips.COPY_AGAIN)

    def read() -> NDArray[Any]:
        content = archive.checked(name)
        stored = shape[::-1] if fortran_order else shape
        array = placed(content, dtype, stored, start)
        return array.T if fortran_order else array

    return Stored(shape, dtype, read)


def _header(archive: zips.Archive, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return an array's shape, order, dtype and where its numbers begin in the member."""
    with zips.refusing(name), archive.stream(name) as file:
        return *npy.header(file, name), file.tell()


def _text(metadata: NDArray[Any]) -> str:
    if metadata.dtype.kind == "U" and metadata.shape == ():
        return str(metadata)
    if metadata.dtype == np.uint8:
        return metadata.tobytes().decode("utf-8", "replace")
    raise InvalidFile(f"{METADATA} should be one text, is {metadata.dtype}{metadata.shape}")


def write(path: Path, contents: Contents) -> None:
    """Write the arrays in their own order, uncompressed, a few megabytes at a time; equal contents give equal files.

    Args:
        path: the file, replaced if it is there.
        contents: arrays by name. Of the attributes, only `attributes[""]["__metadata__"]`, a text, has a place.

    Raises:
        Unsupported: an array's type cannot be told in a .npy file, or its name is taken.
    """
    arrays = dict(contents.arrays)
    if METADATA in arrays:
        raise Unsupported(f"the name {METADATA} is kept for a text about the arrays", next_step="Rename the array.")
    metadata = contents.document(METADATA)
    if metadata is not None:
        arrays[METADATA] = Stored.of(np.array(metadata))
    zips.write(path, [_member(name, stored) for name, stored in arrays.items()])


def _member(name: str, stored: Stored) -> zips.NewMember:
    if stored.dtype.kind not in WRITABLE_KINDS:
        raise Unsupported(
            f"{name} is of type {stored.dtype}, which a .npy file cannot name",
            next_step="Write .lstm.safetensors instead.",
        )
    header = io.BytesIO()
    little = stored.dtype.newbyteorder("<")
    format.write_array_header_1_0(
        header, {"descr": format.dtype_to_descr(little), "fortran_order": False, "shape": stored.shape}
    )
    size = len(header.getvalue()) + byte_count(stored)
    return zips.NewMember(f"{name}{SUFFIX}", size, lambda: chain([header.getvalue()], little_endian(stored)))
