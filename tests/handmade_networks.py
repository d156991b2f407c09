"""What the tests of whole networks share: layers by hand with random arrays, and networks of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from exporting import cell
from numpy.typing import NDArray

from lstm_convert.activations import named
from lstm_convert.canonical import LSTM, Call, Feed, Input, Layer, Network

Array = NDArray[Any]
LINEAR = named("linear")


def random(*shape: int, seed: int = 0, low: float = -0.8) -> Array:
    """Numbers from `low` to 0.8."""
    return np.random.default_rng([seed, *shape]).uniform(low, 0.8, shape)


def layer(
    kind: str, arrays: Mapping[str, Array] | None = None, *, name: str | None = None, step: bool = False, **options: Any
) -> Layer:
    return Layer(kind if name is None else name, kind, options, arrays or {}, each_step=step)


def dense(inputs: int, units: int, activation: str = "linear", *, bias: bool = True, **more: Any) -> Layer:
    arrays = {"kernel": random(units, inputs)} | ({"bias": random(units, seed=1)} if bias else {})
    return layer("dense", arrays, activation=named(activation), **more)


def embedding(words: int = 11, features: int = 5, *, mask: bool = True, **more: Any) -> Layer:
    return layer("embedding", {"kernel": random(words, features)}, mask_zero=mask, **more)


def recurrent(lstm: LSTM, *, step: bool = False) -> Layer:
    return Layer(lstm.name, "recurrent", recurrent=lstm, each_step=step)


def lstm(inputs: int = 3, units: int = 4, *, both: bool = False, name: str = "lstm", **options: Any) -> Layer:
    back = cell(inputs, units, seed=1) if both else None
    return recurrent(LSTM(name, cell(inputs, units), back, **options))


def conv(inputs: int, filters: int, size: Sequence[int] = (3,), **options: Any) -> Layer:
    rank = len(size)
    bias = options.pop("bias", True)
    groups = options.get("groups", 1)
    arrays = {"kernel": random(filters, inputs // groups, *size)} | ({"bias": random(filters)} if bias else {})
    defaults: dict[str, Any] = {
        "rank": rank, "strides": (1,) * rank, "padding": "valid", "dilation": (1,) * rank, "groups": 1,
        "channels": "last", "activation": LINEAR,
    }  # fmt: skip
    return layer("conv", arrays, **(defaults | options))


def pool(form: str, size: Sequence[int] = (2,), **options: Any) -> Layer:
    rank = len(size)
    defaults: dict[str, Any] = {
        "rank": rank,
        "size": size,
        "strides": size,
        "padding": "valid",
        "channels": "last",
        "form": form,
    }
    return layer("pool", **(defaults | options))


def chain(given: Input, *layers: Layer, joins: str = "all") -> Network:
    """A network of one input and layers in turn; those of one name are one, called again."""
    calls = tuple(Call(each.name, (Feed(number),)) for number, each in enumerate(layers))
    return Network((given,), {each.name: each for each in layers}, calls, (Feed(len(layers)),), joins)


def words(time: int | None = None, *, dtype: str = "int32") -> Input:
    return Input("words", (time,), dtype)


def series(features: int = 3, time: int | None = None) -> Input:
    return Input("series", (time, features))
