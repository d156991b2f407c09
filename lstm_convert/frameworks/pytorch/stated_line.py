"""A network in one line, each layer reading the one before: whether sizes fit, and what is taken for granted.

Source: torch 2.13.0, torch/nn/modules/batchnorm.py and normalization.py, for the defaults that are assumed
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lstm_convert.canonical import LSTM, Activation, Feed, Input, Network, Recurrent
from lstm_convert.canonical.kinds import RECURRENT
from lstm_convert.frameworks.pytorch.graph_words import FLATTEN, KEPT, LAST, NOTHING, Word
from lstm_convert.frameworks.pytorch.stated_modules import Module
from lstm_convert.frameworks.pytorch.tracing.network import Building

_EPSILON, _MOMENTUM = 1e-5, 0.1

_OPTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "embedding": {"mask_zero": False},
    "dense": {"activation": Activation("linear")},
    "layer_norm": {"axes": (-1,), "epsilon": _EPSILON},
    "batch_norm": {"axis": -1, "epsilon": _EPSILON, "momentum": 1 - _MOMENTUM},
    "prelu": {},
})  # fmt: skip

# What PyTorch sets by default, and no state dict says.
_ASSUMED: Mapping[str, str] = MappingProxyType({
    "layer_norm": f"nn.LayerNorm of the features, eps={_EPSILON:g}",
    "batch_norm": f"nn.BatchNorm1d of the features, eps={_EPSILON:g}, momentum={_MOMENTUM:g}",
})  # fmt: skip

_WORDS, _SEQUENCE, _ROW = "words", "a sequence", "one row"


@dataclass
class Line:
    """A network in the making.

    Args:
        problems: what does not fit, a line a name.
        assumed: what no state dict says, one sentence each.
    """

    problems: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    _building: Building = field(default_factory=lambda: Building((Input("input", ()),), ""))
    _feed: Feed = field(default_factory=lambda: Feed(0))
    _input: Input | None = None
    _form: str = _SEQUENCE
    _width: int | None = None
    _flattened: int | None = None
    _both: Recurrent | None = None

    def add(self, step: Module | Word) -> None:
        """Put a step behind those that are there."""
        before, self._both = self._both, None
        if isinstance(step, Word):
            self._add_word(step, before)
        elif step.problem:
            self.problems.append(f"{step.name}: {step.problem}")
            self._width = None
        else:
            self._add_module(step)

    def network(self) -> Network:
        """Return the network."""
        if self._input is None:
            self.problems.append("no module comes first")
        network = self._building.finished([self._feed])
        return replace(network, inputs=(self._input or network.inputs[0],))

    def _add_module(self, step: Module) -> None:
        if step.kind == "embedding" and self._input is not None:
            self.problems.append(f"{step.name}: expected words, found {self._form}; an embedding comes first")
            return
        if self._input is None:
            words = step.kind == "embedding"
            self._input = Input("input", (None,) if words else (None, step.reads), "int64" if words else _dtype(step))
        elif not self._fits(step):
            self._width = step.makes or step.reads
            return
        if step.kind == RECURRENT:
            self._add_recurrent(step)
        else:
            arrays = dict(step.arrays)
            if step.kind == "prelu":
                arrays["alpha"] = arrays["alpha"].reshape(-1, *[1] * (self._form == _SEQUENCE))
            self._feed = self._building.call(step.name, step.kind, _OPTIONS[step.kind], arrays, [self._feed])
        if step.kind in _ASSUMED:
            self.assumed.append(f"{step.name} is {_ASSUMED[step.kind]}: PyTorch's defaults, which no state dict says")
        self._width = step.makes or self._width or step.reads

    def _fits(self, step: Module) -> bool:
        """Return whether a module reads what is there; say it where it does not."""
        if step.kind == RECURRENT and self._form != _SEQUENCE:
            self.problems.append(f"{step.name}: expected a sequence, found one row a sample")
            return False
        if self._flattened and self._width is None and step.reads and step.reads % self._flattened == 0:
            self._set_steps(step.reads // self._flattened)
            self._width = step.reads
        if self._width is None or step.reads in (None, self._width):
            return not self._flattened or self._width is not None
        self.problems.append(f"{step.name}: expected {step.reads} features, found {self._width}")
        return False

    def _set_steps(self, steps: int) -> None:
        if self._input is not None:
            self._input = replace(self._input, shape=(steps, *self._input.shape[1:]))

    def _add_recurrent(self, step: Module) -> None:
        for layer in step.layers:
            named = replace(layer, path=step.name)
            self._feed = self._building.call_recurrent(named, [self._feed], ())
            self._both = named if named.backward else None

    def _add_word(self, word: Word, before: Recurrent | None) -> None:
        if word.kind == NOTHING:
            self._both = before
            return
        if self._input is None:
            self.problems.append(f"{word.name}: expected a module first, which tells what the input is")
            return
        if word.makes != KEPT and self._form != _SEQUENCE:
            self.problems.append(f"{word.name}: expected a sequence, found one row a sample")
            return
        if word.kind == LAST:
            self._feed = self._last(word, before)
        else:
            self._feed = self._building.call(word.name, word.kind, word.options, {}, [self._feed])
        if word.assumed:
            self.assumed.append(f"{word.name} has {word.assumed}, PyTorch's default")
        if word.kind == FLATTEN:
            self._flattened, self._width = self._width, None
        self._form = _SEQUENCE if word.makes == KEPT and self._form == _SEQUENCE else _ROW

    def _last(self, word: Word, both: Recurrent | None) -> Feed:
        """Return the last step; of a layer of both directions the last state of each, as no step has them both."""
        if both is None:
            if any(layer.recurrent and layer.recurrent.backward for layer in self._building.layers.values()):
                self.problems.append(
                    f"{word.name}: expected right behind the layer of both directions, where each has a last state"
                )
            return self._building.call(word.name, "take", {"axis": 1, "index": -1}, {}, [self._feed])
        of_each = 2 if isinstance(both, LSTM) else 1  # h and c, or h alone
        states = [Feed(self._feed.step, 1 + number * of_each) for number in range(len(both.cells))]
        options = {"form": "concatenate", "axis": -1, "axes": None, "normalize": None}
        return self._building.call(word.name, "merge", options, {}, states)


def _dtype(step: Module) -> str:
    dtypes = [array.dtype for array in step.arrays.values()] + [layer.forward.W.dtype for layer in step.layers]
    return str(dtypes[0])
