"""Layers with a window: convolution and pooling, in time or in an image."""

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np

from lstm_convert.activations import function
from lstm_convert.canonical import Layer
from lstm_convert.kernels import turned
from lstm_convert.network.operations.numbers import Bool, Float64, array_of, channels_back, channels_last


def conv(layer: Layer, x: Float64) -> Float64:
    """Return the activation of a convolution, which does not turn its kernel around, plus bias.

    Args:
        layer: its kernel is (filters, inputs / groups, *window).
        x: (batch, *axes, inputs), or with the inputs before the axes.
    """
    return channels_back(layer, function(layer.options["activation"])(channels_last(layer, convolved(layer, x))))


def convolved(layer: Layer, x: Float64) -> Float64:
    """Return the same before the activation.

    Args:
        layer: its kernel is (filters, inputs / groups, *window).
        x: (batch, *axes, inputs), or with the inputs before the axes.
    """
    options, kernel = layer.options, layer.arrays["kernel"]
    kernels = np.moveaxis(kernel, (0, 1), (-2, -1))
    size = kernel.shape[2:]
    x = padded(channels_last(layer, x), size, options["strides"], options["dilation"], options["padding"], 0.0)
    groups = options["groups"]
    if x.shape[-1] != kernel.shape[1] * groups or kernel.shape[0] % groups:
        raise ValueError(f"expected {kernel.shape[1] * groups} channels, found {x.shape[-1]}")
    y: Float64 = np.zeros(0)
    for place, part in under_window(x, size, options["strides"], options["dilation"]):
        in_groups = zip(np.split(part, groups, -1), np.split(kernels[place], groups), strict=True)
        of_groups = [inputs @ turned([weights])[0] for inputs, weights in in_groups]
        product = np.concatenate(of_groups, axis=-1)
        y = y + product if y.size else product
    if "bias" in layer.arrays:
        y = y + array_of(layer, "bias")
    return channels_back(layer, y)


def pool(layer: Layer, x: Float64) -> Float64:
    """Return the largest or the mean number under each place of the window; padding does not count.

    Args:
        layer: the layer.
        x: (batch, *axes, channels), or with the channels before the axes.
    """
    options, x = layer.options, channels_last(layer, x)
    window = options["size"], options["strides"], (1,) * options["rank"]
    if options["form"] == "max":
        around = padded(x, *window, options["padding"], -np.inf)
        y = reduce(np.maximum, (part for _, part in under_window(around, *window)))
    else:
        total, count = (
            sum(part for _, part in under_window(padded(numbers, *window, options["padding"], 0.0), *window))
            for numbers in (x, np.ones((1, *x.shape[1:-1], 1)))
        )
        y = np.asarray(total / count)
    return channels_back(layer, y)


def global_pool(layer: Layer, x: Float64, mask: Bool | None) -> Float64:
    """Return the largest or the mean number of each channel.

    Args:
        layer: the layer.
        x: (batch, *axes, channels), or with the channels before the axes.
        mask: which steps count, (batch, time), or None.
    """
    options, x = layer.options, channels_last(layer, x)
    axes, keep = tuple(range(1, x.ndim - 1)), options["keepdims"]
    if options["form"] == "max":
        y = x.max(axes, keepdims=keep)
    elif mask is not None and options["masked"]:
        counts = mask[..., None]
        with np.errstate(invalid="ignore"):  # where no step counts there is no mean, in every framework
            total = np.where(counts, x, 0.0).sum(axes, keepdims=keep)
            y = total / counts.sum(axes, keepdims=keep)
    else:
        y = x.mean(axes, keepdims=keep)
    return channels_back(layer, y) if keep else y


def padded(
    x: Float64, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: str, filler: float
) -> Float64:
    """Return an array, channels last, with what its padding puts around it.

    Args:
        x: (batch, *axes, channels).
        size: of the window.
        strides: from one position to the next.
        dilation: from one place of the window to the next.
        padding: valid, same or causal.
        filler: the number that is put there.

    *Source:* tensorflow 2.21, core/framework/kernel_shape_util.h; keras 3.15.1, keras/src/layers/convolutional/
    """
    amounts = []
    for length, window, stride, spread in zip(x.shape[1:-1], size, strides, dilation, strict=True):
        reach = (window - 1) * spread
        if padding == "same":
            total = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
            amounts.append((total // 2, total - total // 2))
        else:
            amounts.append((reach, 0) if padding == "causal" else (0, 0))
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=filler)


def under_window(
    x: Float64, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Float64]]:
    """Yield each place of the window with the numbers that come to lie there, one for each position of the window.

    Args:
        x: (batch, *axes, channels), padded.
        size: of the window.
        strides: from one position to the next.
        dilation: from one place of the window to the next.

    Raises:
        ValueError: the window does not fit once.
    """
    reaches = [(window - 1) * spread for window, spread in zip(size, dilation, strict=True)]
    lasts = [length - reach for length, reach in zip(x.shape[1:-1], reaches, strict=True)]
    if min(lasts) < 1:
        raise ValueError(f"expected at least {[reach + 1 for reach in reaches]} along the window's axes")
    for place in np.ndindex(*size):
        starts = [at * spread for at, spread in zip(place, dilation, strict=True)]
        steps = [slice(at, at + last, step) for at, last, step in zip(starts, lasts, strides, strict=True)]
        yield place, x[:, *steps]
