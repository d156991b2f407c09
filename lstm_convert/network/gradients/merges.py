"""Gradients of the layers that make one array of several."""

from collections.abc import Sequence

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported
from lstm_convert.network.operations.merges import SHORTEST, of_one_rank
from lstm_convert.network.operations.numbers import Float64


def merge(layer: Layer, inputs: Sequence[Float64], y: Float64, dy: Float64) -> list[Float64]:
    """Return the gradient of each input of a merge without masks.

    Args:
        layer: the layer.
        inputs: the arrays.
        y: what it made of them.
        dy: the gradient of y.

    Raises:
        Unsupported: no such form is known.
    """
    form = layer.options["form"]
    if form == "concatenate":
        axis = layer.options["axis"]
        return np.split(dy, np.cumsum([x.shape[axis] for x in inputs])[:-1], axis=axis)
    if form == "dot":
        return _dot(layer, inputs[0], inputs[1], dy)
    ranked = of_one_rank(inputs)
    if form in ("add", "subtract", "average"):
        scales = {"subtract": [1.0, -1.0], "average": [1.0 / len(inputs)] * len(inputs)}.get(form, [1.0] * len(inputs))
        parts = [dy * scale for scale in scales]
    elif form == "multiply":
        parts = [dy * np.prod(np.broadcast_arrays(np.ones_like(y), *ranked[:at], *ranked[at + 1 :]), axis=0)
                 for at in range(len(ranked))]  # fmt: skip
    elif form in ("maximum", "minimum"):
        there = np.stack([x == y for x in ranked])
        parts = [dy * each / there.sum(axis=0) for each in there]
    else:
        raise Unsupported(f"{layer.name}: no gradient is known of a merge by {form!r}")
    return [_unbroadcast(part, one).reshape(x.shape) for part, one, x in zip(parts, ranked, inputs, strict=True)]


def _unbroadcast(dy: Float64, x: Float64) -> Float64:
    """Return the sum of a gradient along the axes of which the input has one entry."""
    axes = tuple(axis for axis in range(dy.ndim) if x.shape[axis] == 1 < dy.shape[axis])
    return np.asarray(dy.sum(axis=axes, keepdims=True))


def _dot(layer: Layer, one: Float64, other: Float64, dy: Float64) -> list[Float64]:
    axes = layer.options["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    last = [np.moveaxis(one, first, -1), np.moveaxis(other, second, -1)]
    used = [_normal(x) for x in last] if layer.options["normalize"] else last
    left, right = (x.reshape(len(x), -1, x.shape[-1]) for x in used)
    products = dy.reshape(len(dy), left.shape[1], right.shape[1])
    gradients = [(products @ right).reshape(last[0].shape), (products.transpose(0, 2, 1) @ left).reshape(last[1].shape)]
    if layer.options["normalize"]:
        gradients = [_before_normal(x, dx) for x, dx in zip(last, gradients, strict=True)]
    return [np.moveaxis(dx, -1, axis) for dx, axis in zip(gradients, (first, second), strict=True)]


def _normal(x: Float64) -> Float64:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), SHORTEST))


def _before_normal(x: Float64, dx: Float64) -> Float64:
    """Return the gradient before vectors were divided by their lengths; shorter ones than the shortest are not."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    direction = np.where(length > SHORTEST, x / np.maximum(length, SHORTEST), 0.0)
    along = direction * (dx * direction).sum(axis=-1, keepdims=True)
    return np.asarray((dx - along) / np.maximum(length, SHORTEST))
