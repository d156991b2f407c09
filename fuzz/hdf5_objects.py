"""Mutations of HDF5 files: links, datasets, attributes, and the headers in which the library keeps them."""

import io
from random import Random
from typing import Any

import h5py
import numpy as np
from bytes_of import mutated_bytes
from values import mutated_document

_TYPES = (
    "f4",
    "f8",
    "f2",
    "i1",
    ">f4",
    "u8",
    "S5",
    "V7",
    "c16",
    h5py.string_dtype(),
    h5py.ref_dtype,
    [("a", "f4")],
    "?",
)
_SHAPES = ((), (0,), (1,), (3, 0), (7,), (2, 3, 5), (1,) * 32, (1000, 1000))
_TEXTS = ("", "x", "lstm", "a" * 60_000, "../x", "é", b"\xff\xfe", "{}", "null", "3.15.1", "1.2.2")
_HEADER_BYTES = 300


def mutated_hdf5(content: bytes, random: Random) -> bytes:
    """Return an HDF5 file with one object, attribute or object header changed.

    Args:
        content: the file.
        random: where chance comes from.
    """
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        names = [""]
        file.visit(names.append)
        path = random.choice(names) or "/"
        item = file[path]
        change = random.choice((_attribute, _attribute, _attribute, _header, _header, _dataset, _dataset, _link))
        start = h5py.h5o.get_info(item.id).addr
        if change is not _header:
            change(file, item, path, random)
    content = stream.getvalue()
    if change is _header:
        end = start + _HEADER_BYTES
        return content[:start] + mutated_bytes(content[start:end], random) + content[end:]
    return content


def _header(*_: Any) -> None:
    """Stand for a change of an object's header, which h5py cannot make."""


def _attribute(file: Any, item: Any, _: str, random: Random) -> None:
    item = random.choice([file, item if item.attrs else file])
    names = list(item.attrs) or ["weight_names"]
    name = random.choice(names)
    old = item.attrs.get(name)
    change = random.choice(
        ("document", "document", "document", "remove", "text", "number", "list", "rename", "empty", "large")
    )
    if change == "document" and isinstance(old, str | bytes):
        text = mutated_document(old.encode() if isinstance(old, str) else old, random)
        item.attrs[name] = text.decode("utf-8", "surrogateescape") if random.random() < 0.5 else np.bytes_(text)  # noqa: PLR2004 (half)
    elif change == "remove" and name in item.attrs:
        del item.attrs[name]
    elif change == "list" and isinstance(old, np.ndarray) and old.size:
        values = old.tolist()
        item.attrs[name] = random.choice((values[::-1], values[1:], values * 2, values[:1] * 3, values[0]))
    elif change == "rename" and name in item.attrs:
        item.attrs.create(random.choice(("x", "layer_names", "weight_names", "keras_version", "model_config")), old)
    elif change == "empty":
        item.attrs[name] = h5py.Empty("f4")
    elif change == "large":
        item.attrs.create(name, np.zeros(60_000, "u1"))
    elif change == "number":
        item.attrs[name] = random.choice((0, -1, 2**63 - 1, 1.5, np.zeros((2, 2)), np.arange(3), float("nan")))
    else:
        said = random.choice(_TEXTS)
        item.attrs[name] = said if random.random() < 0.5 else [said, said]  # noqa: PLR2004 (half)


def _dataset(file: Any, item: Any, path: str, random: Random) -> None:
    """Put another dataset in an object's place, or spoil its numbers."""
    if path == "/":
        return
    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.size and random.random() < 0.3:  # noqa: PLR2004 (some)
        item[(0,) * item.ndim] = random.choice((np.nan, np.inf, 1e30, 0.0))
        return
    shape = random.choice(
        (*_SHAPES, *([item.shape[::-1], item.shape, item.shape[1:]] if hasattr(item, "shape") else ()))
    )
    attributes = dict(item.attrs)
    del file[path]
    options: dict[str, Any] = random.choice(
        ({}, {}, {"chunks": True}, {"compression": "gzip"}, {"fletcher32": True}, {"maxshape": None})
    )
    if not shape or 0 in shape:
        options = {}
    elif "maxshape" in options:
        options = {"maxshape": (None,) * len(shape)}
    elif options and len(shape) > 8:  # noqa: PLR2004 (chunks of so many dimensions are slow to lay out)
        options = {}
    made = file.create_dataset(path, shape, random.choice(_TYPES), **options)
    for name, value in attributes.items():
        made.attrs[name] = value


def _link(file: Any, _: Any, path: str, random: Random) -> None:
    """Remove, move or double an object, or put a link of any kind in its place."""
    if path == "/":
        return
    change = random.choice(("remove", "move", "double", "soft", "external", "cycle", "type", "copy"))
    if change == "move":
        file.move(path, random.choice((f"{path}x", "lstm", "model_weights/x", "a" * 1000)))
        return
    if change in ("double", "copy"):
        other = random.choice(list(file)) if len(file) else "x"
        name = f"{other}/again" if isinstance(file.get(other), h5py.Group) else "again"
        if change == "double" or path in name:
            file[name] = file[path]
        else:
            file.copy(path, name)
        return
    parent = file[path].parent
    del file[path]
    made = {
        "soft": h5py.SoftLink("/"),
        "external": h5py.ExternalLink("/etc/passwd", "/x"),
        "cycle": parent,
        "type": np.dtype(random.choice(("f4", "S3"))),
    }
    if change in made:
        file[path] = made[change]
