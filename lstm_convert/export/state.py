"""The weights of a written-out module: what its state dict calls them, and back."""

from collections.abc import Mapping

import numpy as np

from lstm_convert.blocks import Rows
from lstm_convert.bundle import Bundle
from lstm_convert.canonical import Array, Gates, Model, RecurrentCell
from lstm_convert.export.plan import Part, planned
from lstm_convert.packing import pack_arrays, unpack
from lstm_convert.table import PYTORCH, counterpart

_PEEPHOLE = "peephole"
# What the weights are called that a class of the written-out source has: nn.LSTM is not to load them, as it would
# compute something else with them.
_OWN_NAMES = {
    "weight_ih": "weight_x",
    "weight_hh": "weight_h",
    "bias_ih": "bias_x",
    "bias_hh": "bias_h",
    "weight_hr": "projection",
    _PEEPHOLE: _PEEPHOLE,
}


def state(model: Model) -> dict[str, Array | Rows]:
    """Return the state dict of a model's written-out module.

    Args:
        model: the layers.

    Returns:
        Arrays by key: `lstm_1.weight_ih_l0` where the submodule is PyTorch's own, else `lstm_1.weight_x`.
    """
    return {
        places[name]: array
        for layer, places_of in zip(model.layers, keys(model), strict=True)
        for cell, places in zip(layer.cells.values(), places_of, strict=True)
        for name, array in weights_of(cell).items()
    }


def keys(model: Model) -> list[list[dict[str, str]]]:
    """Return for each direction of each layer the key of each of its arrays."""
    parts = {part.layer.name: part for part in planned(model).parts}
    return [keys_of_part(parts[layer.name]) for layer in model.layers]


def keys_of_part(part: Part) -> list[dict[str, str]]:
    """Return for each direction of a layer the key of each of its arrays, which go by PyTorch's names.

    Args:
        part: the layer as a submodule.
    """
    return [
        {
            name: f"{path}.{name}_l0{suffix}" if part.torch_has(cell) else f"{path}.{_OWN_NAMES[name]}"
            for name in _names_of(cell)
        }
        for cell, (path, suffix) in zip(part.layer.cells.values(), part.places, strict=True)
    ]


def arrays_of(kind: type[RecurrentCell], arrays: Mapping[str, Array]) -> dict[str, Gates | Array]:
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
    return {**unpack(row, Bundle(row.name, own)).held(), **extra}


def _names_of(cell: RecurrentCell) -> list[str]:
    """Return the names of what `weights_of` returns."""
    held = cell.held()
    row = counterpart(PYTORCH, type(cell))
    names = row.names(bias="b" in held or "b_rec" in held, projection="projection" in held)
    return [*names, *(name for name in held if name == _PEEPHOLE)]


def weights_of(cell: RecurrentCell) -> dict[str, Array | Rows]:
    """Return the arrays of a cell by the names of PyTorch's module, `weight_ih` and so on, and `peephole`."""
    arrays = pack_arrays(counterpart(PYTORCH, type(cell)), cell)
    return arrays | {name: np.asarray(array) for name, array in cell.held().items() if name == _PEEPHOLE}
