"""The table of Keras's layers around the recurrent ones: for each class, of all versions, what it is in a network.

Add a row to add a layer. Dropout and its kind do nothing at inference, whatever they are set to.

*Source:* keras 1.2.2, keras/layers/; keras 2.2.0 and 2.15.0, keras/src/layers/; keras 3.15.1, keras/src/layers/
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstm_convert.canonical import Activation
from lstm_convert.errors import Unsupported
from lstm_convert.frameworks.keras.architecture import MERGE, Node
from lstm_convert.frameworks.keras.neighbour import Form, Neighbour, Slot
from lstm_convert.frameworks.keras.settings import Age, Settings
from lstm_convert.frameworks.keras.windows import bordered, channels, conv, global_pool, pool, upsampling

_LAMBDA = "Lambda holds code of its own, which is never run; replace it by layers of Keras"
# What of `keras.ops` is ported; others have the names of layers, and other arguments.
_OPERATIONS = ("Flip", "GetItem", "Take", "Transpose")
_COSINE = "cosine"
_OLD_MERGES = {
    "sum": "add", "mul": "multiply", "concat": "concatenate", "ave": "average", "max": "maximum", "dot": "dot",
    "cos": _COSINE,
}  # fmt: skip


def neighbour(node: Node, age: Age, stated: Mapping[str, Any]) -> Neighbour:
    """Return what a layer is in a network.

    Args:
        node: a layer that is neither a model nor recurrent.
        age: what the file's age says of all layers.
        stated: with what it is called besides tensors.

    Raises:
        Unsupported: it is not ported, or is set to something that is not.
    """
    if node.own_class:
        raise Unsupported(f"{node.own_class} is a class of its own, which may compute anything")
    if node.class_name == "Lambda":
        raise Unsupported(_LAMBDA)
    if node.class_name not in _READERS or (node.is_operation and node.class_name not in _OPERATIONS):
        raise Unsupported(f"{node.class_name} is not a layer that is ported")
    settings = Settings(node.config, age, stated)
    found = _READERS[node.class_name](settings)
    settings.check_all_taken()
    return found


def _dense(settings: Settings) -> Neighbour:
    units = settings.whole("units", "output_dim")
    slots = [Slot("kernel", ("kernel", "W"), (Form((None, units), np.transpose),))]
    slots += [Slot("bias", ("bias", "b"), (Form((units,)),))] * settings.flag("use_bias", "bias", default=True)
    return Neighbour("dense", {"activation": settings.activation()}, tuple(slots))


def _activation(settings: Settings) -> Neighbour:
    return Neighbour("activation", {"activation": settings.activation()})


def _identity(settings: Settings) -> Neighbour:
    settings.take("l1")
    settings.take("l2")
    return Neighbour("activation", {"activation": Activation("linear")})


def _elu(settings: Settings) -> Neighbour:
    return Neighbour("activation", {"activation": Activation("elu", {"alpha": settings.number("alpha", default=1.0)})})


def _relu(settings: Settings) -> Neighbour:
    bounded = settings.take("max_value") is not None
    options = {
        "max_value": settings.number("max_value") if bounded else None,
        "negative_slope": settings.number("negative_slope", default=0.0),
        "threshold": settings.number("threshold", default=0.0),
    }
    return Neighbour("relu", options)


def _leaky_relu(settings: Settings) -> Neighbour:
    slope = settings.number("negative_slope", "alpha", default=0.3)
    return Neighbour("relu", {"max_value": None, "negative_slope": slope, "threshold": 0.0})


def _thresholded_relu(settings: Settings) -> Neighbour:
    theta = settings.number("theta", default=1.0)
    return Neighbour("relu", {"max_value": None, "negative_slope": 0.0, "threshold": theta})


def _prelu(settings: Settings) -> Neighbour:
    settings.take("shared_axes")  # the shape of alpha says the same
    return Neighbour("prelu", {}, (Slot("alpha", ("alpha", "alphas"), (Form(None),)),))


def _softmax(settings: Settings) -> Neighbour:
    return Neighbour("softmax", {"axis": _alone("axis", settings.listed("axis", default=-1))})


def _dropped(form: str, *names: str) -> Callable[[Settings], Neighbour]:
    def read(settings: Settings) -> Neighbour:
        settings.take("data_format", "dim_ordering")
        return Neighbour("dropout", {"form": form, "rate": settings.number(*names, default=0.0)})

    return read


def _embedding(settings: Settings) -> Neighbour:
    words, features = settings.whole("input_dim"), settings.whole("output_dim")
    settings.take("dropout")  # of Keras 1, in training alone
    kernel = Slot("kernel", ("embeddings", "W"), (Form((words, features)),))
    return Neighbour("embedding", {"mask_zero": settings.flag("mask_zero", default=False)}, (kernel,))


def _batch_norm(settings: Settings) -> Neighbour:
    if mode := settings.take("mode", default=0):
        raise Unsupported(f"mode={mode} is not ported: it takes the mean of the very sample or batch")
    if settings.flag("renorm", default=False):
        raise Unsupported("renorm=True is not ported")
    settings.take("renorm_clipping")
    settings.take("renorm_momentum")
    scaled, centred = settings.flag("scale", default=True), settings.flag("center", default=True)
    options = {
        "axis": _alone("axis", settings.listed("axis", default=-1)),
        "epsilon": settings.number("epsilon", default=1e-3),
        "momentum": settings.number("momentum", default=0.99),
    }
    one = (Form((None,)),)
    slots = [Slot("gamma", ("gamma",), one)] * scaled + [Slot("beta", ("beta",), one)] * centred
    # Keras 1 says std and means the variance. Source: keras 1.2.2, keras/layers/normalization.py, call
    slots += [
        Slot("mean", ("moving_mean", "running_mean"), one, trained=False),
        Slot("variance", ("moving_variance", "running_std"), one, trained=False),
    ]
    return Neighbour("batch_norm", options, tuple(slots))


def _layer_norm(settings: Settings) -> Neighbour:
    scaled, centred = settings.flag("scale", default=True), settings.flag("center", default=True)
    axes = settings.listed("axis", default=-1)
    forms = (Form((None,) * len(axes)),)
    slots = [Slot("gamma", ("gamma",), forms)] * scaled + [Slot("beta", ("beta",), forms)] * centred
    options = {"axes": axes, "epsilon": settings.number("epsilon", default=1e-3)}
    return Neighbour("layer_norm", options, tuple(slots))


def _flatten(settings: Settings) -> Neighbour:
    return Neighbour("flatten", {"channels": channels(settings)})


def _merge(form: str) -> Callable[[Settings], Neighbour]:
    def read(settings: Settings) -> Neighbour:
        axis = settings.whole("axis", default=-1) if form == "concatenate" else None
        axes = settings.wholes("axes", count=2) if form == "dot" else None
        normalize = settings.flag("normalize", default=False)
        return Neighbour("merge", {"form": form, "axis": axis, "axes": axes, "normalize": normalize})

    return read


def _old_merge(settings: Settings) -> Neighbour:
    """Return what Keras 1's Merge is; its cosine, of two vectors, has one axis more than any later one."""
    if settings.take("mode_type", default="raw") != "raw":
        raise Unsupported("its mode is code of its own, which is never run; replace it by layers of Keras")
    form = settings.choice("mode", default="sum", known=_OLD_MERGES)
    for name in ("layers", "output_shape", "output_shape_type", "output_mask", "output_mask_type", "arguments"):
        settings.take(name)
    axis, axes = settings.whole("concat_axis", default=-1), settings.wholes("dot_axes", count=2, default=-1)
    options = {
        "form": "dot" if form == _COSINE else form,
        "axis": axis if form == "concatenate" else None,
        "axes": axes if form in ("dot", _COSINE) else None,
        "normalize": form == _COSINE,
    }
    if form == _COSINE and axes != (1, 1):
        raise Unsupported(f"its mode cos is along the axes {axes}, expected (1, 1), those of vectors")
    return Neighbour("merge", options, then=Neighbour("reshape", {"shape": (1, 1)}) if form == _COSINE else None)


