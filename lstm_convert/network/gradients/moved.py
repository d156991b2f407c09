"""Gradients of the layers that move, copy, drop or pad numbers: each goes back to where its number came from."""

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported
from lstm_convert.network.operations.compute import compute
from lstm_convert.network.operations.numbers import Float64


def moved(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001 (it is called as all others are)
    """Return at each place of the input the sum of the gradients of its copies."""
    return gathered(x, compute(layer, [places(x)]), dy)


def upsampling(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the same of copies; what lies between two neighbours is no copy."""
    if layer.options["interpolation"] != "nearest":
        raise Unsupported(f"{layer.name}: no gradient is known of {layer.options['interpolation']} interpolation")
    return moved(layer, x, y, dy)


def places(x: Float64) -> Float64:
    """Return one sample of the input's shape, each number the place where it stands, counted from 1.

    Args:
        x: the input.
    """
    return np.arange(1.0, x[0].size + 1.0).reshape(1, *x.shape[1:])


def gathered(x: Float64, origins: Float64, dy: Float64) -> Float64:
    """Return the sums of gradients by where their numbers came from, in the input's shape.

    Args:
        x: the input.
        origins: for each number of a sample its place in the input, or 0 where it came from nowhere.
        dy: the gradients, (batch, …), as many a sample as there are origins.
    """
    sums = np.zeros((x[0].size + 1, len(x)))
    np.add.at(sums, origins.astype(np.intp).ravel(), dy.reshape(len(x), -1).T)
    return sums[1:].T.reshape(x.shape)
