"""Operations that compute numbers without a window: which of PyTorch's is which layer of the network."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstm_convert.activations import NUMBERS
from lstm_convert.frameworks.pytorch.tracing.constants import arrays, known, tensor
from lstm_convert.frameworks.pytorch.tracing.site import LINEAR, NotUnderstood, Site
from lstm_convert.frameworks.pytorch.tracing.values import Known, Tensor, Value

# Of which PyTorch's function takes no numbers, or these at their defaults; the name in the table of activations.
_PLAIN = {
    "relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "silu": "silu", "hardswish": "hard_silu", "mish": "mish",
    "log_sigmoid": "log_sigmoid", "exp": "exponential", "hardsigmoid": "hard_sigmoid", "selu": "selu",
    "relu6": "relu6",
}  # fmt: skip
_HARD_TANH = {(-1, 1): "hard_tanh", (0, 6): "relu6"}
_SOFTPLUS_IS_LINEAR_FROM = 20


def linear(site: Site, a: Any) -> Value:
    """Return a dense layer; its weight has a row for each unit, as the network's kernel."""
    x = site.features_last(tensor(a.input))
    found = arrays(kernel=a.weight, bias=a.bias)
    return site.made(site.layer("dense", [x], {"activation": LINEAR}, found), x.order)


def matmul(site: Site, a: Any) -> Value:
    """Return a dense layer where the other is a parameter, else the sums of products of two sequences."""
    x, other = tensor(a.self), a.mat2 if hasattr(a, "mat2") else a.other
    if isinstance(other, Known):
        kernel = known(other)
        if kernel.ndim != 2:  # noqa: PLR2004 (a matrix)
            raise NotUnderstood("it multiplies by a parameter that is no matrix")
        x = site.features_last(x)
        feed = site.layer("dense", [x], {"activation": LINEAR}, {"kernel": np.ascontiguousarray(kernel.T)})
        return site.made(feed, x.order)
    y = tensor(other)
    if (len(x.order), len(y.order)) != (3, 3):
        raise NotUnderstood("it multiplies matrices with other than three axes")
    x, y = site.ordered(x), site.ordered(y)
    options = {"form": "dot", "axis": None, "axes": (2, 1), "normalize": False}
    return site.made(site.layer("merge", [x, y], options))


def embedding(site: Site, a: Any) -> Value:
    """Return an embedding; a padding index changes nothing once it is trained."""
    words = tensor(a.indices)
    if not words.whole:
        raise NotUnderstood("its words are no whole numbers")
    feed = site.layer("embedding", [words], {"mask_zero": False}, arrays(kernel=a.weight))
    return site.made(feed, (*words.order, len(words.order)))


def batch_norm(site: Site, a: Any) -> Value:
    """Return a batch normalisation; PyTorch's momentum is what is new, Keras's what is kept."""
    if a.training or a.running_mean is None:
        raise NotUnderstood("it normalises by the batch itself (track_running_stats=False)")
    x = tensor(a.input)
    options = {"axis": site.axis(x, 1), "epsilon": a.eps, "momentum": 1 - a.momentum}
    found = arrays(gamma=a.weight, beta=a.bias, mean=a.running_mean, variance=a.running_var)
    return site.made(site.layer("batch_norm", [x], options, found), x.order)


def layer_norm(site: Site, a: Any) -> Value:
    """Return a layer normalisation over the last axes."""
    count = len(a.normalized_shape)
    x = site.features_last(tensor(a.input), count)
    options = {"axes": tuple(range(-count, 0)), "epsilon": a.eps}
    return site.made(site.layer("layer_norm", [x], options, arrays(gamma=a.weight, beta=a.bias)), x.order)


def softmax(site: Site, a: Any) -> Value:
    """Return a softmax along an axis."""
    x = tensor(a.self)
    return site.elementwise("softmax", x, {"axis": site.axis(x, a.dim)})


def log_softmax(site: Site, a: Any) -> Value:
    """Return the logarithm of a softmax along the last axis."""
    x = tensor(a.self)
    if a.dim % len(x.order) != len(x.order) - 1:
        raise NotUnderstood("it works along another axis than the last")
    return site.activation(site.features_last(x), "log_softmax")


