"""HDF5 files of one frame, alike but for the numbers of their arrays: the HDF5 library looks into only one of them.

A frame is a file with zeros in place of its arrays' numbers. It is remembered where the library finds the same in it as
in the file: nothing that the library looks at lies among the numbers, so it finds that in all files of this frame.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstm_convert.blocks import placed
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.hdf5_numbers import Numbers
from lstm_convert.containers.raw import byte_count
from lstm_convert.errors import InvalidFile

FRAMES = 16
"""How many frames are remembered."""

LARGEST = 1 << 18
"""How many bytes a frame may have, and how many characters the texts that it leads to."""


@dataclass(frozen=True)
class _Place:
    """Where the numbers of an array lie."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame, and what the library finds in it."""

    content: bytes
    places: Mapping[str, _Place]
    attributes: Mapping[str, Mapping[str, Any]]


_frames: deque[_Frame] = deque(maxlen=FRAMES)
# A frame is made only where size and names were met before: where all files differ, it would be work for nothing.
_met: deque[tuple[int, int]] = deque(maxlen=4 * FRAMES)


def of_known(content: memoryview) -> Contents | None:
    """Return what an HDF5 file holds if its frame is remembered, else None.

    Args:
        content: the whole file.
    """
    for frame in tuple(_frames):
        if len(frame.content) == len(content) and _without(content, frame.places.values()) == frame.content:
            arrays = {
                path: Stored(place.shape, place.dtype, partial(placed, content, place.dtype, place.shape, place.start))
                for path, place in frame.places.items()
            }
            return Contents(arrays, deepcopy(frame.attributes))
    return None


def remember(
    content: memoryview, found: Contents, look_into: Callable[[memoryview], AbstractContextManager[Contents]]
) -> None:
    """Remember the frame of a file that is small, and whose size and arrays' names were met before.

    Args:
        content: the whole file.
        found: what the library finds in it.
        look_into: what returns that of any file.
    """
    if len(content) > LARGEST or _length(found.attributes) > LARGEST:
        return
    size_and_names = len(content), hash(tuple(found.arrays))
    if size_and_names not in _met:
        _met.append(size_and_names)
        return
    places = _places(found)
    if places is None:
        return
    blank = bytes(_without(content, places.values()))
    try:
        with look_into(memoryview(blank)) as contents:
            if _places(contents) == places and contents.attributes == found.attributes:
                _frames.append(_Frame(blank, places, deepcopy(found.attributes)))
    except InvalidFile:
        return  # a part of it lies among its numbers


def _places(contents: Contents) -> dict[str, _Place] | None:
    """Return where the numbers of all arrays lie, or None where those of some do not lie as they are in memory."""
    places: dict[str, _Place] = {}
    for path, stored in contents.arrays.items():
        numbers = stored.read
        if not isinstance(numbers, Numbers) or numbers.start is None or not numbers.are_in_place:
            return None
        places[path] = _Place(stored.shape, stored.dtype, numbers.start, numbers.start + byte_count(stored))
    return places


def _without(content: memoryview, places: Iterable[_Place]) -> bytearray:
    """Return a file with zeros in some places."""
    blank = bytearray(content)
    for place in places:
        blank[place.start : place.end] = bytes(place.end - place.start)
    return blank


def _length(value: Any) -> int:
    """Return how long the texts of some attributes are together, each counted with what it is kept in."""
    if isinstance(value, Mapping):
        return sum(len(name) + _length(inner) for name, inner in value.items())
    if isinstance(value, list):
        return len(value) + sum(map(_length, value))
    return len(value) if isinstance(value, str) else 1
