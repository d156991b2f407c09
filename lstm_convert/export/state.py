"""The weights of a written-out module: what its state dict calls them, and back."""

from collections.abc import Mapping

import numpy as np

from lstm_convert.bundle import Bundle
from lstm_convert.canonical import Array, Cell, Model
from lstm_convert.export.plan import planned
from lstm_convert.packing import pack_arrays, unpack
from lstm_convert.table import PYTORCH, counterpart

_PEEPHOLE = "peephole"


def state(model: Model) -> dict[str, Array]:
    """Return the state dict of a model's written-out module.

    Args:
        model: the layers.

    Returns:
        Arrays by key: PyTorch's names under the submodule's path, `lstm_1.weight_ih_l0`; and `peephole_l0`.
    """
    return {
        places[name]: np.ascontiguousarray(array)
        for layer, places_of in zip(model.layers, keys(model), strict=True)
        for cell, places in zip(layer.cells.values(), places_of, strict=True)
        for name, array in _arrays(cell).items()
    }


def keys(model: Model) -> list[list[dict[str, str]]]:
    """Return for each direction of each layer the key of each of its arrays."""
    paths = {part.layer.name: part.places for part in planned(model).parts}
    return [
        [
            {name: f"{path}.{name}_l0{suffix}" for name in _arrays(cell)}
            for cell, (path, suffix) in zip(layer.cells.values(), paths[layer.name], strict=True)
        ]
        for layer in model.layers
    ]


def arrays_of(kind: type[Cell], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the canonical arrays that those of one direction are, by the names of a cell's fields.

    Args:
        kind: of the cell.
        arrays: by PyTorch's names, `weight_ih` and so on, and `peephole`.

    Raises:
        LayoutMismatch: arrays are missing or mis-shaped.
    """
    row = counterpart(PYTORCH, kind)
    own = {name: array for name, array in arrays.items() if name != _PEEPHOLE}
    extra = {_PEEPHOLE: arrays[_PEEPHOLE]} if _PEEPHOLE in arrays else {}
    return {**unpack(row, Bundle(row.name, own)).arrays(), **extra}


def _arrays(cell: Cell) -> dict[str, Array]:
    arrays = dict(pack_arrays(counterpart(PYTORCH, type(cell)), cell).arrays)
    return arrays | {name: array for name, array in cell.arrays().items() if name == _PEEPHOLE}
