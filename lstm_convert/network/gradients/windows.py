"""Gradients of the layers with a window: each number under it goes back to its place in the input."""

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.network.gradients.elementwise import through
from lstm_convert.network.gradients.moved import gathered, places
from lstm_convert.network.operations.numbers import Bool, Float64, array_of, channels_last
from lstm_convert.network.operations.windows import convolved, padded, under_window


def conv(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the gradient before the activation, times the kernel of each place of the window."""
    options, kernel = layer.options, array_of(layer, "kernel")
    made = through(options["activation"], channels_last(layer, convolved(layer, x)), channels_last(layer, y),
                   channels_last(layer, dy))  # fmt: skip
    window = kernel.shape[2:], options["strides"], options["dilation"]
    origins = padded(channels_last(layer, places(x)), *window, options["padding"], 0.0)
    kernels = np.moveaxis(kernel, (0, 1), (-1, -2))
    dx: Float64 = np.zeros_like(x)
    for place, origin in under_window(origins, *window):
        groups = zip(*(np.split(each, options["groups"], -1) for each in (made, kernels[place])), strict=True)
        back = [gradient @ weights.T for gradient, weights in groups]
        dx = dx + gathered(x, origin, np.concatenate(back, axis=-1))
    return dx


def pool(layer: Layer, x: Float64, y: Float64, dy: Float64) -> Float64:
    """Return the gradient at the largest numbers under each place of the window, or shared out among all of them."""
    options = layer.options
    window = options["size"], options["strides"], (1,) * options["rank"]
    last, y, dy = (channels_last(layer, array) for array in (x, y, dy))
    largest = options["form"] == "max"
    origins = padded(channels_last(layer, places(x)), *window, options["padding"], 0.0)
    numbers = padded(last, *window, options["padding"], -np.inf) if largest else padded(
        np.ones((1, *last.shape[1:-1], 1)), *window, options["padding"], 0.0)  # fmt: skip
    parts = [part == y if largest else part for _, part in under_window(numbers, *window)]
    count = np.sum(parts, axis=0)
    dx: Float64 = np.zeros_like(x)
    for (_, origin), part in zip(under_window(origins, *window), parts, strict=True):
        dx = dx + gathered(x, origin, dy * part / count)
    return dx


def global_pool(layer: Layer, x: Float64, y: Float64, dy: Float64, mask: Bool | None) -> Float64:
    """Return the gradient at the largest numbers of each channel, or shared out among all that count."""
    options, last = layer.options, channels_last(layer, x)
    axes = tuple(range(1, last.ndim - 1))
    y, dy = (channels_last(layer, array) if options["keepdims"] else np.expand_dims(array, axes) for array in (y, dy))
    if options["form"] == "max":
        parts = last == y
    elif mask is not None and options["masked"]:
        parts = np.broadcast_to(mask[..., None], last.shape)
    else:
        parts = np.ones(last.shape, bool)
    dx = dy * parts / parts.sum(axes, keepdims=True)
    return np.asarray(np.moveaxis(dx, -1, 1) if options["channels"] == "first" else dx)
