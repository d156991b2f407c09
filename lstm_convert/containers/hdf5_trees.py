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

from lstm_convert.containers.hdf5_search import NEXT_STEP, places, read_at
from lstm_convert.errors import InvalidFile

START = b"TREE"
NODE = struct.Struct("<4sBBH8xQ")

MOST_NODES = 200_000
"""How many nodes all trees of a file may have."""


def refuse_endless(content: memoryview) -> None:
    """Raise where going to the right from a node of a tree leads back to it.

    Args:
        content: the whole file.

    Raises:
        InvalidFile: there is such a node, or there are too many to tell.
    """
    right_of: dict[int, int] = {}
    for place in places(content, START):
        node = read_at(content, place, NODE.size)
        if len(node) == NODE.size:
            right_of[place] = NODE.unpack(node)[-1]
        if len(right_of) > MOST_NODES:
            raise InvalidFile(f"its trees have more than {MOST_NODES} nodes", next_step=NEXT_STEP)
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
