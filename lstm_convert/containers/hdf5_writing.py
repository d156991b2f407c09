"""Writing HDF5 files: the HDF5 library makes the frame, and the numbers of large arrays are put in as they are made."""

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    large = {name for name, stored in contents.arrays.items() if byte_count(stored) >= blocks.LARGE}
    left_out: dict[int, Stored] = {}
    # HDF5's own file access ends the process when a write fails (a full disk); Python's raises an error.
    with tempfile.TemporaryFile() if large else io.BytesIO() as frame:
        with h5py.File(frame, "w") as file:
            groups, properties = _Groups(file.id), _in_its_place()
            for path, values in contents.attributes.items():
                if path not in contents.arrays:
                    _set_attributes(h5py.Group(groups[path]), values)
            for path, stored in contents.arrays.items():
                group, _, name = path.rpartition("/")
                kind = h5t.py_create(stored.dtype.newbyteorder("<"), logical=True)
                space = h5s.create_simple(stored.shape)
                dataset = h5d.create(groups[group], name.encode(), kind, space, dcpl=properties)
                if path in large and (start := dataset.get_offset()) is not None:
                    left_out[start] = stored
                else:
                    dataset.write(h5s.ALL, h5s.ALL, np.asarray(stored.read(), order="C"))
                _set_attributes(h5py.Dataset(dataset), contents.attributes.get(path, {}))
        yield frame.seek(0, io.SEEK_END), _filled(frame, left_out)


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


def _filled(frame: IO[bytes], left_out: Mapping[int, Stored]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a file, and where arrays were left out those of them."""
    place = 0
    for start, stored in sorted(left_out.items(), key=itemgetter(0)):
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
