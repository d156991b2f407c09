"""Every activation that an LSTM has been built with: its numbers, and the function itself in NumPy.

A name alone is not enough: `hard_sigmoid` is two functions, `leaky_relu` one for every slope. `NUMBERS` are the numbers
that a name stands for where its file says no more; a layout that means others says so in the table.

Source: keras 3.15.1, keras/src/activations/activations.py and keras/src/backend/numpy/nn.py; tf.keras 2.15.0,
keras/src/activations.py
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Activation
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]


def named(name: str) -> Activation:
    """Return the activation that a name stands for where nothing else is said.

    Args:
        name: one of `FUNCTIONS`; a name that is not stays without numbers, and cannot be computed.
    """
    return Activation(name, NUMBERS.get(name, {}))


def function(activation: Activation) -> Callable[[Float64], Float64]:
    """Return an activation as a function of arrays; softmax and its kind work along the last axis, the units.

    Args:
        activation: the name and its numbers.

    Raises:
        Unsupported: no such activation is known, or not with these numbers.
    """
    known = FUNCTIONS.get(activation.name)
    if known is None or set(activation.parameters) != set(NUMBERS.get(activation.name, {})):
        raise Unsupported(f"activation {activation} is not known", [f"known are {', '.join(FUNCTIONS)}"])
    return partial(known, **activation.parameters) if activation.parameters else known


def derivative(activation: Activation) -> Callable[[Float64, Float64], Float64]:
    """Return an activation's derivative, as a function of what the activation was given and of what it made of it.

    Where a function has a corner, the derivative is that of the side torch's autograd takes.

    Args:
        activation: the name and its numbers.

    Raises:
        Unsupported: no such activation is known, or one unit's value depends on the others'.
    """
    function(activation)
    known = DERIVATIVES.get(activation.name)
    if known is None:
        alone = ", ".join(DERIVATIVES)
        raise Unsupported(
            f"activation {activation} has no derivative of its own for each unit",
            ["it makes each unit's value of all units' together", f"known are {alone}"],
        )
    return lambda x, y: known(x, y, **activation.parameters)


def computable(activation: Activation) -> bool:
    """Return whether `function` knows an activation."""
    numbers = NUMBERS.get(activation.name, {})
    return activation.name in FUNCTIONS and set(activation.parameters) == set(numbers)


def _sigmoid(x: Float64) -> Float64:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # as 1 / (1 + exp(-x)), without its overflow


def _hard_sigmoid(x: Float64, slope: float, offset: float) -> Float64:
    return np.clip(slope * x + offset, 0.0, 1.0)


def _softplus(x: Float64) -> Float64:
    return np.logaddexp(x, 0.0)


def _elu(x: Float64, alpha: float) -> Float64:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _celu(x: Float64, alpha: float) -> Float64:
    return np.maximum(x, 0.0) + alpha * np.expm1(np.minimum(x / alpha, 0.0))


def _selu(x: Float64, alpha: float, scale: float) -> Float64:
    return scale * _elu(x, alpha)


def _leaky_relu(x: Float64, slope: float) -> Float64:
    return np.where(x > 0, x, slope * x)


def _gelu(x: Float64) -> Float64:
    return 0.5 * x * (1.0 + _erf(x / np.sqrt(2.0)))


def _erf(x: Float64) -> Float64:
    values: Float64 = np.vectorize(math.erf, otypes=[np.float64])(x)  # NumPy has none of its own
    return values


def _hard_silu(x: Float64) -> Float64:
    return x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _softmax(x: Float64) -> Float64:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _log_softmax(x: Float64) -> Float64:
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _sparsemax(x: Float64) -> Float64:
    """Return what Keras calls sparsemax: its threshold is all the support's partial sums, less 1, over their number.

    Martins and Astudillo's own function takes the last of the partial sums alone; where the support is one number the
    two are the same. Source: keras 3.15.1, keras/src/backend/numpy/nn.py and tensorflow/nn.py, sparsemax
    """
    descending = -np.sort(-x, axis=-1)
    sums = np.cumsum(descending, axis=-1)
    support = descending - (sums - 1.0) / np.arange(1, x.shape[-1] + 1) > 0
    threshold = (np.where(support, sums, 0.0).sum(axis=-1, keepdims=True) - 1.0) / support.sum(axis=-1, keepdims=True)
    return np.asarray(np.maximum(x - threshold, 0.0))


def _sparse_plus(x: Float64) -> Float64:
    return np.where(x <= -1, 0.0, np.where(x < 1, 0.25 * (x + 1.0) ** 2, x))


def _squareplus(x: Float64, b: float) -> Float64:
    return np.asarray((x + np.sqrt(x**2 + b)) / 2.0)


def _hard_shrink(x: Float64, threshold: float) -> Float64:
    return np.where(np.abs(x) > threshold, x, 0.0)


def _soft_shrink(x: Float64, threshold: float) -> Float64:
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


NUMBERS: Mapping[str, Mapping[str, float]] = {
    "celu": {"alpha": 1.0},
    "elu": {"alpha": 1.0},
    "hard_shrink": {"threshold": 0.5},
    "hard_sigmoid": {"slope": 1 / 6, "offset": 0.5},
    "leaky_relu": {"slope": 0.2},
    "selu": {"alpha": 1.6732632423543772, "scale": 1.0507009873554805},
    "soft_shrink": {"threshold": 0.5},
    "squareplus": {"b": 4.0},
    "threshold": {"threshold": 1.0, "value": 0.0},
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "hard_sigmoid": _hard_sigmoid,
    "linear": np.positive,
    "relu": lambda x: np.maximum(x, 0.0),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
    "hard_silu": _hard_silu,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "exponential": np.exp,
    "softplus": _softplus,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
    "log_sigmoid": lambda x: -_softplus(-x),
    "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "threshold": lambda x, threshold, value: np.where(x > threshold, x, value),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "sparsemax": _sparsemax,
}


def _gelu_derivative(x: Float64) -> Float64:
    return np.asarray(0.5 * (1.0 + _erf(x / np.sqrt(2.0))) + x * np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi))


def _mish_derivative(x: Float64) -> Float64:
    t = np.tanh(_softplus(x))
    return np.asarray(t + x * (1.0 - t**2) * _sigmoid(x))


def _within(x: Float64, low: float, high: float, slope: Float64 | float = 1.0) -> Float64:
    return np.where((x > low) & (x < high), slope, 0.0)


# Of x, which an activation was given, and y, which it made of it: with y at hand most need no second exponential.
DERIVATIVES: Mapping[str, Callable[..., Any]] = {
    "sigmoid": lambda _, y: y * (1.0 - y),
    "tanh": lambda _, y: 1.0 - y * y,
    "hard_sigmoid": lambda x, _, slope, offset: _within(slope * x + offset, 0.0, 1.0, slope),
    "linear": lambda x, _: np.ones_like(x),
    "relu": lambda x, _: np.where(x > 0, 1.0, 0.0),
    "relu6": lambda x, _: _within(x, 0.0, 6.0),
    "leaky_relu": lambda x, _, slope: np.where(x > 0, 1.0, slope),
    "elu": lambda x, y, alpha: np.where(x > 0, 1.0, y + alpha),
    "celu": lambda x, _, alpha: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0.0) / alpha)),
    "selu": lambda x, y, alpha, scale: np.where(x > 0, scale, y + scale * alpha),
    "gelu": lambda x, _: _gelu_derivative(x),
    "silu": lambda x, y: _sigmoid(x) * (1.0 + x - y),
    "hard_silu": lambda x, _: _within(x, -3.0, 3.0, x / 3.0 + 0.5) + np.heaviside(x - 3.0, 1.0),
    "mish": lambda x, _: _mish_derivative(x),
    "exponential": lambda _, y: y,
    "softplus": lambda x, _: _sigmoid(x),
    "softsign": lambda x, _: 1.0 / (1.0 + np.abs(x)) ** 2,
    "squareplus": lambda x, _, b: 0.5 + 0.5 * x / np.sqrt(x**2 + b),
    "sparse_plus": lambda x, _: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
    "sparse_sigmoid": lambda x, _: _within(x, -1.0, 1.0, 0.5),
    "log_sigmoid": lambda x, _: _sigmoid(-x),
    "hard_tanh": lambda x, _: _within(x, -1.0, 1.0),
    "tanh_shrink": lambda x, _: np.tanh(x) ** 2,
    "hard_shrink": lambda x, _, threshold: np.where(np.abs(x) > threshold, 1.0, 0.0),
    "soft_shrink": lambda x, _, threshold: np.where(np.abs(x) > threshold, 1.0, 0.0),
    "threshold": lambda x, _, threshold, value: np.where(x > threshold, 1.0, 0.0 * value),
}
