"""Layers that move, copy, drop or pad numbers and compute none, but for one between two others."""

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.network.operations.numbers import Float64, channels_back, channels_last


def flatten(layer: Layer, x: Float64) -> Float64:
    """Return one row a sample; channels that come first are put last before."""
    return channels_last(layer, x).reshape(len(x), -1) if x.ndim > 1 else x[:, None]


def reshape(layer: Layer, x: Float64) -> Float64:
    """Return the numbers of each sample in another shape."""
    return x.reshape(len(x), *layer.options["shape"])


def permute(layer: Layer, x: Float64) -> Float64:
    """Return the axes after the batch in another order."""
    return x.transpose(0, *layer.options["order"])


def transpose(layer: Layer, x: Float64) -> Float64:
    """Return all axes in another order, the batch among them."""
    return x.transpose(layer.options["order"])


def repeat(layer: Layer, x: Float64) -> Float64:
    """Return a row of each sample, (batch, features), as so many equal steps, (batch, times, features)."""
    return np.repeat(x[:, None], layer.options["times"], axis=1)


def flip(layer: Layer, x: Float64) -> Float64:
    """Return the input with an axis turned around."""
    return np.flip(x, layer.options["axis"])


def take(layer: Layer, x: Float64) -> Float64:
    """Return one step or feature along an axis, which is gone."""
    return np.asarray(np.take(x, layer.options["index"], axis=layer.options["axis"]))


def zero_padding(layer: Layer, x: Float64) -> Float64:
    """Return the input with zeros around it along the axes of the window."""
    padded = np.pad(channels_last(layer, x), [(0, 0), *layer.options["amounts"], (0, 0)])
    return channels_back(layer, padded)


def cropping(layer: Layer, x: Float64) -> Float64:
    """Return the input without its borders along the axes of the window."""
    x = channels_last(layer, x)
    sizes = x.shape[1:-1]
    kept = [slice(before, size - after) for (before, after), size in zip(layer.options["amounts"], sizes, strict=True)]
    return channels_back(layer, x[:, *kept])


def upsampling(layer: Layer, x: Float64) -> Float64:
    """Return the input with more numbers along the axes of the window: copies, or what lies between two neighbours."""
    x = channels_last(layer, x)
    for axis, factor in enumerate(layer.options["size"], start=1):
        bilinear = layer.options["interpolation"] == "bilinear"
        x = _between_neighbours(x, axis, factor) if bilinear else np.repeat(x, factor, axis)
    return channels_back(layer, x)


def _between_neighbours(x: Float64, axis: int, factor: int) -> Float64:
    """Return what lies between the middles of neighbours; beyond the outermost middles it is the outermost number.

    *Source:* keras 3.15.1, keras/src/backend/tensorflow/image.py, and 2.15, keras/src/backend.py: tf.image.resize
    """
    size = x.shape[axis]
    place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    before = np.floor(place).astype(int)
    share = (place - before).reshape([-1] + [1] * (x.ndim - axis - 1))
    after = np.minimum(before + 1, size - 1)
    return np.asarray(np.take(x, before, axis) * (1 - share) + np.take(x, after, axis) * share)
