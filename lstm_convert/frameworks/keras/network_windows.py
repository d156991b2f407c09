"""Layers with a window, or with borders, as layers of Keras 3.

Source: keras 3.0.5 and 3.15.1, keras/src/layers/convolutional, pooling and reshaping; keras/src/backend/torch/nn.py,
average_pool, which counts what pads an input where there is more of it behind than before
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.network_form import Form, Situation, activated, data_format, wholes

_FIRST = "first"


def conv(layer: Layer, _: Situation) -> list[Form]:
    """Return a convolution."""
    options, kernel = layer.options, layer.arrays["kernel"]
    if max(options["strides"]) > 1 and max(options["dilation"]) > 1:
        raise Unsupported("Keras 3 has no convolution with both strides and dilation")
    if options["padding"] == "causal" and options["rank"] != 1:
        raise Unsupported("causal padding, which Keras 3 has along time alone")
    config = {
        "filters": len(kernel),
        "kernel_size": list(kernel.shape[2:]),
        "strides": wholes(options["strides"]),
        "padding": options["padding"],
        "data_format": data_format(layer),
        "dilation_rate": wholes(options["dilation"]),
        "groups": int(options["groups"]),
    }
    return activated(layer, f"Conv{options['rank']}D", config, np.moveaxis(kernel, (0, 1), (-1, -2)))


def pool(layer: Layer, situation: Situation) -> list[Form]:
    """Return a pooling; an average whose padding Keras's backends count differently, by that of as many ones.

    Zeros of a stride on either side move no window, and their averages are cropped again. Each average is then a sum
    over the same number, whatever that is, for the input and for ones.
    """
    options = layer.options
    config = {
        "pool_size": wholes(options["size"]),
        "strides": wholes(options["strides"]),
        "padding": options["padding"],
        "data_format": data_format(layer),
    }
    own = Form(f"{options['form'].title()}Pooling{options['rank']}D", config)
    if not pads_unevenly(layer, situation):
        return [own]
    if options["rank"] == 1 and options["channels"] == _FIRST:
        turned = Form("Permute", {"dims": [2, 1]}, serves=True)
        last = Layer(layer.name, layer.kind, {**options, "channels": "last"})
        return [turned, *pool(last, Situation(situation.shape[::-1])), turned]
    zeros = _bordered(layer, "ZeroPadding", "padding", [(stride, stride) for stride in options["strides"]])
    cropped = _bordered(layer, "Cropping", "cropping", [(1, 1)] * options["rank"])
    averages = [replace(zeros, serves=True), own, replace(cropped, serves=True)]
    return [*averages, Form("Divide", operation=True, serves=True, by_ones=len(averages))]


def pads_unevenly(layer: Layer, situation: Situation) -> bool:
    """Return whether an average pooling may pad more behind than before, along any axis."""
    options = layer.options
    if layer.kind != "pool" or options["form"] != "average" or options["padding"] != "same":
        return False
    lengths = situation.shape[1:] if options["channels"] == _FIRST else situation.shape[:-1]
    axes = zip(lengths, options["size"], options["strides"], strict=True)
    return any(padding % 2 for axis in axes for padding in _paddings(*axis))


def _paddings(length: int | None, size: int, stride: int) -> list[int]:
    """Return how much an axis may be padded: of unknown length, it depends on what is left over of a stride."""
    lengths = range(stride, 2 * stride) if length is None else [length]
    return [max((-(-each // stride) - 1) * stride + size - each, 0) for each in lengths]


def global_pool(layer: Layer, situation: Situation) -> list[Form]:
    """Return a pooling over the whole window."""
    options = layer.options
    takes_mask = options["rank"] == 1 and options["form"] == "average"
    if situation.masked and bool(options["masked"]) != takes_mask:
        counts = "do not count" if options["masked"] else "count like others"
        raise Unsupported(f"masked steps {counts} in it, and in Keras 3's layer they do otherwise")
    class_name = f"Global{options['form'].title()}Pooling{options['rank']}D"
    return [Form(class_name, {"data_format": data_format(layer), "keepdims": bool(options["keepdims"])})]


def upsampling(layer: Layer, _: Situation) -> list[Form]:
    """Return an upsampling."""
    options, size = layer.options, wholes(layer.options["size"])
    plane = options["rank"] == 2  # noqa: PLR2004 (height and width)
    if not plane and options["interpolation"] != "nearest":
        raise Unsupported(f"{options['interpolation']} upsampling, which Keras 3 has for images alone")
    if options["rank"] == 1:
        _refuse_first_channels(layer)
        return [Form("UpSampling1D", {"size": size[0]})]
    config = {"size": size, "data_format": data_format(layer)}
    interpolation = {"interpolation": options["interpolation"]} if plane else {}
    return [Form(f"UpSampling{options['rank']}D", config | interpolation)]


def cropping(layer: Layer, _: Situation) -> list[Form]:
    """Return what takes borders away."""
    return [_bordered(layer, "Cropping", "cropping", layer.options["amounts"])]


def zero_padding(layer: Layer, _: Situation) -> list[Form]:
    """Return what puts zeros around its input."""
    return [_bordered(layer, "ZeroPadding", "padding", layer.options["amounts"])]


def _bordered(layer: Layer, name: str, option: str, amounts: Sequence[Sequence[int]]) -> Form:
    pairs = [wholes(pair) for pair in amounts]
    if layer.options["rank"] == 1:
        _refuse_first_channels(layer)
        return Form(f"{name}1D", {option: pairs[0]})
    return Form(f"{name}{layer.options['rank']}D", {option: pairs, "data_format": data_format(layer)})


def _refuse_first_channels(layer: Layer) -> None:
    if layer.options["channels"] == _FIRST:
        raise Unsupported("channels before time, which Keras 3.0.5 does not have in this layer")