def prelu(site: Site, a: Any) -> Value:
    """Return a PReLU with a slope for each channel, axis 1, or one for all."""
    x = site.ordered(tensor(a.self))
    alpha = known(a.weight)
    return site.made(site.layer("prelu", [x], {}, {"alpha": alpha.reshape(-1, *[1] * (len(x.order) - 2))}))


def dropout(site: Site, a: Any) -> Value:
    """Return a dropout, which does nothing once it is trained."""
    return site.elementwise("dropout", tensor(a.input), {"form": "dropout", "rate": a.p})


def alpha_dropout(site: Site, a: Any) -> Value:
    """Return an alpha dropout, which does nothing once it is trained."""
    return site.elementwise("dropout", tensor(a.input), {"form": "alpha_dropout", "rate": a.p})


def feature_dropout(site: Site, a: Any) -> Value:
    """Return the same tensor: which features are dropped together, the network does not say."""
    site.building.notes.append(f"{site.name}: drops whole channels in training alone (p={a.p:g}); it is left out")
    return tensor(a.input)


def cat(site: Site, a: Any) -> Value:
    """Return tensors side by side along an axis."""
    xs = [tensor(x) for x in a.tensors]
    if len({x.order for x in xs}) > 1:
        xs = [site.ordered(x) for x in xs]
    if xs[0].order[a.dim] == 0:
        raise NotUnderstood("it joins batches")
    options = {"form": "concatenate", "axis": site.axis(xs[0], a.dim), "axes": None, "normalize": None}
    return site.made(site.layer("merge", xs, options), xs[0].order)


# What becomes of a number's scale and offset.
_BY_A_NUMBER: Mapping[str, Callable[[float], tuple[float, float]]] = {
    "add": lambda number: (1.0, float(number)),
    "subtract": lambda number: (1.0, -float(number)),
    "multiply": lambda number: (float(number), 0.0),
}


def from_a_number(site: Site, a: Any) -> Value:
    """Return a number less a tensor."""
    if not isinstance(a.other, int | float):
        raise NotUnderstood("it subtracts from a parameter")
    return site.elementwise("rescaling", tensor(a.self), {"scale": -float(a.alpha), "offset": float(a.other)})


def negative(site: Site, a: Any) -> Value:
    """Return a tensor with its sign turned."""
    return site.elementwise("rescaling", tensor(a.self), {"scale": -1.0, "offset": 0.0})


def _merged(form: str) -> Callable[[Site, Any], Value]:
    def merge(site: Site, a: Any) -> Value:
        if isinstance(a.self, Tensor) and form in _BY_A_NUMBER and isinstance(a.other, int | float):
            scale, offset = _BY_A_NUMBER[form](a.other * getattr(a, "alpha", 1))
            return site.elementwise("rescaling", a.self, {"scale": scale, "offset": offset})
        if getattr(a, "alpha", 1) != 1:
            raise NotUnderstood(f"alpha={a.alpha}")
        if not isinstance(a.self, Tensor) or not isinstance(a.other, Tensor):
            raise NotUnderstood("one of the two is a parameter")
        xs = [a.self, a.other]
        if xs[0].sizes != xs[1].sizes:
            raise NotUnderstood(f"the two have the sizes {_shown(xs[0])} and {_shown(xs[1])}")
        if xs[0].order != xs[1].order:
            xs = [site.ordered(x) for x in xs]
        options = {"form": form, "axis": None, "axes": None, "normalize": None}
        return site.made(site.layer("merge", xs, options), xs[0].order)

    return merge


def _shown(x: Tensor) -> str:
    return f"({', '.join('batch' if size is None else str(size) for size in x.sizes)})"


def _plain(name: str) -> Callable[[Site, Any], Value]:
    numbers = NUMBERS.get(name, {})
    return lambda site, a: site.activation(tensor(a.self), name, **numbers)


def _numbered(name: str, **arguments: str) -> Callable[[Site, Any], Value]:
    def activation(site: Site, a: Any) -> Value:
        numbers = {number: float(getattr(a, argument)) for number, argument in arguments.items()}
        return site.activation(tensor(a.self), name, **numbers)

    return activation


