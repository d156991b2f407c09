"""The certificate: no input of a box can have more influence than this. Proven, cheap, often vacuous.

With every factor of the one-step Jacobian at its bound, |J_k| <= |[0 V]| M^k N entry by entry. It says something of
distant lags only where the spectral radius rho of M is below 1; where it is not, there is no certificate, which is no
evidence that these lags matter.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_convert.activations import function
from lstm_convert.analysis.bounding import bounding_matrices, ranges_of
from lstm_convert.analysis.bounds import at_most
from lstm_convert.analysis.ranges import Interval, Ranges, steepest
from lstm_convert.analysis.readout import Output
from lstm_convert.analysis.stacks import Stack
from lstm_convert.canonical import Cell, GRUCell, RecurrentCell, SimpleRNNCell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]

_ROUNDING = 1e-9  # the bounds are widened by this part, far more than float64 rounds


@dataclass(frozen=True, eq=False)
class Certificate:
    """Bounds on the lag Jacobian.

    Args:
        bounds: (lags, outputs, inputs): no |d y / d x[t-k]| is larger, whatever the inputs of the box.
        rho: the largest spectral radius of the layers' bounding matrices.
    """

    bounds: Float64
    rho: float

    @property
    def certified(self) -> bool:
        """Whether the bounds fall with the lag at all."""
        return self.rho < 1.0

    @property
    def text(self) -> str:
        """What to print."""
        if not self.certified:
            return f"no certificate (rho = {self.rho:.3g})"
        lag = len(self.bounds) - 1
        bound = f"|d y / d x[t-{lag}]| <= {at_most(self.bounds[-1].max())}"
        return f"PROVEN: {bound} for every input of the box (rho = {self.rho:.3g})"


def certificate(
    stack: Stack, low: Float64, high: Float64, readout: Output | None = None, *, lags: int, steps: float = math.inf
) -> Certificate:
    """Return bounds on the lag Jacobian for all inputs of a box, from zero states.

    Args:
        stack: the layers, which must read forwards alone.
        low: the least each feature is, (inputs,).
        high: the most, (inputs,).
        readout: what the outputs are; the last layer's output itself where None.
        lags: how many lags, from 0.
        steps: the most steps a sequence has; any number of them where infinite.

    Raises:
        Unsupported: a layer reads backwards, or an activation or the readout has no bounds.
    """
    if not stack.causal:
        raise Unsupported("no bounds can be proven for this stack", ["a layer reads the sequence from its end"])
    responses, rho = None, 0.0
    for layer in stack.layers:
        bounds = ranges_of(layer.forward, low, high, steps)
        matrix, kernel, output = _bounding(layer.forward, bounds)
        rho = max(rho, float(np.abs(np.linalg.eigvals(matrix)).max()))
        own = _powers(matrix, kernel, output, lags)
        responses = own if responses is None else _chained(own, responses)
        low, high = -bounds.h, bounds.h
    matrix = np.eye(stack.outputs) if readout is None else readout.bound()
    with np.errstate(over="ignore", invalid="ignore"):
        bounds = matrix @ np.asarray(responses) * (1.0 + _ROUNDING)
    return Certificate(np.nan_to_num(bounds, nan=np.inf, posinf=np.inf), rho)


def _powers(matrix: Float64, kernel: Float64, output: Float64, lags: int) -> Float64:
    """Return output M^k N for each lag, (lags, outputs, inputs)."""
    found = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(lags):
            found.append(output @ kernel)
            output = output @ matrix
    return np.nan_to_num(np.stack(found), nan=np.inf, posinf=np.inf)


def _chained(upper: Float64, lower: Float64) -> Float64:
    """Return what two layers make of an input together: at lag k all ways to spend k steps in the two."""
    return np.stack([
        sum((upper[first] @ lower[lag - first] for first in range(lag + 1)), np.zeros((upper.shape[1], lower.shape[2])))
        for lag in range(len(upper))
    ])  # fmt: skip


def _bounding(cell: RecurrentCell, bounds: Ranges) -> tuple[Float64, Float64, Float64]:
    """Return M over the state, N over the input, and the rows of h, all of absolute values and each at its bound."""
    if isinstance(cell, GRUCell | SimpleRNNCell):
        return bounding_matrices(cell, bounds)
    assert isinstance(cell, Cell)  # noqa: S101 (the only other kind that has ranges)
    gates, z = bounds.gates, bounds.z
    if np.isinf(bounds.c).any():
        raise Unsupported(
            "no bounds can be proven for this cell", ["a forget gate may stay wholly open: c has no bound"]
        )
    kernel, recurrent = (np.abs(np.asarray(each, np.float64)) for each in (cell.W, cell.U))
    peephole = np.zeros((3, cell.units)) if cell.peephole is None else np.abs(np.asarray(cell.peephole, np.float64))
    by_i = (gates["g"].size + bounds.c * cell.coupled) * steepest(cell.gate, z["i"])
    by_f = bounds.c * steepest(cell.gate, z["f"]) * (not cell.coupled)
    by_g = gates["i"].size * steepest(cell.candidate, z["g"])
    squashed = Interval(-bounds.c, bounds.c)
    by_o = _size(cell, squashed) * steepest(cell.gate, z["o"])
    shown = gates["o"].size * steepest(cell.output, squashed) + by_o * peephole[2]

    def onto_c(weights: Float64) -> Float64:
        return np.asarray(by_i[:, None] * weights[0] + by_f[:, None] * weights[1] + by_g[:, None] * weights[2])

    c_of_c = np.diag(gates["f"].size + by_i * peephole[0] + by_f * peephole[1])
    c_rows = [c_of_c, onto_c(recurrent), onto_c(kernel)]
    through = [None, recurrent[3], kernel[3]]
    h_rows = [shown[:, None] * row + (0.0 if own is None else by_o[:, None] * own)
              for row, own in zip(c_rows, through, strict=True)]  # fmt: skip
    if cell.projection is not None:
        h_rows = [np.abs(np.asarray(cell.projection, np.float64)) @ row for row in h_rows]
    matrix = np.block([c_rows[:2], h_rows[:2]])
    output = np.concatenate([np.zeros((cell.outputs, cell.units)), np.eye(cell.outputs)], axis=1)
    return matrix, np.concatenate([c_rows[2], h_rows[2]]), output


def _size(cell: Cell, given: Interval) -> Float64:
    low, high = (np.abs(function(cell.output)(each)) for each in given)
    largest: Float64 = np.maximum(low, high)
    return largest
