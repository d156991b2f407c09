"""HDF5 files, read without following anything that leads out of them.

*Source:* h5py 3, docs/high/group.rst (links), docs/high/dataset.rst (external storage, virtual datasets).
"""

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5, h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5t

from lstm_convert.blocks import BYTES
from lstm_convert.containers import Contents, Stored, hdf5_frames, hdf5_heaps, hdf5_trees
from lstm_convert.containers.bounds import ALWAYS_ALLOWED, refuse_bomb
from lstm_convert.containers.hdf5_headers import Headers
from lstm_convert.containers.hdf5_numbers import Numbers
from lstm_convert.containers.hdf5_search import places
from lstm_convert.containers.hdf5_writing import write
from lstm_convert.containers.raw import byte_count
from lstm_convert.errors import InvalidFile
from lstm_convert.mapped import Stream, mapped

__all__ = ["opened", "opened_within", "sniff", "write"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_WHOLE = "Save the model again, so that one file holds all of it."
_DEEPEST_GROUP = 100
_MOST_OBJECTS = 30_000
_LARGEST_ATTRIBUTE = 1 << 24
_MOST_ENTRIES = 1_000_000
_ADDRESS = 8
# So many bytes the texts of an attribute may take, if each is as long as the longest of the file: all may be that one.
_LARGEST_TEXTS = 1 << 29
# What attributes are of; of others, as of lists of any length, a damaged file can make the HDF5 library crash.
_PLAIN_TYPES = (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM)


@dataclass(frozen=True)
class _Texts:
    """What is known of the texts of a file before the HDF5 library reads them.

    Args:
        longest: how long the longest is.
        headers: what says how long each claims to be.
    """

    longest: int
    headers: Headers


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
    contents = hdf5_frames.of_known(content)
    if contents is not None:
        yield contents
        return
    with _looked_into(content, own=own) as contents:
        hdf5_frames.remember(content, contents, _looked_into)
        yield contents


@contextmanager
def _looked_into(content: memoryview, *, own: bool = False) -> Iterator[Contents]:
    """Yield what the HDF5 library finds in a file."""
    texts = None if own else _Texts(_refuse_endless(content), Headers(content))
    with closing(_opened(content)) as file:
        yield _contents(file, content, texts)


def _refuse_endless(content: memoryview) -> int:
    """Return how long the longest text in a file is, and raise where the HDF5 library would lock up."""
    found = places(content, (hdf5_heaps.START, hdf5_trees.START))
    hdf5_trees.refuse_endless(content, found[hdf5_trees.START])
    return hdf5_heaps.longest_text(content, found[hdf5_heaps.START])


def _opened(content: memoryview) -> h5f.FileID:
    if len(content) < BYTES:  # the library itself reads it several times as fast, but never says why it cannot
        with suppress(ValueError):
            return h5f.open_file_image(bytes(content))
    try:
        return h5py.File(Stream(content)).id
    except OSError as error:
        raise InvalidFile(
            f"this HDF5 file cannot be opened: {error}", next_step="It may be cut short; copy or download it again."
        ) from error


def _contents(file: h5f.FileID, content: memoryview, texts: _Texts | None) -> Contents:
    arrays: dict[str, Stored] = {}
    attributes: dict[str, dict[str, Any]] = {}
    try:
        if texts is not None:
            _refuse_other_addresses(file)
        _collect(h5g.open(file, b"/"), "", arrays, attributes, content, texts, around=())
        refuse_bomb(sum(map(byte_count, arrays.values())), len(content))
    except InvalidFile:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise InvalidFile(f"this HDF5 file is damaged: {error}", next_step="Copy or download it again.") from error
    return Contents(arrays, attributes)


def _refuse_other_addresses(file: h5f.FileID) -> None:
    """Raise where addresses in a file are not what all that looks into it beside the HDF5 library takes them for."""
    made = file.get_create_plist()
    if made.get_sizes() != (_ADDRESS, _ADDRESS) or made.get_userblock():
        raise InvalidFile(f"its addresses have other than {_ADDRESS} bytes, or do not count from its beginning")


def _collect(
    group: h5g.GroupID,
    prefix: str,
    arrays: dict[str, Stored],
    attributes: dict[str, dict[str, Any]],
    content: memoryview,
    texts: _Texts | None,
    around: tuple[int, ...],
) -> None:
    address = h5o.get_info(group).addr
    if address in around or len(around) > _DEEPEST_GROUP:
        raise InvalidFile(f"group {prefix or '/'} contains itself, or is nested more than {_DEEPEST_GROUP} deep")
    attributes[prefix] = _attributes(group, prefix, texts)
    if len(attributes) > _MOST_OBJECTS:
        raise InvalidFile(f"it has more than {_MOST_OBJECTS} groups and arrays, some of them under many names")
    for name, kind in _links(group):
        path = f"{prefix}/{_text(name)}" if prefix else _text(name)
        if kind != h5l.TYPE_HARD:
            raise InvalidFile(f"{path} is a link to somewhere else, which is not followed", next_step=_WHOLE)
        item = h5o.open(group, name)
        if isinstance(item, h5g.GroupID):
            _collect(item, path, arrays, attributes, content, texts, (*around, address))
        elif isinstance(item, h5d.DatasetID):
            arrays[path] = _stored(item, path, content)
            attributes[path] = _attributes(item, path, texts)


def _links(group: h5g.GroupID) -> list[tuple[bytes, int]]:
    """Return the name and kind of each link in a group, as they were made where that is known, or by name."""
    ordered = group.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    found: list[tuple[bytes, int]] = []
    group.links.iterate(
        lambda name, link: found.append((name, link.type)),
        idx_type=h5.INDEX_CRT_ORDER if ordered else h5.INDEX_NAME,
        info=True,
    )
    return found


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _stored(dataset: h5d.DatasetID, path: str, content: memoryview) -> Stored:
    """Return a dataset as a stored array, once it is certain that its numbers lie in this file, as many as it says."""
    start: int | None = dataset.get_offset()
    if start is None:
        _refuse_elsewhere(dataset, path)
    shape, dtype = dataset.shape, dataset.dtype
    if shape is None:
        raise InvalidFile(f"{path} is an empty dataset without a shape")
    size, held = math.prod(shape) * dtype.itemsize, dataset.get_storage_size()
    chunks, compressed = (None, False) if start is not None else _pieces(dataset)
    if size > held and not (compressed and held):
        raise InvalidFile(f"{path} claims {shape} {dtype}, {size} bytes, and the file holds {held} for it")
    if (piece := math.prod(chunks or ()) * dtype.itemsize) > max(ALWAYS_ALLOWED, size):
        raise InvalidFile(f"{path} has {size} bytes and is stored in pieces of {piece}")

    return Stored(tuple(shape), dtype, Numbers(dataset, path, tuple(shape), dtype, content, start))


def _refuse_elsewhere(dataset: h5d.DatasetID, path: str) -> None:
    """Raise where a dataset that does not lie in one place of this file has its numbers in another."""
    made = dataset.get_create_plist()
    if made.get_layout() == h5d.VIRTUAL or made.get_external_count():
        raise InvalidFile(f"{path} keeps its numbers in another file, which is not opened", next_step=_WHOLE)


def _pieces(dataset: h5d.DatasetID) -> tuple[tuple[int, ...] | None, bool]:
    """Return in pieces of which shape a dataset is stored, if it is, and whether they are compressed."""
    made = h5py.Dataset(dataset)
    return made.chunks, made.compression is not None


def _attributes(item: h5g.GroupID | h5d.DatasetID, path: str, texts: _Texts | None) -> dict[str, Any]:
    """Return an object's attributes, byte strings decoded and arrays of them as lists; one without a value is none."""
    values = {}
    for number in range(h5a.get_num_attrs(item)):
        attribute = h5a.open(item, index=number)
        if attribute.shape is not None:
            name = _text(attribute.name)
            what = f"attribute {name} of {path or 'the file'}"
            dtype = _plain_type(attribute, what)
            if dtype.hasobject and texts is not None:
                _refuse_long(attribute, h5o.get_info(item).addr, what, texts)
            value = np.zeros(attribute.shape, dtype)
            attribute.read(value, mtype=h5t.py_create(dtype))
            values[name] = _decoded(value.tolist(), "surrogateescape" if dtype.hasobject else "strict")
    return values


def _plain_type(attribute: h5a.AttrID, what: str) -> np.dtype[Any]:
    """Return an attribute's type, and raise where it is not plain, or the attribute would take much memory."""
    if attribute.get_type().get_class() not in _PLAIN_TYPES:
        raise InvalidFile(f"{what} is neither text nor number")
    count, dtype = math.prod(attribute.shape), attribute.dtype
    if count > _MOST_ENTRIES or count * dtype.itemsize > _LARGEST_ATTRIBUTE:
        raise InvalidFile(f"{what} is larger than {_LARGEST_ATTRIBUTE} bytes, or has more than {_MOST_ENTRIES} entries")
    plain: np.dtype[Any] = dtype
    return plain


def _refuse_long(attribute: h5a.AttrID, address: int, what: str, texts: _Texts) -> None:
    """Raise where an attribute's texts claim, or could have, more bytes than they may."""
    count, longest = math.prod(attribute.shape), texts.longest
    if count * longest > _LARGEST_TEXTS:
        raise InvalidFile(f"{what} has {count} texts, in a file with one of {longest} bytes, which may be all of them")
    if (claimed := texts.headers.longest_claimed(address, attribute.name, count)) > longest:
        raise InvalidFile(f"{what} claims a text of {claimed} bytes, and the longest of the file has {longest}")


def _decoded(value: Any, errors: str) -> Any:
    if isinstance(value, list):
        return [_decoded(item, errors) for item in value]
    return value.decode(errors=errors) if isinstance(value, bytes) else value
