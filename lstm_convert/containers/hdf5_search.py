"""Looking for what an HDF5 file is made of by how it begins, block by block, without the HDF5 library."""

from collections.abc import Iterator, Sequence

import numpy as np

from lstm_convert.blocks import Array
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import let_go

NEXT_STEP = "Copy or download it again."

MOST_PLACES = 200_000
"""How many heaps and nodes of trees a file may have."""

BLOCK = 1 << 18
"""How much is looked through at a time: what stays in a processor's cache."""

_WORD = 4


def places(content: memoryview, starts: Sequence[bytes]) -> dict[bytes, list[int]]:
    """Return where things begin, or what looks like them, by their first bytes.

    Args:
        content: the whole file.
        starts: the first bytes of each, at least four.

    Raises:
        InvalidFile: there are too many.
    """
    found: dict[bytes, list[int]] = {start: [] for start in starts}
    content_bytes, overlap = np.frombuffer(content, np.uint8), max(map(len, starts)) - 1
    for begin in range(0, len(content), BLOCK):
        block = content_bytes[begin : begin + BLOCK + overlap]
        if _may_have(block, starts):
            for start in starts:
                found[start] += [begin + place for place in _in_block(block.tobytes(), start)]
            if sum(map(len, found.values())) > MOST_PLACES:
                raise InvalidFile(f"it has more than {MOST_PLACES} heaps and nodes of trees", next_step=NEXT_STEP)
        let_go(block)
    return found


def _may_have(block: Array, starts: Sequence[bytes]) -> bool:
    """Return whether the first four bytes of any start are in a block; NumPy tells it faster than `bytes.find`."""
    words = [int.from_bytes(start[:_WORD], "little") for start in starts]
    shifted = (
        np.frombuffer(block.data, "<u4", (len(block) - shift) // _WORD, shift)
        for shift in range(min(_WORD, len(block)))
    )
    return any(bool((numbers == word).any()) for numbers in shifted for word in words)


def _in_block(block: bytes, start: bytes) -> Iterator[int]:
    """Yield where something begins in a block, whose last bytes are the first ones of the next."""
    place = block.find(start)
    while 0 <= place < BLOCK:
        yield place
        place = block.find(start, place + 1)
