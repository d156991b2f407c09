"""The lag Jacobian: how an output answers to every earlier input, exactly, all lags in one backward sweep.

The sweep carries the gradients of the full state, c and h, back through each cell as `sweeping` says, and never builds
a matrix of the state's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_convert.analysis.readout import Output, identity, read_by
from lstm_convert.analysis.stacks import Stack
from lstm_convert.analysis.sweeping import sweep_of
from lstm_convert.analysis.traces import CellTrace, LayerTrace, StackTrace, States, trace
from lstm_convert.canonical import Recurrent

Float64 = NDArray[np.float64]

# The gradient of what is put out at each step, (outputs, batch, width), or None where it is zero.
Gradients = Sequence[Float64 | None] | Float64


@dataclass(frozen=True, eq=False)
class LagJacobian:
    """The derivatives of outputs by inputs.

    Args:
        values: (batch, outputs, time, inputs), steps in the order of the sequence.
        offsets: of each step, its time less the output's: 0 the same step, negative the past, positive the future.
    """

    values: Float64
    offsets: NDArray[np.intp]

    @property
    def lags(self) -> NDArray[np.intp]:
        """The lag of each step: k for x[t-k]."""
        return -self.offsets

    def at_lag(self, lag: int) -> Float64:
        """Return the derivatives by the inputs of one lag, (batch, outputs, inputs).

        Args:
            lag: the lag; negative for the future.
        """
        (place,) = np.flatnonzero(self.offsets == -lag)
        return self.values[:, :, place]


def lag_jacobian(
    stack: Stack,
    x: NDArray[Any],
    readout: Output | None = None,
    *,
    at: int = -1,
    mask: NDArray[Any] | None = None,
    states: States | None = None,
    cell_path: bool = False,
) -> LagJacobian:
    """Return how the outputs of some sequences answer to each of their inputs.

    Args:
        stack: the layers.
        x: (batch, time, inputs).
        readout: what the outputs are; the last layer's output itself where None.
        at: the step that is read, of a stack that returns every step.
        mask: which steps count, (batch, time); all where None.
        states: c and h that each cell starts from; zeros where None.
        cell_path: only what travels from step to step inside c, never through h and U; see `swept`.

    Raises:
        Unsupported: an activation makes each unit's value of all units'.
    """
    return swept(trace(stack, x, mask=mask, states=states), readout, at=at, cell_path=cell_path)


def swept(traced: StackTrace, readout: Output | None = None, *, at: int = -1, cell_path: bool = False) -> LagJacobian:
    """Return the lag Jacobian of sequences that were traced.

    The cell path is what an input writes into c, keeps there by the forget gates alone, and shows at the output through
    output(c): nothing through U, and nothing through the output gate.

    Args:
        traced: the trace of every layer.
        readout: what the outputs are; the last layer's output itself where None.
        at: the step that is read, of a stack that returns every step.
        cell_path: only the cell path.
    """
    readout = identity(traced.stack.outputs) if readout is None else readout
    top = readout.gradients(*read_by(readout, traced, at))
    steps, last = traced.steps, traced.layers[-1]
    if readout.every:
        dx = _through_steps(last, top.transpose(2, 0, 1, 3), cell_path=cell_path)
    elif last.layer.return_sequences:
        gradients = [top if step == at % steps else None for step in range(steps)]
        dx = _through_steps(last, gradients, cell_path=cell_path)
    else:
        dx = _through_last_step(last, top, cell_path=cell_path)
    for layer in reversed(traced.layers[:-1]):
        dx = _through_steps(layer, dx, cell_path=cell_path)
    return LagJacobian(dx.transpose(2, 1, 0, 3), np.arange(steps) - read_time(traced.stack, steps, at))


def read_time(stack: Stack, steps: int, at: int = -1) -> int:
    """Return which step of the data the output stands for, from which lags are counted.

    Args:
        stack: the layers.
        steps: the number of steps.
        at: the step that is read, of a stack that returns every step.
    """
    place = at % steps if stack.layers[-1].return_sequences else steps - 1
    turned = sum(layer.go_backwards for layer in stack.layers) % 2
    return steps - 1 - place if turned else place


def through_layer(traced: LayerTrace, gradient: Float64) -> Float64:
    """Return the gradients of a layer's input, (time, outputs, batch, inputs), for those of what it returns.

    Args:
        traced: the layer's trace.
        gradient: (time, outputs, batch, width) of one that returns every step, else (outputs, batch, width).
    """
    through = _through_steps if traced.layer.return_sequences else _through_last_step
    return through(traced, gradient, cell_path=False)


def _through_steps(traced: LayerTrace, gradients: Gradients, *, cell_path: bool) -> Float64:
    """Return the gradients of a layer's input, (time, outputs, batch, inputs), for those of its output sequence."""
    outputs = [cell.h[:: -1 if direction else 1] for direction, cell in enumerate(traced.cells)]
    split = [
        None if gradient is None else _split(traced.layer, gradient, [output[step] for output in outputs])
        for step, gradient in enumerate(gradients)
    ]
    dx: Float64 | float = 0.0
    for direction, cell in enumerate(traced.cells):
        own = [None if parts is None else parts[direction] for parts in split][:: -1 if direction else 1]
        dx = dx + _in_time(cell, through_cell(cell, own, cell_path=cell_path, zeros=_zeros(traced)))
    return np.asarray(dx)


