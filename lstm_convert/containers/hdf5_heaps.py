"""The heaps in which an HDF5 file keeps texts, looked through before the HDF5 library does, which one can lock up.

    4 bytes   "GCOL"
    4 bytes   the version, 1, and what the library passes over
    8 bytes   how long the heap is, with these 16 bytes
    objects   each 2 bytes number, 6 bytes of no interest here, 8 bytes size, then its bytes, padded to 8;
              number 0 is free space, whose size counts these 16 bytes too

The library steps from object to object. Where a step has no length, it never ends.

*Source:* HDF5 1.14.6, src/H5HGcache.c, H5HG__cache_heap_deserialize; HDF5 File Format Specification 3.0, III.E
"""

import struct
from collections.abc import Iterable, Iterator

from lstm_convert.containers.hdf5_search import NEXT_STEP
from lstm_convert.errors import InvalidFile

START = b"GCOL\1"
HEAD = 8
LENGTH = struct.Struct("<Q")
OBJECT = struct.Struct("<H6xQ")

MOST_TEXTS = 200_000
"""How many objects all heaps of a file may have."""

_ALIGNMENT = 8
_WRAPS = 1 << 63  # a step of this length leads back


def longest_text(content: memoryview, places: Iterable[int]) -> int:
    """Return how long the longest text in any heap is, and raise where a heap has an object that leads to no next one.

    Args:
        content: the whole file.
        places: where its heaps begin.

    Raises:
        InvalidFile: there is such an object, or there are too many to tell.
    """
    count, longest = 0, 0
    for place in places:
        for step in _steps(content, place):
            count, longest = count + 1, max(longest, step)
            if step <= 0 or count > MOST_TEXTS:
                what = "has no end" if step <= 0 else f"is one of many, with more than {MOST_TEXTS} texts in them"
                raise InvalidFile(
                    f"this HDF5 file is damaged: the heap at byte {place} of it {what}", next_step=NEXT_STEP
                )
    return min(longest, len(content))


def _steps(content: memoryview, place: int) -> Iterator[int]:
    """Yield how far it is from object to object of the heap at a place, as the library counts it."""
    start = place + HEAD
    whole = start + LENGTH.size <= len(content)
    end = min(place + LENGTH.unpack_from(content, start)[0], len(content)) if whole else 0
    place = start + LENGTH.size
    while place + OBJECT.size <= end:
        number, length = OBJECT.unpack_from(content, place)
        step = OBJECT.size + -(-length // _ALIGNMENT) * _ALIGNMENT if number else length
        yield step if step < _WRAPS else 0
        place += step
