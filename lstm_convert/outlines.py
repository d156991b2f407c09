"""Outlines: models without numbers, each worked out once for all the small files of one structure.

The structure of a file is all of it but its numbers: the names, shapes and types of its arrays, and its attributes. An
adapter that looks at nothing else is given arrays of zeros, and of each array of the model that it makes of them, the
outline, it is noted where it lies in which of these. There the numbers of each file of this structure lie too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from lstm_convert.canonical import Array, Gates, Layer, Model, Recurrent, RecurrentCell
from lstm_convert.containers import Contents, Stored
from lstm_convert.containers.raw import byte_count
from lstm_convert.frameworks import ReadOptions

# What is remembered: so many structures, of so many bytes of numbers each, described by so long a text.
_STRUCTURES, _LARGEST, _LONGEST = 16, 1 << 18, 1 << 17

Types = tuple[np.dtype[Any], ...]
Place = Callable[[Array], Array]


def read(contents: Contents, adapter: ModuleType, options: ReadOptions) -> Model:
    """Return what an adapter reads of a file.

    Args:
        contents: the file.
        adapter: who reads it; not asked again where it looks at no numbers and the structure is known.
        options: what the user adds to it.

    Raises:
        LstmConvertError: as the adapter raises.
    """
    structure = _structure(contents, adapter, options)
    if structure is None:
        model: Model = adapter.read(contents, options)
        return model
    known = _known(*structure)
    known.times += 1
    if known.times == 2:  # noqa: PLR2004 (of what is met once, an outline would be work for nothing)
        known.outline = _outline(contents, adapter, options)
    return known.outline.filled(contents) if known.outline else adapter.read(contents, options)


def _structure(contents: Contents, adapter: ModuleType, options: ReadOptions) -> tuple[str, Types] | None:
    """Return all that an adapter is told of a file but its numbers, as text and types; None where it looks at these."""
    arrays = contents.arrays
    if sum(map(byte_count, arrays.values())) > _LARGEST or not adapter.looks_at_no_number(contents, options):
        return None
    shapes = [(key, stored.shape) for key, stored in arrays.items()]
    text = repr((adapter.__name__, shapes, contents.attributes, options))
    return (text, tuple(stored.dtype for stored in arrays.values())) if len(text) <= _LONGEST else None


@dataclass(frozen=True)
class _Part:
    """Where an array of a model lies in one of a file."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class _Outline:
    """A model without numbers, and where each of its arrays, by its identity, finds them in a file."""

    model: Model
    parts: Mapping[int, _Part]

    def filled(self, contents: Contents) -> Model:
        """Return the model with the numbers of a file."""
        wholes = {part.key: contents.arrays[part.key] for part in self.parts.values()}
        numbers = {key: np.ascontiguousarray(stored.read(), stored.dtype) for key, stored in wholes.items()}
        bytes_of = {key: each.reshape(-1).view(np.uint8) for key, each in numbers.items()}

        def place(array: Array) -> Array:
            part = self.parts[id(array)]
            return np.ndarray(part.shape, part.dtype, bytes_of[part.key], part.offset, part.strides)

        return _with_arrays(self.model, place)


@dataclass(eq=False)
class _Known:
    """What is known of a structure: how often it was met, and its outline, if there is one."""

    times: int = 0
    outline: _Outline | None = field(default=None)


@lru_cache(maxsize=_STRUCTURES)
def _known(_text: str, _types: Types) -> _Known:
    """Return what is known of a structure, which is filled in as files are met; nothing when it is first asked for."""
    return _Known()


def _outline(contents: Contents, adapter: ModuleType, options: ReadOptions) -> _Outline | None:
    """Return the outline of all files of one structure, or None where some array of the model is computed.

    Args:
        contents: of one of the files.
        adapter: who reads them.
        options: what the user adds to each.
    """
    zeros = {key: np.zeros(stored.shape, stored.dtype) for key, stored in contents.arrays.items()}
    empty = Contents({key: Stored.of(array) for key, array in zeros.items()}, contents.attributes)
    parts: dict[int, _Part | None] = {}

    def note(array: Array) -> Array:
        parts[id(array)] = _part(array, zeros)
        return array

    model = adapter.read(empty, options)
    _with_arrays(model, note)
    there = {number: part for number, part in parts.items() if part is not None}
    return _Outline(model, there) if len(there) == len(parts) else None


def _part(array: Array, wholes: Mapping[str, Array]) -> _Part | None:
    """Return in which of some arrays another lies, and where; None where in none of them."""
    for key, whole in wholes.items():
        offset = _address(array) - _address(whole)
        if array.size and 0 <= offset < whole.nbytes:
            return _Part(key, offset, array.shape, array.strides, array.dtype)
    return None


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _with_arrays(model: Model, place: Place) -> Model:
    """Return a model with what is made of each of its arrays, which shares nothing that can be changed with it."""
    network = model.network
    recurrent = {id(layer): layer for layer in (*model.layers, *(network.recurrent if network else ()))}
    layers = {number: _layer(layer, place) for number, layer in recurrent.items()}
    around = network and replace(
        network, layers={name: _neighbour(each, layers, place) for name, each in network.layers.items()}
    )
    return replace(model, layers=tuple(layers[id(layer)] for layer in model.layers), network=around)


def _layer(layer: Recurrent, place: Place) -> Recurrent:
    origin = layer.origin and replace(layer.origin, keys=tuple(map(dict, layer.origin.keys)))
    cells = {direction: _cell(cell, place) for direction, cell in layer.cells.items()}
    return replace(layer, origin=origin, forward=cells["forward"], backward=cells.get("backward"))


def _cell(cell: RecurrentCell, place: Place) -> RecurrentCell:
    return cell.with_arrays(
        {
            name: tuple(map(place, array)) if isinstance(array, Gates) else place(array)
            for name, array in cell.held().items()
        }
    )


def _neighbour(layer: Layer, layers: Mapping[int, Recurrent], place: Place) -> Layer:
    arrays = {name: place(array) for name, array in layer.arrays.items()}
    return replace(
        layer,
        options=dict(layer.options),
        arrays=arrays,
        recurrent=layer.recurrent and layers[id(layer.recurrent)],
    )
