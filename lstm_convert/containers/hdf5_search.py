"""Looking for what an HDF5 file is made of by how it begins, block by block, without the HDF5 library."""

from collections.abc import Iterator
from typing import BinaryIO

NEXT_STEP = "Copy or download it again."

_BLOCK = 1 << 20


def places(file: BinaryIO, start: bytes) -> Iterator[int]:
    """Yield where something begins, or what looks like it.

    Args:
        file: the whole file.
        start: its first bytes.
    """
    begin, kept = 0, b""
    while block := read_at(file, begin + len(kept), _BLOCK):
        block = kept + block
        found = block.find(start)
        while found >= 0:
            yield begin + found
            found = block.find(start, found + 1)
        kept = block[-len(start) + 1 :]
        begin += len(block) - len(kept)


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    """Return so many bytes from a place on, or fewer where the file ends."""
    file.seek(place)
    return file.read(size)
