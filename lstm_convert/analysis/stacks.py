"""The recurrent layers that an analysis looks at: from the one that reads the data to the one whose output is read."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lstm_convert.canonical import Model, Recurrent
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stack:
    """Recurrent layers of which each reads the whole output of the one before and nothing else.

    Args:
        layers: the layers; the first reads the data.

    Raises:
        Unsupported: a layer starts from another's states, or two directions are not merged into one output.
    """

    layers: tuple[Recurrent, ...]

    def __post_init__(self) -> None:
        wrong = [f"{layer.name}: starts from the states of {layer.starts_from}" for layer in self.layers
                 if layer.starts_from]  # fmt: skip
        wrong += [f"{layer.name}: its two directions are not merged into one output" for layer in self.layers
                  if layer.backward and layer.merge is None]  # fmt: skip
        wrong += [f"{lower.name}: returns its last step alone, {upper.name} reads every step"
                  for lower, upper in pairwise(self.layers) if not lower.return_sequences]  # fmt: skip
        if wrong:
            raise Unsupported("these layers cannot be analyzed as a stack", wrong)

    @property
    def inputs(self) -> int:
        """The number of features of the data."""
        return self.layers[0].forward.inputs

    @property
    def outputs(self) -> int:
        """The width of the last layer's merged output."""
        return merged_width(self.layers[-1])

    @property
    def causal(self) -> bool:
        """Whether every cell reads the sequence from its first step, so that a state sums up all that was before."""
        return not any(layer.backward or layer.go_backwards for layer in self.layers)

    @property
    def macs(self) -> int:
        """The multiplications of one step of one sequence."""
        cells = [cell for layer in self.layers for cell in layer.cells.values()]
        return sum(len(cell.letters) * cell.units * (cell.inputs + cell.outputs) for cell in cells)


def merged_width(layer: Recurrent) -> int:
    """Return the width of a layer's output, its directions merged.

    Args:
        layer: the layer.
    """
    widths = [cell.outputs for cell in layer.cells.values()]
    return sum(widths) if layer.merge == "concat" else widths[0]


def stack_of(model: Model, layer: str | None = None) -> Stack:
    """Return the recurrent layers from the data to one layer; what follows none of the model's reads the data.

    Args:
        model: the model.
        layer: the name of the layer whose output is looked at; where None, the one that no other follows.

    Raises:
        Unsupported: several layers are followed by none, so that one has to be chosen; or it is no plain stack.
        KeyError: no layer has this name.
    """
    if layer is None:
        followed = {each.follows for each in model.layers}
        last = [each.name for each in model.layers if each.name not in followed]
        if len(last) != 1:
            raise Unsupported(
                f"the model has {len(last)} recurrent layers that no other follows",
                last,
                "choose the layer whose output is to be analyzed (--layer)",
            )
        layer = last[0]
    chain, names = [model[layer]], {each.name for each in model.layers}
    while chain[0].follows in names:
        chain.insert(0, model[chain[0].follows])
    return Stack(tuple(chain))
