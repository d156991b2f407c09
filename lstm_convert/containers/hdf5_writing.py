"""Writing HDF5 files: the HDF5 library makes the frame of one, and the numbers are put into it as they are made.

A frame is a file without its arrays' numbers. It follows from names, shapes, types and attributes alone, so that small
files which have those in common are made of one frame, which is remembered.
"""

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p, h5s, h5t

from lstm_convert import blocks
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.raw import byte_count, little_endian
from lstm_convert.mapped import pieces

# What is remembered: so many frames, of so many bytes of numbers each, described by so long a text.
_FRAMES, _LARGEST, _LONGEST = 16, 1 << 18, 1 << 17

Shapes = Mapping[str, tuple[int, ...]]
Types = tuple[np.dtype[Any], ...]
Attributes = Mapping[str, Mapping[str, Any]]


def write(path: Path, contents: Contents) -> None:
    """Write arrays and attributes, each at its path, as an HDF5 file.

    Args:
        path: where to.
        contents: the arrays and attributes; a list of strings becomes an array of byte strings, as Keras has it.
    """
    with path.open("wb") as file, made(contents) as (_, chunks):
        file.writelines(pieces(chunks))


@contextmanager
def made(contents: Contents) -> Iterator[tuple[int, Iterator[bytes | memoryview]]]:
    """Yield how many bytes the same has as an HDF5 file, and what makes them one after the other.

    Args:
        contents: as in `write`.
    """
    arrays = contents.arrays.values()
    shapes = {path: stored.shape for path, stored in contents.arrays.items()}
    types = tuple(stored.dtype for stored in arrays)
    size = sum(map(byte_count, arrays))
    with tempfile.TemporaryFile() if size >= blocks.LARGE else io.BytesIO() as frame:
        if size < _LARGEST and len(text := json.dumps([shapes, contents.attributes], default=dict)) < _LONGEST:
            content, starts = _remembered(text, types)
            frame.write(content)
        else:
            starts = _framed(frame, shapes, types, contents.attributes)
        places = {start: stored for start, stored in zip(starts, arrays, strict=True) if start is not None}
        yield frame.seek(0, io.SEEK_END), _filled(frame, places)


@lru_cache(maxsize=_FRAMES)
def _remembered(text: str, types: Types) -> tuple[bytes, tuple[int | None, ...]]:
    """Return a frame, and where numbers belong in it, as `_framed` does, from a text that says the rest of it all."""
    shapes, attributes = json.loads(text)
    with io.BytesIO() as frame:
        starts = _framed(frame, shapes, types, attributes)
        return frame.getvalue(), starts


def _framed(frame: IO[bytes], shapes: Shapes, types: Types, attributes: Attributes) -> tuple[int | None, ...]:
    """Write a frame, and return where in it the numbers of each array belong; None for an array without any.

    Args:
        frame: where to. HDF5's own file access ends the process when a write fails (a full disk); Python's raises.
        shapes: of the arrays, by their paths.
        types: of the numbers of each.
        attributes: by the path they hang on.
    """
    starts = []
    with h5py.File(frame, "w") as file:
        groups, properties = _Groups(file.id), _in_its_place()
        for path, values in attributes.items():
            if path not in shapes:
                _set_attributes(h5py.Group(groups[path]), values)
        for (path, shape), dtype in zip(shapes.items(), types, strict=True):
            group, _, name = path.rpartition("/")
            kind = h5t.py_create(dtype.newbyteorder("<"), logical=True)
            space = h5s.create_simple(tuple(shape))
            dataset = h5d.create(groups[group], name.encode(), kind, space, dcpl=properties)
            _set_attributes(h5py.Dataset(dataset), attributes.get(path, {}))
            starts.append(dataset.get_offset())
    return tuple(starts)


class _Groups(dict[str, h5g.GroupID]):
    """The groups of a file by their paths, made when they are asked for."""

    def __init__(self, file: h5f.FileID) -> None:
        super().__init__({"": h5g.open(file, b"/")})

    def __missing__(self, path: str) -> h5g.GroupID:
        parent, _, name = path.rpartition("/")
        link = h5p.create(h5p.LINK_CREATE)
        link.set_char_encoding(h5t.CSET_ASCII if name.isascii() else h5t.CSET_UTF8)
        self[path] = h5g.create(self[parent], name.encode(), lcpl=link)
        return self[path]


def _in_its_place() -> h5p.PropDCID:
    """Return what makes an array have its place in the file before its numbers are there."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    return properties


def _filled(frame: IO[bytes], places: Mapping[int, Stored]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a frame, and those of the arrays in their places."""
    place = 0
    for start, stored in sorted(places.items(), key=itemgetter(0)):
        yield from _between(frame, place, start)
        yield from little_endian(stored)
        place = start + byte_count(stored)
    yield from _between(frame, place, frame.seek(0, io.SEEK_END))


def _between(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    for place in range(start, stop, blocks.LARGE):
        file.seek(place)
        yield file.read(min(blocks.LARGE, stop - place))


def _set_attributes(target: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        target.attrs[key] = np.array([text.encode() for text in value]) if isinstance(value, list) and value else value
