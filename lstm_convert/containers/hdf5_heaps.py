"""The heaps in which an HDF5 file keeps texts, looked through before the HDF5 library does, which one can lock up.

    4 bytes   "GCOL"
    4 bytes   the version, 1, and zeros
    8 bytes   how long the heap is, with these 16 bytes
    objects   each 2 bytes number, 6 bytes of no interest here, 8 bytes size, then its bytes, padded to 8;
              number 0 is free space, whose size counts these 16 bytes too

The library steps from object to object. Where a step has no length, it never ends.

*Source:* HDF5 1.14.6, src/H5HGcache.c, H5HG__cache_heap_deserialize; HDF5 File Format Specification 3.0, III.E
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from lstm_convert.errors import InvalidFile

START = b"GCOL\1\0\0\0"
LENGTH = struct.Struct("<Q")
OBJECT = struct.Struct("<H6xQ")

LARGEST_HEAP = 1 << 26

_BLOCK = 1 << 20
_ALIGNMENT = 8


def refuse_endless(file: BinaryIO) -> None:
    """Raise where a heap has an object that leads to no next one.

    Args:
        file: the whole file; it is read in blocks.

    Raises:
        InvalidFile: there is one.
    """
    for place in _places(file):
        file.seek(place + len(START))
        head = file.read(LENGTH.size)
        size = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
        objects = file.read(max(0, min(size, LARGEST_HEAP) - len(START) - len(head)))
        if not _ends(objects):
            raise InvalidFile(
                f"this HDF5 file is damaged: the heap at byte {place} of it has no end",
                next_step="Copy or download it again.",
            )


def _places(file: BinaryIO) -> Iterator[int]:
    """Yield where heaps begin, or what looks like one."""
    begin, kept = 0, b""
    while block := _read_at(file, begin + len(kept)):
        block = kept + block
        found = block.find(START)
        while found >= 0:
            yield begin + found
            found = block.find(START, found + 1)
        kept = block[-len(START) + 1 :]
        begin += len(block) - len(kept)


def _read_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(_BLOCK)


def _ends(objects: bytes) -> bool:
    """Return whether going from object to object comes to the end."""
    place = 0
    while place + OBJECT.size <= len(objects):
        number, size = OBJECT.unpack_from(objects, place)
        step = OBJECT.size + -(-size // _ALIGNMENT) * _ALIGNMENT if number else size
        if step <= 0 or step >> 63:
            return False
        place += step
    return True
