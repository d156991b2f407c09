"""The table of what each kind of layer is in Keras 3: its class, its config, and its arrays in Keras's order.

Source: keras 3.0.5 and 3.15.1, keras/src/layers/ (the constructor, build and call of the classes named)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstm_convert.canonical import Activation, Layer
from lstm_convert.canonical.gates import Array
from lstm_convert.containers import Stored
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.network_activations import Plain, slope_factor, spelled
from lstm_convert.frameworks.keras.storing import Located
from lstm_convert.table import KERAS_3

_LAST = "last"
_SPATIAL = {3: "SpatialDropout1D", 4: "SpatialDropout2D", 5: "SpatialDropout3D"}  # by the axes of what it reads


@dataclass(frozen=True)
class Form:
    """One Keras layer, or operation, that a layer of a network becomes.

    Args:
        class_name: its Keras class.
        config: its settings, without name and dtype.
        arrays: its arrays, in Keras's order.
        operation: whether it is an operation, which has neither name nor dtype in its config.
        given: what its calls are given after what they read.
    """

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[Located, ...] = ()
    operation: bool = False
    given: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Situation:
    """What a layer is called on.

    Args:
        rank: how many axes it reads, the batch among them.
        masked: whether Keras hands it a mask.
    """

    rank: int
    masked: bool = False


def forms(layer: Layer, situation: Situation) -> list[Form]:
    """Return the Keras layers that compute a layer which is not recurrent, one after another.

    Args:
        layer: the layer; whether it works on each entry along axis 1 is left aside, but for an operation's axis.
        situation: what it is called on.

    Raises:
        Unsupported: Keras 3 has no such layer; its text is the reason.
    """
    return _FORMS[layer.kind](layer, situation)


def needs_no_wrapper(layer: Layer) -> bool:
    """Return whether a layer computes the same on all entries along axis 1 at once as on each by itself."""
    by_number = ("dropout", "gaussian_dropout", "gaussian_noise")
    return (
        layer.kind in ("activation", "dense", "flip", "relu", "rescaling", "take")
        or layer.options.get("form") in by_number
    )


def _located(arrays: Mapping[str, Array | None]) -> tuple[Located, ...]:
    there = {name: array for name, array in arrays.items() if array is not None}
    return tuple(
        Located(f"vars/{number}", name, Stored.of(array)) for number, (name, array) in enumerate(there.items())
    )


def _after(layers: list[Plain]) -> list[Form]:
    return [Form(class_name, config) for class_name, config in layers]


def _format(layer: Layer) -> str:
    return f"channels_{layer.options['channels']}"


def _sizes(values: Any) -> list[int]:
    return [int(value) for value in values]


def _activation(layer: Layer, _: Situation) -> list[Form]:
    name, layers = spelled(layer.options["activation"])
    return _after(layers) or [Form("Activation", {"activation": name})]


def _activated(layer: Layer, class_name: str, config: dict[str, Any], turned: Array) -> list[Form]:
    """Return a layer with kernel, bias and activation; scaled arrays spare hard_sigmoid layers of its own."""
    activation: Activation = layer.options["activation"]
    bias = layer.arrays.get("bias")
    if factor := slope_factor(activation):
        turned, bias = _scaled(turned, factor), None if bias is None else _scaled(bias, factor)
        activation = KERAS_3.activations["hard_sigmoid"]
    name, after = spelled(activation)
    stated = {**config, "activation": name, "use_bias": bias is not None}
    return [Form(class_name, stated, _located({"kernel": turned, "bias": bias})), *_after(after)]


def _scaled(array: Array, factor: float) -> Array:
    return np.asarray((array.astype(np.float64) * factor).astype(array.dtype))


def _batch_norm(layer: Layer, _: Situation) -> list[Form]:
    gamma, beta = layer.arrays.get("gamma"), layer.arrays.get("beta")
    config = {
        "axis": int(layer.options["axis"]),
        "momentum": float(layer.options["momentum"]),
        "epsilon": float(layer.options["epsilon"]),
        "center": beta is not None,
        "scale": gamma is not None,
    }
    moving = {"moving_mean": layer.arrays["mean"], "moving_variance": layer.arrays["variance"]}
    return [Form("BatchNormalization", config, _located({"gamma": gamma, "beta": beta, **moving}))]


def _conv(layer: Layer, _: Situation) -> list[Form]:
    options, kernel = layer.options, layer.arrays["kernel"]
    if max(options["strides"]) > 1 and max(options["dilation"]) > 1:
        raise Unsupported("Keras 3 has no convolution with both strides and dilation")
    if options["padding"] == "causal" and options["rank"] != 1:
        raise Unsupported("causal padding, which Keras 3 has along time alone")
    config = {
        "filters": len(kernel),
        "kernel_size": list(kernel.shape[2:]),
        "strides": _sizes(options["strides"]),
        "padding": options["padding"],
        "data_format": _format(layer),
        "dilation_rate": _sizes(options["dilation"]),
        "groups": int(options["groups"]),
    }
    return _activated(layer, f"Conv{options['rank']}D", config, np.moveaxis(kernel, (0, 1), (-1, -2)))


def _dense(layer: Layer, _: Situation) -> list[Form]:
    kernel = layer.arrays["kernel"]
    return _activated(layer, "Dense", {"units": len(kernel)}, kernel.T)


def _dropout(layer: Layer, situation: Situation) -> list[Form]:
    form, rate = layer.options["form"], float(layer.options["rate"])
    if form == "spatial_dropout":
        config = {"rate": rate} | ({} if situation.rank == 3 else {"data_format": "channels_last"})  # noqa: PLR2004 (time)
        return [Form(_SPATIAL[situation.rank], config)]
    class_name = "".join(word.title() for word in form.split("_"))
    return [Form(class_name, {"stddev" if form == "gaussian_noise" else "rate": rate})]


def _embedding(layer: Layer, _: Situation) -> list[Form]:
    words, features = layer.arrays["kernel"].shape
    config = {"input_dim": words, "output_dim": features, "mask_zero": bool(layer.options["mask_zero"])}
    return [Form("Embedding", config, _located({"embeddings": layer.arrays["kernel"]}))]


def _flatten(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Flatten", {"data_format": _format(layer)})]


def _global_pool(layer: Layer, situation: Situation) -> list[Form]:
    options = layer.options
    takes_mask = options["rank"] == 1 and options["form"] == "average"
    if situation.masked and bool(options["masked"]) != takes_mask:
        counts = "do not count" if options["masked"] else "count like others"
        raise Unsupported(f"masked steps {counts} in it, and in Keras 3's layer they do otherwise")
    class_name = f"Global{options['form'].title()}Pooling{options['rank']}D"
    return [Form(class_name, {"data_format": _format(layer), "keepdims": bool(options["keepdims"])})]


def _layer_norm(layer: Layer, _: Situation) -> list[Form]:
    gamma, beta = layer.arrays.get("gamma"), layer.arrays.get("beta")
    axes = _sizes(layer.options["axes"])
    config = {
        "axis": axes[0] if len(axes) == 1 else axes,
        "epsilon": float(layer.options["epsilon"]),
        "center": beta is not None,
        "scale": gamma is not None,
    }
    return [Form("LayerNormalization", config, _located({"gamma": gamma, "beta": beta}))]


def _masking(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Masking", {"mask_value": float(layer.options["value"])})]


def _merge(layer: Layer, _: Situation) -> list[Form]:
    options = layer.options
    if options["form"] == "concatenate":
        return [Form("Concatenate", {"axis": int(options["axis"])})]
    if options["form"] == "dot":
        axes = options["axes"] if isinstance(options["axes"], int) else _sizes(options["axes"])
        return [Form("Dot", {"axes": axes, "normalize": bool(options["normalize"])})]
    return [Form(options["form"].title())]


def _permute(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Permute", {"dims": _sizes(layer.options["order"])})]


def _pool(layer: Layer, _: Situation) -> list[Form]:
    options = layer.options
    config = {
        "pool_size": _sizes(options["size"]),
        "strides": _sizes(options["strides"]),
        "padding": options["padding"],
        "data_format": _format(layer),
    }
    return [Form(f"{options['form'].title()}Pooling{options['rank']}D", config)]


def _prelu(layer: Layer, _: Situation) -> list[Form]:
    alpha = layer.arrays["alpha"]
    shared = [axis for axis, size in enumerate(alpha.shape, start=1) if size == 1]
    return [Form("PReLU", {"shared_axes": shared or None}, _located({"alpha": alpha}))]


def _relu(layer: Layer, _: Situation) -> list[Form]:
    config = {name: None if value is None else float(value) for name, value in layer.options.items()}
    if negative := [f"{name}={value}" for name, value in config.items() if value is not None and value < 0]:
        raise Unsupported(f"{', '.join(negative)}, which Keras 3's ReLU does not take")
    return [Form("ReLU", config)]


def _repeat(layer: Layer, _: Situation) -> list[Form]:
    return [Form("RepeatVector", {"n": int(layer.options["times"])})]


def _reshape(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Reshape", {"target_shape": _sizes(layer.options["shape"])})]


def _softmax(layer: Layer, situation: Situation) -> list[Form]:
    """Keras 3's Softmax reads the mask of what it is called on; its function of that name does not."""
    axis = layer.options["axis"]
    axis = int(axis) if isinstance(axis, int) else _sizes(axis)
    if axis in (-1, situation.rank - 1, [-1], [situation.rank - 1]):
        return [Form("Activation", {"activation": "softmax"})]
    if situation.masked:
        raise Unsupported(f"a softmax along axis {axis}, which in Keras 3 would leave out masked steps")
    return [Form("Softmax", {"axis": axis})]


