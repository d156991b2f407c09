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
from h5py import h5d, h5p

from lstm_convert import blocks
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.raw import byte_count, little_endian


def write(path: Path, contents: Contents) -> None:
    """Write arrays and attributes, each at its path, as an HDF5 file.

    Args:
        path: where to.
        contents: the arrays and attributes; a list of strings becomes an array of byte strings, as Keras has it.
    """
    with path.open("wb") as file, made(contents) as (_, chunks):
        file.writelines(chunks)


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
            for group, values in contents.attributes.items():
                if group not in contents.arrays:
                    _set_attributes(file.require_group(group or "/"), values)
            for name, stored in contents.arrays.items():
                dataset = file.create_dataset(name, stored.shape, stored.dtype.newbyteorder("<"), dcpl=_in_its_place())
                if name in large and (start := dataset.id.get_offset()) is not None:
                    left_out[start] = stored
                else:
                    dataset[...] = stored.read()
                _set_attributes(dataset, contents.attributes.get(name, {}))
        yield frame.seek(0, io.SEEK_END), _filled(frame, left_out)


def _in_its_place() -> h5p.PropDCID:
    """Return what makes an array have its place in the file before its numbers are there."""
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
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


def _set_attributes(target: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        target.attrs[key] = np.array([text.encode() for text in value]) if isinstance(value, list) and value else value
