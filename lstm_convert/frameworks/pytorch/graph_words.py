"""What `--graph` may name besides modules with weights: operations that a state dict has no key for.

What PyTorch sets by default, and a state dict does not say, is assumed, and the table says so.

Source: torch 2.13.0, torch/nn/modules/activation.py, batchnorm.py, normalization.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lstm_convert.activations import NUMBERS
from lstm_convert.canonical import Activation

LAST, FLATTEN, NOTHING = "last", "flatten", "nothing"
# What becomes of a sequence.
KEPT, ONE_ROW = "kept", "one row"


@dataclass(frozen=True)
class Word:
    """An operation without weights.

    Args:
        name: as the user states it.
        kind: of the canonical network; `last`, `flatten` and `nothing` depend on what comes before.
        options: what such a layer is set to.
        makes: what becomes of a sequence: it is kept, or one row is left of it.
        assumed: what PyTorch sets by default and no file says.
        tells: what it does, in the words of a table.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    makes: str = KEPT
    assumed: str = ""
    tells: str = ""


def _activation(name: str, function: str = "", assumed: str = "", **numbers: float) -> Word:
    function = function or name
    activation = Activation(function, {**NUMBERS.get(function, {}), **numbers})
    return Word(name, "activation", {"activation": activation}, assumed=assumed, tells=str(activation))


def _over_time(name: str, form: str) -> Word:
    options = {"rank": 1, "form": form, "keepdims": False, "masked": False, "channels": "last"}
    return Word(name, "global_pool", options, ONE_ROW, tells=f"the {form} over all steps")


_ALL = (
    *(_activation(name) for name in ("relu", "tanh", "sigmoid", "silu", "selu")),
    _activation("gelu", assumed="approximate='none'"),
    _activation("elu", assumed="alpha=1.0"),
    _activation("leaky_relu", assumed="negative_slope=0.01", slope=0.01),
    _activation("hardsigmoid", "hard_sigmoid"),
    Word("softmax", "softmax", {"axis": -1}, assumed="dim=-1", tells="softmax over the features"),
    _activation("log_softmax", assumed="dim=-1"),
    Word("last", LAST, makes=ONE_ROW, tells="the last step; of a layer of both directions the last state of each"),
    _over_time("mean", "average"),
    _over_time("max", "max"),
    Word("flatten", FLATTEN, {"channels": "last"}, ONE_ROW, tells="all steps side by side"),
    Word("dropout", NOTHING, tells="nothing, once it is trained; its rate is in no file, and it is left out"),
)
WORDS: Mapping[str, Word] = MappingProxyType({word.name: word for word in _ALL})
