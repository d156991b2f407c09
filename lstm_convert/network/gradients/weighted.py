"""Gradients of the layers that multiply and add arrays of their own, without a window."""

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.network.gradients.elementwise import through
from lstm_convert.network.operations.numbers import Float64, array_of


def dense(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the gradient before the activation, times the kernel."""
    kernel = array_of(layer, "kernel")
    given = x @ kernel.T
    if "bias" in layer.arrays:
        given = given + array_of(layer, "bias")
    return np.asarray(through(layer.options["activation"], given, y, dy) @ kernel)


def batch_norm(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001 (it is called as all others are)
    """Return the gradient by the moving deviation, scaled, along the layer's axis."""
    shape = [1] * x.ndim
    shape[layer.options["axis"]] = -1
    deviation = np.sqrt(array_of(layer, "variance") + layer.options["epsilon"])
    scale = array_of(layer, "gamma") / deviation if "gamma" in layer.arrays else 1.0 / deviation
    return np.asarray(dy * scale.reshape(shape))


def layer_norm(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient before the input's own mean and deviation were taken out, along the layer's axes."""
    axes = tuple(layer.options["axes"])
    shape = [1] * x.ndim
    for axis in axes:
        shape[axis] = x.shape[axis]
    deviation = np.sqrt(x.var(axes, keepdims=True) + layer.options["epsilon"])
    normal = (x - x.mean(axes, keepdims=True)) / deviation
    scaled = dy * array_of(layer, "gamma").reshape(shape) if "gamma" in layer.arrays else dy
    across = scaled.mean(axes, keepdims=True) + normal * (scaled * normal).mean(axes, keepdims=True)
    return np.asarray((scaled - across) / deviation)
