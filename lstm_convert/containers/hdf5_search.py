"""Looking for what an HDF5 file is made of by how it begins, block by block, without the HDF5 library."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from lstm_convert.errors import InvalidFile

NEXT_STEP = "Copy or download it again."

MOST_PLACES = 200_000
"""How many heaps and nodes of trees a file may have."""

_BLOCK = 1 << 20
_WORD = 4


def places(file: BinaryIO, starts: Sequence[bytes]) -> dict[bytes, list[int]]:
    """Return where things begin, or what looks like them, by their first bytes.

    Args:
        file: the whole file.
        starts: the first bytes of each, at least four.

    Raises:
        InvalidFile: there are too many.
    """
    found: dict[bytes, list[int]] = {start: [] for start in starts}
    begin, kept, overlap = 0, b"", max(map(len, starts)) - 1
    while block := read_at(file, begin + len(kept), _BLOCK):
        block = kept + block
        for start in starts if _may_have(block, starts) else ():
            # What lies in the overlap alone was found in the block before.
            found[start] += [begin + place for place in _in_block(block, start) if place + len(start) > len(kept)]
        if sum(map(len, found.values())) > MOST_PLACES:
            raise InvalidFile(f"it has more than {MOST_PLACES} heaps and nodes of trees", next_step=NEXT_STEP)
        kept = block[-overlap:]
        begin += len(block) - len(kept)
    return found


def _may_have(block: bytes, starts: Sequence[bytes]) -> bool:
    """Return whether the first four bytes of any start are in a block; NumPy tells it faster than `bytes.find`."""
    words = [int.from_bytes(start[:_WORD], "little") for start in starts]
    shifted = (
        np.frombuffer(block, "<u4", (len(block) - shift) // _WORD, shift) for shift in range(min(_WORD, len(block)))
    )
    return any(bool((numbers == word).any()) for numbers in shifted for word in words)


def _in_block(block: bytes, start: bytes) -> Iterator[int]:
    place = block.find(start)
    while place >= 0:
        yield place
        place = block.find(start, place + 1)


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    """Return so many bytes from a place on, or fewer where the file ends."""
    file.seek(place)
    return file.read(size)
