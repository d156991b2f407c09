"""Looking for what an HDF5 file is made of by how it begins, block by block, without the HDF5 library."""

from collections.abc import Iterator

import numpy as np

from lstm_convert.blocks import let_go

NEXT_STEP = "Copy or download it again."

_BLOCK, _WORD = 1 << 20, 4


def places(content: memoryview, start: bytes) -> Iterator[int]:
    """Yield where something begins, or what looks like it.

    Args:
        content: the whole file.
        start: its first bytes, four at least.
    """
    word = np.frombuffer(start, "<u4", 1)[0]
    for begin in range(0, len(content), _BLOCK):
        block = np.frombuffer(content[begin : begin + _BLOCK + _WORD - 1], np.uint8)
        found = []
        for shift in range(min(_WORD, max(len(block) - _WORD + 1, 0))):
            words = block[shift : shift + (len(block) - shift) // _WORD * _WORD].view("<u4")
            found += (begin + shift + np.flatnonzero(words == word) * _WORD).tolist()
        let_go(block)
        yield from (place for place in sorted(found) if content[place : place + len(start)] == start)


def read_at(content: memoryview, place: int, size: int) -> memoryview:
    """Return so many bytes from a place on, or fewer where the file ends."""
    return content[place : place + size]
