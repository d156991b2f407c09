"""How Keras 3 computes an activation: by a name that it has, or by layers of its own after a linear one.

Source: keras 3.0.5 and 3.15.1, keras/src/layers/activations/, keras/src/layers/preprocessing/rescaling.py
"""

from collections.abc import Callable, Mapping
from typing import Any

from lstm_convert.canonical import Activation
from lstm_convert.errors import Unsupported
from lstm_convert.table import KERAS_3

LINEAR = "linear"

# A layer that has no arrays: its class, and its config.
Plain = tuple[str, dict[str, Any]]


def spelled(activation: Activation) -> tuple[str, list[Plain]]:
    """Return Keras 3's name of an activation; where it has none, `linear` and the layers that compute it after that.

    Args:
        activation: what is to be computed.

    Raises:
        Unsupported: Keras 3 computes it in neither way.
    """
    try:
        return str(KERAS_3.name_of(activation)), []
    except Unsupported as error:
        computed = _LAYERS.get(activation.name)
        layers = computed(activation.parameters) if computed else []
        if not layers:
            raise Unsupported(f"Keras 3 has neither a name nor a layer for {activation}") from error
        return LINEAR, layers


def slope_factor(activation: Activation) -> float | None:
    """Return by what a layer's arrays are multiplied so that Keras 3's hard_sigmoid computes another one, or None."""
    theirs = KERAS_3.activations["hard_sigmoid"]
    if activation.name != theirs.name or activation == theirs:
        return None
    same_offset = activation.parameters["offset"] == theirs.parameters["offset"]
    return activation.parameters["slope"] / theirs.parameters["slope"] if same_offset else None


def _hard_sigmoid(numbers: Mapping[str, float]) -> list[Plain]:
    rescaling = {"scale": numbers["slope"], "offset": numbers["offset"]}
    return [("Rescaling", rescaling), ("ReLU", {"max_value": 1.0, "negative_slope": 0.0, "threshold": 0.0})]


def _leaky_relu(numbers: Mapping[str, float]) -> list[Plain]:
    return [("LeakyReLU", {"negative_slope": numbers["slope"]})] if numbers["slope"] >= 0 else []


def _elu(numbers: Mapping[str, float]) -> list[Plain]:
    return [("ELU", {"alpha": numbers["alpha"]})]


def _threshold(numbers: Mapping[str, float]) -> list[Plain]:
    """Keras 3's ReLU, as ThresholdedReLU did, lets through what is greater than its threshold."""
    holds = numbers["value"] == 0 and numbers["threshold"] >= 0
    relu = {"max_value": None, "negative_slope": 0.0, "threshold": numbers["threshold"]}
    return [("ReLU", relu)] if holds else []


_LAYERS: Mapping[str, Callable[[Mapping[str, float]], list[Plain]]] = {
    "elu": _elu,
    "hard_sigmoid": _hard_sigmoid,
    "leaky_relu": _leaky_relu,
    "threshold": _threshold,
}
