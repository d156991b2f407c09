"""Within what bounds each kind of cell stays, and the matrices that bound its one-step Jacobian; an LSTM's in `ranges`.

The h of a GRU whose gates are between 0 and 1 is a mean of candidates, and of the zero it starts from: none is larger
than the largest candidate. Of a simple RNN h is the candidate. What a gate is given is bounded as `ranges` says.
"""

import math

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.ranges import S_SHAPED, Interval, Ranges, ranges, steepest, through
from lstm_convert.analysis.stepping import biases
from lstm_convert.canonical import Cell, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]

_ROUNDS = 100
_TIGHT = 1e-9
_FROM_ZERO_TO_ONE = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")


def ranges_of(cell: RecurrentCell, low: Float64, high: Float64, steps: float = math.inf) -> Ranges:
    """Return the bounds of a cell of any kind for all inputs of a box, from zero states.

    Args:
        cell: the cell.
        low: the least each feature is, (inputs,).
        high: the most, (inputs,).
        steps: the most steps a sequence has; any number of them where infinite.

    Raises:
        Unsupported: an activation is not bounded, or not known to rise, or cells of this kind are not known.
    """
    if isinstance(cell, Cell):
        return ranges(cell, low, high, steps)
    if not isinstance(cell, GRUCell | SimpleRNNCell):
        raise Unsupported(f"no bounds are derived for a cell of the kind {cell.kind}")
    wrong = [f"the {role} activation is {each}" for role, each in cell.activations().items()
             if each.name not in (_FROM_ZERO_TO_ONE if role == "gate" else S_SHAPED)]  # fmt: skip
    if wrong:
        raise Unsupported("no bounds can be proven for this cell", wrong)
    kernel, recurrent = (np.asarray(each, np.float64) for each in (cell.W, cell.U))
    middle = biases(cell)[0] + kernel @ ((low + high) / 2.0)
    from_input = np.abs(kernel) @ ((high - low) / 2.0)
    h = np.ones(cell.units)
    for _ in range(_ROUNDS):  # every round's bounds hold, the last are the tightest
        radius = from_input + np.abs(recurrent) @ h
        given = {gate: Interval(middle[row] - radius[row], middle[row] + radius[row])
                 for row, gate in enumerate(cell.letters)}  # fmt: skip
        gates = {gate: through(cell.gate, given[gate]) for gate in "zr"} if isinstance(cell, GRUCell) else {}
        if isinstance(cell, GRUCell):
            looped = _looped(cell, gates["r"], h)
            given["g"] = Interval(middle[2] - from_input[2] + looped.low, middle[2] + from_input[2] + looped.high)
        gates["g"] = through(cell.candidate, given["g"])
        new_h = np.minimum(h, gates["g"].size)
        settled = (h - new_h <= _TIGHT * h).all()
        h = new_h
        if settled:
            break
    return Ranges(given, gates, np.zeros(0), h)


def _looped(cell: GRUCell, r: Interval, h: Float64) -> Interval:
    """Return the bounds of what a GRU's candidate gets of h, through the reset gate."""
    weights = np.abs(np.asarray(cell.U.g, np.float64))
    if not cell.reset_after:
        return Interval(-weights @ (r.high * h), weights @ (r.high * h))
    inner = biases(cell)[1]
    ends = [gate * end for gate in r for end in (inner - weights @ h, inner + weights @ h)]
    return Interval(np.min(ends, axis=0), np.max(ends, axis=0))


def bounding_matrices(cell: GRUCell | SimpleRNNCell, bounds: Ranges) -> tuple[Float64, Float64, Float64]:
    """Return bounds of the derivatives of h by h before, (units, units), by the input, and the rows of h.

    Args:
        cell: the cell.
        bounds: its ranges.
    """
    kernel, recurrent = (np.abs(np.asarray(each, np.float64)) for each in (cell.W, cell.U))
    slope = steepest(cell.candidate, bounds.z["g"])
    unit = np.eye(cell.units)
    if isinstance(cell, SimpleRNNCell):
        return slope[:, None] * recurrent[0], slope[:, None] * kernel[0], unit
    z, r = bounds.gates["z"], bounds.gates["r"]
    by_z = (bounds.h + bounds.gates["g"].size) * steepest(cell.gate, bounds.z["z"])
    by_g = (1.0 - z.low) * slope
    slope_r = steepest(cell.gate, bounds.z["r"])
    through_r: Float64
    if cell.reset_after:
        by_r = (recurrent[2] @ bounds.h + np.abs(biases(cell)[1])) * slope_r
        of_h, through_r = r.high[:, None] * recurrent[2], np.diag(by_r)
    else:
        of_h, through_r = recurrent[2] * r.high, recurrent[2] * (bounds.h * slope_r)
    matrix = np.diag(z.high) + by_z[:, None] * recurrent[0] + by_g[:, None] * (of_h + through_r @ recurrent[1])
    return matrix, by_z[:, None] * kernel[0] + by_g[:, None] * (kernel[2] + through_r @ kernel[1]), unit