def _taken(settings: Settings) -> Neighbour:
    """Return which step or feature a slice takes; one that takes more is not ported."""
    settings.take("function")
    parts = settings.call_argument("slice_spec", "1", "key")
    parts = parts.get("items") if isinstance(parts, Mapping) else parts
    parts = parts if isinstance(parts, list) else [parts]
    places = [axis for axis, part in enumerate(parts) if not _is_whole_slice(part)]
    if len(places) != 1 or not places[0] or not isinstance(parts[places[0]], int):
        raise Unsupported("of slices, only one step or one feature of all is ported, as x[:, -1]")
    return Neighbour("take", {"axis": places[0], "index": parts[places[0]]})


def _taken_by_number(settings: Settings) -> Neighbour:
    """Return which step or feature `keras.ops.take` takes, where it takes one along an axis that is not the batch."""
    axis, index = settings.whole("axis"), settings.call_argument("1", "indices")
    if axis == 0 or not isinstance(index, int):
        raise Unsupported(f"it takes {index!s:.60} along the axis {axis}; only one step or one feature is ported")
    return Neighbour("take", {"axis": axis, "index": index})


def _flip(settings: Settings) -> Neighbour:
    axis = settings.whole("axis")
    if axis == 0:
        raise Unsupported("it turns the samples of a batch around")
    return Neighbour("flip", {"axis": axis})


