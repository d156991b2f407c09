"""Layers that multiply and add arrays of their own, without a window."""

import numpy as np

from lstm_convert.activations import function
from lstm_convert.canonical import Layer
from lstm_convert.kernels import turned
from lstm_convert.network.operations.numbers import Float64, array_of


def dense(layer: Layer, x: Float64) -> Float64:
    """Return the activation of kernel times input plus bias, along the last axis."""
    y = x @ turned([layer.arrays["kernel"]])[0]
    if "bias" in layer.arrays:
        y = y + array_of(layer, "bias")
    return function(layer.options["activation"])(y)


def embedding(layer: Layer, x: Float64) -> Float64:
    """Return the row of each word, on a new last axis.

    Args:
        layer: the layer.
        x: the words' numbers; what is behind their point is cut off.

    Raises:
        IndexError: a word is not in the vocabulary.
    """
    kernel, words = layer.arrays["kernel"], np.asarray(x).astype(np.int64)
    if words.size and (words.min() < 0 or words.max() >= len(kernel)):
        raise IndexError(f"expected words from 0 to {len(kernel) - 1}, found {words.min()} to {words.max()}")
    return np.asarray(kernel[words], np.float64)


def batch_norm(layer: Layer, x: Float64) -> Float64:
    """Return the input less the moving mean, by the moving deviation, scaled and moved, along the layer's axis."""
    shape = [1] * x.ndim
    shape[layer.options["axis"]] = -1
    arrays = {name: array_of(layer, name).reshape(shape) for name in layer.arrays}
    y = (x - arrays["mean"]) / np.sqrt(arrays["variance"] + layer.options["epsilon"])
    return np.asarray(y * arrays.get("gamma", 1.0) + arrays.get("beta", 0.0))


def layer_norm(layer: Layer, x: Float64) -> Float64:
    """Return the input less its own mean, by its own deviation, along the layer's axes, scaled and moved."""
    axes = tuple(layer.options["axes"])
    shape = [1] * x.ndim
    for axis in axes:
        shape[axis] = x.shape[axis]
    arrays = {name: array_of(layer, name).reshape(shape) for name in layer.arrays}
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + layer.options["epsilon"])
    return np.asarray(y * arrays.get("gamma", 1.0) + arrays.get("beta", 0.0))
