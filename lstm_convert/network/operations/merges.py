"""Layers that make one array of several."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.network.operations.numbers import Bool, Float64

_OF_TWO: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType({
    "add": np.add,
    "average": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "subtract": np.subtract,
})  # fmt: skip

# Shorter vectors are not made longer. *Source:* keras 3.15.1, keras/src/ops/nn.py, _normalize
SHORTEST = 1e-7


def merge(layer: Layer, inputs: Sequence[Float64], masks: Sequence[Bool | None]) -> Float64:
    """Return several arrays as one.

    Args:
        layer: the layer.
        inputs: the arrays.
        masks: for each, which steps of it count in products, maxima and minima, (batch, time), or None.
    """
    form = layer.options["form"]
    if form == "concatenate":
        return np.concatenate(inputs, axis=layer.options["axis"])
    if form == "dot":
        return _dot(layer, *inputs)
    if form == "subtract" and inputs[2:]:
        raise ValueError(f"expected two inputs, found {len(inputs)}")
    inputs = of_one_rank(inputs)
    if form == "multiply":
        return _product(inputs, masks)
    if form in ("maximum", "minimum"):
        return _extreme(_OF_TWO[form], inputs, masks)
    joined: Float64 = reduce(_OF_TWO[form], inputs)
    return joined / len(inputs) if form == "average" else joined


def of_one_rank(inputs: Sequence[Float64]) -> list[Float64]:
    """Return arrays with as many axes, those that lack some with axes of one entry after the batch.

    Args:
        inputs: the arrays.
    """
    rank = max(x.ndim for x in inputs)
    return [x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in inputs]


def _product(inputs: Sequence[Float64], masks: Sequence[Bool | None]) -> Float64:
    """Return the product of the numbers that count, zero where none does and all inputs have masks.

    *Source:* keras 3.15.1, keras/src/layers/merging/multiply.py
    """
    factors = [x if mask is None else np.where(mask[..., None], x, 1.0) for x, mask in zip(inputs, masks, strict=True)]
    product: Float64 = reduce(np.multiply, factors)
    there = [mask[..., None] for mask in masks if mask is not None]
    return np.where(np.any(there, axis=0), product, 0.0) if len(there) == len(inputs) else product


def _extreme(
    function: Callable[[Any, Any], Float64], inputs: Sequence[Float64], masks: Sequence[Bool | None]
) -> Float64:
    """Return the maximum or minimum of the numbers that count; where none does, the first.

    *Source:* keras 3.15.1, keras/src/layers/merging/base_merge.py, _apply_merge_op_and_or_mask
    """
    (extreme, *others), (counts, *other_masks) = inputs, masks
    for x, mask in zip(others, other_masks, strict=True):
        other = x if mask is None else np.where(mask[..., None], x, extreme)
        kept = extreme if counts is None else np.where(counts[..., None], extreme, other)
        counts = None if mask is None or counts is None else counts | mask
        extreme = function(kept, other)
    return extreme


def _dot(layer: Layer, one: Float64, other: Float64) -> Float64:
    """Return the sums of products along an axis of each, for each sample; what axes remain are those of one, other.

    *Source:* keras 3.15.1, keras/src/layers/merging/dot.py, batch_dot
    """
    axes = layer.options["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    one, other = np.moveaxis(one, first, -1), np.moveaxis(other, second, -1)
    if layer.options["normalize"]:
        one, other = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), SHORTEST) for x in (one, other))
    left, right = (x.reshape(len(x), -1, x.shape[-1]) for x in (one, other))
    shape = (*one.shape[:-1], *other.shape[1:-1])
    return (left @ right.transpose(0, 2, 1)).reshape(shape if len(shape) > 1 else (*shape, 1))
