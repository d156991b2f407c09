"""Layers that work on each number, or each row of numbers, by itself."""

import numpy as np

from lstm_convert.activations import function
from lstm_convert.canonical import Layer
from lstm_convert.network.operations.numbers import Bool, Float64, array_of


def same(layer: Layer, x: Float64) -> Float64:  # noqa: ARG001 (it is called as all others are)
    """Return the input: noise and dropout are for training alone."""
    return x


def activation(layer: Layer, x: Float64) -> Float64:
    """Return the layer's activation of an array of any shape."""
    return function(layer.options["activation"])(x)


def relu(layer: Layer, x: Float64) -> Float64:
    """Return what is above the threshold, at most the largest value, and below it a share of the distance.

    *Source:* keras 3.15.1, keras/src/activations/activations.py, ReLU.static_call; 2.15, keras/src/backend.py, relu
    """
    largest, slope, threshold = (layer.options[name] for name in ("max_value", "negative_slope", "threshold"))
    above = x if largest is None else np.minimum(x, largest)
    return np.where(x > threshold, above, slope * (x - threshold))


def prelu(layer: Layer, x: Float64) -> Float64:
    """Return an array whose negative numbers are scaled, each place by its own."""
    return np.maximum(x, 0.0) + array_of(layer, "alpha") * np.minimum(x, 0.0)


def rescaling(layer: Layer, x: Float64) -> Float64:
    """Return the input times a number, plus another."""
    return x * float(layer.options["scale"]) + float(layer.options["offset"])


def softmax(layer: Layer, x: Float64) -> Float64:
    """Return the softmax along the layer's axis or axes; a mask, where one reaches it, does not count."""
    axis = layer.options["axis"]
    axis = axis if isinstance(axis, int) else tuple(axis)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def masking(layer: Layer, x: Float64) -> Float64:
    """Return the input with zeros for the steps that do not count."""
    return np.where(differs(layer, x).any(axis=-1, keepdims=True), x, 0.0)


def differs(layer: Layer, x: Float64) -> Bool:
    """Return where an array is not a masking layer's value.

    Args:
        layer: a masking layer.
        x: its input.
    """
    # The frameworks compare in float32; so a value that it cannot hold is met there too.
    return np.asarray(x.astype(np.float32) != np.float32(layer.options["value"]))
