"""What a layer of a network is as layers of Keras 3: their classes, configs and arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstm_convert.canonical import Activation, Layer
from lstm_convert.canonical.gates import Array
from lstm_convert.containers import Stored
from lstm_convert.frameworks.keras.network_activations import Plain, slope_factor, spelled
from lstm_convert.frameworks.keras.storing import Located
from lstm_convert.network.shapes import Shape
from lstm_convert.table import KERAS_3


@dataclass(frozen=True)
class Form:
    """One Keras layer, or operation, that a layer of a network becomes.

    Args:
        class_name: its Keras class.
        config: its settings, without name and dtype.
        arrays: its arrays, in Keras's order.
        operation: whether it is an operation, which has neither name nor dtype in its config.
        given: what its calls are given after what they read.
        serves: whether it only brings numbers to, or from, the one that has the layer's name.
        by_ones: how many before it make of ones what its calls are given after what they read; usually none.
    """

    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[Located, ...] = ()
    operation: bool = False
    given: tuple[Any, ...] = ()
    serves: bool = False
    by_ones: int = 0


@dataclass(frozen=True)
class Situation:
    """What a layer is called on.

    Args:
        shape: that of one sample of what it reads; None where any size may be, or that of another call is another.
        masked: whether Keras hands it a mask.
    """

    shape: Shape
    masked: bool = False

    @property
    def rank(self) -> int:
        """How many axes it reads, the batch among them."""
        return len(self.shape) + 1


def plain_forms(layers: Iterable[Plain]) -> list[Form]:
    """Return layers without arrays as forms."""
    return [Form(class_name, config) for class_name, config in layers]


def activated(layer: Layer, class_name: str, config: dict[str, Any], turned: Array) -> list[Form]:
    """Return a layer with kernel, bias and activation; scaled arrays spare hard_sigmoid layers of its own.

    Args:
        layer: the layer.
        class_name: its Keras class.
        config: its settings but for activation and bias.
        turned: its kernel as Keras has it.
    """
    activation: Activation = layer.options["activation"]
    bias = layer.arrays.get("bias")
    if factor := slope_factor(activation):
        turned, bias = _scaled(turned, factor), None if bias is None else _scaled(bias, factor)
        activation = KERAS_3.activations["hard_sigmoid"]
    name, after = spelled(activation)
    stated = {**config, "activation": name, "use_bias": bias is not None}
    return [Form(class_name, stated, located({"kernel": turned, "bias": bias})), *plain_forms(after)]


def _scaled(array: Array, factor: float) -> Array:
    return np.asarray((array.astype(np.float64) * factor).astype(array.dtype))


def located(arrays: Mapping[str, Array | None]) -> tuple[Located, ...]:
    """Return arrays, by Keras's names and in its order, with their places; None is none."""
    there = {name: array for name, array in arrays.items() if array is not None}
    return tuple(
        Located(f"vars/{number}", name, Stored.of(array)) for number, (name, array) in enumerate(there.items())
    )


def data_format(layer: Layer) -> str:
    """Return Keras's word for where the channels are."""
    return f"channels_{layer.options['channels']}"


def wholes(values: Iterable[Any]) -> list[int]:
    """Return whole numbers as JSON has them."""
    return [int(value) for value in values]
