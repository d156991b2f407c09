"""A state dict read back as the network that was written: what the proof of a conversion compares."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lstm_convert.canonical import Layer, Network, Recurrent
from lstm_convert.containers import Contents
from lstm_convert.export import network_keys, network_paths
from lstm_convert.frameworks import ReadOptions
from lstm_convert.frameworks.pytorch.state_dict import read


def reread(contents: Contents, source: Network) -> Network:
    """Return a network with the arrays that a state dict has of it; what it cannot say is as in the source.

    Args:
        contents: the state dict of the network's written-out module.
        source: the network.

    Raises:
        KeyError, ValueError: an array is missing or mis-shaped, which only a mistake of the writer makes it.
    """
    recurrent = {layer.path: layer for layer in read(contents, ReadOptions()).layers}
    paths, (_, keys) = network_paths(source), network_keys(source)
    layers = {}
    for name, layer in source.layers.items():
        if layer.recurrent is None:
            layers[name] = _with_arrays(layer, contents, keys[name])
        else:
            layers[name] = replace(layer, recurrent=_with_cells(layer.recurrent, recurrent[paths[name]]))
    return replace(source, layers=layers)


def _with_cells(layer: Recurrent, found: Recurrent) -> Recurrent:
    cells = zip(layer.cells.items(), found.cells.values(), strict=True)
    return layer.with_cells(
        {direction: other.with_activations(cell.activations()) for (direction, cell), other in cells}
    )


def _with_arrays(layer: Layer, contents: Contents, keys: Mapping[str, str]) -> Layer:
    arrays = {name: np.asarray(contents.arrays[key].read()) for name, key in keys.items()}
    return replace(layer, arrays={name: array.reshape(layer.arrays[name].shape) for name, array in arrays.items()})
