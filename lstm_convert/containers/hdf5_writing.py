"""Writing HDF5 files: small ones are made in memory, whatever their size they go through Python's files.

HDF5's own file access ends the process when a write fails, as on a full disk; Python's raises an error.
"""

import io
from collections.abc import Mapping
from typing import IO, Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5g, h5p, h5s, h5t

from lstm_convert.blocks import LARGE
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.raw import byte_count


def write_to(stream: IO[bytes], contents: Contents) -> None:
    """Write arrays and attributes, each at its path, to a stream.

    Args:
        stream: open for reading and writing, and empty.
        contents: the arrays and attributes; a list of strings becomes an array of byte strings, as Keras has it.
    """
    small = sum(map(byte_count, contents.arrays.values())) < LARGE
    made = io.BytesIO() if small else stream
    with h5py.File(made, "w") as file:
        _fill(file.id, contents)
    if isinstance(made, io.BytesIO):
        stream.write(made.getbuffer())


def _fill(file: h5f.FileID, contents: Contents) -> None:
    groups = _Groups(file)
    for path, values in contents.attributes.items():
        if path not in contents.arrays:
            _set_attributes(h5py.Group(groups[path]), values)
    plain = h5p.create(h5p.DATASET_CREATE)
    plain.set_obj_track_times(False)
    for path, stored in contents.arrays.items():
        parent, _, name = path.rpartition("/")
        kind, space = h5t.py_create(stored.dtype, logical=True), h5s.create_simple(stored.shape)
        dataset = h5d.create(groups[parent], name.encode(), kind, space, dcpl=plain)
        _write_numbers(dataset, stored)
        _set_attributes(h5py.Dataset(dataset), contents.attributes.get(path, {}))


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


def _write_numbers(dataset: h5d.DatasetID, stored: Stored) -> None:
    first = 0
    for block in stored.blocks():
        if block.shape == stored.shape:
            dataset.write(h5s.ALL, h5s.ALL, block)
        else:
            h5py.Dataset(dataset)[first : first + len(block)] = block
            first += len(block)


def _set_attributes(target: h5py.Group | h5py.Dataset, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        target.attrs[key] = np.array([text.encode() for text in value]) if isinstance(value, list) and value else value
