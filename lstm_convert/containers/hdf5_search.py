"""Looking for what an HDF5 file is made of by how it begins, block by block, without the HDF5 library."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstm_convert.blocks import Array
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import let_go

Places = NDArray[np.intp]

NEXT_STEP = "Copy or download it again."

MOST_PLACES = 200_000
"""How many heaps and nodes of trees a file may have."""

BLOCK = 1 << 20
"""How much is looked through at a time."""


def places(content: memoryview, starts: Sequence[bytes]) -> dict[bytes, list[int]]:
    """Return where things begin, or what looks like them, by their first bytes.

    Args:
        content: the whole file.
        starts: the first bytes of each, at least three.

    Raises:
        InvalidFile: there are too many.
    """
    found: dict[bytes, list[int]] = {start: [] for start in starts}
    whole, overlap = np.frombuffer(content, np.uint8), max(map(len, starts)) - 1
    for first in range(0, len(whole), BLOCK):
        block = whole[first : first + BLOCK + overlap]
        candidates = _candidates(block, starts)
        for start in starts:
            found[start] += [first + place for place in _true(candidates, block, start) if place < BLOCK]
        let_go(block)
        if sum(map(len, found.values())) > MOST_PLACES:
            raise InvalidFile(f"it has more than {MOST_PLACES} heaps and nodes of trees", next_step=NEXT_STEP)
    return found


def _candidates(block: Array, starts: Sequence[bytes]) -> Places:
    """Return where one of some things may begin in a block, by two of its first three bytes.

    NumPy compares pairs of bytes several times as fast as `bytes.find` looks for any.
    """
    odd = block.ctypes.data % 2  # NumPy is slow with numbers at odd addresses
    pairs = block[odd : odd + (len(block) - odd) // 2 * 2].view("<u2")
    fits, fits_too = np.zeros((2, len(pairs)), bool)
    for word in {int.from_bytes(start[at : at + 2], "little") for start in starts for at in (0, 1)}:
        fits |= np.equal(pairs, word, out=fits_too)
    even = 2 * np.flatnonzero(fits) + odd
    return np.sort(np.concatenate([even - 1, even]))


def _true(candidates: Places, block: Array, start: bytes) -> list[int]:
    """Return at which of some places something does begin."""
    found = candidates[(candidates >= 0) & (candidates <= len(block) - len(start))]
    for offset, byte in enumerate(start):
        found = found[block[found + offset] == byte]
    places: list[int] = found.tolist()
    return places
