"""The write-time decomposition: when what a cell holds at the end was written into it.

    c[T] = (product of all f) c[0] + sum over s of (product of f[r], r > s) i[s] g[s]

The sum is exact, and says nothing of the inputs: i[s] and g[s] are functions of h[s-1], so what an older input caused
is dated by the step that wrote it. Never read it as the importance of a lag.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.readout import Readout
from lstm_convert.analysis.stepping import LSTMStep, LSTMStepper
from lstm_convert.analysis.traces import CellTrace
from lstm_convert.canonical import Cell, RecurrentCell
from lstm_convert.errors import Unsupported

Float64 = NDArray[np.float64]

LABEL = "write time, not input time"


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What each step wrote of the last cell state.

    Args:
        written: (time, batch, units), steps as the cell reads them.
        start: what is left of the state before the first step, (batch, units).
    """

    written: Float64
    start: Float64

    @property
    def shares(self) -> Float64:
        """Of each unit the part that each step wrote, by mean absolute size: (time, units)."""
        sizes = np.abs(self.written).mean(axis=1)
        total = sizes.sum(axis=0)
        return np.asarray(np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0))


def has_decomposition(cell: RecurrentCell) -> bool:
    """Return whether a cell has a state c that is a sum of what was written: an LSTM's whose c is not clipped.

    Args:
        cell: the cell.
    """
    return isinstance(cell, Cell) and cell.cell_clip is None


def decomposed(traced: CellTrace) -> Decomposition:
    """Return the decomposition of the last c of a trace.

    Args:
        traced: the cell's trace.

    Raises:
        Unsupported: c is clipped, so that it is no sum; or the cell has none.
    """
    stepper, steps = _lstm(traced)
    if stepper.cell.cell_clip is not None:
        raise Unsupported("c is clipped and so no sum of what was written", [f"bound {stepper.cell.cell_clip:g}"])
    forget, wrote = steps.f, steps.i * steps.g
    if traced.counts is not None:
        counting = traced.counts[:, :, None]
        forget, wrote = np.where(counting, forget, 1.0), np.where(counting, wrote, 0.0)
    kept = np.ones_like(forget)
    kept[:-1] = np.cumprod(forget[:0:-1], axis=0)[::-1]
    return Decomposition(kept * wrote, kept[0] * forget[0] * traced.c0)


def to_outputs(traced: CellTrace, parts: Decomposition, readout: Readout | None = None) -> Float64:
    """Return how the outputs grow as what each step wrote is added to c, (time + 1, batch, outputs); the start first.

    Their sum is the output less the readout's bias; what a step adds depends on those added before.

    Args:
        traced: the cell's trace, of which all steps count.
        parts: its decomposition.
        readout: what the outputs are; h itself where None.

    Raises:
        Unsupported: the projection is clipped, or a step is masked, so that h is no such sum; or the cell has no c.
    """
    stepper, computed = _lstm(traced)
    if stepper.cell.projection_clip is not None or (traced.counts is not None and not traced.counts[-1].all()):
        raise Unsupported("h is no sum of what was written", ["its projection is clipped, or its last step is masked"])
    sums = parts.start + np.concatenate([np.zeros_like(parts.start)[None], np.cumsum(parts.written, axis=0)])
    shown = computed.o[-1] * stepper.output(sums)
    if stepper.projection is not None:
        shown = shown @ stepper.projection.T
    steps = np.concatenate([shown[:1], np.diff(shown, axis=0)])
    return steps if readout is None else steps @ readout.matrix.T


def _lstm(traced: CellTrace) -> tuple[LSTMStepper, LSTMStep]:
    if not isinstance(traced.stepper, LSTMStepper) or not isinstance(traced.steps, LSTMStep):
        raise Unsupported(f"a {traced.stepper.cell.kind} has no cell state c that is a sum of what was written")
    return traced.stepper, traced.steps
