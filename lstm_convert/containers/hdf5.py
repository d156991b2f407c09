"""HDF5 files, read without following anything that leads out of them.

*Source:* h5py 3, docs/high/group.rst (links), docs/high/dataset.rst (external storage, virtual datasets).
"""

import io
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from lstm_convert import blocks
from lstm_convert.blocks import BYTES, kept, placed, rows_at_once
from lstm_convert.containers import Contents, Stored, hdf5_heaps, hdf5_trees
from lstm_convert.containers.bounds import ALWAYS_ALLOWED, refuse_bomb
from lstm_convert.containers.hdf5_search import places
from lstm_convert.containers.raw import byte_count, little_endian
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import Stream, mapped

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_WHOLE = "Save the model again, so that one file holds all of it."
_DEEPEST_GROUP = 100
_MOST_OBJECTS = 30_000
_LARGEST_ATTRIBUTE = 1 << 24
_MOST_ENTRIES = 1_000_000
# So many bytes the texts of an attribute may take, if each is as long as the longest of the file: all may be that one.
_LARGEST_TEXTS = 1 << 29
# What attributes are of; of others, as of lists of any length, a damaged file can make the HDF5 library crash.
_PLAIN_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM)
# Keras 3 keeps bfloat16 as bytes without a meaning.
_NUMBER_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.OPAQUE)
_IN_PLACE = "fiuV"  # the kinds of number that lie in the file as in memory; V are bytes without a meaning


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 (every container's sniff has both)
    """Return whether a file's first bytes are those of HDF5."""
    return head.startswith(SIGNATURE)


@contextmanager
def opened(path: Path, *, own: bool = False) -> Iterator[Contents]:
    """Yield the arrays and attributes of an HDF5 file, both by their path in it.

    Args:
        path: the file.
        own: whether we made it where nobody else writes.

    Raises:
        InvalidFile: it is damaged, or holds links, external storage or virtual datasets.
    """
    with mapped(path, own=own) as content, opened_within(memoryview(content), own=own) as contents:
        yield replace(contents, sha256=content.sha256)


@contextmanager
def opened_within(content: memoryview, *, own: bool = False) -> Iterator[Contents]:
    """Yield the same of an HDF5 file that is a part of another.

    Args:
        content: its bytes.
        own: whether we made it.

    Raises:
        InvalidFile: as `opened` raises.
    """
    longest = 0 if own else _refuse_endless(content)
    with _opened(content) as file:
        yield _contents(file, content, longest)


def _refuse_endless(content: memoryview) -> int:
    """Return how long the longest text in a file is, and raise where the HDF5 library would lock up."""
    found = places(content, (hdf5_heaps.START, hdf5_trees.START))
    hdf5_trees.refuse_endless(content, found[hdf5_trees.START])
    return hdf5_heaps.longest_text(content, found[hdf5_heaps.START])


def _opened(content: memoryview) -> h5py.File:
    if len(content) < BYTES:  # the library itself reads it several times as fast, but never says why it cannot
        with suppress(ValueError):
            return h5py.File(h5py.h5f.open_file_image(bytes(content)))
    try:
        return h5py.File(Stream(content))
    except OSError as error:
        raise InvalidFile(
            f"this HDF5 file cannot be opened: {error}", next_step="It may be cut short; copy or download it again."
        ) from error


def _contents(file: h5py.File, content: memoryview, longest: int) -> Contents:
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {}
    try:
        _collect(file, "", arrays, attributes, content, longest, around=())
        refuse_bomb(sum(map(byte_count, arrays.values())), len(content))
    except InvalidFile:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InvalidFile(f"this HDF5 file is damaged: {error}", next_step="Copy or download it again.") from error
    return Contents(arrays, attributes)


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

    The HDF5 library makes the file without the numbers of large arrays; these follow when their turn comes.

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


def _in_its_place() -> h5py.h5p.PropDCID:
    """Return what makes an array have its place in the file before its numbers are there."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
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


def _collect(
    group: h5py.Group,
    prefix: str,
    arrays: dict[str, Stored],
    attributes: dict[str, dict[str, Any]],
    content: memoryview,
    longest: int,
    around: tuple[int, ...],
) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in around or len(around) > _DEEPEST_GROUP:
        raise InvalidFile(f"group {prefix or '/'} contains itself, or is nested more than {_DEEPEST_GROUP} deep")
    attributes[prefix] = _attributes(group, prefix, longest)
    if len(attributes) > _MOST_OBJECTS:
        raise InvalidFile(f"it has more than {_MOST_OBJECTS} groups and arrays, some of them under many names")
    for name in group:
        path = f"{prefix}/{name}" if prefix else name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InvalidFile(f"{path} is a link to somewhere else, which is not followed", next_step=_WHOLE)
        item = group[name]
        if isinstance(item, h5py.Group):
            _collect(item, path, arrays, attributes, content, longest, (*around, address))
        elif isinstance(item, h5py.Dataset):
            arrays[path] = _stored(item, path, content)
            attributes[path] = _attributes(item, path, longest)


def _stored(dataset: h5py.Dataset, path: str, content: memoryview) -> Stored:
    """Return a dataset as a stored array, once it is certain that its numbers lie in this file, as many as it says."""
    if dataset.is_virtual or dataset.external:
        raise InvalidFile(f"{path} keeps its numbers in another file, which is not opened", next_step=_WHOLE)
    shape = dataset.shape
    if shape is None:
        raise InvalidFile(f"{path} is an empty dataset without a shape")
    size, held = math.prod(shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if size > held and not (dataset.compression and held):
        raise InvalidFile(f"{path} claims {shape} {dataset.dtype}, {size} bytes, and the file holds {held} for it")
    if (piece := math.prod(dataset.chunks or ()) * dataset.dtype.itemsize) > max(ALWAYS_ALLOWED, size):
        raise InvalidFile(f"{path} has {size} bytes and is stored in pieces of {piece}")

    def read() -> Any:
        if dataset.id.get_type().get_class() not in _NUMBER_TYPES:
            raise InvalidFile(f"{path} holds {dataset.dtype}, which are no numbers")
        try:
            start = _start(dataset)
            if start is not None and start + size <= len(content):
                return placed(content, dataset.dtype, shape, start)
            return kept(shape, dataset.dtype, _blocks(dataset))
        except OSError as error:
            raise InvalidFile(
                f"{path} cannot be read: {error}", next_step="Copy or download the file again."
            ) from error

    return Stored(tuple(shape), dataset.dtype, read)


def _start(dataset: h5py.Dataset) -> int | None:
    """Return where a dataset's numbers begin in the file, if they lie there one behind the other as NumPy has them."""
    start: int | None = dataset.id.get_offset()
    plain = dataset.dtype.kind in _IN_PLACE and dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype)
    return start if plain else None


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    """Yield a dataset's rows, some at a time, in whatever way they are stored."""
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    at_once = rows_at_once(dataset.shape, dataset.dtype)
    whole_chunks = dataset.chunks[0] if dataset.chunks else 1  # a chunk is decompressed as a whole
    at_once = -(-at_once // whole_chunks) * whole_chunks
    yield from (dataset[start : start + at_once] for start in range(0, dataset.shape[0], at_once))


def _attributes(item: h5py.Group | h5py.Dataset, path: str, longest: int) -> dict[str, Any]:
    """Return an object's attributes, byte strings decoded and arrays of them as lists; one without a value is none."""
    values = {}
    for name in item.attrs:
        handle = item.attrs.get_id(name)
        if handle.shape is not None:
            _check_attribute(handle, f"attribute {name} of {path or 'the file'}", longest)
            values[name] = _decoded(item.attrs[name])
    return values


def _check_attribute(handle: h5py.h5a.AttrID, what: str, longest: int) -> None:
    """Raise where an attribute is not plain, or would take much memory."""
    if handle.get_type().get_class() not in _PLAIN_TYPES:
        raise InvalidFile(f"{what} is neither text nor number")
    count = math.prod(handle.shape)
    if count > _MOST_ENTRIES or count * handle.dtype.itemsize > _LARGEST_ATTRIBUTE:
        raise InvalidFile(f"{what} is larger than {_LARGEST_ATTRIBUTE} bytes, or has more than {_MOST_ENTRIES} entries")
    if handle.dtype.hasobject and count * longest > _LARGEST_TEXTS:
        raise InvalidFile(f"{what} has {count} texts, in a file with one of {longest} bytes, which may be all of them")


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_decoded(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value