def _through_last_step(traced: LayerTrace, gradient: Float64, *, cell_path: bool) -> Float64:
    """Return the same for the gradient of each direction's own last output."""
    split = _split(traced.layer, gradient, [cell.h[-1] for cell in traced.cells])
    dx: Float64 | float = 0.0
    for cell, part in zip(traced.cells, split, strict=True):
        own = [*[None] * (len(cell.h) - 1), part]
        dx = dx + _in_time(cell, through_cell(cell, own, cell_path=cell_path, zeros=_zeros(traced)))
    return np.asarray(dx)


def _zeros(traced: LayerTrace) -> bool:
    return traced.layer.zero_output_for_mask


def _in_time(traced: CellTrace, dx: Float64) -> Float64:
    return dx[::-1] if traced.backwards else dx


def _split(layer: Recurrent, gradient: Float64, outputs: list[Float64]) -> list[Float64]:
    """Return the gradient of each direction's output, of that of the merged one."""
    if len(outputs) == 1:
        return [gradient]
    forward, backward = outputs
    if layer.merge == "concat":
        return [gradient[..., : forward.shape[-1]], gradient[..., forward.shape[-1] :]]
    if layer.merge == "mul":
        return [gradient * backward, gradient * forward]
    share = 0.5 if layer.merge == "ave" else 1.0
    return [gradient * share] * 2


def through_cell(traced: CellTrace, gradients: Gradients, *, cell_path: bool = False, zeros: bool = False) -> Float64:
    """Return the gradients of a cell's input, (time, outputs, batch, inputs), steps as the cell reads them.

    Args:
        traced: the cell's trace.
        gradients: those of its output at each step, as the cell reads them.
        cell_path: of an LSTM, only what travels inside c.
        zeros: whether a masked step puts out zero, and not what was put out before.
    """
    sweep, stepper, counts = sweep_of(traced, cell_path=cell_path), traced.stepper, traced.counts
    rows = next((len(gradient) for gradient in gradients if gradient is not None), 0)
    steps, batch = traced.h.shape[:2]
    dx = np.zeros((steps, rows, batch, stepper.cell.inputs))
    lc, lh = (np.zeros((rows, *state.shape)) for state in (traced.c0, traced.h0))
    shown = None if counts is None else counts if zeros else np.logical_or.accumulate(counts, axis=0)
    last = max((step for step, gradient in enumerate(gradients) if gradient is not None), default=-1)
    for step in range(last, -1, -1):
        gradient = gradients[step]
        if gradient is not None:
            lh = lh + (gradient if shown is None else gradient * shown[step, :, None])
        given, new_lc, new_lh = sweep.back(step, lc, lh)
        dx[step] = (given @ stepper.kernel).reshape(dx.shape[1:])
        if counts is not None:
            counting = counts[step, :, None]
            dx[step] *= counting
            new_lc, new_lh = np.where(counting, new_lc, lc), np.where(counting, new_lh, lh)
        lc, lh = new_lc, new_lh
    return dx