def _take(layer: Layer, _: Situation) -> list[Form]:
    """Turned around where counted from the end: Keras 3.0.5 on TensorFlow takes another step for a negative index."""
    axis, index = _axis_of_operation(layer), int(layer.options["index"])
    if index < 0:
        turned = Form("Flip", {"axis": axis}, operation=True)
        return [turned, Form("Take", {"axis": axis}, operation=True, given=(-1 - index,))]
    return [Form("Take", {"axis": axis}, operation=True, given=(index,))]


def _flip(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Flip", {"axis": _axis_of_operation(layer)}, operation=True)]


def _axis_of_operation(layer: Layer) -> int:
    """Return the axis that an operation works along; none is called at each step by itself."""
    axis = int(layer.options["axis"])
    return axis + 1 if layer.each_step and axis > 0 else axis


def _upsampling(layer: Layer, _: Situation) -> list[Form]:
    options, sizes = layer.options, _sizes(layer.options["size"])
    plane = options["rank"] == 2  # noqa: PLR2004 (height and width)
    if not plane and options["interpolation"] != "nearest":
        raise Unsupported(f"{options['interpolation']} upsampling, which Keras 3 has for images alone")
    if options["rank"] == 1:
        _refuse_first_channels(layer)
        return [Form("UpSampling1D", {"size": sizes[0]})]
    config = {"size": sizes, "data_format": _format(layer)}
    interpolation = {"interpolation": options["interpolation"]} if plane else {}
    return [Form(f"UpSampling{options['rank']}D", config | interpolation)]


def _edges(layer: Layer, name: str, option: str) -> list[Form]:
    options = layer.options
    amounts = [_sizes(pair) for pair in options["amounts"]]
    if options["rank"] == 1:
        _refuse_first_channels(layer)
        return [Form(f"{name}1D", {option: amounts[0]})]
    return [Form(f"{name}{options['rank']}D", {option: amounts, "data_format": _format(layer)})]


def _refuse_first_channels(layer: Layer) -> None:
    if layer.options["channels"] != _LAST:
        raise Unsupported("channels before time, which Keras 3.0.5 does not have in this layer")


_FORMS: Mapping[str, Callable[[Layer, Situation], list[Form]]] = {
    "activation": _activation,
    "batch_norm": _batch_norm,
    "conv": _conv,
    "cropping": lambda layer, _: _edges(layer, "Cropping", "cropping"),
    "dense": _dense,
    "dropout": _dropout,
    "embedding": _embedding,
    "flatten": _flatten,
    "global_pool": _global_pool,
    "layer_norm": _layer_norm,
    "masking": _masking,
    "merge": _merge,
    "permute": _permute,
    "pool": _pool,
    "prelu": _prelu,
    "relu": _relu,
    "repeat": _repeat,
    "reshape": _reshape,
    "softmax": _softmax,
    "take": _take,
    "flip": _flip,
    "rescaling": lambda layer, _: [Form("Rescaling", dict(layer.options))],
    "upsampling": _upsampling,
    "zero_padding": lambda layer, _: _edges(layer, "ZeroPadding", "padding"),
}
