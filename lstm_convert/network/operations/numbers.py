"""The numbers that the operations work on."""

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Layer

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


def array_of(layer: Layer, name: str) -> Float64:
    """Return an array of a layer in float64.

    Args:
        layer: the layer.
        name: of an array that it has.
    """
    return np.ascontiguousarray(layer.arrays[name], np.float64)


def channels_last(layer: Layer, x: Float64) -> Float64:
    """Return what a layer with a window reads with its channels at the end, wherever the layer has them.

    Args:
        layer: whose option `channels` counts.
        x: its input.
    """
    return np.moveaxis(x, 1, -1) if layer.options["channels"] == "first" else x


def channels_back(layer: Layer, x: Float64) -> Float64:
    """Return an array whose channels are at the end with its channels where the layer has them.

    Args:
        layer: whose option `channels` counts.
        x: its output.
    """
    return np.moveaxis(x, -1, 1) if layer.options["channels"] == "first" else x