def _transposed(settings: Settings) -> Neighbour:
    """Return the axes in another order: with the batch among them, or where it stays the first, as Permute has them."""
    order = settings.listed("axes")
    return Neighbour("permute", {"order": order[1:]}) if order[0] == 0 else Neighbour("transpose", {"order": order})


def _rescaling(settings: Settings) -> Neighbour:
    return Neighbour("rescaling", {"scale": settings.number("scale"), "offset": settings.number("offset", default=0.0)})


def _is_whole_slice(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    bounds = part.get("config", part)
    return isinstance(bounds, Mapping) and all(bounds.get(name) is None for name in ("start", "stop", "step"))


def _alone(name: str, axes: tuple[int, ...]) -> int:
    if len(axes) != 1:
        raise Unsupported(f"{name} is {list(axes)}, expected one axis")
    return axes[0]


_READERS: Mapping[str, Callable[[Settings], Neighbour]] = {
    "Activation": _activation,
    "ActivityRegularization": _identity,
    "Add": _merge("add"),
    "AlphaDropout": _dropped("alpha_dropout", "rate"),
    "AtrousConvolution1D": conv(1),
    "AtrousConvolution2D": conv(2),
    "Average": _merge("average"),
    "AveragePooling1D": pool(1, "average"),
    "AveragePooling2D": pool(2, "average"),
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    "Concatenate": _merge("concatenate"),
    "Conv1D": conv(1),
    "Conv2D": conv(2),
    "Convolution1D": conv(1),
    "Convolution2D": conv(2),
    "Cropping1D": bordered("cropping", "cropping", 1),
    "Cropping2D": bordered("cropping", "cropping", 2),
    "Dense": _dense,
    "Dot": _merge("dot"),
    "Dropout": _dropped("dropout", "rate", "p"),
    "ELU": _elu,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "Flip": _flip,
    "GaussianDropout": _dropped("gaussian_dropout", "rate", "p"),
    "GaussianNoise": _dropped("gaussian_noise", "stddev", "sigma"),
    "GetItem": _taken,
    "GlobalAveragePooling1D": global_pool(1, "average"),
    "GlobalAveragePooling2D": global_pool(2, "average"),
    "GlobalMaxPooling1D": global_pool(1, "max"),
    "GlobalMaxPooling2D": global_pool(2, "max"),
    "Identity": _identity,
    "LayerNormalization": _layer_norm,
    "LeakyReLU": _leaky_relu,
    "Masking": lambda settings: Neighbour("masking", {"value": settings.number("mask_value", default=0.0)}),
    "MaxPooling1D": pool(1, "max"),
    "MaxPooling2D": pool(2, "max"),
    "Maximum": _merge("maximum"),
    MERGE: _old_merge,
    "Minimum": _merge("minimum"),
    "Multiply": _merge("multiply"),
    "PReLU": _prelu,
    "Permute": lambda settings: Neighbour("permute", {"order": settings.listed("dims")}),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "RepeatVector": lambda settings: Neighbour("repeat", {"times": settings.whole("n")}),
    "Reshape": lambda settings: Neighbour("reshape", {"shape": settings.listed("target_shape")}),
    "SlicingOpLambda": _taken,
    "Softmax": _softmax,
    "SpatialDropout1D": _dropped("spatial_dropout", "rate", "p"),
    "SpatialDropout2D": _dropped("spatial_dropout", "rate", "p"),
    "SpatialDropout3D": _dropped("spatial_dropout", "rate", "p"),
    "Subtract": _merge("subtract"),
    "ThresholdedReLU": _thresholded_relu,
    "Take": _taken_by_number,
    "TimeDistributedDense": _dense,
    "Transpose": _transposed,
    "UpSampling1D": upsampling(1),
    "UpSampling2D": upsampling(2),
    "ZeroPadding1D": bordered("zero_padding", "padding", 1),
    "ZeroPadding2D": bordered("zero_padding", "padding", 2),
}