def elu(site: Site, a: Any) -> Value:
    """Return an ELU."""
    if (a.scale, a.input_scale) != (1, 1):
        raise NotUnderstood(f"scale={a.scale}, input_scale={a.input_scale}")
    return site.activation(tensor(a.self), "elu", alpha=float(a.alpha))


def gelu(site: Site, a: Any) -> Value:
    """Return a GELU by the error function."""
    if a.approximate != "none":
        raise NotUnderstood(f"approximate={a.approximate!r}")
    return site.activation(tensor(a.self), "gelu")


def hardtanh(site: Site, a: Any) -> Value:
    """Return a linear function between two bounds that have a name."""
    name = _HARD_TANH.get((a.min_val, a.max_val))
    if name is None:
        raise NotUnderstood(f"min_val={a.min_val}, max_val={a.max_val}")
    return site.activation(tensor(a.self), name)


def softplus(site: Site, a: Any) -> Value:
    """Return a softplus; where PyTorch's is linear, from 20 on, float32 tells no difference, float64 does."""
    if (a.beta, a.threshold) != (1, _SOFTPLUS_IS_LINEAR_FROM) or site.dtype == "float64":
        raise NotUnderstood(f"beta={a.beta}, threshold={a.threshold}, {site.dtype}")
    return site.activation(tensor(a.self), "softplus")


def rrelu(site: Site, a: Any) -> Value:
    """Return a leaky ReLU with the mean of the slopes, which an RReLU is once it is trained."""
    return site.activation(tensor(a.self), "leaky_relu", slope=(float(a.lower) + float(a.upper)) / 2)


def same(site: Site, a: Any) -> Value:  # noqa: ARG001 (every operation has both)
    """Return what comes in: the numbers stay as they are."""
    value: Value = vars(a).get("self", vars(a).get("input"))
    return value


def cast(site: Site, a: Any) -> Value:
    """Return what comes in where the numbers keep their type; whole numbers may become other whole numbers."""
    x = tensor(a.self)
    if x.whole != ("int" in site.dtype):
        raise NotUnderstood(f"it makes the numbers {site.dtype}")
    return site.made(x.feed, x.order)


# What works on each row by itself, so that it does not matter which axes the rows lie along.
OF_ROWS = frozenset({
    "linear", "layer_norm", "softmax.int", "log_softmax.int", "dropout", "alpha_dropout", "leaky_relu", "celu",
    "hardshrink", "softshrink", "threshold", "elu", "gelu", "hardtanh", "softplus", "rrelu", "contiguous", "clone",
    "detach", *_PLAIN,
})  # fmt: skip

OPERATIONS: Mapping[str, Callable[[Site, Any], Value]] = {
    "linear": linear, "matmul": matmul, "bmm": matmul, "mm": matmul, "embedding": embedding,
    "batch_norm": batch_norm, "layer_norm": layer_norm, "softmax.int": softmax, "log_softmax.int": log_softmax,
    "prelu": prelu, "dropout": dropout, "alpha_dropout": alpha_dropout, "feature_dropout": feature_dropout,
    "rsub.Scalar": from_a_number, "neg": negative, "cat": cat, "concat": cat, "add.Tensor": _merged("add"),
    "sub.Tensor": _merged("subtract"), "mul.Tensor": _merged("multiply"), "maximum": _merged("maximum"),
    "max.other": _merged("maximum"), "minimum": _merged("minimum"), "min.other": _merged("minimum"),
    **{operation: _plain(name) for operation, name in _PLAIN.items()},
    "leaky_relu": _numbered("leaky_relu", slope="negative_slope"), "celu": _numbered("celu", alpha="alpha"),
    "hardshrink": _numbered("hard_shrink", threshold="lambd"),
    "softshrink": _numbered("soft_shrink", threshold="lambd"),
    "threshold": _numbered("threshold", threshold="threshold", value="value"),
    "elu": elu, "gelu": gelu, "hardtanh": hardtanh, "softplus": softplus, "rrelu": rrelu,
    "contiguous": same, "clone": same, "detach": same, "alias": same, "lift_fresh_copy": same, "positive": same,
    "to.dtype": cast, "to.dtype_layout": cast, "to.device": cast, "_to_copy": cast, "type_as": cast,
    "to.other": cast,
}  # fmt: skip
