"""Gradients of the layers that work on each number, or each row of numbers, by itself."""

import numpy as np

from lstm_convert.activations import derivative
from lstm_convert.canonical import Activation, Layer
from lstm_convert.network.operations.elementwise import differs
from lstm_convert.network.operations.numbers import Float64, array_of


def through(function: Activation, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the gradient of what an activation was given.

    Args:
        function: the activation.
        x: what it was given.
        y: what it made of that.
        dy: the gradient of y.

    Raises:
        Unsupported: it is not known, or makes each number of all numbers' in a way that is not known.
    """
    if function.name == "softmax":
        return np.asarray(y * (dy - (dy * y).sum(axis=-1, keepdims=True)))
    if function.name == "log_softmax":
        return np.asarray(dy - np.exp(y) * dy.sum(axis=-1, keepdims=True))
    return np.asarray(dy * derivative(function)(x, y))


def same(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001 (it is called as all others are)
    """Return the gradient itself."""
    return dy


def activation(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the gradient before the layer's activation."""
    return through(layer.options["activation"], x, y, dy)


def relu(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient where the input is between the threshold and the largest value, and a share of it below."""
    largest, slope, threshold = (layer.options[name] for name in ("max_value", "negative_slope", "threshold"))
    above = np.ones_like(x) if largest is None else np.where(x < largest, 1.0, 0.0)
    return np.where(x > threshold, above, slope) * dy


def prelu(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient, scaled at each place where the input is negative."""
    return np.where(x > 0, 1.0, array_of(layer, "alpha")) * dy


def rescaling(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient times the layer's number."""
    return dy * float(layer.options["scale"])


def softmax(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient before a softmax along the layer's axis or axes."""
    axis = layer.options["axis"]
    axis = axis if isinstance(axis, int) else tuple(axis)
    return np.asarray(y * (dy - (dy * y).sum(axis=axis, keepdims=True)))


def masking(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:  # noqa: ARG001
    """Return the gradient of the steps that count, zero for the others."""
    return np.where(differs(layer, x).any(axis=-1, keepdims=True), dy, 0.0)
