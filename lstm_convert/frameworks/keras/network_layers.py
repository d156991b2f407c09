"""The table of what each kind of layer is in Keras 3: its class, its config, and its arrays in Keras's order.

Source: keras 3.0.5 and 3.15.1, keras/src/layers/ (the constructor, build and call of the classes named)
"""

from collections.abc import Callable, Mapping

from lstm_convert.canonical import Layer
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.network_activations import spelled
from lstm_convert.frameworks.keras.network_form import (
    Form,
    Situation,
    activated,
    data_format,
    located,
    plain_forms,
    wholes,
)
from lstm_convert.frameworks.keras.network_windows import (
    conv,
    cropping,
    global_pool,
    pool,
    upsampling,
    zero_padding,
)

_SPATIAL = {3: "SpatialDropout1D", 4: "SpatialDropout2D", 5: "SpatialDropout3D"}  # by the axes of what it reads


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


def _activation(layer: Layer, _: Situation) -> list[Form]:
    name, layers = spelled(layer.options["activation"])
    return plain_forms(layers) or [Form("Activation", {"activation": name})]


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
    return [Form("BatchNormalization", config, located({"gamma": gamma, "beta": beta, **moving}))]


def _dense(layer: Layer, _: Situation) -> list[Form]:
    kernel = layer.arrays["kernel"]
    return activated(layer, "Dense", {"units": len(kernel)}, kernel.T)


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
    return [Form("Embedding", config, located({"embeddings": layer.arrays["kernel"]}))]


def _flatten(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Flatten", {"data_format": data_format(layer)})]


def _layer_norm(layer: Layer, situation: Situation) -> list[Form]:
    """Return a normalisation of each sample; Keras's torch backend has it along the last axes alone.

    Source: keras 3.15.1, keras/src/ops/nn.py, _layer_normalization
    """
    gamma, beta = layer.arrays.get("gamma"), layer.arrays.get("beta")
    axes = sorted(axis % situation.rank for axis in layer.options["axes"])
    others = [axis for axis in range(1, situation.rank) if axis not in axes]
    last = list(range(situation.rank - len(axes), situation.rank))
    config = {
        "axis": -1 if len(axes) == 1 else last,
        "epsilon": float(layer.options["epsilon"]),
        "center": beta is not None,
        "scale": gamma is not None,
    }
    own = Form("LayerNormalization", config, located({"gamma": gamma, "beta": beta}))
    if axes == last:
        return [own]
    order = [*others, *axes]
    back = [1 + order.index(axis) for axis in range(1, situation.rank)]
    return [Form("Permute", {"dims": order}, serves=True), own, Form("Permute", {"dims": back}, serves=True)]


def _masking(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Masking", {"mask_value": float(layer.options["value"])})]


def _merge(layer: Layer, _: Situation) -> list[Form]:
    options = layer.options
    if options["form"] == "concatenate":
        return [Form("Concatenate", {"axis": int(options["axis"])})]
    if options["form"] == "dot":
        axes = options["axes"] if isinstance(options["axes"], int) else wholes(options["axes"])
        return [Form("Dot", {"axes": axes, "normalize": bool(options["normalize"])})]
    return [Form(options["form"].title())]


def _permute(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Permute", {"dims": wholes(layer.options["order"])})]


def _prelu(layer: Layer, _: Situation) -> list[Form]:
    alpha = layer.arrays["alpha"]
    shared = [axis for axis, size in enumerate(alpha.shape, start=1) if size == 1]
    return [Form("PReLU", {"shared_axes": shared or None}, located({"alpha": alpha}))]


def _relu(layer: Layer, _: Situation) -> list[Form]:
    config = {name: None if value is None else float(value) for name, value in layer.options.items()}
    if negative := [f"{name}={value}" for name, value in config.items() if value is not None and value < 0]:
        raise Unsupported(f"{', '.join(negative)}, which Keras 3's ReLU does not take")
    return [Form("ReLU", config)]


def _repeat(layer: Layer, _: Situation) -> list[Form]:
    return [Form("RepeatVector", {"n": int(layer.options["times"])})]


def _reshape(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Reshape", {"target_shape": wholes(layer.options["shape"])})]


def _softmax(layer: Layer, situation: Situation) -> list[Form]:
    """Keras 3's Softmax reads the mask of what it is called on; its function of that name does not."""
    axis = layer.options["axis"]
    axis = int(axis) if isinstance(axis, int) else wholes(axis)
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


def _transpose(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Transpose", {"axes": wholes(layer.options["order"])}, operation=True)]


def _flip(layer: Layer, _: Situation) -> list[Form]:
    return [Form("Flip", {"axis": _axis_of_operation(layer)}, operation=True)]


def _axis_of_operation(layer: Layer) -> int:
    """Return the axis that an operation works along; none is called at each step by itself."""
    axis = int(layer.options["axis"])
    return axis + 1 if layer.each_step and axis > 0 else axis


_FORMS: Mapping[str, Callable[[Layer, Situation], list[Form]]] = {
    "activation": _activation,
    "batch_norm": _batch_norm,
    "conv": conv,
    "cropping": cropping,
    "dense": _dense,
    "dropout": _dropout,
    "embedding": _embedding,
    "flatten": _flatten,
    "global_pool": global_pool,
    "layer_norm": _layer_norm,
    "masking": _masking,
    "merge": _merge,
    "permute": _permute,
    "pool": pool,
    "prelu": _prelu,
    "relu": _relu,
    "repeat": _repeat,
    "reshape": _reshape,
    "softmax": _softmax,
    "take": _take,
    "flip": _flip,
    "rescaling": lambda layer, _: [Form("Rescaling", dict(layer.options))],
    "transpose": _transpose,
    "upsampling": upsampling,
    "zero_padding": zero_padding,
}
