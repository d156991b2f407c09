"""A state dict read back as the model that was written: what the proof of a conversion compares."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lstm_convert.canonical import Array, Layer, Model, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.export.network_state import network_keys
from lstm_convert.export.state import arrays_of


def reread(contents: Contents, source: Model) -> Model:
    """Return a model with the arrays that a state dict has of it; what it cannot say is as in the source.

    Args:
        contents: the state dict of the written-out module of the model's network.
        source: the model that was written.

    Raises:
        KeyError, LayoutMismatch, ValueError: an array is missing or mis-shaped, which only a mistake of the writer
            makes it.
    """
    network = source.network
    if network is None:
        raise ValueError("only a whole network is read back")
    recurrent, others = network_keys(network)
    layers = {
        name: layer if layer.recurrent else _with_arrays(layer, contents, others[name])
        for name, layer in network.layers.items()
    }
    found = replace(source, network=replace(network, layers=layers))
    return found.with_layers(_with_cells(layer, contents, recurrent[layer.name]) for layer in source.layers)


def _with_cells(layer: Recurrent, contents: Contents, places: Sequence[Mapping[str, str]]) -> Recurrent:
    cells = {
        direction: cell.with_arrays(arrays_of(type(cell), _arrays(contents, keys)))
        for (direction, cell), keys in zip(layer.cells.items(), places, strict=True)
    }
    return layer.with_cells(cells)


def _with_arrays(layer: Layer, contents: Contents, keys: Mapping[str, str]) -> Layer:
    arrays = _arrays(contents, keys)
    return replace(layer, arrays={name: array.reshape(layer.arrays[name].shape) for name, array in arrays.items()})


def _arrays(contents: Contents, keys: Mapping[str, str]) -> dict[str, Array]:
    return {name: np.asarray(contents.arrays[key].read()) for name, key in keys.items()}
