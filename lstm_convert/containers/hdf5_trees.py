"""The trees in which an HDF5 file keeps groups and pieces of arrays, looked through before the HDF5 library walks them.

    4 bytes   "TREE"
    1 byte    what it holds: 0 names of a group, 1 pieces of an array
    1 byte    the level, 0 where it has no nodes below
    2 bytes   how many entries
    8 bytes   where the node to the left is
    8 bytes   where the node to the right is

The library goes from node to node to the right, however often it has been there.

*Source:* HDF5 1.14.6, src/H5B.c, H5B__get_info_helper; HDF5 File Format Specification 3.0, III.A.1
"""

import struct
from collections.abc import Iterable

from lstm_convert.containers.hdf5_search import NEXT_STEP
from lstm_convert.errors import InvalidFile

START = b"TREE"
NODE = struct.Struct("<4sBBH8xQ")


def refuse_endless(content: memoryview, places: Iterable[int]) -> None:
    """Raise where going to the right from a node of a tree leads back to it.

    Args:
        content: the whole file.
        places: where the nodes of its trees begin.

    Raises:
        InvalidFile: there is such a node.
    """
    right_of: dict[int, int] = {}
    for place in places:
        if place + NODE.size <= len(content):
            right_of[place] = NODE.unpack_from(content, place)[-1]
    ended: set[int] = set()
    for start in right_of:
        place, passed = start, {start}
        while (place := right_of.get(place, -1)) in right_of and place not in ended:
            if place in passed:
                raise InvalidFile(
                    f"this HDF5 file is damaged: the tree at byte {start} of it has no end", next_step=NEXT_STEP
                )
            passed.add(place)
        ended |= passed
