"""Within what bounds gates and states stay, for every sequence of inputs within a stated box. Proven, by intervals.

With |x - centre| <= radius and |h| <= h_max, a gate is given no more than r = |W| radius + |U| h_max beside its bias
and W centre. That bounds the gates, they bound c by i_max g_max / (1 - f_max), and c bounds h; again, until nothing
tightens; n steps alone add up to (1 - f_max^n) / (1 - f_max) in the place of 1 / (1 - f_max). Sequences start from zero
states. What is bounded is the exact arithmetic's value, not its rounding.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import derivative, function
from lstm_convert.analysis.stepping import folded_bias
from lstm_convert.canonical import Activation, Cell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]

_ROUNDS = 100
_TIGHT = 1e-9

# Activations that rise from one bound to another and are steepest in their middle, by where that middle is.
S_SHAPED: Mapping[str, Callable[..., float]] = {
    "sigmoid": lambda: 0.0,
    "tanh": lambda: 0.0,
    "hard_sigmoid": lambda slope, offset: (0.5 - offset) / slope,
    "hard_tanh": lambda: 0.0,
    "softsign": lambda: 0.0,
    "sparse_sigmoid": lambda: 0.0,
}


class Interval(NamedTuple):
    """The lower and the upper bound, (units,)."""

    low: Float64
    high: Float64

    @property
    def size(self) -> Float64:
        """The bound on the absolute value."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True, eq=False)
class Ranges:
    """The bounds of one cell.

    Args:
        z: of what the activation of each gate is given, by its letter.
        gates: of what it makes of that.
        c: the bound on |c|, (units,); infinite where a forget gate may stay wholly open, without units where there is
            no c.
        h: the bound on |h|, (outputs,).
    """

    z: dict[str, Interval]
    gates: dict[str, Interval]
    c: Float64
    h: Float64


def ranges(cell: Cell, low: Float64, high: Float64, steps: float = math.inf) -> Ranges:
    """Return the bounds of a cell for all inputs of a box.

    Args:
        cell: the cell.
        low: the least each feature is, (inputs,).
        high: the most, (inputs,).
        steps: the most steps a sequence has; any number of them where infinite.

    Raises:
        Unsupported: an activation is not bounded, or not known to rise.
    """
    named = {"gate": cell.gate, "candidate": cell.candidate, "output": cell.output}
    if wrong := [f"the {name} activation is {each}" for name, each in named.items() if each.name not in S_SHAPED]:
        raise Unsupported(
            "no bounds can be proven for this cell", [*wrong, f"bounds are known of {', '.join(S_SHAPED)}"]
        )
    kernel, recurrent = (np.asarray(each, np.float64) for each in (cell.W, cell.U))
    middle = folded_bias(cell) + kernel @ ((low + high) / 2.0)
    from_input = np.abs(kernel) @ ((high - low) / 2.0)
    peephole = np.zeros((3, cell.units)) if cell.peephole is None else np.abs(np.asarray(cell.peephole, np.float64))
    sees_c = dict(zip("ifo", peephole, strict=True))
    c = np.full(cell.units, np.inf if cell.cell_clip is None else cell.cell_clip)
    h = _projected(cell, np.ones(cell.units))
    rounds = 0
    while True:
        radius = from_input + np.abs(recurrent) @ h
        z = {gate: _given(cell, middle[row], radius[row], sees_c.get(gate), c) for row, gate in enumerate("ifgo")}
        gates = {gate: through(cell.candidate if gate == "g" else cell.gate, z[gate]) for gate in "ifgo"}
        if cell.coupled:
            gates["f"] = Interval(1.0 - gates["i"].high, 1.0 - gates["i"].low)
        with np.errstate(divide="ignore", invalid="ignore"):
            written = gates["i"].size * gates["g"].size
            keep = gates["f"].size
            added = np.where(keep < 1.0, (1.0 - keep**steps) / (1.0 - keep), steps)
            new_c = np.minimum(c, np.where(written == 0, 0.0, written * added))
        new_h = np.minimum(h, _projected(cell, gates["o"].size * through(cell.output, Interval(-new_c, new_c)).size))
        rounds += 1
        settled = np.array_equal(np.isinf(c), np.isinf(new_c)) and (h - new_h <= _TIGHT * h).all()
        c, h = new_c, new_h
        if settled or rounds == _ROUNDS:  # every round's bounds hold, the last are the tightest
            return Ranges(z, gates, c, h)


def steepest(activation: Activation, within: Interval) -> Float64:
    """Return the largest derivative of an activation within bounds.

    Args:
        activation: one of `S_SHAPED`.
        within: the bounds of what it is given.
    """
    middle = S_SHAPED[activation.name](**activation.parameters)
    nearest = np.clip(middle, within.low, within.high)
    return derivative(activation)(nearest, function(activation)(nearest))


def _given(cell: Cell, middle: Float64, radius: Float64, peephole: Float64 | None, c: Float64) -> Interval:
    seen = radius if peephole is None else radius + peephole * np.where(peephole == 0, 0.0, c)  # 0 of an infinity is 0
    low, high = middle - seen, middle + seen
    if cell.gate_clip is None:
        return Interval(low, high)
    return Interval(*(np.clip(each, -cell.gate_clip, cell.gate_clip) for each in (low, high)))


def through(activation: Activation, given: Interval) -> Interval:
    """Return the bounds of what an activation that rises makes of what is within bounds.

    Args:
        activation: one of `S_SHAPED`.
        given: the bounds of what it is given.
    """
    # Softsign of an infinity is no number; of the largest finite number it is 1.
    largest = np.finfo(np.float64).max
    made = _small_sigmoid if activation.name == "sigmoid" else function(activation)
    return Interval(*(made(np.clip(each, -largest, largest)) for each in given))


def _small_sigmoid(x: Float64) -> Float64:
    """Return the sigmoid, far below zero too, where the usual formula gives 0: a shut gate is not quite that."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _projected(cell: Cell, h: Float64) -> Float64:
    if cell.projection is None:
        return h
    bound: Float64 = np.abs(np.asarray(cell.projection, np.float64)) @ h
    return bound if cell.projection_clip is None else np.minimum(bound, cell.projection_clip)
